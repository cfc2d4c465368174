//! What everybody in a run shares: chance, the connections, the books, and what happened so far.

use std::collections::VecDeque;

use super::account::{Account, ClientAt};
use super::chance::Chance;
use super::trace::Trace;
use super::wire::{Wire, WireId};

/// The common ground of one run.
#[derive(Debug)]
pub struct Scene {
    /// Decides everything.
    pub chance: Chance,
    /// What happened.
    pub trace: Trace,
    /// What was promised and what came.
    pub account: Account,
    /// Every connection there ever was.
    pub wires: Vec<Wire>,
    /// Connections that the node has not taken yet.
    pub opened: VecDeque<(WireId, ClientAt)>,
    /// Nothing new is begun any more.
    pub is_ending: bool,
    /// Milliseconds since the run began.
    pub millis: u64,
}

impl Scene {
    /// Nothing has happened.
    #[must_use]
    pub fn new(chance: Chance) -> Self {
        Self {
            chance,
            trace: Trace::default(),
            account: Account::default(),
            wires: Vec::new(),
            opened: VecDeque::new(),
            is_ending: false,
            millis: 0,
        }
    }

    /// A client opens a connection.
    pub fn open(&mut self, client: ClientAt, wire: Wire) -> WireId {
        let at = self.wires.len();
        self.wires.push(wire);
        self.opened.push_back((at, client));
        at
    }

    /// The node is gone, and every connection with it.
    pub fn cut_wires(&mut self) {
        self.opened.clear();
        for wire in self.wires.iter_mut().filter(|wire| !wire.node_gone) {
            let arrives = self.chance.permille(500);
            wire.cut(arrives);
        }
    }
}
