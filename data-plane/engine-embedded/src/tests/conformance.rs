//! What every engine promises, of this one: as it is, and with a history that is sealed while it is asked.

use std::sync::Arc;

use contract::ids::InstanceId;
use contract::time::UnixMillis;
use engine::conformance::Subject;
use engine::{
    Answer, Document, FoundDocument, History, Key, Log, Replay, Rev, State, StateError, WriteError,
};
use tempfile::TempDir;

use crate::engine::Engine;
use crate::options::{Options, SEGMENT_BYTES_MIN};

/// An engine in a directory of its own, which goes behind it.
struct Fresh {
    log: Arc<dyn Log>,
    history: Arc<dyn History>,
    replay: Arc<dyn Replay>,
    state: Arc<dyn State>,
    _engine: Engine,
    _directory: TempDir,
}

impl Fresh {
    fn new(change: impl FnOnce(Options) -> Options) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let engine = Engine::open(change(Options::new(directory.path()))).expect("opens");
        let (log, history, replay, state) = (engine.log(), engine.history(), engine.replay(), engine.state());
        Self { log, history, replay, state, _engine: engine, _directory: directory }
    }
}

impl Subject for Fresh {
    fn log(&self) -> &dyn Log {
        &*self.log
    }

    fn history(&self) -> &dyn History {
        &*self.history
    }

    fn replay(&self) -> &dyn Replay {
        &*self.replay
    }
}

impl State for Fresh {
    fn load<'a>(
        &'a self,
        instance: InstanceId,
        key: &'a Key,
    ) -> Answer<'a, Result<Option<Document>, StateError>> {
        self.state.load(instance, key)
    }

    fn put<'a>(
        &'a self,
        instance: InstanceId,
        key: &'a Key,
        body: Vec<u8>,
        expect: Rev,
    ) -> Answer<'a, Result<Rev, WriteError>> {
        self.state.put(instance, key, body, expect)
    }

    fn delete<'a>(
        &'a self,
        instance: InstanceId,
        key: &'a Key,
        expect: Rev,
    ) -> Answer<'a, Result<(), WriteError>> {
        self.state.delete(instance, key, expect)
    }

    fn scan<'a>(
        &'a self,
        instance: InstanceId,
        prefix: &'a [u8],
        after: Option<&'a Key>,
        limit: usize,
    ) -> Answer<'a, Result<Vec<(Key, Document)>, StateError>> {
        self.state.scan(instance, prefix, after, limit)
    }

    fn scan_all<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<(InstanceId, &'a Key)>,
        limit: usize,
    ) -> Answer<'a, Result<Vec<FoundDocument>, StateError>> {
        self.state.scan_all(prefix, after, limit)
    }
}

mod whole {
    use super::Fresh;

    engine::log_conformance!(|| Fresh::new(|options| options));
    engine::replay_conformance!(|| Fresh::new(|options| options));
    engine::state_conformance!(|| Fresh::new(|options| options));
    engine::documents_conformance!(|| Fresh::new(|options| options));
}

mod sealed {
    use super::{Arc, Fresh, Options, SEGMENT_BYTES_MIN, UnixMillis};

    fn small(options: Options) -> Options {
        // The suite's messages are of 1970.
        let clock = Arc::new(|| UnixMillis(10_000));
        Options { segment_bytes: SEGMENT_BYTES_MIN, clock, ..options }
    }

    engine::replay_conformance!(|| Fresh::new(small));
    engine::conformance_tests! { history, || Fresh::new(small);
        what_is_acknowledged_is_found
        instances_are_apart
        filters_match_as_mqtt_says
        selections_are_those_of_a_plain_search
        pages_make_the_whole
        rules_hide_what_is_too_old_or_too_much
        payloads_are_cut_and_answers_bounded
    }
}

/// Documents that are carried to the disk now and then, beside those who write and read.
mod carried {
    use super::Fresh;

    engine::state_conformance!(|| Fresh::new(|options| crate::options::Options {
        overlay_bytes_max: 1_000_000,
        ..options
    }));
}
