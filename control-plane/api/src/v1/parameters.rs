//! What lists take in their query, for the document; [`crate::page`] reads it.
#![expect(dead_code, reason = "these types only describe")]

use std::collections::BTreeMap;

use utoipa::IntoParams;

/// What every list takes.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParameters {
    /// The most items of the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// `created_at` or `name`, with `-` before it for the largest first.
    #[param(default = "-created_at")]
    sort: Option<String>,
    /// Whether to count them all, up to 10000.
    #[param(default = false)]
    count: Option<bool>,
}

/// What lists of named things take beside.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct NameParameters {
    /// Only things of exactly this name.
    name: Option<String>,
    /// Only things whose name begins with this.
    q: Option<String>,
}

/// What lists of labelled things take beside.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LabelParameters {
    /// Only things that carry these labels, each as `label.<name>=<value>`; at most 8.
    #[param(style = Form, explode, example = json!({"label.site": "berlin"}))]
    labels: Option<BTreeMap<String, String>>,
}
