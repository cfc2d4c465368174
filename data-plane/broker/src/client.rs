//! A client on its worker: the small struct that an idle connection is. Buffers exist only while there is something in
//! them. What is done with it stands with the verbs: `turn`, `publish`, `delivery`, `membership`.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Waker;

use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::time::UnixMillis;
use mqtt::client::ServerPacket;
use mqtt::{PacketId, Publish, Version};
use router::ClientKey;
use session::{ClientSide, Session, left_secs};

use crate::authenticate::Proof;
use crate::buckets::{Bucket, Micros};
use crate::enhanced::Method;
use crate::groups::Joined;
use crate::instances::Seat;
use crate::lasting::LastingClient;
use crate::local_instance::LocalInstance;
use crate::readers::Replays;
use crate::retained::RetainedQueue;
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
    /// It has yet to be told that it is connected.
    Welcome,
}

/// Messages of QoS 1 and 2 for a client that has received as much as it may, not yet counted against its rate.
#[derive(Default)]
pub(crate) struct Held {
    /// Whole packets.
    pub(crate) bytes: Vec<u8>,
    /// How many of the bytes have been let go.
    released: usize,
    /// Where among the bytes the packets begin that expire, and when they do.
    expiring: VecDeque<(usize, UnixMillis)>,
}

/// What became of the next packet that was held back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Released {
    /// There is none.
    Nothing,
    /// It was appended, with so many bytes.
    Sent(usize),
    /// Its time is over [MQTT-3.3.2-5].
    Over(PacketId, Qos),
}

impl Held {
    /// The packet that is appended next expires then.
    pub(crate) fn expires_next(&mut self, at: UnixMillis) {
        self.expiring.push_back((self.bytes.len(), at));
    }

    /// Nothing was appended since [`expires_next`](Self::expires_next).
    pub(crate) fn expires_not(&mut self) {
        let end = self.bytes.len();
        self.expiring.pop_back_if(|(start, _)| *start == end);
    }

    /// Appends the next packet to `output`, with what is left of its time [MQTT-3.3.2-6].
    pub(crate) fn release(
        &mut self,
        version: Version,
        now: impl FnOnce() -> UnixMillis,
        output: &mut Vec<u8>,
    ) -> Released {
        let start = self.released;
        let Ok(Some(frame)) = mqtt::frame(&self.bytes[start..], usize::MAX) else { return Released::Nothing };
        let size = frame.total;
        let expires_at = self.expiring.pop_front_if(|(expiring, _)| *expiring == start);
        if let Some((_, at)) = expires_at {
            let now = now();
            let packet = mqtt::client::decode(version, frame);
            if at <= now
                && let Ok(ServerPacket::Publish(Publish { packet_id: Some(packet_id), qos, .. })) = packet
            {
                self.released += size;
                return Released::Over(packet_id, qos);
            }
            if version.is_v5() {
                mqtt::set_expiry_secs(&mut self.bytes[start..start + size], left_secs(at, now));
            }
        }
        output.extend_from_slice(&self.bytes[start..start + size]);
        self.released += size;
        Released::Sent(size)
    }

    /// Gives back the room of what has been let go, now and then.
    pub(crate) fn compact(&mut self) {
        if self.released * 2 > self.bytes.len() {
            self.bytes.drain(..self.released);
            for (start, _) in &mut self.expiring {
                *start -= self.released;
            }
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
    /// The version of MQTT that it speaks.
    pub(crate) version: Version,
    /// As many messages unacknowledged as it takes.
    pub(crate) receive_max: u16,
    /// The largest packet that it takes; the largest number: any.
    pub(crate) packet_bytes_max: u32,
    /// How it has said in CONNECT that it proves itself, where it has.
    pub(crate) method: Option<Method>,
    /// When its token expires, on the calendar; the largest: never.
    pub(crate) expires_at_millis: Cell<u64>,
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
    /// There for those who get something from the log or its documents.
    stored: OnceCell<Box<FromStore>>,
    waker: RefCell<Option<Waker>>,
}

/// What a client has to do with what is stored.
#[derive(Default)]
pub(crate) struct FromStore {
    /// Its session, if that outlives the connection.
    lasting: Option<Rc<LastingClient>>,
    /// Retained messages that it is yet to get.
    pub(crate) retained: RefCell<RetainedQueue>,
    /// Its subscriptions that begin in the past.
    pub(crate) replays: RefCell<Replays>,
    /// The groups that it belongs to.
    pub(crate) joined: Joined,
    /// It is in the list of those that wait until something may be looked up for them.
    pub(crate) waits_for_look: Cell<bool>,
    /// A timer is set for when it may.
    pub(crate) looks_later: Cell<bool>,
    /// A timer is set for when what it has acknowledged is written.
    pub(crate) has_checkpoint: Cell<bool>,
}

impl FromStore {
    fn of(lasting: Rc<LastingClient>) -> Self {
        Self { lasting: Some(lasting), ..Self::default() }
    }
}

/// What a client begins with.
pub(crate) struct Beginning {
    pub(crate) key: ClientKey,
    pub(crate) client_id: Rc<str>,
    pub(crate) version: Version,
    pub(crate) side: ClientSide,
    pub(crate) method: Option<Method>,
    pub(crate) instance: Rc<LocalInstance>,
    pub(crate) proof: Proof,
    /// None as long as its session is being taken up.
    pub(crate) session: Option<Session>,
    pub(crate) lasting: Option<Rc<LastingClient>>,
    pub(crate) transport: Transport,
    pub(crate) received: Vec<u8>,
    pub(crate) seat: Seat,
}

impl Client {
    pub(crate) fn new(now: Micros, beginning: Beginning) -> Self {
        let Beginning {
            key,
            client_id,
            version,
            side,
            method,
            instance,
            proof,
            session,
            lasting,
            transport,
            received,
            seat,
        } = beginning;
        let paces = instance.paces();
        Self {
            key,
            client_id,
            version,
            receive_max: side.receive_max,
            packet_bytes_max: side.packet_bytes_max.unwrap_or(u32::MAX),
            method,
            expires_at_millis: Cell::new(proof.expires_at().map_or(u64::MAX, |at| at.0)),
            proof: RefCell::new(Box::new(proof)),
            session: RefCell::new(session),
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
            stored: lasting.map_or_else(OnceCell::new, |lasting| Box::new(FromStore::of(lasting)).into()),
            waker: RefCell::default(),
            instance,
        }
    }

    /// Whether it is over, or about to be: nothing more is taken from it.
    #[inline]
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.get().is_some()
    }

    /// Its session, if that outlives the connection.
    #[inline]
    pub(crate) fn lasting(&self) -> Option<&Rc<LastingClient>> {
        self.stored.get()?.lasting.as_ref()
    }

    /// What it has to do with what is stored, if it has.
    #[inline]
    pub(crate) fn stored(&self) -> Option<&FromStore> {
        self.stored.get().map(|stored| &**stored)
    }

    /// The same, from now on.
    pub(crate) fn stored_or_new(&self) -> &FromStore {
        self.stored.get_or_init(Box::default)
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
