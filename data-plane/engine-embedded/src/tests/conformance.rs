//! What every engine promises, of this one: as it is, and with a history that is sealed while it is asked.

use std::sync::Arc;

use contract::time::UnixMillis;
use engine::conformance::Subject;
use engine::{History, Log};
use tempfile::TempDir;

use crate::engine::Engine;
use crate::options::{Options, SEGMENT_BYTES_MIN};

/// An engine in a directory of its own, which goes behind it.
struct Fresh {
    log: Arc<dyn Log>,
    history: Arc<dyn History>,
    _engine: Engine,
    _directory: TempDir,
}

impl Fresh {
    fn new(change: impl FnOnce(Options) -> Options) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let engine = Engine::open(change(Options::new(directory.path()))).expect("opens");
        Self { log: engine.log(), history: engine.history(), _engine: engine, _directory: directory }
    }
}

impl Subject for Fresh {
    fn log(&self) -> &dyn Log {
        &*self.log
    }

    fn history(&self) -> &dyn History {
        &*self.history
    }
}

mod whole {
    use super::Fresh;

    engine::log_conformance!(|| Fresh::new(|options| options));
}

mod sealed {
    use super::{Arc, Fresh, Options, SEGMENT_BYTES_MIN, UnixMillis};

    fn small(options: Options) -> Options {
        // The suite's messages are of 1970.
        let clock = Arc::new(|| UnixMillis(10_000));
        Options { segment_bytes: SEGMENT_BYTES_MIN, clock, ..options }
    }

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
