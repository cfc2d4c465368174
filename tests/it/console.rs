//! The console in a real browser, against the built binary.

use std::env;
use std::path::Path;
use std::process::Command;

use tests::place::{Place, Welcome};
use tests::process::{Program, Signal};

/// Where Node.js is, and where Chromium is; `cargo xtask test` sets both where the machine has them.
const NODE_VARIABLE: &str = "IOTMQ_TEST_NODE";
const CHROMIUM_VARIABLE: &str = "IOTMQ_TEST_CHROMIUM";

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_first_path_works_in_a_browser() {
    let (Some(node), Some(chromium)) = (env::var_os(NODE_VARIABLE), env::var_os(CHROMIUM_VARIABLE)) else {
        eprintln!("skipped: {NODE_VARIABLE} and {CHROMIUM_VARIABLE} are not set");
        return;
    };
    let place = Place::new();
    let mut product = place.start(&[]);
    let welcome = Welcome::read(&mut product).await;
    let console = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web-console");
    let mut script = Command::new(node);
    script
        .current_dir(console)
        .args(["--test", "--test-reporter=spec", "e2e/first-light.test.mjs"])
        .env(CHROMIUM_VARIABLE, chromium)
        .env("IOTMQ_TEST_URL", format!("http://{}", place.api))
        .env("IOTMQ_TEST_EMAIL", "operator@localhost")
        .env("IOTMQ_TEST_PASSWORD", welcome.password);
    let (well, said) = Program::start(&mut script).ended().await;
    assert!(well, "{said}");
    product.signal(Signal::SIGINT);
    product.ended().await;
}
