//! The built binary under real clients: what it has acknowledged it still has after a kill, and people find it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::json;
use tests::cluster::PASSWORD;
use tests::http_client::text;
use tests::place::{Place, Welcome};
use tests::process::{Program, Signal};
use tests::{Api, Qos, wait_for};

/// Acknowledgements that a client under load has seen when the kill comes.
const ACKNOWLEDGED_BEFORE_THE_KILL: usize = 300;

/// Messages of each client that ends by itself.
const MESSAGES: usize = 50;

/// A tenant's instance of a running product, as its operator sees it.
struct Workshop {
    operator: Api,
    instance: String,
    label: String,
}

impl Workshop {
    async fn open(place: &Place, operator: Api) -> Self {
        let tenants = operator.get("/v1/tenants").await.ok().clone();
        let tenant = text(&tenants["items"][0], "id");
        let instances = operator.get(&format!("/v1/tenants/{tenant}/instances")).await.ok().clone();
        let instance = &instances["items"][0];
        let workshop = Self { operator, instance: text(instance, "id"), label: text(instance, "label") };
        let history = json!({"enabled": true, "retention_secs": 3600});
        let topic = json!({"name": "line", "history": history});
        let path = workshop.path("topics");
        workshop.operator.waiting().post(&path, topic).await.created();
        assert!(place.data_dir().is_dir());
        workshop
    }

    fn path(&self, rest: &str) -> String {
        format!("/v1/instances/{}/{rest}", self.instance)
    }

    /// `mosquitto_pub` as this client, which publishes the numbers from 1 on, one a message, and tells each packet.
    async fn publisher(&self, place: &Place, client: &str, qos: Qos, last: usize) -> Program {
        let grants = json!([{"actions": ["publish"], "topic_filter": "line/#", "qos_max": 2}]);
        let token = json!({"client_id": client, "ttl_secs": 600, "grants": grants});
        let token = self.operator.post(&self.path("tokens"), token).await.text("token");
        let (host, port) = (place.mqtt.ip(), place.mqtt.port());
        let user = format!("{client}@{}", self.label);
        let line = format!(
            "exec mosquitto_pub -h {host} -p {port} -i {client} -u {user} -P '{token}' -t line/{client} \
             -q {} -d -l < <(seq 1 {last})",
            qos.bits()
        );
        Program::start(Command::new("bash").args(["-c", &line]))
    }

    /// Every stored message of a client: its payloads in the order of the log.
    async fn stored_of(&self, client: &str) -> Vec<usize> {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let query = format!(
                "messages?topic_filter=line/{client}&client_id={client}&order=oldest&include=payload&limit=200{cursor}"
            );
            let page = self.operator.get(&self.path(&query)).await;
            let page = page.ok();
            assert_eq!(page["coverage"]["complete"], true, "{}", page["coverage"]);
            for item in page["items"].as_array().expect("items") {
                assert_eq!(item["topic"], format!("line/{client}"));
                found.push(text(&item["payload"], "data").parse().expect("a number"));
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found,
            }
        }
    }
}

/// The packet identifier in a line like `Client a received PUBACK (Mid: 12, RC:0)`; `mosquitto_pub` counts from 1.
fn acknowledged(line: &str) -> Option<usize> {
    let (_, rest) =
        line.split_once("received PUBACK (Mid: ").or_else(|| line.split_once("received PUBREC (Mid: "))?;
    rest.split([',', ')']).next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_found_after_a_kill() {
    let place = Place::new();
    let mut first = place.start(&[]);
    let welcome = Welcome::read(&mut first).await;
    let api = Api::new(place.api);
    let operator = api.sign_in_first_time("operator@localhost", &welcome.password, PASSWORD).await;
    let workshop = Workshop::open(&place, operator).await;

    for (client, qos) in [
        ("at-most-once", Qos::AtMostOnce),
        ("at-least-once", Qos::AtLeastOnce),
        ("exactly-once", Qos::ExactlyOnce),
    ] {
        let (well, said) = workshop.publisher(&place, client, qos, MESSAGES).await.ended().await;
        assert!(well, "{said}");
    }
    // Nothing acknowledges QoS 0: before the kill its messages are waited for.
    wait_for("messages of QoS 0", async || workshop.stored_of("at-most-once").await.len() == MESSAGES).await;

    let mut loads = BTreeMap::new();
    for (client, qos) in [("load-1", Qos::AtLeastOnce), ("load-2", Qos::ExactlyOnce)] {
        let mut load = workshop.publisher(&place, client, qos, 60_000).await;
        let mut seen = BTreeSet::new();
        while seen.len() < ACKNOWLEDGED_BEFORE_THE_KILL {
            let line = load.line().await.expect("it publishes until the kill");
            seen.extend(acknowledged(&line));
        }
        loads.insert(client, (load, seen));
    }
    first.signal(Signal::SIGKILL);
    first.ended().await;
    // They would go on as soon as they can connect again.
    let seen: BTreeMap<_, _> = loads
        .into_iter()
        .map(|(client, (load, seen))| {
            drop(load);
            (client, seen)
        })
        .collect();

    let mut second = place.start(&[]);
    Welcome::read(&mut second).await;
    let operator = api.sign_in("operator@localhost", PASSWORD).await;
    let workshop = Workshop { operator, ..workshop };
    for client in ["at-most-once", "at-least-once", "exactly-once"] {
        assert_eq!(workshop.stored_of(client).await, (1..=MESSAGES).collect::<Vec<_>>(), "{client}");
    }
    for (client, acknowledged) in seen {
        let stored = workshop.stored_of(client).await;
        assert!(stored.is_sorted_by(|one, next| one < next), "{client}: each once, in order");
        let missing: Vec<_> = acknowledged.iter().filter(|number| !stored.contains(number)).collect();
        assert!(missing.is_empty(), "{client}: acknowledged and lost: {missing:?}");
    }
    second.signal(Signal::SIGINT);
    second.ended().await;
}
