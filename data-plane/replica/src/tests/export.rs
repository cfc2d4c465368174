//! Exports: the old copy serves until the new one is whole, also across a crash.

use super::*;

fn green() -> Vec<Document> {
    vec![instance(3, "green"), topic(3, "ships"), credential(3, "robot", 103)]
}

#[test]
fn the_old_copy_serves_until_the_new_one_is_whole() {
    let scene = Scene::new();
    let mut export = scene.replica.begin_export().expect("begins");
    export.put(&green()).expect("is put");
    assert!(scene.replica.instance(id(3)).is_none());
    assert_eq!(scene.topics(1), ["cars"]);
    scene.apply(11, &[put(topic(1, "meanwhile"))]);
    assert_eq!(scene.topics(1), ["cars", "meanwhile"], "and takes changes");
    let affected = export.finish(generation(20), 9).expect("finishes");
    assert_eq!(affected, Affected::everything());
    for scene in [scene.crash(), scene.restart()] {
        assert!(scene.replica.instance(id(1)).is_none());
        assert_eq!(scene.replica.instance_by_label("red"), None);
        assert_eq!(scene.credential(1, "robot"), None);
        assert_eq!(scene.topics(3), ["ships"]);
        assert_eq!(scene.credential(3, "robot").expect("the credential").id, CredentialId(uuid(103)));
        assert_eq!(scene.replica.position().generation, Some(generation(20)));
        assert_eq!(scene.replica.position().urgent_sequence, 9);
    }
}

#[test]
fn an_export_dropped_or_crashed_half_way_leaves_everything_as_it_was() {
    let scene = Scene::new();
    let mut export = scene.replica.begin_export().expect("begins");
    export.put(&green()).expect("is put");
    let crashed = scene.crash();
    drop(export);
    for scene in [crashed, scene.restart()] {
        assert_eq!(scene.replica.found(), Found::Copy);
        assert_eq!(scene.replica.position().generation, Some(generation(10)));
        assert_eq!(scene.topics(1), ["cars"]);
        assert!(scene.replica.instance(id(3)).is_none());
        let names = scene.replica.database.list_keyspace_names();
        assert_eq!(names.len(), 2, "the pointer and the copy: {names:?}");
        scene.export(&green(), generation(20), 9);
        assert_eq!(scene.topics(3), ["ships"], "and the next one works");
        assert!(scene.replica.instance(id(1)).is_none());
    }
}

#[test]
fn a_first_export_that_crashes_leaves_an_empty_replica() {
    let dir = tempfile::tempdir().expect("a directory");
    let replica = Arc::new(Replica::open(dir.path()).expect("opens"));
    let scene = Scene { dir, replica };
    let mut export = scene.replica.begin_export().expect("begins");
    export.put(&green()).expect("is put");
    let crashed = scene.crash();
    assert_eq!(crashed.replica.found(), Found::Nothing);
    assert!(crashed.replica.instances().is_empty());
}

#[test]
fn there_is_one_export_at_a_time() {
    let scene = Scene::new();
    let first = scene.replica.begin_export().expect("begins");
    let second = scene.replica.begin_export();
    assert!(matches!(second, Err(ReplicaError::ExportUnderway)));
    drop(first);
    assert!(scene.replica.begin_export().is_ok());
}

#[test]
fn of_two_documents_with_one_key_the_later_counts() {
    let scene = Scene::new();
    let mut export = scene.replica.begin_export().expect("begins");
    export.put(&[instance(3, "first"), instance(3, "second")]).expect("is put");
    export.put(&[instance(4, "third"), Document::Unknown]).expect("is put");
    export.put(&[instance(4, "fourth")]).expect("is put");
    export.finish(generation(20), 9).expect("finishes");
    assert_eq!(scene.replica.instance_by_label("first"), None);
    assert_eq!(scene.replica.instance_by_label("second"), Some(id(3)));
    assert_eq!(scene.replica.instance_by_label("fourth"), Some(id(4)));
    assert_eq!(scene.replica.instances().len(), 2);
}

#[test]
fn many_exports_leave_one_copy_on_disk() {
    let scene = Scene::new();
    for number in 11..16 {
        scene.export(&green(), generation(number), 5);
    }
    let names: Vec<_> = scene.replica.database.list_keyspace_names();
    assert_eq!(names.len(), 2, "the pointer and the copy: {names:?}");
}

#[test]
fn an_export_of_another_timeline_replaces_everything_but_revocations() {
    let scene = Scene::new();
    let taken_back = revocation(1, 500, TokenSelector::ClientId("car".to_owned()));
    scene.apply(11, &[put(Document::Revocation(taken_back))]);
    let other = Generation { timeline: TimelineId(uuid(2)), number: 3 };
    scene.export(&[instance(1, "red")], other, 1);
    for scene in [scene.crash(), scene] {
        let position = scene.replica.position();
        assert_eq!(position.generation, Some(other));
        assert_eq!((position.urgent_timeline, position.urgent_sequence), (Some(other.timeline), 1));
        assert_eq!(scene.topics(1), Vec::<String>::new());
        assert!(scene.is_revoked(1, "car"), "a revocation outlives a restored database");
        let old = scene.replica.apply(&[], generation(99));
        assert!(matches!(old, Err(ReplicaError::OtherTimeline { .. })));
    }
}
