//! The shared subscriptions of an instance, as all its workers see them: which groups there are, where each has its home,
//! and who belongs to it. It is changed when clients subscribe, come and go, and read by a home that sees that its group
//! has changed; never for a message.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::topic::TopicFilter;
use engine::Pos;
use foldhash::fast::RandomState;
use router::{ClientKey, Subscriber, WorkerId};
use session::{Granted, Group, Millis};

use crate::instances::Instance;
use crate::keys;

/// A connected member, named by its connection.
pub(crate) type MemberKey = (WorkerId, ClientKey);

/// What the text of a shared subscription says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupText<'a> {
    /// All of it, as a client sends it.
    pub(crate) text: &'a TopicFilter,
    /// The group's name.
    pub(crate) name: &'a str,
    /// What the group wants.
    pub(crate) filter: &'a TopicFilter,
}

/// A client that belongs to a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Member {
    /// None: its lasting session is kept, and it is away.
    pub(crate) connection: Option<MemberKey>,
    pub(crate) granted: Granted,
    /// As many messages unacknowledged as its client takes.
    pub(crate) receive_max: u16,
    /// The largest packet that its client takes; the largest number: any.
    pub(crate) packet_bytes_max: u32,
    pub(crate) is_lasting: bool,
}

impl Member {
    /// One whose lasting session is kept, and that is away.
    const fn away(granted: Qos) -> Self {
        let granted = Granted::of(granted);
        Self {
            connection: None,
            granted,
            receive_max: u16::MAX,
            packet_bytes_max: u32::MAX,
            is_lasting: true,
        }
    }

    /// Whether there are messages that are too large for it.
    pub(super) const fn is_limited(&self) -> bool {
        self.packet_bytes_max < u32::MAX
    }
}

/// What an instance may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupBounds {
    pub(crate) groups_max: u64,
    pub(crate) subscriptions_max: u64,
}

impl GroupBounds {
    /// For what was there already, whatever the plan allows by now.
    pub(crate) const NONE: Self = Self { groups_max: u64::MAX, subscriptions_max: u64::MAX };
}

/// One group.
pub(crate) struct SharedGroup {
    /// Names it in the route table, at its home.
    pub(crate) key: ClientKey,
    pub(crate) home: WorkerId,
    /// `$share/{name}/{filter}`.
    pub(crate) text: TopicFilter,
    pub(crate) name: Box<str>,
    pub(crate) filter: TopicFilter,
    /// Messages before it do not count for it. What stands there or beyond is shown to its home.
    pub(crate) start: Pos,
    /// By client identifier.
    members: Mutex<BTreeMap<Box<str>, Member>>,
    /// How often its members have changed.
    version: AtomicU64,
    /// What was stored of it before the node started, until its home takes it.
    restored: Mutex<Option<Box<Group<MemberKey>>>>,
}

/// The members of a group at one moment.
#[derive(Debug, Default)]
pub(crate) struct Members {
    pub(crate) version: u64,
    pub(crate) connected: Vec<(MemberKey, Member)>,
    pub(crate) away: u64,
    /// Some of them have lasting sessions.
    pub(crate) has_lasting: bool,
}

impl Members {
    /// Whether the group has ended.
    pub(crate) fn is_none(&self) -> bool {
        self.connected.is_empty() && self.away == 0
    }
}

impl SharedGroup {
    /// How often its members have changed.
    #[inline]
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Its members now.
    pub(crate) fn members(&self) -> Members {
        let members = self.lock();
        let mut found = Members { version: self.version(), ..Members::default() };
        for member in members.values() {
            found.has_lasting |= member.is_lasting;
            match member.connection {
                Some(key) => found.connected.push((key, *member)),
                None => found.away += 1,
            }
        }
        found
    }

    /// A lasting member has lost its connection. One that has a newer one keeps it.
    pub(crate) fn set_away(&self, client_id: &str, connection: MemberKey) {
        let mut members = self.lock();
        if let Some(member) = members.get_mut(client_id).filter(|it| it.connection == Some(connection)) {
            member.connection = None;
            self.changed();
        }
    }

    /// What was stored of it; once.
    pub(crate) fn take_restored(&self) -> Option<Box<Group<MemberKey>>> {
        self.restored.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, client_id: &str, member: Member) {
        self.lock().insert(client_id.into(), member);
        self.changed();
    }

    /// False: it was no member.
    fn remove(&self, client_id: &str) -> bool {
        let was_member = self.lock().remove(client_id).is_some();
        if was_member {
            self.changed();
        }
        was_member
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Box<str>, Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The groups of one instance.
pub(crate) struct Registry {
    groups: Mutex<Groups>,
    /// Keys that were given away on this node.
    keys: Arc<AtomicU64>,
}

#[derive(Default)]
struct Groups {
    by_text: BTreeMap<TopicFilter, Arc<SharedGroup>>,
    by_key: HashMap<ClientKey, Arc<SharedGroup>, RandomState>,
}

impl Registry {
    pub(crate) fn new(keys: Arc<AtomicU64>) -> Self {
        Self { groups: Mutex::default(), keys }
    }

    /// Never the same twice: 2^60 of them are enough.
    fn new_key(&self) -> ClientKey {
        const BITS: u32 = 30;
        let number = self.keys.fetch_add(1, Ordering::Relaxed);
        let part = |bits: u64| u32::try_from(bits & ((1 << BITS) - 1)).unwrap_or(0);
        keys::group(part(number), part(number >> BITS))
    }

    fn lock(&self) -> MutexGuard<'_, Groups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Instance {
    /// Makes a client a member of a group, or changes what it is there; a group that has no members begins with it.
    /// `start` says, for its home, from where on messages are for it: it is asked when the route is there.
    pub(crate) fn join_group(
        &self,
        wanted: GroupText<'_>,
        client_id: &str,
        member: Member,
        bounds: GroupBounds,
        start: impl FnOnce(WorkerId) -> Pos,
    ) -> Result<Arc<SharedGroup>, Refusal> {
        let mut groups = self.groups.lock();
        if let Some(group) = groups.by_text.get(wanted.text) {
            group.put(client_id, member);
            return Ok(Arc::clone(group));
        }
        if groups.by_text.len() as u64 >= bounds.groups_max {
            return Err(Refusal::SharedSubscriptionsMax);
        }
        let (key, home) = (self.groups.new_key(), self.worker_of(wanted.text.as_str()));
        self.open_route(wanted.filter, home, key, bounds.subscriptions_max)?;
        let group = Arc::new(SharedGroup {
            key,
            home,
            text: wanted.text.clone(),
            name: wanted.name.into(),
            filter: wanted.filter.clone(),
            start: start(home),
            members: Mutex::default(),
            version: AtomicU64::new(0),
            restored: Mutex::default(),
        });
        group.put(client_id, member);
        groups.by_text.insert(wanted.text.clone(), Arc::clone(&group));
        groups.by_key.insert(key, Arc::clone(&group));
        Ok(group)
    }

    /// Puts together what was stored of a group: where its members' subscriptions begin, and its own document. The answer
    /// is the group, and whether its document could be read.
    pub(crate) fn restore_group(
        &self,
        wanted: GroupText<'_>,
        members: impl IntoIterator<Item = (Box<str>, Qos)>,
        since: Pos,
        document: Option<&[u8]>,
        now: Millis,
    ) -> Result<(Arc<SharedGroup>, bool), Refusal> {
        let mut restored = None;
        for (client_id, granted) in members {
            let bounds = GroupBounds::NONE;
            restored = Some(self.join_group(wanted, &client_id, Member::away(granted), bounds, |_| since)?);
        }
        let group = restored.ok_or(Refusal::InternalError)?;
        let read = document.map(|document| Group::restore(document, group.start, now));
        let is_whole = !matches!(read, Some(Err(_)));
        // One that cannot be read is one that is there: it goes with the group.
        let core = read.map(|read| Box::new(read.unwrap_or_else(|_| Group::new(group.start, now))));
        *group.restored.lock().unwrap_or_else(PoisonError::into_inner) = core;
        Ok((group, is_whole))
    }

    /// Ends a client's membership; the group ends with its last member. None: it was no member.
    pub(crate) fn leave_group(&self, text: &TopicFilter, client_id: &str) -> Option<Arc<SharedGroup>> {
        let mut groups = self.groups.lock();
        let group = Arc::clone(groups.by_text.get(text)?);
        if !group.remove(client_id) {
            return None;
        }
        if group.lock().is_empty() {
            groups.by_text.remove(text);
            groups.by_key.remove(&group.key);
            let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
            routes.remove(&group.filter, group.home, group.key);
            routes.remove_lasting(&group.filter);
        }
        Some(group)
    }

    /// The groups that a client belongs to.
    pub(crate) fn groups_of(&self, client_id: &str) -> Vec<Arc<SharedGroup>> {
        let groups = self.groups.lock();
        groups.by_text.values().filter(|group| group.lock().contains_key(client_id)).cloned().collect()
    }

    /// The group of a key, unless it has ended.
    pub(crate) fn find_group(&self, key: ClientKey) -> Option<Arc<SharedGroup>> {
        self.groups.lock().by_key.get(&key).cloned()
    }

    /// The group that a text names now.
    pub(crate) fn find_group_of(&self, text: &TopicFilter) -> Option<Arc<SharedGroup>> {
        self.groups.lock().by_text.get(text).cloned()
    }

    fn open_route(
        &self,
        filter: &TopicFilter,
        home: WorkerId,
        key: ClientKey,
        subscriptions_max: u64,
    ) -> Result<(), Refusal> {
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        let subscriber = Subscriber { worker: home, client: key, qos: Qos::AtLeastOnce, is_special: false };
        routes.insert(filter, subscriber, subscriptions_max)?;
        let logged = routes.insert_lasting(filter);
        if logged.is_err() {
            routes.remove(filter, home, key);
        }
        logged
    }
}
