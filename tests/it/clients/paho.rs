//! Python's `paho-mqtt`, as Debian has it: what it does stands in `clients/paho_3.py` and `clients/paho_5.py`.

use tests::clients::Workshop;

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1() {
    Workshop::open().await.run_python("paho_3.py", "3.1", "tcp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_1() {
    Workshop::open().await.run_python("paho_3.py", "3.1.1", "tcp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_1_over_websocket() {
    Workshop::open().await.run_python("paho_3.py", "3.1.1", "websocket").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_5_0() {
    Workshop::open().await.run_python("paho_5.py", "5.0", "tcp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_5_0_over_websocket() {
    Workshop::open().await.run_python("paho_5.py", "5.0", "websocket").await;
}
