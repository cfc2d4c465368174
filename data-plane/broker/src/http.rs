//! Health and metrics of the node, for operators; closed unless an address is given. No tenant's data and no way to
//! change anything.

use std::fmt::Write;
use std::net::TcpListener;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::control::Control;
use crate::durable::Health;
use crate::http_listener::{self, Bounds};
use crate::metrics::{Counts, Metrics};

/// The media type of what [`Registry`] is encoded to.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers until the node stops.
pub(crate) async fn run(
    listener: TcpListener,
    control: Control,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(control));
    http_listener::serve(listener, router, Bounds::USUAL, stop).await
}

/// The process serves as long as it answers. A log that fails is said, but does not make it worth a restart: what is not
/// stored goes on.
async fn health(State(control): State<Arc<Control>>) -> String {
    match control.log_health() {
        Health::Good => "ok\n".to_owned(),
        Health::Warns(what) => format!("ok\nthe message log: {what}\n"),
        Health::Fails(why) => format!("degraded\nthe message log stores nothing: {why}\n"),
    }
}

async fn metrics(State(control): State<Arc<Control>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, OPENMETRICS)], render(control.metrics().await))
}

/// The text of what was counted.
fn render(metrics: Metrics) -> String {
    let mut registry = Registry::with_prefix("broker");
    registry.register_collector(Box::new(Scrape(metrics)));
    let mut text = String::new();
    if prometheus_client::encoding::text::encode(&mut text, &registry).is_err() {
        text.clear();
        let _ = writeln!(text, "# EOF");
    }
    text
}

#[derive(Debug)]
struct Scrape(Metrics);

/// A counter by instance: its name, its meaning, and where it stands.
type ByInstance = (&'static str, &'static str, fn(&Counts) -> u64);

const BY_INSTANCE: &[ByInstance] = &[
    ("messages_in", "Messages accepted from clients", |counts| counts.messages_in),
    ("bytes_in", "Bytes of the packets of accepted messages", |counts| counts.bytes_in),
    ("messages_out", "Messages for clients, one for each receiver", |counts| counts.messages_out),
    ("bytes_out", "Bytes of the packets of messages for clients", |counts| counts.bytes_out),
    ("messages_stored", "Messages that are safely in the log", |counts| counts.messages_stored),
    ("messages_unmatched", "Messages accepted that nobody wanted", |counts| counts.messages_unmatched),
];

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let Self(metrics) = self;
        let connections = metrics.connections.iter();
        let gauges = connections.map(|(id, &count)| (id.to_string(), count));
        family(&mut encoder, "connections", "Clients connected", "instance", gauges, ConstGauge::<u64>::new)?;
        for (name, help, read) in BY_INSTANCE {
            let counts = metrics.instances.iter().map(|(id, counts)| (id.to_string(), read(counts)));
            family(&mut encoder, name, help, "instance", counts, ConstCounter::new)?;
        }
        let refused =
            metrics.total.refused.iter().map(|(refusal, &count)| (refusal.name().to_owned(), count));
        family(&mut encoder, "refused", "What clients were refused", "reason", refused, ConstCounter::new)?;
        let dropped = metrics.total.dropped.iter().map(|(reason, &count)| (reason.name().to_owned(), count));
        family(
            &mut encoder,
            "dropped",
            "Deliveries that did not take place",
            "reason",
            dropped,
            ConstCounter::new,
        )?;
        let log_fails = ConstGauge::new(u64::from(metrics.log_fails));
        let help = "1 while the message log does not store: what is to be stored is refused";
        log_fails.encode(encoder.encode_descriptor("log_fails", help, None, log_fails.metric_type())?)?;
        let panics = ConstCounter::new(metrics.panics);
        let help = "Failures of the program that cost one client its connection";
        let panics_encoder = encoder.encode_descriptor("panics", help, None, panics.metric_type())?;
        panics.encode(panics_encoder)
    }
}

/// One metric with a value for each value of one label.
fn family<M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: impl Iterator<Item = (String, u64)>,
    metric: impl Fn(u64) -> M,
) -> std::fmt::Result {
    let kind = metric(0).metric_type();
    let mut encoder = encoder.encode_descriptor(name, help, None, kind)?;
    for (value, count) in values {
        metric(count).encode(encoder.encode_family(&[(label, value.as_str())])?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use contract::ids::InstanceId;
    use contract::refusal::Refusal;

    use super::*;

    #[test]
    fn metrics_are_named_and_labelled() {
        let instance = InstanceId(uuid::Uuid::from_u128(1));
        let counts = Counts { messages_in: 7, ..Counts::default() };
        let mut metrics = Metrics { panics: 2, log_fails: true, ..Metrics::default() };
        metrics.connections.insert(instance, 3);
        metrics.instances.insert(instance, counts);
        metrics.total.refused.insert(Refusal::TokenExpired, 5);
        let text = render(metrics);
        for line in [
            format!("broker_connections{{instance=\"{instance}\"}} 3"),
            format!("broker_messages_in_total{{instance=\"{instance}\"}} 7"),
            "broker_refused_total{reason=\"token_expired\"} 5".to_owned(),
            "broker_log_fails 1".to_owned(),
            "broker_panics_total 2".to_owned(),
            "# EOF".to_owned(),
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
    }
}
