//! What time it is here: for devices without a clock, so nobody need sign in.

use axum::Json;
use axum::extract::State;
use contract::time::UnixMillis;
use serde::Serialize;
use utoipa::ToSchema;

use crate::state::AppState;
use crate::time::Timestamp;

/// What time it is.
#[derive(Serialize, ToSchema)]
#[schema(as = Time)]
pub(crate) struct TimeView {
    /// As text.
    now: Timestamp,
    /// As milliseconds since 1970-01-01 00:00 UTC.
    #[schema(value_type = u64)]
    unix_millis: UnixMillis,
}

/// What time it is.
#[utoipa::path(get, path = "/v1/time", tag = "time", security(()),
    responses((status = 200, description = "The controller's time", body = TimeView)))]
pub(crate) async fn get_time(State(state): State<AppState>) -> Json<TimeView> {
    let now = state.services.now();
    Json(TimeView { now: now.into(), unix_millis: service::clock::millis(now) })
}
