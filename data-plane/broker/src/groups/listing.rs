//! How the groups of an instance stand, for people. What waits is not known here: it is counted in the log, off the
//! workers, from the position that is named.

use contract::ids::InstanceId;
use contract::topic::TopicFilter;
use engine::Pos;

use crate::worker::Worker;

/// One group as it stands at its home.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct GroupFigures {
    pub(crate) group: Box<str>,
    pub(crate) filter: TopicFilter,
    pub(crate) members_connected: u64,
    pub(crate) members_away: u64,
    pub(crate) in_flight: u64,
    /// Messages before `read_to` that wait to be handed out once more.
    pub(crate) returned: u64,
    /// Everything before it is finished.
    pub(crate) cursor: Pos,
    /// Nothing from here on was handed out.
    pub(crate) read_to: Pos,
}

impl Worker {
    /// The groups of an instance that have their home here.
    pub(crate) fn list_groups(&self, instance: InstanceId) -> Vec<GroupFigures> {
        let homes = self.groups.homes.borrow();
        let of_instance =
            homes.values().filter(|home| home.instance.shared.id == instance && !home.is_over.get());
        let figures = of_instance.map(|home| {
            let members = home.group.members();
            let core = home.core.borrow();
            GroupFigures {
                group: home.group.name.clone(),
                filter: home.group.filter.clone(),
                members_connected: members.connected.len() as u64,
                members_away: members.away,
                in_flight: core.in_flight() as u64,
                returned: core.returned() as u64,
                cursor: core.cursor(),
                read_to: core.read_to(),
            }
        });
        figures.collect()
    }
}
