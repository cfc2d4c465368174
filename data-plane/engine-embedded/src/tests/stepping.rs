//! The engine without threads, as a simulation takes it.

use std::sync::mpsc::sync_channel;

use contract::time::UnixMillis;
use engine::conformance::wait;
use engine::{Append, Batch, BatchId, Change, Key, Pos};

use super::world::{INSTANCE, SHARD, World};
use crate::memory_disk::Stop;
use crate::stepping::Stepped;

fn key() -> Key {
    Key::new(*b"s/a").expect("a key")
}

#[test]
fn nothing_happens_but_by_a_step() {
    let world = World::new();
    let mut stepped = Stepped::open(&world.options).expect("opens");
    let (log, state) = (stepped.log(), stepped.state());
    assert!(!stepped.step_log());
    let (said, heard) = sync_channel(4);
    let mut batch = Batch::new();
    batch.change(&Change { instance: INSTANCE, key: b"s/a", body: Some(b"1") }).expect("fits");
    let completion = Box::new(move |outcome: Result<_, _>| said.try_send(outcome.is_ok()).expect("heard"));
    let append = Append { id: BatchId([1; 16]), origin: 0, batch, completion };
    log.submit(SHARD, append).expect("taken");
    assert!(heard.try_recv().is_err() && wait(state.load(INSTANCE, &key())).expect("answers").is_none());
    assert!(stepped.step_log());
    assert_eq!(heard.try_recv(), Ok(true));
    assert!(wait(state.load(INSTANCE, &key())).expect("answers").is_some());
    assert!(!stepped.step_log());
    assert_eq!(world.documents.unpersisted_steps(), 0);
    assert!(stepped.step_documents());
    stepped.step_view();
    assert_eq!(stepped.replay().position_at(INSTANCE, UnixMillis(0)), Ok(Pos::of_record(2)));

    // Killed: what is left is found by the next one.
    drop(stepped);
    assert!(wait(state.load(INSTANCE, &key())).is_err());
    let world = world.after(Stop::Power);
    let again = Stepped::open(&world.options).expect("opens");
    assert!(wait(again.state().load(INSTANCE, &key())).expect("answers").is_some());
    assert!(again.health().documents_lost.is_empty());
}
