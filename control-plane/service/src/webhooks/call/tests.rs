//! Calls against a listener on loopback, with names that mean what the test says.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// Answers every connection with this, and counts them.
async fn listener(answer: &'static str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let mut request = [0; 4_096];
            // The request is small and comes at once; what it says is looked at elsewhere.
            let read = stream.read(&mut request).await.unwrap_or(0);
            if read > 0 && stream.write_all(answer.as_bytes()).await.is_ok() {
                drop(stream.shutdown().await);
            }
        }
    });
    (port, count)
}

/// Names that mean one after the other of these.
fn names(meanings: &[&[&str]]) -> Lookup {
    let meanings: Vec<Vec<IpAddr>> = meanings
        .iter()
        .map(|addresses| addresses.iter().map(|it| it.parse().expect("an address")).collect())
        .collect();
    let next = Mutex::new(meanings.into_iter().cycle());
    Arc::new(move |_, _| {
        let found = next.lock().expect("not poisoned").next().unwrap_or_default();
        Box::pin(async move { Ok(found) })
    })
}

fn calls(allowed: &[&str], lookup: Lookup) -> Calls {
    Calls::new(allowed.iter().map(|it| it.parse().expect("a network")).collect(), lookup)
}

async fn post(calls: &Calls, url: &str) -> Called {
    calls.post(url, HeaderMap::new(), "{}".to_owned()).await
}

#[track_caller]
fn failed(called: Called, why: &str) {
    assert!(matches!(&called, Called::Failed(error) if error.contains(why)), "{called:?}");
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_checked_at_every_call() {
    let (port, count) = listener("HTTP/1.1 204 No Content\r\n\r\n").await;
    let url = format!("http://hooks.example:{port}/");
    let calls = calls(
        &["127.0.0.0/8"],
        names(&[&["127.0.0.1"], &["127.0.0.1"], &["10.0.0.1"], &["127.0.0.1", "::1"]]),
    );
    assert_eq!(calls.check(&Target::parse(&url).expect("a URL")).await, Ok(()));
    assert_eq!(post(&calls, &url).await, Called::Answered(204, String::new()));
    failed(post(&calls, &url).await, "`hooks.example` leads to an address that is not called");
    failed(post(&calls, &url).await, "`hooks.example` leads to an address that is not called");
    assert_eq!(count.load(Ordering::Relaxed), 1, "what is not checked is not connected to");
}

#[tokio::test]
async fn nothing_is_called_that_may_not_be() {
    let (port, count) = listener("HTTP/1.1 204 No Content\r\n\r\n").await;
    let none = calls(&[], names(&[&["127.0.0.1"]]));
    for url in ["https://127.0.0.1", "http://127.0.0.1", "https://[::1]", "https://[::ffff:127.0.0.1]"] {
        let url = format!("{url}:{port}/");
        failed(post(&none, &url).await, "loopback");
        let target = Target::parse(&url).expect("a URL");
        assert!(matches!(none.check(&target).await, Err(TargetError::Forbidden { .. })), "{url}");
    }
    let url = format!("https://name:{port}/");
    failed(post(&none, &url).await, "`name` leads to an address that is not called");
    let checked = none.check(&Target::parse(&url).expect("a URL")).await;
    assert_eq!(checked, Err(TargetError::Internal("name".to_owned())));
    assert_eq!(count.load(Ordering::Relaxed), 0);
    let public = calls(&[], names(&[&["192.0.2.1"], &["1.1.1.1"]]));
    failed(post(&public, "https://name/").await, "leads to an address that is not called");
    failed(post(&public, "http://name/").await, "over `https` only");
    failed(post(&public, "ftp://name/").await, "begins with `https://`");
}

#[tokio::test]
async fn a_name_without_address_may_have_one_later_over_tls() {
    let nobody = calls(&["127.0.0.0/8"], names(&[&[]]));
    let check = async |url: &str| nobody.check(&Target::parse(url).expect("a URL")).await;
    assert_eq!(check("https://nobody.example/").await, Ok(()));
    assert_eq!(check("http://nobody.example/").await, Err(TargetError::Unknown("nobody.example".to_owned())));
    failed(post(&nobody, "https://nobody.example/").await, "`nobody.example` has no address");
}

#[tokio::test]
async fn redirects_are_not_followed_and_little_is_kept() {
    let (elsewhere, visits) = listener("HTTP/1.1 204 No Content\r\n\r\n").await;
    let answer = format!("HTTP/1.1 307 Temporary\r\nlocation: http://127.0.0.1:{elsewhere}/\r\n\r\n");
    let (port, _) = listener(Box::leak(answer.into_boxed_str())).await;
    let calls = calls(&["127.0.0.0/8"], names(&[&[]]));
    assert_eq!(
        post(&calls, &format!("http://127.0.0.1:{port}/")).await,
        Called::Answered(307, String::new())
    );
    assert_eq!(visits.load(Ordering::Relaxed), 0);
    let answer = format!("HTTP/1.1 500 Oops\r\n\r\na\nb\u{1b}[31m{}", "c".repeat(10_000));
    let (port, _) = listener(Box::leak(answer.into_boxed_str())).await;
    let Called::Answered(500, kept) = post(&calls, &format!("http://127.0.0.1:{port}/")).await else {
        panic!("answered with 500")
    };
    assert!(kept.starts_with("a b [31mccc") && kept.len() == KEPT_BYTES_MAX, "{kept}");
}

#[tokio::test]
async fn one_who_says_nothing_is_waited_for_so_long() {
    let lookup: Lookup = Arc::new(|_, _| Box::pin(std::future::pending()));
    let silent = calls(&[], lookup);
    assert_eq!(silent.time_max, Duration::from_secs(10));
    let silent = Calls { time_max: Duration::from_millis(50), ..silent };
    failed(post(&silent, "https://silent.example/").await, "no answer within 50ms");
    let target = Target::parse("https://silent.example/").expect("a URL");
    assert_eq!(silent.check(&target).await, Ok(()), "later, perhaps");
}

#[tokio::test]
async fn so_many_names_are_looked_for_and_no_more() {
    // As threads that still wait for a server of names when nobody waits for them any more.
    let held = Arc::new(Mutex::new(Vec::new()));
    let holding = Arc::clone(&held);
    let lookup: Lookup = Arc::new(move |_, permit| {
        holding.lock().expect("not poisoned").push(permit);
        Box::pin(std::future::pending())
    });
    let calls = Arc::new(Calls { time_max: Duration::from_millis(50), ..calls(&["127.0.0.0/8"], lookup) });
    let count = || held.lock().expect("not poisoned").len();
    let mut posts = tokio::task::JoinSet::new();
    for _ in 0..LOOKUPS_MAX + 4 {
        let calls = Arc::clone(&calls);
        posts.spawn(async move { post(&calls, "https://silent.example/").await });
    }
    for called in posts.join_all().await {
        failed(called, "no answer within 50ms");
    }
    assert_eq!(count(), LOOKUPS_MAX);
    let check = async |url: &str| calls.check(&Target::parse(url).expect("a URL")).await;
    assert_eq!(check("https://silent.example/").await, Ok(()), "later, perhaps");
    let plain = check("http://silent.example/").await;
    assert_eq!(plain, Err(TargetError::Unknown("silent.example".to_owned())));
    assert_eq!(check("https://8.8.8.8/").await, Ok(()), "an address is not looked for");
    assert_eq!(count(), LOOKUPS_MAX);
    held.lock().expect("not poisoned").pop();
    failed(post(&calls, "https://silent.example/").await, "no answer");
    assert_eq!(count(), LOOKUPS_MAX, "one has ended, and another begun");
}

#[tokio::test]
async fn the_system_finds_names_and_lets_the_next_look() {
    let lookups = Arc::new(Semaphore::new(1));
    for _ in 0..2 {
        let permit = Arc::clone(&lookups).acquire_owned().await.expect("open");
        let found = system_lookup()("localhost".to_owned(), permit).await.expect("found");
        assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
    }
}

#[test]
fn what_is_bound_to_here_is_our_own() {
    assert!(is_own("127.0.0.1".parse().expect("an address")));
    assert!(!is_own("8.8.8.8".parse().expect("an address")));
}
