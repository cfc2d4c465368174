//! The ordinary feed.

use axum::http::StatusCode;

use super::*;

#[tokio::test]
async fn a_new_node_takes_an_export_and_goes_on_after_its_first_page() {
    let script = Script::start();
    script.say("export", page(10, vec![instance()], Some("second")));
    script.say_raw("export", StatusCode::SERVICE_UNAVAILABLE, ""); // asked for again
    script.say("export", page(14, vec![topic("cars")], None));
    let scene = Scene::start(script);
    scene.reaches(10).await;
    assert_eq!(scene.topics(), ["cars"]);
    assert_eq!(scene.script.asked_for("export", "cursor"), ["", "second", "second"]);
    wait_for("the question for changes", || !scene.script.asked("changes").is_empty()).await;
    let asked = &scene.script.asked("changes")[0];
    assert_eq!(asked.query["after"], "10");
    assert_eq!(asked.query["timeline"], timeline(1).to_string());
    assert_eq!(asked.query["wait_secs"], "30");
    assert_eq!(asked.query["format_version"], FORMAT_VERSION.to_string());
    let secret = contract::base64::Base64(vec![9; 32]).encode();
    assert_eq!(asked.authorization, Some(format!("Bearer {}.{secret}", Uuid::from_u128(7))));
    wait_for("word to the connections", || scene.heard() == [Affected::everything()]).await;
}

#[tokio::test]
async fn a_change_is_applied_told_and_acknowledged() {
    let scene = Scene::exported().await;
    scene.script.say("changes", changes(11, vec![topic("cars")]));
    scene.script.say("changes", changes(12, vec![robot(false)]));
    scene.reaches(12).await;
    assert_eq!(scene.topics(), ["cars"]);
    assert!(!scene.robot_is_enabled());
    let acknowledged = || scene.script.asked_for("changes", "after") == ["10", "11", "12"];
    wait_for("the acknowledgement", acknowledged).await;
    let none = Affected::default;
    let expected = [
        Affected::everything(),
        Affected { instances: vec![ONE], ..none() },
        Affected { credentials: vec![(ONE, ROBOT)], ..none() },
    ];
    assert_eq!(scene.heard(), expected);
}

#[tokio::test]
async fn after_a_gap_an_export_is_taken() {
    let scene = Scene::exported().await;
    scene.script.say("changes", export_needed());
    scene.script.say("export", page(500, vec![instance(), topic("new")], None));
    scene.reaches(500).await;
    assert_eq!(scene.topics(), ["new"]);
    scene.script.say("changes", changes(501, vec![topic("newer")]));
    scene.reaches(501).await;
    assert_eq!(scene.health.feed.complaints(), 0, "that is no trouble");
}

#[tokio::test]
async fn a_repeated_or_older_answer_changes_nothing() {
    let scene = Scene::exported().await;
    scene.script.say("changes", changes(11, vec![topic("cars")]));
    scene.script.say("changes", changes(11, vec![topic("again")]));
    scene.script.say("changes", changes(9, vec![topic("older")]));
    scene.script.say("changes", changes(12, vec![topic("robots")])); // the marker
    scene.reaches(12).await;
    assert_eq!(scene.topics(), ["cars", "robots"]);
}

#[tokio::test]
async fn another_timeline_is_taken_whole() {
    let scene = Scene::exported().await;
    let restored = Generation { timeline: timeline(2), number: 3 };
    let answer = ChangesAnswer::Changes {
        format_version: FORMAT_VERSION,
        generation: restored,
        changes: vec![Change::Put { document: Box::new(topic("piecemeal")) }],
    };
    scene.script.say("changes", answer);
    let whole = ExportPage { generation: restored, ..page(3, vec![instance(), topic("whole")], None) };
    scene.script.say("export", whole);
    scene.reaches(3).await;
    assert_eq!(scene.topics(), ["whole"]);
    wait_for("questions on the new timeline", || {
        let asked = scene.script.asked_for("changes", "timeline");
        asked.last() == Some(&timeline(2).to_string())
    })
    .await;
}

#[tokio::test]
async fn an_export_that_changes_its_timeline_half_way_is_begun_anew() {
    let script = Script::start();
    let second = Generation { timeline: timeline(2), number: 2 };
    script.say("export", page(10, vec![instance(), topic("half")], Some("next")));
    script.say("export", ExportPage { generation: second, ..page(2, vec![], None) });
    script.say("export", ExportPage { generation: second, ..page(2, vec![instance()], None) });
    let scene = Scene::start(script);
    scene.reaches(2).await;
    assert_eq!(scene.topics(), Vec::<String>::new(), "nothing of the torn one is left");
    assert_eq!(scene.script.asked_for("export", "cursor"), ["", "next", ""]);
    assert_eq!(scene.health.feed.complaints(), 1);
}

#[tokio::test]
async fn with_the_controller_down_the_last_good_configuration_serves_and_it_is_said_once() {
    let mut scene = Scene::exported().await;
    wait_for("a quiet lane", || scene.script.asked("changes").len() == 1).await;
    scene.script.down();
    wait_for("the trouble", || scene.health.feed.trouble() == Some("unreachable")).await;
    wait_for("the trouble", || scene.health.urgent.trouble() == Some("unreachable")).await;
    assert!(scene.robot_is_enabled());
    assert_eq!(scene.replica.position().generation, Some(at(10)));
    scene.script.up();
    scene.script.say("changes", changes(11, vec![topic("cars")]));
    scene.reaches(11).await;
    wait_for("the recovery", || scene.health.feed.is_well()).await;
    assert_eq!(scene.health.feed.complaints(), 1);
}

/// An answer that means nothing to this release, then, thrice and once more, good ones.
async fn is_survived(bad: &str, status: StatusCode, trouble: &'static str) {
    let scene = Scene::exported().await;
    for _ in 0..3 {
        scene.script.say_raw("changes", status, bad);
    }
    wait_for("the questions", || scene.script.asked("changes").len() == 4).await;
    assert_eq!(scene.health.feed.trouble(), Some(trouble), "{bad}");
    assert_eq!(scene.health.feed.complaints(), 1, "said once: {bad}");
    assert!(scene.robot_is_enabled());
    assert_eq!(scene.replica.position().generation, Some(at(10)), "{bad}");
    scene.script.say("changes", changes(11, vec![topic("cars")]));
    scene.reaches(11).await;
    wait_for("the recovery", || scene.health.feed.is_well()).await;
}

#[tokio::test]
async fn what_cannot_be_read_keeps_the_last_good_configuration() {
    is_survived("<html>", StatusCode::OK, "answer_undecodable").await;
    is_survived("{\"answer\":\"changes\"}", StatusCode::OK, "answer_undecodable").await;
    is_survived("", StatusCode::INTERNAL_SERVER_ERROR, "controller_failed").await;
    is_survived("{\"code\":\"unauthenticated\"}", StatusCode::UNAUTHORIZED, "refused").await;
}

#[tokio::test]
async fn a_format_two_releases_ahead_is_not_guessed_at_and_one_ahead_is_understood() {
    let mut far = serde_json::to_value(changes(11, vec![topic("far")])).expect("serializes");
    far["format_version"] = json!(FORMAT_VERSION + 2);
    is_survived(&far.to_string(), StatusCode::OK, "format_not_understood").await;
    let unreadable = json!({ "answer": "hologram", "format_version": FORMAT_VERSION + 2 });
    is_survived(&unreadable.to_string(), StatusCode::OK, "format_not_understood").await;

    let scene = Scene::exported().await;
    let mut next: Value = serde_json::to_value(changes(11, vec![topic("near")])).expect("serializes");
    next["format_version"] = json!(FORMAT_VERSION + 1);
    next["colour"] = json!("red");
    next["changes"][0]["document"]["shape"] = json!([1]);
    next["changes"].as_array_mut().expect("an array").push(json!({ "change": "transmogrify" }));
    scene.script.say("changes", &next);
    scene.reaches(11).await;
    assert_eq!(scene.topics(), ["near"]);
}
