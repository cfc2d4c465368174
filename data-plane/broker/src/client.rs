//! A client on its worker: the small struct that an idle connection is. Buffers exist only while there is something in
//! them. What is done with it stands with the verbs: `turn`, `publish`, `delivery`, `membership`.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use contract::refusal::Refusal;
use router::ClientKey;
use session::Session;

use crate::authenticate::Proof;
use crate::buckets::{Bucket, Micros};
use crate::instances::Seat;
use crate::local_instance::LocalInstance;
use crate::topics::Topics;
use crate::transport::Transport;

/// How a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    /// The client said DISCONNECT.
    Disconnected,
    /// The client, or the network, closed the connection.
    Gone,
    /// The client is sent away.
    Refused(Refusal),
}

/// Why a client is not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pause {
    /// It has been faster than it may.
    Rate,
    /// Its instance has been, or has no room on its way to another worker.
    Instance,
    /// Its instance has had its turns of this round, and others wait.
    Turn,
    /// It does not take what it is sent.
    Output,
    /// The log has no room for what it publishes, or has yet to deliver what it published before.
    Log,
}

/// Messages of QoS 1 and 2 for a client that has received as much as it may, not yet counted against its rate.
#[derive(Default)]
pub(crate) struct Held {
    /// Whole packets.
    pub(crate) bytes: Vec<u8>,
    /// How many of the bytes have been let go.
    released: usize,
}

impl Held {
    /// Appends the next packet to `output`; the answer is how long it is, 0 when there is none.
    pub(crate) fn release(&mut self, output: &mut Vec<u8>) -> usize {
        let next = mqtt::frame(&self.bytes[self.released..], usize::MAX);
        let size = next.ok().flatten().map_or(0, |frame| frame.total);
        output.extend_from_slice(&self.bytes[self.released..self.released + size]);
        self.released += size;
        size
    }

    /// Gives back the room of what has been let go, now and then.
    pub(crate) fn compact(&mut self) {
        if self.released * 2 > self.bytes.len() {
            self.bytes.drain(..self.released);
            self.released = 0;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.released == self.bytes.len()
    }
}

/// One connected client.
pub(crate) struct Client {
    pub(crate) key: ClientKey,
    pub(crate) client_id: Rc<str>,
    pub(crate) instance: Rc<LocalInstance>,
    pub(crate) proof: RefCell<Box<Proof>>,
    /// When its token expires, on the calendar; the largest: never.
    pub(crate) expires_at_millis: u64,
    /// None once the client is no longer one.
    pub(crate) session: RefCell<Option<Session>>,
    /// None once the connection is closed, or somebody else's to close.
    pub(crate) transport: RefCell<Option<Transport>>,
    /// Bytes received that are not yet a whole packet, or that may not be looked at yet.
    pub(crate) received: RefCell<Vec<u8>>,
    /// There may be whole packets among them.
    pub(crate) has_unread: Cell<bool>,
    /// Whole packets for the client.
    pub(crate) output: RefCell<Vec<u8>>,
    /// It is in the list of those whose output is written at the end of the round.
    pub(crate) has_output: Cell<bool>,
    /// The socket takes no more for now.
    pub(crate) is_blocked: Cell<bool>,
    /// There while the client has received more than it may: messages wait here until that is paid for.
    pub(crate) held: RefCell<Option<Box<Held>>>,
    pub(crate) pause: Cell<Option<Pause>>,
    /// It may be read again and has not had its turn since.
    pub(crate) is_resumed: Cell<bool>,
    pub(crate) ending: Cell<Option<Ending>>,
    pub(crate) inbound: Bucket,
    pub(crate) outbound: Bucket,
    /// SUBSCRIBE and UNSUBSCRIBE packets; there once one has come.
    pub(crate) subscribes: OnceCell<Box<Bucket>>,
    pub(crate) topics: RefCell<Topics>,
    pub(crate) seat: RefCell<Option<Seat>>,
    waker: RefCell<Option<Waker>>,
}

/// What a client begins with.
pub(crate) struct Beginning {
    pub(crate) key: ClientKey,
    pub(crate) client_id: Rc<str>,
    pub(crate) instance: Rc<LocalInstance>,
    pub(crate) proof: Proof,
    pub(crate) session: Session,
    pub(crate) transport: Transport,
    pub(crate) received: Vec<u8>,
    pub(crate) seat: Seat,
}

impl Client {
    pub(crate) fn new(now: Micros, beginning: Beginning) -> Self {
        let Beginning { key, client_id, instance, proof, session, transport, received, seat } = beginning;
        let paces = instance.paces();
        Self {
            key,
            client_id,
            expires_at_millis: proof.expires_at().map_or(u64::MAX, |at| at.0),
            proof: RefCell::new(Box::new(proof)),
            session: RefCell::new(Some(session)),
            transport: RefCell::new(Some(transport)),
            has_unread: Cell::new(!received.is_empty()),
            received: RefCell::new(received),
            output: RefCell::default(),
            has_output: Cell::new(false),
            is_blocked: Cell::new(false),
            held: RefCell::default(),
            pause: Cell::new(None),
            is_resumed: Cell::new(false),
            ending: Cell::new(None),
            inbound: Bucket::full(now, &paces.client_in),
            outbound: Bucket::full(now, &paces.client_out),
            subscribes: OnceCell::new(),
            topics: RefCell::default(),
            seat: RefCell::new(Some(seat)),
            waker: RefCell::default(),
            instance,
        }
    }

    /// Whether it is over, or about to be: nothing more is taken from it.
    #[inline]
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.get().is_some()
    }

    /// Its turn comes again.
    pub(crate) fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// It may be read again, whatever stopped that.
    pub(crate) fn resume(&self) {
        if self.pause.take().is_some() {
            self.is_resumed.set(true);
            self.wake();
        }
    }

    pub(crate) fn keep_waker(&self, waker: &Waker) {
        let mut kept = self.waker.borrow_mut();
        if !kept.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            *kept = Some(waker.clone());
        }
    }
}
