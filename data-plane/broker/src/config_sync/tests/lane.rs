//! The urgent lane and the reports.

use axum::http::StatusCode;

use super::*;

fn urgent_told(scene: &Scene) -> Vec<u64> {
    scene.ears.urgent.lock().expect("no panic").iter().map(|(sequence, _)| *sequence).collect()
}

#[tokio::test]
async fn the_lane_works_while_the_feed_does_not() {
    let scene = Scene::exported().await;
    for _ in 0..1_000 {
        scene.script.say_raw("changes", StatusCode::INTERNAL_SERVER_ERROR, "");
    }
    wait_for("the feed's trouble", || !scene.health.feed.is_well()).await;
    scene.script.say("urgent", urgent(6, Urgent::Revoke { revocation: revocation() }));
    wait_for("the word to the connections", || urgent_told(&scene) == [6]).await;
    let rules = scene.replica.instance(ONE).expect("the instance");
    assert_eq!(rules.revocations.iter().collect::<Vec<_>>(), [&revocation()]);
    wait_for("the next question", || scene.script.asked_for("urgent", "after") == ["5", "6"]).await;
    assert!(scene.health.urgent.is_well());
}

#[tokio::test]
async fn what_an_entry_closed_is_reported_at_once_and_until_it_arrives() {
    let script = Script::start();
    script.say("export", page(10, vec![instance()], None));
    script.say("urgent", urgent(6, Urgent::Revoke { revocation: revocation() }));
    let scene = Scene::start(script);
    let reported = |scene: &Scene| {
        let reports = scene.script.asked("report");
        reports.into_iter().map(|asked| asked.body).find(|report| report["closed"]["6"] == json!(60))
    };
    wait_for("the report", || reported(&scene).is_some()).await;
    let report = reported(&scene).expect("a report");
    assert_eq!(report["format_version"], json!(FORMAT_VERSION));
    assert_eq!(report["generation"]["number"], json!(10));
    assert_eq!(report["urgent_sequence"], json!(6));
    assert_eq!(report["urgent_timeline"], json!(timeline(1)));
    assert_eq!(report["connections"], json!({ ONE.to_string(): 3 }));
    scene.script.say("urgent", urgent(7, Urgent::Unknown));
    let last = || scene.script.asked("report").pop().expect("a report").body["closed"].clone();
    wait_for("the next report", || last() == json!({ "7": 70 })).await;
}

#[tokio::test]
async fn an_entry_said_again_is_told_once() {
    let scene = Scene::exported().await;
    scene.script.say("urgent", urgent(6, robot_disabled()));
    scene.script.say("urgent", urgent(6, robot_disabled()));
    scene.script.say("urgent", urgent(7, Urgent::Unknown)); // the marker
    wait_for("the marker", || urgent_told(&scene).last() == Some(&7)).await;
    assert_eq!(urgent_told(&scene), [6, 7]);
}

#[tokio::test]
async fn entries_trimmed_before_they_were_heard_make_every_connection_looked_at() {
    let scene = Scene::exported().await;
    scene.script.say("urgent", urgent(6, Urgent::Unknown));
    wait_for("the next entry", || urgent_told(&scene) == [6]).await;
    let looked = scene.heard().len();
    scene.script.say("urgent", urgent(9, Urgent::Unknown));
    wait_for("another look", || scene.heard().len() > looked).await;
    assert_eq!(scene.heard()[looked..], [Affected::everything()], "the gap's, and none for the entry before");
}

#[tokio::test]
async fn an_older_answer_of_the_feed_does_not_undo_an_urgent_entry() {
    let scene = Scene::exported().await;
    wait_for("the question", || scene.script.asked("changes").len() == 1).await;
    scene.script.say("urgent", urgent(6, robot_disabled()));
    wait_for("the entry", || urgent_told(&scene) == [6]).await;
    assert!(!scene.robot_is_enabled());
    // Read before the entry was made, arriving after it.
    scene.script.say("changes", changes(11, vec![robot(true), topic("cars")]));
    wait_for("the same question again", || scene.script.asked_for("changes", "after") == ["10", "10"]).await;
    assert!(!scene.robot_is_enabled());
    scene.script.say("changes", changes(12, vec![robot(false), topic("cars")]));
    scene.reaches(12).await;
    assert!(!scene.robot_is_enabled());
    assert_eq!(scene.topics(), ["cars"]);
}

#[tokio::test]
async fn entries_of_another_timeline_make_the_node_take_an_export() {
    let scene = Scene::exported().await;
    wait_for("the question", || scene.script.asked("changes").len() == 1).await;
    let restored = Generation { timeline: timeline(2), number: 1 };
    let export = ExportPage {
        generation: restored,
        urgent_sequence: 0,
        ..page(1, vec![instance(), robot(true)], None)
    };
    let revoke = Urgent::Revoke { revocation: revocation() };
    let other = UrgentAnswer { timeline: timeline(2), ..urgent(1, revoke) };
    scene.script.say("urgent", &other);
    scene.script.say("export", export);
    scene.reaches(1).await;
    wait_for("the lane from its beginning", || {
        scene.script.asked_for("urgent", "after").last().map(String::as_str) == Some("0")
    })
    .await;
    scene.script.say("urgent", &other);
    wait_for("the entry", || urgent_told(&scene) == [1]).await;
}

#[tokio::test]
async fn trouble_of_the_lane_is_said_once_and_passes() {
    let scene = Scene::exported().await;
    for _ in 0..3 {
        scene.script.say_raw("urgent", StatusCode::OK, "{}");
    }
    wait_for("the questions", || scene.script.asked("urgent").len() == 4).await;
    assert_eq!(scene.health.urgent.trouble(), Some("answer_undecodable"));
    assert_eq!(scene.health.urgent.complaints(), 1);
    scene.script.say("urgent", urgent(6, Urgent::Unknown));
    wait_for("the recovery", || scene.health.urgent.is_well()).await;
    assert!(scene.health.feed.is_well(), "the feed never knew");
}
