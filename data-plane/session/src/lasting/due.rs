//! What becomes due of a lasting session while its client is away: its will, and its end.

use contract::time::UnixMillis;

use super::{Lasting, Part};
use crate::Will;

/// What is due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Due {
    /// The will is to be published; it is no longer the session's.
    Will(Box<Will>),
    /// The session is over, and its documents are to be deleted.
    Expired,
}

impl Lasting {
    /// The will, if it stands.
    #[must_use]
    pub fn will(&self) -> Option<&Will> {
        self.will.as_deref()
    }

    /// Replaces the will.
    pub fn set_will(&mut self, will: Option<Box<Will>>) {
        if self.will != will {
            self.will = will;
            self.changes.make(Part::Session);
        }
    }

    /// Takes the will, to be published with the batch of this round: what says that it was goes into the same. Besides
    /// what is [due](Self::due) it is for a session that is ended from outside, by a clean start: its will does not wait
    /// any longer [MQTT-3.1.3-9].
    pub fn take_will(&mut self) -> Option<Box<Will>> {
        let will = self.will.take()?;
        self.changes.make_urgent(Part::Session);
        Some(will)
    }

    /// For so many seconds it lasts without a connection; 0: it ends with it.
    #[must_use]
    pub const fn expiry_secs(&self) -> u32 {
        self.expiry_secs
    }

    /// Sets for how many seconds it lasts without a connection.
    pub fn set_expiry_secs(&mut self, secs: u32) {
        if self.expiry_secs != secs {
            self.expiry_secs = secs;
            self.changes.make(Part::Session);
        }
    }

    /// Since when it has had no connection; `None` while it has one, and after a crash if it had one.
    #[must_use]
    pub const fn detached_at(&self) -> Option<UnixMillis> {
        self.detached_at
    }

    /// From when on it has no connection; `None`: it has one.
    pub fn set_detached_at(&mut self, at: Option<UnixMillis>) {
        if self.detached_at != at {
            self.detached_at = at;
            self.changes.make(Part::Session);
        }
    }

    /// What is due at `now`; to be asked again until it is nothing. While it has a connection nothing is.
    pub fn due(&mut self, now: UnixMillis) -> Option<Due> {
        if self.will_at().is_some_and(|at| now >= at) {
            return self.take_will().map(Due::Will);
        }
        (now >= self.expires_at()?).then_some(Due::Expired)
    }

    /// When something will be due; `None`: nothing will as things are.
    #[must_use]
    pub fn next_due(&self) -> Option<UnixMillis> {
        self.will_at().into_iter().chain(self.expires_at()).min()
    }

    fn expires_at(&self) -> Option<UnixMillis> {
        Some(after(self.detached_at?, self.expiry_secs))
    }

    /// A will waits no longer than its session lasts.
    fn will_at(&self) -> Option<UnixMillis> {
        let delay_secs = self.will.as_ref()?.delay_secs.min(self.expiry_secs);
        Some(after(self.detached_at?, delay_secs))
    }
}

const fn after(time: UnixMillis, secs: u32) -> UnixMillis {
    UnixMillis(time.0.saturating_add(secs as u64 * 1_000))
}
