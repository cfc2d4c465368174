#![allow(missing_docs, clippy::all, clippy::pedantic)]
use service::seal::MasterKey;
#[tokio::main]
async fn main() {
    let mut config: controller::Config = toml::from_str(controller::DEFAULTS).unwrap();
    config.api.address = "127.0.0.1:18080".parse().unwrap();
    config.ops.address = Some("127.0.0.1:18081".parse().unwrap());
    config.database.url = std::env::var("TRY_URL").unwrap();
    let controller = controller::start(config, MasterKey::new([7; 32])).await.unwrap();
    let boot = service::bootstrap::bootstrap(controller.services()).await.unwrap();
    println!("{:?} {:?}", boot, boot.one_time_password.as_ref().map(|p| p.expose().to_owned()));
    let mut line = String::new();
    tokio::task::spawn_blocking(move || std::io::stdin().read_line(&mut line)).await.unwrap().unwrap();
    let t = std::time::Instant::now();
    controller.stop().await;
    println!("stopped in {:?}", t.elapsed());
}
