//! What the API counts of itself, in the text form of OpenMetrics. No label holds anything of a tenant.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The bounds of the histogram of answer times, in seconds.
const SECONDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0];

#[derive(Clone, Hash, PartialEq, Eq, Debug, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Hash, PartialEq, Eq, Debug, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Clone, Hash, PartialEq, Eq, Debug, EncodeLabelSet)]
struct ProblemLabels {
    code: &'static str,
}

fn new_histogram() -> Histogram {
    Histogram::new(SECONDS)
}

/// The API's counters and the registry in which they, and whatever else the process has, are found.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram>,
    problems: Family<ProblemLabels, Counter>,
    running: Gauge,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let requests = Family::default();
        let seconds = Family::new_with_constructor(new_histogram as fn() -> Histogram);
        let problems = Family::default();
        let running = Gauge::default();
        registry.register("api_requests", "Requests answered", requests.clone());
        registry.register("api_request_seconds", "Time to the answer's head", seconds.clone());
        registry.register("api_problems", "Requests answered with a problem", problems.clone());
        registry.register("api_requests_running", "Requests not answered yet", running.clone());
        Self { registry, requests, seconds, problems, running }
    }
}

impl Metrics {
    /// A request has come; it counts as running until the guard is dropped.
    pub(crate) fn begin(&self) -> Running {
        self.running.inc();
        Running(self.running.clone())
    }

    /// A request was answered. `route` is the route's pattern, never the path; `method` one of HTTP's own.
    pub(crate) fn answered(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        self.requests.get_or_create(&RequestLabels { method, route: route.to_owned(), status }).inc();
        self.seconds.get_or_create(&RouteLabels { route: route.to_owned() }).observe(took.as_secs_f64());
    }

    /// A request was answered with a problem.
    pub(crate) fn problem(&self, code: &'static str) {
        self.problems.get_or_create(&ProblemLabels { code }).inc();
    }

    /// Everything, as OpenMetrics text.
    #[must_use]
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)
            .expect("writing into a string cannot fail");
        text
    }
}

/// A request that is not answered yet.
pub(crate) struct Running(Gauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_counted() {
        let metrics = Metrics::default();
        let running = metrics.begin();
        assert!(metrics.render().contains("api_requests_running 1\n"));
        metrics.answered("GET", "/v1/time", 200, Duration::from_millis(2));
        metrics.problem("not_found");
        drop(running);
        let text = metrics.render();
        assert!(text.contains("api_requests_running 0\n"), "{text}");
        assert!(
            text.contains("api_requests_total{method=\"GET\",route=\"/v1/time\",status=\"200\"} 1\n"),
            "{text}"
        );
        assert!(text.contains("api_request_seconds_count{route=\"/v1/time\"} 1\n"), "{text}");
        assert!(text.contains("api_problems_total{code=\"not_found\"} 1\n"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
