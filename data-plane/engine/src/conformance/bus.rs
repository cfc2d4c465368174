//! What every [`Bus`] does. Arrival is not promised by any; what is here sends to a reader that is there.

use contract::ids::NodeId;
use uuid::Uuid;

use super::{instance, wait};
use crate::{Address, BUS_MESSAGE_BYTES_MAX, Bus, Room, SendError, Shard};

const ROOM: Room = Room { messages_max: 100, bytes_max: 10_000 };

const fn node(number: u128) -> Address {
    Address::Node(NodeId(Uuid::from_u128(number)))
}

/// One sender's messages arrive in order at every inbox of the address and at no other.
pub fn messages_arrive_in_order_where_they_are_for<B: Bus>(make: impl Fn() -> B) {
    let bus = make();
    let addresses = [node(1), node(2), Address::Dispatcher(Shard(1)), Address::Directory(1), Address::All];
    let mut inboxes = addresses.map(|address| bus.open(address, ROOM).expect("a bus that works"));
    let mut twin = bus.open(node(1), ROOM).expect("a bus that works");
    for number in 0..10_u8 {
        for (at, address) in (0..).zip(addresses) {
            bus.send(instance(u128::from(number) + 1), address, vec![at, number]).expect("it is sent");
        }
    }
    for number in 0..10_u8 {
        for (at, inbox) in (0..).zip(&mut inboxes) {
            let message = wait(inbox.receive()).expect("the bus goes on");
            let expected = (instance(u128::from(number) + 1), vec![at, number]);
            assert_eq!((message.instance, message.bytes), expected);
        }
        assert_eq!(wait(twin.receive()).map(|message| message.bytes), Some(vec![0, number]));
    }
    assert!(inboxes.iter_mut().all(|inbox| inbox.try_receive().is_none() && inbox.dropped() == 0));
}

/// A full inbox drops the newest and says how many, by number and by bytes; then it goes on.
pub fn what_has_no_room_is_dropped_and_counted<B: Bus>(make: impl Fn() -> B) {
    let bus = make();
    let room = Room { messages_max: 3, bytes_max: 100 };
    let mut inbox = bus.open(Address::All, room).expect("a bus that works");
    let send = |bytes: usize, first: u8| {
        let mut content = vec![0; bytes];
        content[0] = first;
        bus.send(instance(1), Address::All, content).expect("sending never says that there is no room");
    };
    (0..5).for_each(|number| send(1, number));
    let first: Vec<_> = (0..3).map(|_| wait(inbox.receive()).map(|message| message.bytes[0])).collect();
    assert_eq!(first, [Some(0), Some(1), Some(2)]);
    send(60, 5);
    send(60, 6);
    send(40, 7);
    let next: Vec<_> = (0..2).map(|_| wait(inbox.receive()).map(|message| message.bytes[0])).collect();
    assert_eq!(next, [Some(5), Some(7)]);
    assert_eq!((inbox.dropped(), inbox.try_receive()), (3, None));
    let long = vec![0; BUS_MESSAGE_BYTES_MAX + 1];
    assert_eq!(bus.send(instance(1), Address::All, long), Err(SendError::TooLong));
}

/// Who waits is woken by what is sent later, from another thread.
pub fn a_waiting_reader_is_woken<B: Bus>(make: impl Fn() -> B) {
    let bus = make();
    let mut inbox = bus.open(node(1), ROOM).expect("a bus that works");
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            (0..100_u8).all(|number| wait(inbox.receive()).is_some_and(|message| message.bytes == [number]))
        });
        for number in 0..100_u8 {
            bus.send(instance(1), node(1), vec![number]).expect("it is sent");
        }
        assert!(reader.join().expect("it does not panic"), "all of them, in order");
    });
}
