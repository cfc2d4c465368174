//! The directory: who may open it, other releases, and damage.

use contract::feed::FORMAT_VERSION;
use fjall::PersistMode;

use super::*;
use crate::copy::StoredPosition;
use crate::{OpenError, REPLICA_FORMAT_VERSION};

#[test]
fn a_directory_in_use_is_refused() {
    let scene = Scene::new();
    let second = Replica::open(scene.dir.path());
    assert!(matches!(second.map(|_| ()), Err(OpenError::InUse { .. })));
}

#[test]
fn a_later_format_is_refused_and_left_alone() {
    let scene = Scene::new();
    let dir = scene.dir;
    drop(scene.replica);
    fs::write(dir.path().join("format"), format!("{}\n", REPLICA_FORMAT_VERSION + 1)).expect("written");
    let error = Replica::open(dir.path()).map(|_| ()).expect_err("refused");
    assert!(matches!(error, OpenError::NewerFormat { found: 2, .. }));
    assert!(error.to_string().contains("has format 2, this release knows 1"), "{error}");
    fs::write(dir.path().join("format"), format!("{REPLICA_FORMAT_VERSION}\n")).expect("written");
    assert_eq!(Replica::open(dir.path()).expect("opens").found(), Found::Copy);
}

#[test]
fn which_messages_are_logged_is_known_after_a_restart() {
    let scene = Scene::new();
    let mut fast = topic(1, "fast");
    let Document::Topic(document) = &mut fast else { panic!("a topic") };
    document.durability = Some(DurabilityClass::Relay);
    let mut rules = instance(1, "red");
    let Document::Instance(document) = &mut rules else { panic!("an instance") };
    (document.durability, document.queue_overflow) = (DurabilityClass::Synced, QueueOverflow::Disconnect);
    scene.apply(11, &[put(rules), put(fast)]);
    let check = |scene: &Scene| {
        let rules = scene.replica.instance(id(1)).expect("the instance");
        let of_instance = (rules.document.durability, rules.document.queue_overflow);
        assert_eq!(of_instance, (DurabilityClass::Synced, QueueOverflow::Disconnect));
        let of = |name: &str| rules.topics.get(name).expect("the topic").durability;
        assert_eq!((of("fast"), of("cars")), (Some(DurabilityClass::Relay), None));
    };
    check(&scene);
    check(&scene.restart());
}

#[test]
fn a_format_file_torn_by_a_crash_is_written_again() {
    let scene = Scene::new();
    fs::write(scene.dir.path().join("format"), "").expect("written");
    assert_eq!(scene.restart().topics(1), ["cars"]);
}

#[test]
fn a_directory_that_cannot_be_used_is_said_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    fs::write(&file, "").expect("written");
    let error = Replica::open(&file.join("replica")).map(|_| ()).expect_err("refused");
    assert!(matches!(error, OpenError::Directory { .. }), "{error:?}");
    assert!(error.to_string().contains("file/replica"), "{error}");
}

/// Makes the copy on disk one of a release that speaks another format of the feed.
fn taken_by(feed_format: u32) -> Scene {
    let scene = Scene::new();
    let copy = scene.replica.copy.load_full().expect("the copy");
    let stored = StoredPosition { generation: generation(10), urgent_sequence: 5, feed_format };
    let mut batch = scene.replica.database.batch().durability(Some(PersistMode::SyncAll));
    copy.put_position(&mut batch, &stored);
    batch.commit().expect("written");
    drop(copy);
    scene.restart()
}

#[test]
fn a_copy_of_a_release_beside_this_one_serves_until_the_export_it_asks_for() {
    for feed_format in [FORMAT_VERSION - 1, FORMAT_VERSION + 1] {
        let scene = taken_by(feed_format);
        assert_eq!(scene.replica.found(), Found::StaleCopy, "{feed_format}");
        assert_eq!(scene.topics(1), ["cars"]);
        assert!(scene.credential(1, "robot").is_some());
        assert_eq!(scene.replica.position().generation, None, "an export is asked for");
        assert_eq!(scene.replica.position().urgent_timeline, Some(TimelineId(uuid(TIMELINE))));
        let refused = scene.replica.apply(&[], generation(11));
        assert!(matches!(refused, Err(ReplicaError::ExportNeeded)));
        scene.export(&two_instances(), generation(12), 5);
        let scene = scene.restart();
        assert_eq!(scene.replica.found(), Found::Copy);
        assert_eq!(scene.replica.position().generation, Some(generation(12)));
    }
}

#[test]
fn a_copy_of_a_far_release_does_not_serve() {
    let scene = taken_by(FORMAT_VERSION + 2);
    assert_eq!(scene.replica.found(), Found::Nothing);
    assert!(scene.replica.instances().is_empty());
    assert_eq!(scene.replica.position(), crate::Position::default());
    scene.export(&two_instances(), generation(12), 5);
    assert_eq!(scene.restart().topics(1), ["cars"]);
}

#[test]
fn a_row_that_cannot_be_read_takes_only_itself_and_asks_for_an_export() {
    let scene = Scene::new();
    let copy = scene.replica.copy.load_full().expect("the copy");
    let row = copy.rows().next().expect("a row");
    assert!(row.starts_with(&[1]), "instance 1's own row comes first: {row:?}");
    copy.overwrite(&scene.replica.database, &row, b"{\"kind\":\"instance\"");
    drop(copy);
    let scene = scene.restart();
    assert_eq!(scene.replica.found(), Found::StaleCopy);
    assert!(scene.replica.instance(id(1)).is_none(), "without its document an instance does not serve");
    assert_eq!(scene.topics(2), ["cars"]);
    assert_eq!(scene.replica.position().generation, None);
}

/// Every file of the database that is not empty, and how much of it is in use.
fn files(dir: &Path) -> Vec<(std::path::PathBuf, usize)> {
    let (mut files, mut dirs) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).expect("listed") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                let used = used(&fs::read(&path).expect("read"));
                files.push((path, used));
            }
        }
    }
    files.retain(|(_, used)| *used > 0);
    files.sort();
    files
}

#[test]
fn a_flipped_byte_anywhere_never_yields_a_wrong_configuration() {
    let scene = Scene::new();
    scene.apply(11, &[put(topic(1, "robots"))]);
    let image = tempfile::tempdir().expect("a directory");
    copy_tree(scene.dir.path(), image.path());
    let mut outcomes = BTreeMap::new();
    for (file, used) in files(&image.path().join("documents")) {
        let sound = fs::read(&file).expect("read");
        for at in [0, used / 3, used * 9 / 10] {
            let mut damaged = sound.clone();
            damaged[at] ^= 0x40;
            let dir = tempfile::tempdir().expect("a directory");
            copy_tree(image.path(), dir.path());
            let relative = file.strip_prefix(image.path()).expect("below it");
            fs::write(dir.path().join(relative), &damaged).expect("written");
            *outcomes.entry(outcome(dir, relative, at)).or_insert(0) += 1;
        }
    }
    assert!(outcomes.contains_key("damaged"), "the test must have hit something: {outcomes:?}");
    println!("{outcomes:?}");
}

/// What a node on a damaged disk comes up with; it must be a state that once was, or nothing.
fn outcome(dir: TempDir, file: &Path, at: usize) -> &'static str {
    let place = || format!("{} at {at}", file.display());
    let replica = Replica::open(dir.path()).unwrap_or_else(|error| panic!("{}: {error:?}", place()));
    let scene = Scene { dir, replica: Arc::new(replica) };
    match scene.replica.found() {
        Found::Nothing | Found::Damaged => {
            assert!(scene.replica.instances().is_empty(), "{}", place());
            if scene.replica.found() == Found::Damaged {
                assert!(scene.dir.path().join("documents.damaged").exists(), "{}", place());
            }
            scene.export(&two_instances(), generation(12), 5);
            assert_eq!(scene.restart().topics(1), ["cars"], "{}", place());
            "damaged"
        }
        Found::Copy => {
            let number = scene.replica.position().generation.expect("a generation").number;
            let topics: &[&str] = match number {
                10 => &["cars"],
                11 => &["cars", "robots"],
                other => panic!("{}: generation {other} never was", place()),
            };
            assert_eq!(scene.topics(1), topics, "{}", place());
            assert_eq!(scene.topics(2), ["cars"], "{}", place());
            if number == 11 { "whole" } else { "earlier" }
        }
        Found::StaleCopy => {
            assert_eq!(scene.replica.position().generation, None, "{}", place());
            "stale"
        }
    }
}
