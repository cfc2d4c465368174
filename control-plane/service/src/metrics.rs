//! What is counted of instances: told by nodes, kept in the ring and in the database, shown as charts.

mod chunk;
mod flush;
mod reading;
mod refill;
mod ring;
mod steps;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use contract::ids::InstanceId;
pub use contract::metrics::{METRICS, Metric};
use store::StoreError;
use store::metrics::MetricChunk;
use tokio::task::JoinError;

use crate::access::{AccessError, Action, Caller};
use crate::core::Core;
use crate::error::takes_get_error;
use crate::permits::Permits;
pub(crate) use flush::{drop_old_days, flush};
pub use reading::{NODE_GONE_SECS, NODE_LATE_SECS};
pub use refill::{REFILL_MINUTES, refill};
pub use ring::{RING_BYTES_MAX, RING_INSTANCES_MAX, RING_MINUTES, Reading, Ring};
pub use steps::Series;

use chunk::{Chunk, SECONDS};
use ring::{PLATFORM, unix_secs};
use steps::{Chart, Steps};

/// The most points of one line.
pub const POINTS_MAX: u64 = 720;
/// The shortest step, in seconds, of which every step is a multiple; and the longest.
pub const STEP_SECS_MIN: u64 = 10;
/// The longest step, in seconds.
pub const STEP_SECS_MAX: u64 = 86_400;
/// How long metrics are kept.
pub const METRICS_KEPT: TimeDelta = TimeDelta::days(30);
/// What is shown when nobody says since when.
pub const RANGE_DEFAULT: TimeDelta = TimeDelta::hours(1);
/// The steps of which one is taken when nobody names one.
const STEPS: [u64; 14] = [10, 20, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400];
/// How many charts are made at one time: a month of one takes tens of megabytes while it is made.
const CHARTS_MAX: usize = 8;
/// How many of them are of one tenant; those beyond wait for its others.
const CHARTS_OF_TENANT_MAX: usize = 2;

/// Shows metrics.
#[derive(Clone)]
pub struct Metrics {
    core: Arc<Core>,
    charts: Arc<Permits>,
}

/// Which metrics, when, and how finely.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MetricsQuery {
    /// The names of the metrics; none: all.
    pub metrics: Vec<String>,
    /// Since when; an hour before the end when left out.
    pub from: Option<DateTime<Utc>>,
    /// Until when; now when left out.
    pub to: Option<DateTime<Utc>>,
    /// How many seconds a point is of; when left out, as few as [`POINTS_MAX`] allows.
    pub step_secs: Option<u64>,
}

/// A chart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetricsAnswer {
    /// Where the first point begins: a multiple of the step.
    pub from: DateTime<Utc>,
    /// Where the last point ends.
    pub to: DateTime<Utc>,
    /// How many seconds a point is of.
    pub step_secs: u64,
    /// Its lines.
    pub series: Vec<Series>,
}

/// Why no chart was made.
#[derive(Debug, thiserror::Error)]
pub enum QueryMetricsError {
    /// The instance is not there for this caller.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A parameter is no good.
    #[error("{detail}")]
    Parameter {
        /// Which one.
        name: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Making the chart failed: a fault of ours.
    #[error("the chart could not be made")]
    Failed(#[source] JoinError),
}

takes_get_error!(QueryMetricsError);

impl Metrics {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core, charts: Arc::new(Permits::new(CHARTS_MAX, CHARTS_OF_TENANT_MAX)) }
    }

    /// The last two hours as this process has heard of them.
    #[must_use]
    pub fn ring(&self) -> &Ring {
        &self.core.ring
    }

    /// Makes a chart of one instance.
    pub async fn query(
        &self,
        caller: &Caller,
        instance: InstanceId,
        query: &MetricsQuery,
    ) -> Result<MetricsAnswer, QueryMetricsError> {
        let instance = self.core.instance(caller, instance, Action::Read).await?;
        let (tenant, instance) = (instance.tenant, instance.id);
        let metrics = find_metrics(&query.metrics)?;
        let steps = find_steps(query, self.core.now())?;
        let permit = self.charts.acquire(tenant).await;
        let told = self.minutes(PLATFORM, steps).await?;
        let counted = self.minutes(instance, steps).await?;
        let make = move || {
            let _permit = permit;
            chart(steps, &metrics, told, counted)
        };
        let series = aside(make).await?;
        Ok(MetricsAnswer { from: time(steps.from), to: time(steps.to()), step_secs: steps.step, series })
    }

    /// What database and ring have of one instance.
    async fn minutes(&self, instance: InstanceId, steps: Steps) -> Result<Minutes, StoreError> {
        let lasts = u64::from(SECONDS);
        let (from, to) = (steps.from / lasts * lasts, steps.to().next_multiple_of(lasts));
        // The ring first: what goes from it to the database meanwhile is then seen twice, and not missed.
        let in_ring = self.core.ring.chunks(instance, from, to).into_iter().collect();
        let mut connection = self.core.store.read().await?;
        let kept = store::metrics::list(&mut connection, instance, time(from), time(to)).await?;
        Ok(Minutes { kept, in_ring })
    }
}

/// The minutes of one instance in their two places; where one is in both, each may have slots that the other has not.
struct Minutes {
    kept: Vec<MetricChunk>,
    in_ring: BTreeMap<u64, Chunk>,
}

impl Minutes {
    fn for_each(mut self, mut each: impl FnMut(u64, &Chunk)) {
        for row in self.kept {
            let minute = unix_secs(row.minute) / u64::from(SECONDS);
            let mut chunk = Chunk::decode(&row.chunk).unwrap_or_else(|error| {
                tracing::warn!(minute, error = ?error, "a chunk of metrics cannot be read");
                Chunk::default()
            });
            if let Some(newer) = self.in_ring.remove(&minute) {
                chunk.merge(&newer);
            }
            each(minute, &chunk);
        }
        for (minute, chunk) in &self.in_ring {
            each(*minute, chunk);
        }
    }
}

/// Off this thread: a month of chunks takes longer to read than anybody else on it should wait.
async fn aside<T: Send + 'static>(make: impl FnOnce() -> T + Send + 'static) -> Result<T, QueryMetricsError> {
    tokio::task::spawn_blocking(make).await.map_err(QueryMetricsError::Failed)
}

fn chart(steps: Steps, metrics: &[&'static Metric], told: Minutes, counted: Minutes) -> Vec<Series> {
    let mut chart = Chart::new(steps, metrics);
    told.for_each(|minute, chunk| chart.tell(minute, chunk));
    counted.for_each(|minute, chunk| chart.add(minute, chunk));
    chart.series(metrics)
}

fn time(secs: u64) -> DateTime<Utc> {
    DateTime::from_timestamp(secs.cast_signed(), 0).unwrap_or_default()
}

fn find_metrics(names: &[String]) -> Result<Vec<&'static Metric>, QueryMetricsError> {
    if names.is_empty() {
        return Ok(METRICS.iter().collect());
    }
    let bad = |detail: String| QueryMetricsError::Parameter { name: "metrics", detail };
    let mut found: Vec<&'static Metric> = Vec::new();
    for name in names {
        let metric = contract::metrics::find(name);
        let metric = metric.ok_or_else(|| bad(format!("there is no metric `{name}`")))?;
        if found.contains(&metric) {
            return Err(bad(format!("`{name}` is named twice")));
        }
        found.push(metric);
    }
    Ok(found)
}

/// The points of a chart: whole steps around what is asked.
fn find_steps(query: &MetricsQuery, now: DateTime<Utc>) -> Result<Steps, QueryMetricsError> {
    let bad = |name, detail: String| Err(QueryMetricsError::Parameter { name, detail });
    let to = query.to.unwrap_or(now);
    let from = query.from.unwrap_or(to - RANGE_DEFAULT);
    if from >= to {
        return bad("from", "it is not before `to`".to_owned());
    }
    if from < DateTime::UNIX_EPOCH || to - from > METRICS_KEPT {
        let days = METRICS_KEPT.num_days();
        return bad(
            "from",
            format!("it is more than {days} days, the time that metrics are kept, before `to`"),
        );
    }
    let (from, to) = (unix_secs(from), unix_secs(to + TimeDelta::milliseconds(999)));
    let around = |step: u64| (from / step * step, to.next_multiple_of(step));
    let points = |step: u64| (around(step).1 - around(step).0) / step;
    let step = match query.step_secs {
        Some(step) if step % STEP_SECS_MIN != 0 || !(STEP_SECS_MIN..=STEP_SECS_MAX).contains(&step) => {
            let detail =
                format!("it may be {STEP_SECS_MIN} to {STEP_SECS_MAX}, a multiple of {STEP_SECS_MIN}");
            return bad("step_secs", detail);
        }
        Some(step) if points(step) > POINTS_MAX => {
            return bad(
                "step_secs",
                format!("that is {} points, and {POINTS_MAX} are the most", points(step)),
            );
        }
        Some(step) => step,
        None => STEPS.into_iter().find(|step| points(*step) <= POINTS_MAX).unwrap_or(STEP_SECS_MAX),
    };
    let points = usize::try_from(points(step)).unwrap_or(usize::MAX);
    Ok(Steps { from: around(step).0, step, points })
}

#[cfg(test)]
mod tests;
