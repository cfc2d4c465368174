//! Who may use what: the crates of this tree among each other, the libraries that have one owner, and the one
//! provider of cryptography.

use serde::Deserialize;

use super::{assert_none, cargo, tree};

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// None for an ordinary one, else `dev` or `build`.
    kind: Option<String>,
    optional: bool,
}

impl Package {
    /// The folder of the tree that the crate lies in.
    fn plane(&self) -> &str {
        ["control-plane", "data-plane", "web-console", "deploy"]
            .into_iter()
            .find(|plane| self.manifest_path.contains(&format!("/{plane}/")))
            .unwrap_or("tests")
    }
}

/// Crates that do no I/O, read no clock and draw no chance.
const PURE: &[&str] = &["contract", "mqtt", "session", "router"];

/// What a pure crate may not use, whatever it is used for.
const IMPURE: &[&str] = &[
    "async-nats",
    "aws-lc-rs",
    "axum",
    "fastrand",
    "fjall",
    "getrandom",
    "mio",
    "nix",
    "postgres",
    "rand",
    "reqwest",
    "socket2",
    "sqlx",
    "tempfile",
    "tokio",
    "tokio-util",
    "tower",
    "ureq",
];

/// Libraries that only some crates may use.
const OWNED: &[(&str, &[&str])] = &[
    ("async-nats", &["engine-nats"]),
    ("axum", &["api", "controller", "web-console", "broker"]),
    ("fjall", &["replica", "engine-embedded"]),
    ("mqttbytes", &["mqtt"]),
    ("postgres", &["postgres-server"]),
    ("rust-embed", &["web-console"]),
    ("sqlx", &["store"]),
    ("sqlx-core", &["store"]),
    ("utoipa", &["api", "contract"]),
    ("utoipa-axum", &["api"]),
    ("utoipa-swagger-ui", &["api"]),
];

/// Layers of one plane that may not be turned round: who, and what it may not use.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("contract", &["store", "service", "api", "controller", "postgres-server"]),
    ("store", &["service", "api", "controller"]),
    ("service", &["api", "controller", "web-console"]),
    ("api", &["controller", "web-console", "store"]),
    ("mqtt", &["session", "router", "engine", "replica", "broker"]),
    ("session", &["router", "replica", "broker"]),
    ("router", &["mqtt", "session", "engine", "replica", "broker"]),
    ("engine", &["session", "router", "replica", "broker"]),
    ("replica", &["mqtt", "session", "router", "engine", "broker"]),
];

fn faults(packages: &[Package]) -> Vec<String> {
    let plane_of = |name: &str| packages.iter().find(|it| it.name == name).map(Package::plane);
    let mut faults = Vec::new();
    for package in packages {
        for dependency in &package.dependencies {
            let (user, used) = (package.name.as_str(), dependency.name.as_str());
            let is_test_only = dependency.kind.as_deref() == Some("dev");
            let mut fault = |why: &str| faults.push(format!("`{user}` must not use `{used}`: {why}"));
            match (package.plane(), plane_of(used)) {
                ("data-plane", Some("control-plane")) if used != "contract" => {
                    fault("of the control plane the data plane may use `contract` alone");
                }
                ("control-plane", Some("data-plane")) => {
                    fault("the control plane uses nothing of the data plane");
                }
                ("control-plane" | "data-plane", Some("deploy" | "tests")) => fault("it is built from it"),
                _ => {}
            }
            if PURE.contains(&user) && !is_test_only && IMPURE.contains(&used) {
                fault("it does no I/O, reads no clock and draws no chance");
            }
            if OWNED.iter().any(|(library, owners)| *library == used && !owners.contains(&user)) {
                fault("that library has another owner");
            }
            if FORBIDDEN.iter().any(|(it, not)| *it == user && not.contains(&used)) && !is_test_only {
                fault("it lies above");
            }
            if user == "contract" && used == "utoipa" && !dependency.optional {
                fault("there it is a feature");
            }
        }
    }
    faults
}

#[test]
fn dependencies_point_one_way() {
    let metadata = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    let packages = serde_json::from_str::<Metadata>(&metadata).expect("metadata").packages;
    for name in PURE {
        assert!(packages.iter().any(|package| package.name == *name), "`{name}` is a crate of this tree");
    }
    assert_none("a crate uses what it must not", &faults(&packages));
}

#[test]
fn the_check_of_dependencies_finds_each_fault() {
    fn package(path: &str, name: &str, used: &[(&str, Option<&str>, bool)]) -> Package {
        let dependency = |&(name, kind, optional): &(&str, Option<&str>, bool)| Dependency {
            name: name.to_owned(),
            kind: kind.map(str::to_owned),
            optional,
        };
        Package {
            name: name.to_owned(),
            manifest_path: format!("/tree/{path}/{name}/Cargo.toml"),
            dependencies: used.iter().map(dependency).collect(),
        }
    }
    let world = |path, name, used: (&str, Option<&str>, bool)| {
        faults(&[
            package("control-plane", "contract", &[]),
            package("control-plane", "store", &[]),
            package("data-plane", "engine", &[]),
            package("deploy", "iotmq", &[]),
            package(path, name, &[used]),
        ])
    };
    for (path, name, used, count) in [
        ("data-plane", "broker", ("store", None, false), 1),
        ("data-plane", "broker", ("store", Some("dev"), false), 1),
        ("data-plane", "broker", ("contract", None, false), 0),
        ("control-plane", "service", ("engine", None, false), 1),
        ("control-plane", "service", ("store", None, false), 0),
        ("control-plane", "controller", ("iotmq", None, false), 1),
        ("data-plane", "session", ("tokio", None, false), 1),
        ("data-plane", "session", ("tokio", Some("dev"), false), 0),
        ("control-plane", "service", ("sqlx", None, false), 1),
        ("control-plane", "service", ("sqlx", Some("dev"), false), 1),
        ("control-plane", "service", ("axum", None, false), 1),
        ("data-plane", "mqtt", ("mqttbytes", None, false), 0),
        ("control-plane", "api", ("store", None, false), 1),
        ("control-plane", "contract", ("utoipa", None, false), 1),
        ("control-plane", "contract", ("utoipa", None, true), 0),
    ] {
        let found = world(path, name, used);
        assert_eq!(found.len(), count, "`{name}` uses {used:?}: {found:?}");
    }
}

/// What a pure crate's own code may not name.
const IMPURE_PATHS: &[&str] =
    &["std::env", "std::fs", "std::net", "std::process", "std::thread", "Instant::now", "SystemTime::now"];

fn impure(path: &str, text: &str) -> Vec<String> {
    let is_pure = PURE.iter().any(|name| path.contains(&format!("-plane/{name}/src/")));
    let named = IMPURE_PATHS.iter().filter(|it| is_pure && text.contains(**it));
    named.map(|it| format!("{path} names `{it}`")).collect()
}

#[test]
fn pure_crates_name_no_system() {
    let files = tree();
    let faults: Vec<String> =
        files.iter().filter_map(|file| Some(impure(&file.path, file.text.as_deref()?))).flatten().collect();
    assert_none("a pure crate reaches for the system", &faults);
    assert_eq!(impure("data-plane/session/src/lib.rs", "use std::net::TcpStream;").len(), 1);
    assert_eq!(impure("data-plane/broker/src/lib.rs", "use std::net::TcpStream;").len(), 0);
}

/// In the broker the web framework serves health and metrics, the controller's calls, the upgrade to WebSocket, and a
/// test's controller; no message of a client passes it.
const BROKER_HTTP: &[&str] = &[
    "http.rs",
    "http/",
    "http_listener.rs",
    "node_api.rs",
    "node_api/",
    "websocket/handshake.rs",
    "websocket/listen.rs",
    "websocket/mount.rs",
    "config_sync/script.rs",
    "config_sync/tests",
    "enrol/tests",
    "tests/",
];

fn web_in_broker(path: &str, text: &str) -> bool {
    path.strip_prefix("data-plane/broker/src/").is_some_and(|file| {
        !BROKER_HTTP.iter().any(|allowed| file.starts_with(allowed)) && text.contains("axum::")
    })
}

#[test]
fn the_broker_knows_the_web_where_it_is_asked_over_http() {
    let named: Vec<String> = tree()
        .into_iter()
        .filter(|file| file.text.as_deref().is_some_and(|text| web_in_broker(&file.path, text)))
        .map(|file| file.path)
        .collect();
    assert_none("the broker names axum where nothing is asked over HTTP", &named);
    assert!(web_in_broker("data-plane/broker/src/front.rs", "use axum::Router;"));
    assert!(!web_in_broker("data-plane/broker/src/http.rs", "use axum::Router;"));
}

/// Providers of cryptography that must not be built beside aws-lc-rs: two in one process abort it at run time.
const OTHER_PROVIDERS: &[&str] = &["boring", "graviola", "native-tls", "openssl", "openssl-sys", "ring"];

/// Of lines `name features` of everything that is built, those that bring another provider.
fn other_providers(built: &str) -> Vec<String> {
    let is_other = |line: &&str| {
        let mut words = line.split([' ', ',']).filter(|word| !word.is_empty());
        let name = words.next().unwrap_or_default();
        OTHER_PROVIDERS.contains(&name) || (name.contains("rustls") && words.any(|feature| feature == "ring"))
    };
    built.lines().filter(is_other).map(str::to_owned).collect()
}

#[test]
fn one_provider_of_cryptography_is_built() {
    let built = cargo(&[
        "tree",
        "--workspace",
        "--target",
        "all",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--no-dedupe",
        "--format",
        "{lib} {f}",
    ]);
    assert!(built.lines().any(|line| line.starts_with("aws_lc_rs ")), "the tree names our provider");
    let mut found = other_providers(&built.replace('_', "-"));
    found.sort();
    found.dedup();
    assert_none("another provider of cryptography is built", &found);
}

#[test]
fn the_check_of_providers_finds_one() {
    assert_eq!(other_providers("serde std\nring alloc,default\n"), ["ring alloc,default"]);
    assert_eq!(other_providers("rustls std,ring,tls12\n").len(), 1);
    assert_eq!(other_providers("tokio-rustls aws-lc-rs\nstring-things ring\n"), [""; 0]);
}
