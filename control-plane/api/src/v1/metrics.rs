//! What is counted of instances, as charts.

use axum::Json;
use axum::extract::State;
use contract::ids::InstanceId;
use contract::metrics::MetricKind;
use serde::Serialize;
use service::metrics::{MetricsAnswer, MetricsQuery, Series};
use utoipa::{IntoParams, ToSchema};

use crate::caller::SignedIn;
use crate::page::{self, RawQuery};
use crate::path::Path;
use crate::problem::Problem;
use crate::state::AppState;
use crate::time::Timestamp;

/// What a chart is asked for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "this type only describes")]
pub(crate) struct MetricsParameters {
    /// The names of the metrics, between commas; all, when left out.
    #[param(example = "connections,messages_in")]
    metrics: Option<String>,
    /// Since when; an hour before `to`, when left out. At most 30 days before `to`.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<String>,
    /// Until when; now, when left out.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<String>,
    /// How many seconds a value is of: a multiple of 10, and so many that there are at most 720 values. As few as that
    /// allows, when left out.
    #[param(minimum = 10, maximum = 86400, multiple_of = 10)]
    step_secs: Option<u64>,
}

/// One line of a chart.
#[derive(Serialize, ToSchema)]
#[schema(as = MetricSeries)]
pub(crate) struct SeriesView {
    /// The metric's name.
    #[schema(example = "messages_in")]
    metric: &'static str,
    /// What it counts.
    #[schema(example = "messages")]
    unit: &'static str,
    /// How its values add up.
    kind: MetricKind,
    /// For `refused` and `dropped` the reason: there is a line for each that occurred, and none for others.
    #[schema(example = "not_authorized")]
    reason: Option<String>,
    /// Value i is of the step that begins at `from` plus i steps: the sum of a counter, the largest of a gauge; null
    /// where nothing is known.
    #[schema(value_type = Vec<Option<u64>>)]
    values: Vec<Option<u64>>,
}

impl From<Series> for SeriesView {
    fn from(series: Series) -> Self {
        Self {
            metric: series.metric.name,
            unit: series.metric.unit,
            kind: series.metric.kind,
            reason: series.reason,
            values: series.values,
        }
    }
}

/// A chart of an instance.
#[derive(Serialize, ToSchema)]
#[schema(as = Metrics)]
pub(crate) struct MetricsView {
    /// Where the first value's step begins.
    from: Timestamp,
    /// Where the last value's step ends.
    to: Timestamp,
    /// How many seconds a value is of.
    step_secs: u64,
    /// The lines.
    series: Vec<SeriesView>,
}

impl From<MetricsAnswer> for MetricsView {
    fn from(answer: MetricsAnswer) -> Self {
        Self {
            from: answer.from.into(),
            to: answer.to.into(),
            step_secs: answer.step_secs,
            series: answer.series.into_iter().map(SeriesView::from).collect(),
        }
    }
}

/// Show what was counted of an instance.
#[utoipa::path(get, path = "/v1/instances/{instance_id}/metrics", tag = "metrics",
    params(("instance_id" = Uuid, Path), MetricsParameters),
    responses((status = 200, description = "The chart", body = MetricsView)))]
pub(crate) async fn get_metrics(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
    query: RawQuery,
) -> Result<Json<MetricsView>, Problem> {
    let parameters = query.only(&["metrics", "from", "to", "step_secs"])?;
    let text = |name| parameters.get(name).map(String::as_str);
    let time = |name| -> Result<_, Problem> {
        let time: Option<Timestamp> = text(name).map(|text| page::value(name, text)).transpose()?;
        Ok(time.map(|time| time.0))
    };
    let names = text("metrics").into_iter().flat_map(|names| names.split(','));
    let query = MetricsQuery {
        metrics: names.map(str::to_owned).collect(),
        from: time("from")?,
        to: time("to")?,
        step_secs: text("step_secs").map(|text| page::value("step_secs", text)).transpose()?,
    };
    let answer = state.services.metrics.query(signed_in.caller(), instance, &query).await?;
    Ok(Json(answer.into()))
}
