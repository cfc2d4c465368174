//! The end of a run: everybody goes without a word and stays away, until nothing is left of anybody.

use super::{ENDING_MAX, Run};
use crate::simulation::account::Wrong;

/// What is waited beyond the time when something is due.
const A_MOMENT_MILLIS: u64 = 1_000;

impl Run {
    /// Nobody comes back: every will is published, and every session ends where sessions do.
    pub(super) fn leave_for_good(&mut self) -> Result<(), Wrong> {
        self.scene.trace.note(format_args!("everybody goes"));
        for client in &mut self.clients {
            // Nothing is left to be written: whatever stands is stored.
            if client.is_settled() {
                self.scene.account.session_is_safe(client.at(), true);
            }
            client.vanish(&mut self.scene);
        }
        for _ in 0..self.scene.chance.below(4) {
            self.node.round(&mut self.scene)?;
            if self.scene.chance.permille(300) {
                self.node.step_log(&mut self.scene)?;
            }
        }
        if self.scene.chance.permille(500) {
            self.node.crash(&mut self.scene);
        }
        self.be_up()?;
        self.stay_away(0)?;
        self.stay_away(u64::from(self.plan.will_delay_secs) * 1_000 + self.plan.grace_millis)?;
        self.scene.account.wills_published()?;
        if self.plan.sessions_expire() {
            self.stay_away(u64::from(self.plan.session_expiry_secs) * 1_000)?;
            self.nothing_is_left()?;
        }
        Ok(())
    }

    /// So much time passes, and the node does what is due.
    fn stay_away(&mut self, millis: u64) -> Result<(), Wrong> {
        self.node.pass(millis + A_MOMENT_MILLIS, &mut self.scene);
        for turn in 0..ENDING_MAX {
            self.turn_of_node(turn)?;
            self.scene.account.check()?;
            // A round finds what is due, another one writes what came of it.
            if turn > 1 && self.node.is_idle() {
                return Ok(());
            }
        }
        Err("it never comes to rest when everybody is away".to_owned())
    }

    fn nothing_is_left(&self) -> Result<(), Wrong> {
        let stored = self.node.stored_sessions()?;
        if self.node.sessions() > 0 || !stored.is_empty() {
            return Err(format!("{} sessions are left, {stored:?} is stored", self.node.sessions()));
        }
        if self.node.logs_for_somebody() {
            return Err("messages are logged for nobody".to_owned());
        }
        Ok(())
    }
}
