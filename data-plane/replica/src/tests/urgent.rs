//! The urgent lane: at once, once, and not undone by what is older.

use contract::feed::{FORMAT_VERSION, Urgent, UrgentAnswer, UrgentEntry};

use super::*;

fn entry(sequence: u64, number: u128, urgent: Urgent) -> UrgentEntry {
    UrgentEntry { sequence, instance: id(number), at: UnixMillis(NOW), urgent }
}

fn answer(entries: Vec<UrgentEntry>) -> UrgentAnswer {
    let sequence = entries.last().map_or(0, |entry| entry.sequence);
    UrgentAnswer { format_version: FORMAT_VERSION, timeline: TimelineId(uuid(TIMELINE)), entries, sequence }
}

fn revoke(number: u128, client_id: &str) -> Urgent {
    let selector = TokenSelector::ClientId(client_id.to_owned());
    Urgent::Revoke { revocation: revocation(number, 500 + number, selector) }
}

fn suspended() -> Urgent {
    Urgent::InstanceStateChanged { state: InstanceState::Suspended }
}

fn robot_gone() -> Urgent {
    Urgent::CredentialChanged {
        credential: CredentialId(uuid(101)),
        document: None,
        username: "robot".to_owned(),
    }
}

fn state(scene: &Scene, number: u128) -> InstanceState {
    scene.replica.instance(id(number)).expect("the instance").document.state
}

#[test]
fn each_entry_says_what_it_touches_and_holds_at_once_and_after_a_crash() {
    let scene = Scene::new();
    assert!(scene.credential(1, "robot").is_some(), "so that it is in the cache");
    let Urgent::Revoke { revocation } = revoke(1, "car") else { unreachable!() };
    let effects = scene
        .replica
        .apply_urgent(&answer(vec![
            entry(6, 1, revoke(1, "car")),
            entry(7, 1, robot_gone()),
            entry(8, 2, suspended()),
            entry(9, 2, Urgent::Unknown),
        ]))
        .expect("applies");
    let none = Affected::default;
    assert_eq!(
        effects,
        [
            (6, Affected { revocations: vec![revocation], ..none() }),
            (7, Affected { credentials: vec![(id(1), CredentialId(uuid(101)))], ..none() }),
            (8, Affected { instances: vec![id(2)], ..none() }),
            (9, none()),
        ]
    );
    for scene in [scene.crash(), scene.restart()] {
        assert!(scene.is_revoked(1, "car") && !scene.is_revoked(1, "bus"));
        assert_eq!(scene.credential(1, "robot"), None);
        assert_eq!((state(&scene, 1), state(&scene, 2)), (InstanceState::Running, InstanceState::Suspended));
        let position = scene.replica.position();
        assert_eq!((position.generation, position.urgent_sequence), (Some(generation(10)), 9));
    }
}

#[test]
fn an_entry_said_again_does_nothing() {
    let scene = Scene::new();
    let first = answer(vec![entry(6, 2, suspended())]);
    assert_eq!(scene.replica.apply_urgent(&first).expect("applies").len(), 1);
    let resumed = Urgent::InstanceStateChanged { state: InstanceState::Running };
    let both = answer(vec![entry(6, 2, suspended()), entry(7, 2, resumed)]);
    assert_eq!(scene.replica.apply_urgent(&both).expect("applies").len(), 1, "only the new one");
    for stale in [&first, &both, &answer(vec![])] {
        assert!(scene.replica.apply_urgent(stale).expect("applies").is_empty());
        assert_eq!(state(&scene, 2), InstanceState::Running);
        assert_eq!(scene.replica.position().urgent_sequence, 7);
    }
}

#[test]
fn entries_before_the_first_export_or_of_another_timeline_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let empty = Replica::open(dir.path()).expect("opens");
    let refused = empty.apply_urgent(&answer(vec![entry(1, 1, suspended())]));
    assert!(matches!(refused, Err(ReplicaError::ExportNeeded)), "{refused:?}");

    let scene = Scene::new();
    let other = UrgentAnswer { timeline: TimelineId(uuid(2)), ..answer(vec![entry(6, 1, suspended())]) };
    let refused = scene.replica.apply_urgent(&other);
    assert!(matches!(refused, Err(ReplicaError::OtherTimeline { .. })), "{refused:?}");
    assert_eq!(state(&scene, 1), InstanceState::Running);
}

#[test]
fn the_feed_repeats_the_lane_without_harm() {
    let scene = Scene::new();
    scene.replica.apply_urgent(&answer(vec![entry(6, 1, revoke(1, "car"))])).expect("applies");
    let Urgent::Revoke { revocation } = revoke(1, "car") else { unreachable!() };
    let affected = scene.apply(11, &[put(Document::Revocation(revocation.clone()))]);
    assert!(affected.is_empty(), "connections have been checked for it");
    let rules = scene.replica.instance(id(1)).expect("the instance");
    assert_eq!(rules.revocations.iter().collect::<Vec<_>>(), [&revocation]);
}

#[test]
fn a_deleted_credential_takes_no_other_with_it_that_has_its_name_now() {
    let scene = Scene::new();
    scene.apply(11, &[put(credential(1, "robot", 300))]);
    let mut export = scene.replica.begin_export().expect("begins");
    export.put(&two_instances()).expect("is put");
    export.put(&[credential(1, "robot", 300)]).expect("is put");
    let effects = scene.replica.apply_urgent(&answer(vec![entry(6, 1, robot_gone())])).expect("applies");
    assert_eq!(
        effects[0].1.credentials,
        [(id(1), CredentialId(uuid(101)))],
        "its connections end all the same"
    );
    let held = |scene: &Scene| scene.credential(1, "robot").expect("the credential").id;
    assert_eq!(held(&scene), CredentialId(uuid(300)));
    export.finish(generation(20), 5).expect("finishes");
    for scene in [scene.crash(), scene] {
        assert_eq!(held(&scene), CredentialId(uuid(300)));
    }
}

#[test]
fn what_comes_during_an_export_is_not_undone_by_its_older_pages() {
    let scene = Scene::new();
    let mut export = scene.replica.begin_export().expect("begins");
    export.put(&two_instances()).expect("is put");
    scene
        .replica
        .apply_urgent(&answer(vec![
            entry(6, 1, revoke(1, "car")),
            entry(7, 1, robot_gone()),
            entry(8, 2, suspended()),
        ]))
        .expect("applies");
    export.finish(generation(20), 5).expect("finishes");
    for scene in [scene.crash(), scene] {
        assert!(scene.is_revoked(1, "car"));
        assert_eq!(scene.credential(1, "robot"), None);
        assert_eq!(state(&scene, 2), InstanceState::Suspended);
        assert_eq!(scene.replica.position().urgent_sequence, 8, "nothing is asked for twice");
        assert!(scene.credential(2, "robot").is_some());
    }
}

#[test]
fn of_what_comes_during_an_export_of_another_timeline_only_revocations_are_kept() {
    let scene = Scene::new();
    let mut export = scene.replica.begin_export().expect("begins");
    export.put(&two_instances()).expect("is put");
    let entries = vec![entry(6, 1, revoke(1, "car")), entry(7, 2, suspended())];
    scene.replica.apply_urgent(&answer(entries)).expect("applies");
    let other = Generation { timeline: TimelineId(uuid(2)), number: 1 };
    export.finish(other, 0).expect("finishes");
    assert!(scene.is_revoked(1, "car"));
    assert_eq!(state(&scene, 2), InstanceState::Running);
    assert_eq!(scene.replica.position().urgent_sequence, 0);
}

#[test]
fn a_revocation_is_forgotten_when_the_last_token_it_means_has_expired() {
    let scene = Scene::new();
    let later = Revocation {
        expires_at: UnixMillis(NOW + 9_000),
        ..revocation(1, 600, TokenSelector::ClientId("bus".to_owned()))
    };
    scene.apply(
        11,
        &[
            put(Document::Revocation(later)),
            put(Document::Revocation(revocation(7, 700, TokenSelector::All))), // its instance is not known
        ],
    );
    scene.replica.apply_urgent(&answer(vec![entry(6, 1, revoke(1, "car"))])).expect("applies");
    let forget = |millis| scene.replica.forget_expired(UnixMillis(millis)).expect("forgets");
    assert_eq!(forget(NOW + 999), 0);
    assert!(scene.is_revoked(1, "car") && scene.is_revoked(1, "bus"));
    assert_eq!(forget(NOW + 1_000), 2);
    assert_eq!(forget(NOW + 1_000), 0);
    for scene in [scene.crash(), scene] {
        assert!(!scene.is_revoked(1, "car") && scene.is_revoked(1, "bus"));
        assert_eq!(scene.replica.position().generation, Some(generation(11)));
    }
}
