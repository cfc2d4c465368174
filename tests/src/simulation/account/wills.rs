//! Wills: published once at most, never after another has taken their place or their client has said goodbye, and
//! always when a client is away for long enough.

use std::collections::BTreeMap;

use contract::qos::Qos;

use super::{Account, ClientAt, Number, Sent, Wrong};

/// Every will there was.
#[derive(Debug, Default)]
pub(super) struct Wills {
    by_number: BTreeMap<Number, Will>,
    /// How often the machine has stopped.
    stops: u64,
}

#[derive(Debug)]
struct Will {
    client: ClientAt,
    /// How often the machine had stopped when it was made.
    made_after: u64,
    /// Of a session that outlives its connection.
    is_lasting: bool,
    /// It stands whatever happens.
    is_safe: bool,
    /// Its client may have said goodbye.
    is_doubtful: bool,
    /// The node has read that, and had stopped so often before.
    is_void_since: Option<u64>,
    /// Another has taken its place, safely.
    is_over: bool,
    is_published: bool,
}

impl Account {
    /// A client asks for a connection with a will; the answer is the number that the will says.
    pub fn will_made(
        &mut self,
        client: ClientAt,
        is_lasting: bool,
        topic: &'static str,
        qos: Qos,
        at: u64,
    ) -> Number {
        let number = self.sent(client, topic, qos, at);
        self.sent[number - 1] = Sent { is_will: true, ..self.sent[number - 1].clone() };
        let will = Will {
            client,
            made_after: self.last_wills.stops,
            is_lasting,
            is_safe: false,
            is_doubtful: false,
            is_void_since: None,
            is_over: false,
            is_published: false,
        };
        self.last_wills.by_number.insert(number, will);
        number
    }

    fn last_will(&mut self, client: ClientAt) -> Option<(Number, &mut Will)> {
        let mut latest = self.last_wills.by_number.iter_mut().rev();
        latest.find(|(_, will)| will.client == client).map(|(&number, will)| (number, will))
    }

    /// The will of a client's connection is stored, and so are those before it no more.
    pub(super) fn will_is_safe(&mut self, client: ClientAt) {
        if let Some((number, will)) = self.last_will(client) {
            will.is_safe = true;
            self.wills_are_over(client, number);
        }
    }

    /// A clean session has begun: what was there before is no more.
    pub fn began_anew(&mut self, client: ClientAt) {
        let stops = self.last_wills.stops;
        if let Some((number, will)) = self.last_will(client) {
            // The machine may have stopped since the node said so.
            will.is_safe = will.made_after == stops;
            self.wills_are_over(client, number);
        }
    }

    fn wills_are_over(&mut self, client: ClientAt, number: Number) {
        for (_, will) in self.last_wills.by_number.range_mut(..number) {
            // That of a clean session is published with its end, and may be on its way.
            will.is_over |= will.client == client && will.is_lasting;
        }
    }

    /// A client says goodbye, which the node may hear or not.
    pub fn said_goodbye(&mut self, client: ClientAt) {
        if let Some((_, will)) = self.last_will(client) {
            will.is_doubtful = true;
        }
    }

    /// The node has heard a client say goodbye on the connection with this will.
    pub fn heard_goodbye(&mut self, number: Number) {
        let stops = self.last_wills.stops;
        if let Some(will) = self.last_wills.by_number.get_mut(&number) {
            will.is_void_since.get_or_insert(stops);
        }
    }

    /// A will was published.
    pub fn will_published(&mut self, number: Number) {
        let Some(will) = self.last_wills.by_number.get_mut(&number) else { return };
        self.wills += 1;
        will.is_published = true;
        let (is_over, is_void) = (will.is_over, will.is_void_since == Some(self.last_wills.stops));
        if is_over {
            self.complain(format!("the will {number} is published and another had taken its place"));
        }
        if is_void {
            self.complain(format!("the will {number} is published though its client said goodbye"));
        }
    }

    /// A will cannot be published, which is counted.
    pub fn will_dropped(&mut self, number: Number) {
        if let Some(will) = self.last_wills.by_number.get_mut(&number) {
            will.is_published = true;
        }
    }

    /// The machine has stopped: what only memory had of wills is gone.
    pub(super) fn wills_after_crash(&mut self) {
        self.last_wills.stops += 1;
        for will in self.last_wills.by_number.values_mut().filter(|will| !will.is_lasting) {
            will.is_safe = false;
        }
    }

    /// Everybody has been away for long enough, without a goodbye: every will has been published.
    pub fn wills_published(&self) -> Result<(), Wrong> {
        for client in 0..self.clients.len() {
            let mut latest = self.last_wills.by_number.iter().rev();
            let Some((number, will)) = latest.find(|(_, will)| will.client == client) else { continue };
            if will.is_safe && !will.is_doubtful && !will.is_published {
                return Err(format!("client {client} is gone and its will {number} was never published"));
            }
        }
        Ok(())
    }
}
