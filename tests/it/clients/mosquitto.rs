//! Debian's `mosquitto_pub`, `mosquitto_sub` and `mosquitto_rr`, in every version that they speak.

use std::process::Command;

use tests::clients::Workshop;
use tests::mosquitto::mosquitto;
use tests::process::{Program, Signal};
use tests::wait::now;
use tests::wait_for;

const VERSIONS: [&str; 3] = ["mqttv31", "mqttv311", "mqttv5"];
const V5: &str = "mqttv5";

/// What comes before every line that shows a message.
const MARK: &str = "message ";

fn command(workshop: &Workshop, program: &str, client_id: &str, version: &str, more: &[&str]) -> Command {
    let mut command = mosquitto(program, workshop.instance.mqtt[0], client_id, &workshop.token);
    command.args(["-V", version]).args(more);
    command
}

/// Runs `mosquitto_pub` to its end, which must be a good one.
async fn publish(workshop: &Workshop, version: &str, more: &[&str]) {
    let (well, said) =
        Program::start(&mut command(workshop, "mosquitto_pub", "mouth", version, more)).ended().await;
    assert!(well && !said.contains("Warning"), "{more:?}: {said}");
}

/// A subscriber that shows each message in this form of `mosquitto_sub -F`; it has subscribed when it comes.
async fn listen(workshop: &Workshop, client_id: &str, version: &str, form: &str, more: &[&str]) -> Program {
    let form = format!("{MARK}{form}");
    let mut command = command(workshop, "mosquitto_sub", client_id, version, &["-d", "-F", &form]);
    let mut ear = Program::start(command.args(more));
    ear.line_with("Subscribed").await;
    ear
}

/// The next message must be shown like this.
async fn expect(ear: &mut Program, shown: &str) {
    assert_eq!(ear.line_beginning(MARK).await, format!("{MARK}{shown}"));
}

/// Ends it as Ctrl-C does.
async fn leave(ear: Program) {
    ear.signal(Signal::SIGTERM);
    ear.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_hears_every_version() {
    let workshop = Workshop::open().await;
    for hearing in VERSIONS {
        let mut ear = listen(&workshop, "ear", hearing, "%t %q %r %p", &["-q", "2", "-t", "a/#"]).await;
        for speaking in VERSIONS {
            for qos in ["0", "1", "2"] {
                let topic = format!("a/{speaking}");
                publish(&workshop, speaking, &["-q", qos, "-t", &topic, "-m", hearing]).await;
                expect(&mut ear, &format!("{topic} {qos} 0 {hearing}")).await;
            }
        }
        leave(ear).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn properties_arrive_unaltered_and_in_order() {
    let workshop = Workshop::open().await;
    let form = "%F|%C|%R|%D|%P|%S|%E|%p";
    let subscription = ["-q", "1", "-t", "a", "-D", "subscribe", "subscription-identifier", "77"];
    let mut ear = listen(&workshop, "ear", V5, form, &subscription).await;
    let words = "payload-format-indicator 1;content-type text/plain;response-topic answers;correlation-data 42;\
                 user-property b 2;user-property a 1;user-property b 2;message-expiry-interval 1000";
    let mut more = vec!["-q", "1", "-t", "a", "-m", "text"];
    for property in words.split(';') {
        more.extend(["-D", "publish"].into_iter().chain(property.split(' ')));
    }
    publish(&workshop, V5, &more).await;
    let line = ear.line_beginning(MARK).await;
    let shown: Vec<&str> = line.trim_start_matches(MARK).split('|').collect();
    assert_eq!(shown[..6], ["1", "text/plain", "answers", "42", "b:2 a:1 b:2", "77"], "{line}");
    let left: u32 = shown[6].parse().expect("seconds");
    assert!((990..=1_000).contains(&left), "{line}");
    assert_eq!(shown[7], "text");
    leave(ear).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lasts_as_long_as_it_asks() {
    let workshop = Workshop::open().await;
    let lasting = ["-c", "-x", "300", "-q", "1", "-t", "w/#"];
    leave(listen(&workshop, "away", V5, "%t %p", &lasting).await).await;
    publish(&workshop, V5, &["-q", "1", "-t", "w/1", "-m", "kept"]).await;
    publish(&workshop, "mqttv311", &["-q", "2", "-t", "w/2", "-m", "kept too"]).await;
    let mut more = vec!["-d", "-F", "message %t %p"];
    more.extend(lasting);
    let mut back = Program::start(&mut command(&workshop, "mosquitto_sub", "away", V5, &more));
    expect(&mut back, "w/1 kept").await;
    expect(&mut back, "w/2 kept too").await;
    leave(back).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_will_waits_for_its_delay() {
    let workshop = Workshop::open().await;
    let mut ear = listen(&workshop, "ear", V5, "%t %C %p", &["-q", "1", "-t", "wills/#"]).await;
    for (delay, client_id) in [("0", "hasty"), ("1", "patient")] {
        let topic = format!("wills/{client_id}");
        let mut more = vec!["-x", "60", "-t", "x", "--will-topic", &topic, "--will-payload", "dead"];
        more.extend(["--will-qos", "1", "-D", "will", "content-type", "text/plain"]);
        more.extend(["-D", "will", "will-delay-interval", delay]);
        let lost = listen(&workshop, client_id, V5, "%p", &more).await;
        let begun = now();
        lost.signal(Signal::SIGKILL);
        expect(&mut ear, &format!("{topic} text/plain dead")).await;
        let took = begun.elapsed().as_secs_f64();
        assert!(took >= delay.parse::<f64>().expect("seconds") * 0.9, "after {took} seconds");
    }
    leave(ear).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retained_messages_come_with_their_properties_and_as_they_were_published() {
    let workshop = Workshop::open().await;
    let properties = ["-D", "publish", "content-type", "x", "-D", "publish", "user-property", "a", "b"];
    publish(&workshop, V5, &[&["-q", "1", "-r", "-t", "kept", "-m", "old"][..], &properties].concat()).await;
    let mut ear = listen(&workshop, "ear", V5, "%r %C %P %p", &["-q", "1", "-t", "kept"]).await;
    expect(&mut ear, "1 x a:b old").await;
    leave(ear).await;
    let mut old_ear = listen(&workshop, "old-ear", "mqttv311", "%r %p", &["-q", "1", "-t", "kept"]).await;
    expect(&mut old_ear, "1 old").await;
    leave(old_ear).await;
    let subscription = ["-q", "1", "-t", "live", "--retain-as-published"];
    let mut published = listen(&workshop, "published", V5, "%r %p", &subscription).await;
    let mut plain = listen(&workshop, "plain", V5, "%r %p", &["-q", "1", "-t", "live"]).await;
    publish(&workshop, V5, &["-q", "1", "-r", "-t", "live", "-m", "x"]).await;
    expect(&mut published, "1 x").await;
    expect(&mut plain, "0 x").await;
    leave(published).await;
    leave(plain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_gets_its_answer() {
    let workshop = Workshop::open().await;
    let mut more =
        vec!["-t", "questions", "-e", "answers/asking", "-q", "1", "-m", "what time is it?", "-W", "20"];
    more.extend(["-D", "publish", "correlation-data", "42"]);
    let mut answering = listen(&workshop, "answering", V5, "%R %D %p", &["-q", "1", "-t", "questions"]).await;
    let asking = Program::start(&mut command(&workshop, "mosquitto_rr", "asking", V5, &more));
    expect(&mut answering, "answers/asking 42 what time is it?").await;
    publish(&workshop, V5, &["-q", "1", "-t", "answers/asking", "-m", "noon"]).await;
    let (well, said) = asking.ended().await;
    assert!(well && said.lines().any(|line| line == "noon"), "{said}");
    leave(answering).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_share_in_both_versions() {
    let workshop = Workshop::open().await;
    let subscription = ["-q", "1", "-t", "$share/workers/jobs/#"];
    let mut members = Vec::new();
    for (client_id, version) in [("one", V5), ("two", "mqttv311")] {
        members.push(listen(&workshop, client_id, version, "%t", &subscription).await);
    }
    for number in 0..10 {
        let topic = format!("jobs/{number}");
        publish(&workshop, V5, &["-q", "1", "-t", &topic, "-m", "x"]).await;
    }
    let path = workshop.instance.path("/shared-groups");
    wait_for("the group to have everything", async || {
        let answer = workshop.instance.api.get(&path).await;
        let group = &answer.ok()["items"][0];
        group["waiting_messages"] == 0 && group["in_flight"] == 0
    })
    .await;
    let mut jobs = Vec::new();
    for member in members {
        member.signal(Signal::SIGTERM);
        let (_, said) = member.ended().await;
        let own: Vec<String> =
            said.lines().filter_map(|line| line.strip_prefix(MARK)).map(str::to_owned).collect();
        assert!(!own.is_empty(), "they take turns: {said}");
        jobs.extend(own);
    }
    jobs.sort();
    assert_eq!(jobs, (0..10).map(|number| format!("jobs/{number}")).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_stands_for_its_topic() {
    let workshop = Workshop::open().await;
    let mut ear = listen(&workshop, "ear", V5, "%t %p", &["-q", "1", "-t", "long/#"]).await;
    let (address, token) = (workshop.instance.mqtt[0], &workshop.token);
    let line = format!(
        "exec mosquitto_pub -h {} -p {} -i mouth -u mouth -P '{token}' -V {V5} -q 1 -t long/topic -D publish \
         topic-alias 1 -l < <(seq 1 5)",
        address.ip(),
        address.port()
    );
    let (well, said) = Program::start(Command::new("bash").args(["-c", &line])).ended().await;
    assert!(well, "{said}");
    for number in 1..=5 {
        expect(&mut ear, &format!("long/topic {number}")).await;
    }
    leave(ear).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_why() {
    let workshop = Workshop::open().await;
    let narrow = |program: &str, more: &[&str]| {
        let mut command = mosquitto(program, workshop.instance.mqtt[0], "narrow", &workshop.narrow_token);
        command.args(["-V", V5, "-d"]).args(more);
        Program::start(&mut command)
    };
    let (_, said) = narrow("mosquitto_pub", &["-q", "1", "-t", "closed", "-m", "x"]).ended().await;
    assert!(said.contains("Not authorized"), "{said}");
    let (_, said) = narrow("mosquitto_pub", &["-q", "2", "-t", "closed", "-m", "x"]).ended().await;
    assert!(said.contains("Not authorized"), "{said}");
    let (_, said) = narrow("mosquitto_sub", &["-q", "1", "-t", "closed/#", "-W", "20"]).ended().await;
    assert!(said.contains("135") && said.contains("denied"), "{said}");
    let mut stranger = mosquitto("mosquitto_pub", workshop.instance.mqtt[0], "stranger", "no token");
    let (well, said) = Program::start(stranger.args(["-V", V5, "-t", "a", "-m", "x"])).ended().await;
    assert!(!well && (said.contains("authori") || said.contains("user name")), "{said}");
    let first = listen(&workshop, "twin", V5, "%p", &["-t", "a"]).await;
    let second = listen(&workshop, "twin", V5, "%p", &["-t", "a"]).await;
    let (_, said) = first.ended().await;
    assert!(said.contains("DISCONNECT (142)"), "{said}");
    leave(second).await;
}
