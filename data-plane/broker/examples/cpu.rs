//! Temporary.
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use contract::base64::Base64;
use contract::claims::{AUDIENCE, TokenClaims};
use contract::feed::*;
use contract::ids::*;
use contract::limits::*;
use contract::qos::Qos;
use mqtt::client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use uuid::Uuid;

fn serve(workers: usize, wide: bool) {
    let dir = std::path::PathBuf::from("/tmp/cpu-bench");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    let replica = Arc::new(replica::Replica::open(&dir.join("replica")).unwrap());
    let mut limits = InstanceLimits::default();
    for l in LIMITS { if l.name.ends_with("per_sec") || l.name.contains("connections") || l.name.starts_with("outbox") || l.name.starts_with("in_flight") { limits.set(l.name, l.max).unwrap(); } }
    let id = InstanceId(Uuid::from_u128(1));
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let public = Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap().public_key().as_ref().to_vec();
    let mut export = replica.begin_export().unwrap();
    export.put(&[Document::Instance(InstanceDocument { id, tenant: TenantId(Uuid::nil()), label: "a".into(), state: InstanceState::Running, topic_mode: TopicMode::Provisioned, authentication: vec![Authentication::Token], limits }),
        Document::Topic(TopicDocument { instance: id, name: "t".into(), payload_bytes_max: None }),
        Document::SigningKey(SigningKeyDocument { instance: id, kid: "k".into(), public_key: Base64(public) })]).unwrap();
    export.finish(Generation { timeline: TimelineId(Uuid::nil()), number: 1 }, 0).unwrap();
    drop(replica);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let claims = TokenClaims { aud: AUDIENCE.into(), jti: TokenId(Uuid::now_v7()), instance: id, client_id: None, subject: Some("s".into()), labels: Default::default(),
        grants: serde_json::from_str(r##"[{"actions":["publish","subscribe"],"topic_filter":"t/#","qos_max":1}]"##).unwrap(), nbf: now - 10, exp: now + 86_400, iat: now };
    let header = jsonwebtoken::Header { kid: Some("k".into()), ..jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA) };
    std::fs::write("/tmp/cpu-bench/token", jsonwebtoken::encode(&header, &claims, &jsonwebtoken::EncodingKey::from_ed_der(key.as_ref())).unwrap()).unwrap();
    let mut config = broker::Config::from_toml("").unwrap();
    config.data_dir = dir;
    config.workers = workers;
    config.connections_per_worker_max = if wide { 1 } else { u64::MAX };
    config.front.handshakes_per_address_max = 1_000_000;
    config.listeners[0].address = "127.0.0.1:18830".parse().unwrap();
    let mut broker = broker::start(config).unwrap();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let _ = tokio::time::timeout(Duration::from_secs(600), broker.join()).await;
    });
}

fn cpu(pid: u32) -> f64 {
    // sum of all threads in ns
    let mut total = 0u64;
    for t in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let s = std::fs::read_to_string(t.unwrap().path().join("schedstat")).unwrap_or_default();
        total += s.split(' ').next().and_then(|x| x.parse::<u64>().ok()).unwrap_or(0);
    }
    total as f64 / 1e3
}

fn rss(pid: u32) -> u64 {
    let s = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    s.lines().find(|l| l.starts_with("VmRSS")).unwrap().split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn connect(port: u16, id: &str, token: Option<&str>) -> TcpStream {
    let mut s = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    s.set_nodelay(true).unwrap();
    let mut b = Vec::new();
    client::connect(&mut b, &mqtt::Connect { clean_session: true, keep_alive_secs: 600, client_id: id, will: None, username: token.map(|_| "d"), password: token.map(str::as_bytes) }).unwrap();
    s.write_all(&b).await.unwrap();
    let mut a = [0; 4];
    s.read_exact(&mut a).await.unwrap();
    assert_eq!(a, [0x20, 2, 0, 0]);
    s
}

struct Pub { credit: Cell<u64>, wake: Notify }

async fn load(port: u16, token: Option<String>, pid: u32, pubs: usize, subs: usize, qos: u8, size: usize, window: u64, secs: f64) -> (f64, f64) {
    let token = token.as_deref();
    let q = Qos::from_bits(qos).unwrap();
    let received = Rc::new(Cell::new(0u64));
    let publishers: Rc<Vec<Pub>> = Rc::new((0..pubs).map(|_| Pub { credit: Cell::new(window), wake: Notify::new() }).collect());
    let mut tasks = Vec::new();
    for i in 0..subs {
        let mut s = connect(port, &format!("sub{i}"), token).await;
        let mut b = Vec::new();
        client::subscribe(&mut b, mqtt::PacketId::new(1).unwrap(), &[(&format!("t/{i}"), q)]).unwrap();
        s.write_all(&b).await.unwrap();
        let mut a = [0; 5];
        s.read_exact(&mut a).await.unwrap();
        let (received, publishers) = (received.clone(), publishers.clone());
        tasks.push(tokio::task::spawn_local(async move {
            let mut buf = vec![0u8; 256 * 1024];
            let mut have = 0;
            let mut acks = Vec::new();
            loop {
                let n = s.read(&mut buf[have..]).await.unwrap();
                if n == 0 { break; }
                have += n;
                let mut at = 0;
                acks.clear();
                while let Some(f) = mqtt::frame(&buf[at..have], 1 << 20).unwrap() {
                    at += f.total;
                    if let client::ServerPacket::Publish(p) = client::decode(f).unwrap() {
                        received.set(received.get() + 1);
                        if let Some(id) = p.packet_id { mqtt::puback(&mut acks, id); }
                        let who = u32::from_le_bytes(p.payload[..4].try_into().unwrap()) as usize;
                        let p = &publishers[who];
                        p.credit.set(p.credit.get() + 1);
                        if p.credit.get() >= (window / 2).max(1) { p.wake.notify_one(); }
                    }
                }
                buf.copy_within(at..have, 0);
                have -= at;
                if !acks.is_empty() { s.write_all(&acks).await.unwrap(); }
            }
        }));
    }
    for i in 0..pubs {
        let s = connect(port, &format!("pub{i}"), token).await;
        let (mut r, mut w) = s.into_split();
        tasks.push(tokio::task::spawn_local(async move {
            let mut buf = vec![0u8; 16 * 1024];
            while r.read(&mut buf).await.unwrap_or(0) > 0 {}
        }));
        let publishers = publishers.clone();
        tasks.push(tokio::task::spawn_local(async move {
            let topic = format!("t/{}", i % subs);
            let mut payload = vec![0u8; size];
            payload[..4].copy_from_slice(&(i as u32).to_le_bytes());
            let mut id = 0u16;
            let mut out = Vec::new();
            loop {
                let n = publishers[i].credit.replace(0);
                if n == 0 { publishers[i].wake.notified().await; continue; }
                out.clear();
                for _ in 0..n {
                    id = id % 60_000 + 1;
                    let packet_id = (qos > 0).then(|| mqtt::PacketId::new(id).unwrap());
                    mqtt::publish(&mut out, &mqtt::Publish { dup: false, qos: q, retain: false, topic: &topic, packet_id, payload: &payload }).unwrap();
                }
                if w.write_all(&out).await.is_err() { break; }
            }
        }));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (c0, r0, t0) = (cpu(pid), received.get(), Instant::now());
    tokio::time::sleep(Duration::from_secs_f64(secs)).await;
    let (c1, r1, t) = (cpu(pid), received.get(), t0.elapsed().as_secs_f64());
    for t in tasks { t.abort(); }
    tokio::time::sleep(Duration::from_millis(200)).await;
    ((c1 - c0) / (r1 - r0) as f64, (r1 - r0) as f64 / t)
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args[1] == "serve" { serve(args[2].parse().unwrap(), args[3] == "wide"); return; }
    let port: u16 = args[2].parse().unwrap();
    let pid: u32 = args[3].parse().unwrap();
    let token = (args[4] == "token").then(|| std::fs::read_to_string("/tmp/cpu-bench/token").unwrap());
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default()).unwrap();
    rt.block_on(async {
        if args[1] == "idle" {
            let before = rss(pid);
            let n: u64 = args[5].parse().unwrap();
            let mut all = Vec::new();
            let c0 = cpu(pid);
            for i in 0..n { all.push(connect(port, &format!("idle-{i:06}"), token.as_deref()).await); }
            println!("connect cpu us {:.1}", (cpu(pid) - c0) / n as f64);
            tokio::time::sleep(Duration::from_secs(1)).await;
            println!("idle bytes per client {}", (rss(pid) - before) * 1024 / n);
            return;
        }
        let secs = 2.0;
        for (name, pubs, subs, qos, size, window) in [
            ("fan-in q0 64", 50, 5, 0, 64, 256), ("fan-in q1 64", 50, 5, 1, 64, 64), ("fan-in q0 1k", 50, 5, 0, 1024, 64),
            ("1-1 q0 64", 100, 100, 0, 64, 256), ("1-1 q1 64", 100, 100, 1, 64, 64), ("1-1 q0 w1", 100, 100, 0, 64, 1), ("1-1 q1 w1", 100, 100, 1, 64, 1), ("1 pair q0 w1", 1, 1, 0, 64, 1),
        ] {
            if args.len() > 5 && !name.contains(&args[5]) { continue; }
            let (us, rate) = load(port, token.clone(), pid, pubs, subs, qos, size, window, secs).await;
            println!("{name:14} {us:7.3} us  {rate:9.0}/s");
        }
    });
}
