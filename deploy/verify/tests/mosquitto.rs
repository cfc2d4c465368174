//! The checker, proven on a broker that is not ours: it finds nothing where nobody is killed, and finds what is lost
//! where sessions are kept in memory alone.
#![expect(clippy::print_stdout, reason = "a test prints what it has measured")]

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use verify::{Account, Commands, Plan};

/// The broker with `further` lines in its configuration, in a directory of its own.
async fn verified(further: &str, plan: impl FnOnce(Plan) -> Plan) -> Account {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().display();
    let address = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port");
    let mut config = format!("listener {} 127.0.0.1\nallow_anonymous true\n", address.port());
    writeln!(config, "persistence_location {data}/\nuser root\nmax_queued_messages 10000\n{further}")
        .expect("text");
    let file = directory.path().join("mosquitto.conf");
    std::fs::write(&file, config).expect("written");
    let program =
        ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"].into_iter().find(|it| Path::new(it).exists());
    let program = program.unwrap_or("mosquitto");
    let mut broker = Commands::new(format!("exec {program} -c {}", file.display()), None);
    let plan = plan(Plan { silence: Duration::from_secs(2), ..Plan::new(address.to_string()) });
    let account = verify::run(plan, &mut broker, &|step| println!("{step}")).await;
    broker.stop().await;
    let account = account.expect("an account");
    println!("{account}");
    account
}

#[tokio::test(flavor = "multi_thread")]
async fn without_kills_nothing_is_found() {
    // Subscribers that stay: that one reorders what it has queued for those who come back.
    let stays = |plan| Plan { kills: 0, load: Duration::from_secs(3), live: 3, away: 0, shared: 0, ..plan };
    let account = verified("", stays).await;
    assert!(account.is_good(), "{account}");
    assert_eq!((account.shares, account.receivers.len()), (None, 3));
    assert!(account.receivers.iter().all(|it| it.received == account.acknowledged), "{account}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_in_memory_are_found_to_be_lost() {
    let account = verified("", |plan| Plan { kills: 2, load: Duration::from_secs(4), ..plan }).await;
    assert!(!account.is_good(), "{account}");
    assert!(account.sessions_lost > 0 && account.lost() > 0, "{account}");
    assert_eq!((account.kills.count, account.shares, account.receivers.len()), (2, Some(true), 3));
}
