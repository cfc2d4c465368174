//! JavaScript's `mqtt`, which the console has among its packages: what it does stands in `clients/mqtt_js.mjs`.

use tests::clients::Workshop;

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_both_ways() {
    let workshop = Workshop::open().await;
    for version in ["3.1.1", "5.0"] {
        for way in ["tcp", "websocket"] {
            workshop.run_javascript("mqtt_js.mjs", version, way).await;
        }
    }
}
