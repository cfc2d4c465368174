//! The node over sockets: what a device, or an attacker, sees of it. Each scenario runs with one worker and with
//! three, over which every instance is then spread.

mod chaos;
mod classes;
mod connecting;
mod durable;
mod exactly_once;
mod groups;
mod lasting;
mod limits;
mod messages;
mod one_worker;
mod options;
mod parting;
mod properties;
mod proving;
mod reconfiguration;
mod replays;
mod retained;
mod rounds;
mod sampling;
mod survival;
mod sweeping;
mod sys_topics;
mod to_one;
mod versions;
mod waiting;
mod ways;
mod wills;

/// The numbers of workers that every scenario runs with.
const WORKERS: [usize; 2] = [1, 3];

pub(crate) use self::properties::client as v5_client;
