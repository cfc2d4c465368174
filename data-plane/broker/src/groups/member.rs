//! The member's side of a group, on the worker of the client that is the member: joining and leaving, whether it has room,
//! and what it says to the group's home.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::topic::TopicFilter;
use engine::{KEY_BYTES_MAX, Pos};
use router::{ClientKey, WorkerId};
use session::{Asked, Delivered, Granted, Message, SHARED_QOS_MAX, Session};

use super::documents::document_key;
use super::mail::{Handed, Mail};
use super::registry::{GroupBounds, GroupText, Member, SharedGroup};
use crate::client::Client;
use crate::delivery::{ROUND_OUTPUT_BYTES_MAX, Wanted, message};
use crate::local_instance::LocalInstance;
use crate::metrics::DropReason;
use crate::policy;
use crate::worker::Worker;

/// What became of a message that was to be given to a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// It is the member's until it says more.
    Taken,
    /// It is done with: at QoS 0 nothing is acknowledged.
    Done,
    /// Nobody can get it.
    Lost,
    /// The member has no room, or has gone.
    NoRoom,
    /// There is no room on the way to it.
    NoWay,
}

/// The groups that a connected client belongs to.
#[derive(Default)]
pub(crate) struct Joined {
    groups: RefCell<Vec<Belonging>>,
    /// Those that it has left and whose messages it may have.
    left: RefCell<Vec<Arc<SharedGroup>>>,
    /// It has said to a group that it has no room.
    is_full: Cell<bool>,
}

struct Belonging {
    group: Arc<SharedGroup>,
    /// What the client was granted by its own SUBSCRIBE.
    granted: Granted,
    /// It has said that it has no room.
    is_full: Cell<bool>,
}

impl Joined {
    /// Where the group of a key has its home, if the client belongs to it.
    fn home_of(&self, key: ClientKey) -> Option<WorkerId> {
        self.groups.borrow().iter().find(|it| it.group.key == key).map(|it| it.group.home)
    }

    /// From where on messages are for a shared subscription.
    pub(crate) fn start_of(&self, text: &TopicFilter) -> Option<Pos> {
        self.groups.borrow().iter().find(|it| it.group.text == *text).map(|it| it.group.start)
    }

    /// What the client was granted for a group.
    fn granted_for(&self, key: ClientKey) -> Option<Granted> {
        self.groups.borrow().iter().find(|it| it.group.key == key).map(|it| it.granted)
    }

    fn add(&self, group: &Arc<SharedGroup>, granted: Granted) {
        let mut groups = self.groups.borrow_mut();
        match groups.iter_mut().find(|it| it.group.key == group.key) {
            Some(held) => {
                held.is_full.set(false);
                held.granted = granted;
            }
            None => {
                groups.push(Belonging { group: Arc::clone(group), granted, is_full: Cell::new(false) });
            }
        }
    }

    fn set_full(&self, key: ClientKey) {
        if let Some(held) = self.groups.borrow().iter().find(|it| it.group.key == key) {
            held.is_full.set(true);
            self.is_full.set(true);
        }
    }
}

/// A group's key as sessions know it.
fn number(key: ClientKey) -> u64 {
    u64::from(key.generation()) << 32 | u64::from(key.slot())
}

/// The key of a number.
fn key_of(number: u64) -> ClientKey {
    let part = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(0);
    ClientKey::new(part(number), part(number >> 32))
}

// --- coming and going ---
impl Worker {
    /// A client wants its share of what a group wants.
    pub(crate) fn join_group(
        &self,
        client: &Client,
        wanted: GroupText<'_>,
        asked: &Asked,
    ) -> Result<Qos, Refusal> {
        let instance = &client.instance;
        let rules = instance.rules();
        let qos = asked.options.qos.min(SHARED_QOS_MAX);
        let qos = policy::shared_qos(&rules, client.proof.borrow().grants(), wanted.filter, qos)?;
        if client.lasting().is_some() && document_key(wanted.text).len() > KEY_BYTES_MAX {
            return Err(Refusal::TopicBytesMax);
        }
        let limits = &rules.document.limits;
        let bounds = GroupBounds {
            groups_max: limits.shared_subscriptions_max,
            subscriptions_max: limits.subscriptions_max,
        };
        let granted = asked.granted(qos);
        self.enter_group(client, wanted, granted, bounds, |home| self.node.crossing.committed(home))?;
        Ok(qos)
    }

    /// A client has come back to its lasting session, which belongs to a group.
    pub(crate) fn rejoin_group(&self, client: &Client, wanted: GroupText<'_>, granted: Granted, since: Pos) {
        // It was let in once, and is not counted anew. Its group is there: it had a member.
        if let Err(refusal) = self.enter_group(client, wanted, granted, GroupBounds::NONE, |_| since) {
            tracing::error!(reason = refusal.name(), "a shared filter of a kept session is refused");
        }
    }

    fn enter_group(
        &self,
        client: &Client,
        wanted: GroupText<'_>,
        granted: Granted,
        bounds: GroupBounds,
        start: impl FnOnce(WorkerId) -> Pos,
    ) -> Result<(), Refusal> {
        let instance = &client.instance;
        let connection = Some((self.id, client.key));
        let member = Member {
            connection,
            granted,
            receive_max: client.receive_max,
            packet_bytes_max: client.packet_bytes_max,
            is_lasting: client.lasting().is_some(),
        };
        let group = instance.shared.join_group(wanted, &client.client_id, member, bounds, start)?;
        client.stored_or_new().joined.add(&group, granted);
        self.tell_home(instance, &group);
        if group.home != self.id {
            self.say(group.home, Mail::Ready { group: group.key, client: client.key });
            self.send_mail_to(group.home);
        } else if let Some(home) = self.find_home(group.key) {
            home.has_room((self.id, client.key));
        }
        Ok(())
    }

    /// A client wants no more of a group.
    pub(crate) fn leave_group(&self, client: &Client, text: &TopicFilter) {
        let Some(group) = client.instance.shared.leave_group(text, &client.client_id) else { return };
        let joined = &client.stored_or_new().joined;
        joined.groups.borrow_mut().retain(|it| it.group.key != group.key);
        self.tell_home(&client.instance, &group);
        // Its session is asked once it has let go of the packet.
        joined.left.borrow_mut().push(group);
    }

    /// The connection of a client has gone. What it had of groups goes back to them: they see that it is not there.
    pub(crate) fn leave_groups(&self, client: &Client) {
        let Some(stored) = client.stored() else { return };
        for Belonging { group, .. } in stored.joined.groups.take() {
            if client.lasting().is_some() {
                group.set_away(&client.client_id, (self.id, client.key));
            } else {
                client.instance.shared.leave_group(&group.text, &client.client_id);
            }
            self.tell_home(&client.instance, &group);
        }
    }

    /// A lasting session has ended, and with it its membership of this group.
    pub(crate) fn discard_membership(&self, instance: &LocalInstance, client_id: &str, text: &TopicFilter) {
        if let Some(group) = instance.shared.leave_group(text, client_id) {
            self.tell_home(instance, &group);
        }
    }

    /// The same of a session that is not at hand: whatever it belonged to.
    pub(crate) fn discard_memberships(&self, instance: &LocalInstance, client_id: &str) {
        for group in instance.shared.groups_of(client_id) {
            self.discard_membership(instance, client_id, &group.text);
        }
    }

    /// Has the home of a group see at once that its members have changed: before a client is told so.
    fn tell_home(&self, instance: &LocalInstance, group: &Arc<SharedGroup>) {
        if group.home == self.id {
            self.hear_changed(&instance.shared, group);
        } else {
            self.say(group.home, Mail::Changed(Arc::clone(&instance.shared), Arc::clone(group)));
            self.send_mail_to(group.home);
        }
    }
}

// --- messages ---
impl Worker {
    /// A message from another worker for a client here.
    pub(super) fn take_handed(&self, handed: &Handed) {
        let &Handed { group, home, client: key, pos, granted, qos, .. } = handed;
        let client = self.client(key);
        let member =
            client.filter(|client| client.stored().is_some_and(|it| it.joined.home_of(group).is_some()));
        let outcome = member.map_or(Outcome::NoRoom, |client| {
            // Whatever fails, the home is told.
            let given = self.guard(|| {
                let mut rendering = self.rendering.borrow_mut();
                let passing = handed.passing();
                let mut message = message(&mut rendering, &passing);
                self.give_share(&client, group, pos, &mut message, granted, qos)
            });
            given.unwrap_or(Outcome::NoRoom)
        });
        match (outcome, pos) {
            (Outcome::Taken, _) | (Outcome::Done | Outcome::Lost, None) => {}
            (Outcome::Done | Outcome::Lost, Some(pos)) => self.say_done(home, group, key, pos),
            (Outcome::NoRoom | Outcome::NoWay, Some(pos)) => {
                self.say(home, Mail::Back { group, client: key, positions: vec![pos], is_full: true });
            }
            (Outcome::NoRoom | Outcome::NoWay, None) => {
                if let Some(instance) = self.instances.borrow().get(&handed.instance) {
                    instance.counts.dropped(DropReason::SharedNoMember, 1);
                }
            }
        }
    }

    /// Gives a message to a member on this worker. `pos`: none of one that is in no log.
    pub(super) fn give_share(
        &self,
        client: &Rc<Client>,
        group: ClientKey,
        pos: Option<Pos>,
        message: &mut Message<'_>,
        granted: Qos,
        qos: Qos,
    ) -> Outcome {
        if !self.has_room_for_shared(client) {
            client.stored_or_new().joined.set_full(group);
            return Outcome::NoRoom;
        }
        let (instance, now) = (&*client.instance, self.now());
        let paces = instance.paces();
        let known = client.stored().and_then(|stored| stored.joined.granted_for(group));
        let granted = known.unwrap_or(Granted::of(granted));
        let Some(pos) = pos else {
            if granted.is_special() {
                self.deliver_to(client, message, Wanted::Special(&granted.alone()), qos, None, &paces);
            } else {
                self.deliver_to(client, message, Wanted::Plain(granted.qos()), qos, None, &paces);
            }
            return Outcome::Taken;
        };
        let mut session = client.session.borrow_mut();
        let Some(session) = session.as_mut() else { return Outcome::NoRoom };
        let mut output = client.output.borrow_mut();
        if output.capacity() == 0 {
            *output = self.take_buffer();
        }
        let delivered = session.deliver_shared(number(group), pos, message, granted, &mut output);
        let is_much = output.len() >= ROUND_OUTPUT_BYTES_MAX;
        if output.is_empty() {
            self.return_buffer(std::mem::take(&mut *output));
        }
        drop(output);
        match delivered {
            Some(Delivered::Sent(bytes) | Delivered::Waiting(bytes)) => {
                instance.counts.went_out(bytes);
                client.outbound.take(now, &paces.client_out, 1, bytes as usize);
                instance.outbound.take(now, &paces.outbound, 1, bytes as usize);
                self.note_output(client);
                if is_much {
                    self.write(client);
                }
                if qos.min(granted.qos()) == Qos::AtMostOnce { Outcome::Done } else { Outcome::Taken }
            }
            Some(Delivered::Dropped(reason)) => {
                instance.counts.dropped(reason.into(), 1);
                Outcome::Lost
            }
            Some(Delivered::Replaying) | None => {
                client.stored_or_new().joined.set_full(group);
                Outcome::NoRoom
            }
        }
    }

    /// Whether a client takes a message of a group now.
    fn has_room_for_shared(&self, client: &Client) -> bool {
        let is_free = !client.is_ending() && !client.is_blocked.get() && client.held.borrow().is_none();
        let pending = client.output.borrow().len();
        let has_room =
            is_free && client.session.borrow().as_ref().is_some_and(|it| it.has_shared_room(pending));
        has_room && self.has_paid(client)
    }

    /// A client has acknowledged a message of a group.
    pub(crate) fn acknowledge_shared(&self, client: &Client, group: u64, pos: Pos) {
        let key = key_of(group);
        let home = client.stored().and_then(|stored| stored.joined.home_of(key));
        if let Some(home) = home {
            self.say_done(home, key, client.key, pos);
        }
    }

    /// Gives back what a client has of groups that it has left, and says to those that wait for it that it has room.
    pub(crate) fn tend_shared(&self, client: &Client) {
        let Some(stored) = client.stored() else { return };
        let joined = &stored.joined;
        if !joined.left.borrow().is_empty() {
            for group in joined.left.take() {
                let mut session = client.session.borrow_mut();
                let positions = session
                    .as_mut()
                    .map_or_else(Vec::new, |it: &mut Session| it.take_shared(number(group.key)));
                if !positions.is_empty() {
                    let mail = Mail::Back { group: group.key, client: client.key, positions, is_full: false };
                    self.say(group.home, mail);
                }
            }
        }
        if joined.is_full.get() && self.has_room_for_shared(client) {
            joined.is_full.set(false);
            for held in joined.groups.borrow().iter().filter(|held| held.is_full.take()) {
                self.say(held.group.home, Mail::Ready { group: held.group.key, client: client.key });
            }
        }
    }
}
