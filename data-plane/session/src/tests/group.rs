//! What a group does with messages, members and its document; and what holds whatever happens when.

use contract::shared_group::SharedStrategy;
use engine::Pos;
use proptest::prelude::*;

use super::group_world::{STEPS, World};
use crate::{GROUP_OPEN_MAX, Group, GroupPage, Millis, RestoreError};

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Every message is acknowledged by a member in the end; none is given twice unless it went back or a crash came,
    /// and never once its end is stored; the cursor passes nothing that is not finished; a member has no more than its
    /// window.
    #[test]
    fn every_message_is_one_members_and_none_is_missed(
        strategy in prop::sample::select(vec![
            SharedStrategy::RoundRobin, SharedStrategy::Sticky, SharedStrategy::LeastInFlight,
        ]),
        steps in prop::collection::vec((0..STEPS, any::<u8>()), 0..400),
    ) {
        let outcome = World::new(strategy).run(&steps);
        prop_assert!(outcome.is_ok(), "{:?}", outcome);
    }
}

const NOW: Millis = Millis(0);

fn pos(record: u64) -> Pos {
    Pos::of_record(record)
}

/// A group with these members, live from the first record on.
fn live(members: &[(u8, u16)]) -> Group<u8> {
    let mut group = Group::new(Pos::START, NOW);
    group.set_members(members.iter().copied());
    assert_eq!(group.ask(Pos::START), None);
    assert!(!group.is_behind());
    group
}

/// A message of the feed goes to whose turn it is.
fn feed(group: &mut Group<u8>, record: u64) -> Option<u8> {
    if !group.shows(pos(record)) {
        return None;
    }
    let chosen = group.choose(pos(record));
    match chosen {
        Some(member) => group.sent(pos(record), member),
        None => group.leave(pos(record)),
    }
    chosen
}

fn page(group: &mut Group<u8>, committed: u64) -> Option<(u64, u64, bool)> {
    let GroupPage { range, is_again } = group.ask(pos(committed))?;
    Some((range.start.record, range.end.record, is_again))
}

fn rewritten(group: &mut Group<u8>, since: u64) -> Group<u8> {
    let mut document = Vec::new();
    group.write(&mut document, NOW);
    Group::restore(&document, pos(since), NOW).expect("as it was written")
}

#[test]
fn members_take_turns_as_long_as_they_have_room() {
    let mut group = live(&[(1, 2), (2, 1), (3, 2)]);
    let turns: Vec<_> = (1..=6).map(|record| feed(&mut group, record)).collect();
    assert_eq!(turns, [Some(1), Some(2), Some(3), Some(1), Some(3), None]);
    assert!(group.is_behind());
    assert_eq!(page(&mut group, 7), None, "nobody has room");
    group.done(pos(2), 2);
    assert_eq!(page(&mut group, 7), Some((6, 7, false)));
}

#[test]
fn one_member_has_it_all_as_long_as_it_has_room() {
    let mut group = live(&[(1, 2), (2, 3), (3, 9)]);
    group.set_strategy(SharedStrategy::Sticky);
    let turns: Vec<_> = (1..=6).map(|record| feed(&mut group, record)).collect();
    assert_eq!(turns, [1, 1, 2, 2, 2, 3].map(Some));
    group.done(pos(1), 1);
    assert_eq!([feed(&mut group, 7), feed(&mut group, 8)], [Some(3); 2], "it stays where it is");
    group.set_members([(1, 2), (2, 3)]);
    assert_eq!(group.returned(), 3, "what it had is another's");
}

#[test]
fn the_member_with_the_least_in_flight_is_next() {
    let mut group = live(&[(1, 3), (2, 3), (3, 2)]);
    group.set_strategy(SharedStrategy::LeastInFlight);
    let turns: Vec<_> = (1..=4).map(|record| feed(&mut group, record)).collect();
    assert_eq!(turns, [1, 2, 3, 1].map(Some), "alike, they take turns");
    group.done(pos(2), 2);
    assert_eq!([feed(&mut group, 5), feed(&mut group, 6)], [Some(2), Some(3)], "one has none, two have one");
    group.set_strategy(SharedStrategy::RoundRobin);
    assert_eq!([feed(&mut group, 7), feed(&mut group, 8)], [Some(1), Some(2)]);
    group.set_strategy(SharedStrategy::LeastInFlight);
    assert_eq!(feed(&mut group, 9), Some(2), "1 has three, 2 has two and 3 no room");
    assert_eq!(feed(&mut group, 10), None);
}

#[test]
fn one_who_said_that_he_has_no_room_gets_nothing_until_he_has() {
    let mut group = live(&[(1, 9), (2, 9)]);
    assert_eq!(feed(&mut group, 1), Some(1));
    group.back(pos(1), 1, true);
    assert_eq!((group.in_flight(), group.returned(), group.credit()), (0, 1, 9));
    assert_eq!(page(&mut group, 2), Some((1, 1, true)));
    assert_eq!(group.choose(pos(1)), Some(2));
    group.sent(pos(1), 2);
    assert_eq!(group.turn(pos(1).successor(), pos(2)), 0);
    assert_eq!(page(&mut group, 2), Some((1, 2, false)));
    assert_eq!(group.turn(pos(2), pos(2)), 0);
    assert_eq!([feed(&mut group, 2), feed(&mut group, 3)], [Some(2), Some(2)]);
    group.has_room(1);
    assert_eq!([feed(&mut group, 4), feed(&mut group, 5)], [Some(1), Some(2)]);
    group.set_full(1);
    assert_eq!([feed(&mut group, 6), feed(&mut group, 7)], [Some(2), Some(2)]);
}

#[test]
fn a_slow_member_holds_the_cursor_and_nobody_up() {
    let mut group = live(&[(1, 1), (2, 1)]);
    assert_eq!(feed(&mut group, 1), Some(1));
    for record in 2..100_000 {
        assert_eq!(feed(&mut group, record), Some(2));
        group.done(pos(record), 2);
    }
    assert_eq!((group.cursor(), group.read_to()), (pos(1), pos(99_999).successor()));
    let mut document = Vec::new();
    group.write(&mut document, NOW);
    assert!(document.len() < 16, "what was finished behind it is not written one by one");
}

#[test]
fn what_one_has_who_goes_is_another_s_and_a_late_word_of_it_does_no_harm() {
    let mut group = live(&[(1, 5), (2, 5)]);
    assert_eq!([feed(&mut group, 1), feed(&mut group, 2), feed(&mut group, 3)], [Some(1), Some(2), Some(1)]);
    group.set_members([(2, 5)]);
    assert_eq!((group.in_flight(), group.returned(), group.first_returned()), (1, 2, Some(pos(1))));
    group.back(pos(1), 1, false);
    group.back(pos(2), 1, false);
    assert_eq!((group.in_flight(), group.returned()), (1, 2), "they are back already, or another's");
    assert_eq!(page(&mut group, 9), Some((1, 3, true)), "up to the last of them");
    assert!(group.wants(pos(1)) && !group.wants(pos(2)) && group.wants(pos(3)));
    group.sent(pos(1), 2);
    group.done(pos(1), 1);
    assert_eq!(group.in_flight(), 1, "one acknowledgement is enough");
    group.done(pos(1), 2);
    group.done(pos(3), 1);
    assert_eq!((group.returned(), group.cursor()), (0, pos(2)));
    assert_eq!(group.turn(pos(3).successor(), pos(9)), 0);
    assert_eq!(page(&mut group, 9), Some((3, 9, false)), "and then what it had come to");
    group.back(pos(1), 1, false);
    group.has_room(1);
    assert_eq!((group.returned(), group.credit()), (0, 4), "one who is no member has none");
}

#[test]
fn what_the_log_holds_no_longer_is_told() {
    let mut group = live(&[(1, 5)]);
    for record in 1..=3 {
        assert_eq!(feed(&mut group, record), Some(1));
    }
    group.set_members([(2, 5)]);
    assert_eq!(page(&mut group, 4), Some((1, 3, true)));
    group.sent(pos(2), 2);
    assert_eq!(group.turn(pos(3), pos(4)), 1, "the first; the third comes with the next page");
    assert_eq!(page(&mut group, 4), Some((3, 3, true)));
}

#[test]
fn what_comes_while_it_reads_is_not_forgotten() {
    let mut group = live(&[(1, 1)]);
    assert_eq!([feed(&mut group, 1), feed(&mut group, 2)], [Some(1), None]);
    group.done(pos(1), 1);
    assert_eq!(page(&mut group, 3), Some((2, 3, false)));
    assert_eq!(feed(&mut group, 5), None);
    assert!(group.page_holds(pos(2)) && !group.page_holds(pos(1)));
    group.sent(pos(2), 1);
    group.done(pos(2), 1);
    assert_eq!(group.turn(pos(3), pos(6)), 0);
    assert_eq!(page(&mut group, 6), Some((5, 6, false)), "and what stands between is for others");
    group.give_up();
    assert_eq!(page(&mut group, 7), Some((5, 7, false)));
    group.sent(pos(5), 1);
    assert_eq!(group.turn(pos(7), pos(8)), 0);
    assert!(!group.is_behind());
    assert_eq!(group.read_to(), pos(8));
    group.advance(pos(12));
    assert_eq!((group.read_to(), group.cursor()), (pos(12), pos(5)));
}

#[test]
fn the_bounds_of_the_queue_pass_over_what_nobody_has() {
    let mut group = live(&[(1, 2), (2, 1)]);
    assert_eq!([feed(&mut group, 1), feed(&mut group, 2), feed(&mut group, 3)], [Some(1), Some(2), Some(1)]);
    assert_eq!(feed(&mut group, 4), None);
    group.back(pos(2), 2, false);
    group.skip_to(pos(8));
    assert_eq!((group.in_flight(), group.returned(), group.read_to()), (2, 1, pos(8)));
    assert_eq!(group.cursor(), pos(1), "what a member has is finished by the member");
    assert!(!group.wants(pos(7)) && group.wants(pos(2)), "what was let in is handed out again");
    assert_eq!(page(&mut group, 9), Some((2, 2, true)));
}

/// A page for each acknowledgement would be too much; but a fast member with a small window does not wait for a slow one
/// with a large one.
#[test]
fn a_page_is_worth_asking_for_when_half_of_somebodys_window_is_free() {
    let mut group = live(&[(1, 100), (2, 4)]);
    assert!(group.is_worth_a_page());
    let (mut of_slow, mut of_fast) = (Vec::new(), Vec::new());
    for record in 1..=104 {
        let member = feed(&mut group, record).expect("there is room");
        if member == 1 { &mut of_slow } else { &mut of_fast }.push(pos(record));
    }
    assert!(!group.is_worth_a_page(), "nobody has room");
    for &at in &of_slow[..49] {
        group.done(at, 1);
    }
    assert!(!group.is_worth_a_page(), "not for less than half");
    group.done(of_slow[49], 1);
    assert!(group.is_worth_a_page());
    group.set_full(1);
    assert!(!group.is_worth_a_page(), "it has said that it has no room");
    for &at in &of_fast[..2] {
        assert!(!group.is_worth_a_page());
        group.done(at, 2);
    }
    assert!(group.is_worth_a_page(), "half of the small window");
}

/// What lies between was finished, and may be much.
#[test]
fn what_is_returned_far_apart_is_read_apart() {
    let mut group = live(&[(1, 9), (2, 9)]);
    for record in [1, 2, 1_000_000] {
        assert!(group.shows(pos(record)));
        group.sent(pos(record), 1);
    }
    group.set_members([(2, 9)]);
    assert_eq!(page(&mut group, 1_000_001), Some((1, 2, true)));
    for record in [1, 2] {
        group.sent(pos(record), 2);
    }
    assert_eq!(group.turn(pos(2).successor(), pos(1_000_001)), 0);
    assert_eq!(page(&mut group, 1_000_001), Some((1_000_000, 1_000_000, true)));
}

#[test]
fn so_much_may_be_open_and_no_more() {
    let count = u16::try_from(GROUP_OPEN_MAX / 100).expect("a few hundred");
    let mut group = Group::new(Pos::START, NOW);
    let members: Vec<_> = (0..2 * count).map(|member| (member, 100)).collect();
    group.set_members(members.iter().copied());
    assert_eq!(group.ask(Pos::START), None);
    let mut record = 0;
    while let Some(member) = group.choose(pos(record + 1)) {
        record += 1;
        assert!(group.shows(pos(record)));
        group.sent(pos(record), member);
    }
    group.leave(pos(record + 1));
    assert_eq!((group.in_flight(), group.credit()), (GROUP_OPEN_MAX, 0));
    assert_eq!(group.ask(pos(record + 2)), None, "it rests");
    group.set_members(members[..1].iter().copied());
    assert!(group.returned() > GROUP_OPEN_MAX - 200 && group.credit() > 0);
    assert!(
        group.ask(pos(record + 2)).is_some_and(|page| page.is_again),
        "what is back is handed out all the same"
    );
    let mut document = Vec::new();
    group.write(&mut document, NOW);
    assert!(document.len() < 64 * 1024, "{}", document.len());
    let restored: Group<u16> = Group::restore(&document, Pos::START, NOW).expect("as it was written");
    assert_eq!(restored.returned(), GROUP_OPEN_MAX);
}

#[test]
fn a_document_says_what_is_open_and_where_to_go_on() {
    let mut group = live(&[(1, 5), (2, 5)]);
    for record in [3, 5, 6, 9] {
        assert!(feed(&mut group, record).is_some());
    }
    group.done(pos(5), 2);
    group.back(pos(6), 1, false);
    let mut again = rewritten(&mut group, 1);
    assert_eq!((again.returned(), again.in_flight(), again.cursor()), (3, 0, pos(3)));
    assert_eq!(again.read_to(), pos(9).successor());
    assert!(again.is_behind() && !again.has_unwritten());
    assert_eq!(
        [3, 5, 6, 8, 9, 10].map(|record| again.wants(pos(record))),
        [true, false, true, false, true, true]
    );
    assert_eq!(page(&mut again, 20), None, "nobody is there");
    again.set_members([(1, 1)]);
    assert_eq!(page(&mut again, 20), Some((3, 9, true)));

    let later = rewritten(&mut group, 7);
    assert_eq!((later.returned(), later.cursor()), (1, pos(9)), "its members want nothing from before");
    let another = rewritten(&mut group, 30);
    assert_eq!((another.returned(), another.cursor()), (0, pos(30)), "it is of a group that has ended");
}

#[test]
fn a_document_is_written_for_many_acknowledgements_or_after_a_while() {
    let mut group = live(&[(1, 1_000)]);
    assert_eq!(group.checkpoint_at(), None);
    for record in 1..=500 {
        assert_eq!(feed(&mut group, record), Some(1));
    }
    assert_eq!(group.checkpoint_at(), None, "a crash would hand them out again in any case");
    group.done(pos(7), 1);
    assert_eq!(group.checkpoint_at(), Some(Millis(10_000)));
    for record in 8..=500 {
        group.done(pos(record), 1);
    }
    assert!(!group.checkpoint_due(Millis(9_999)));
    for record in 1..=6 {
        group.done(pos(record), 1);
    }
    assert!(group.checkpoint_due(NOW));
    group.write(&mut Vec::new(), Millis(50));
    assert!(!group.has_unwritten());
    group.write_failed();
    assert_eq!(group.checkpoint_at(), Some(Millis(10_050)));
    group.write(&mut Vec::new(), Millis(100));
    group.advance(pos(4_000));
    assert_eq!(group.checkpoint_at(), Some(Millis(600_100)), "a start would read less");
}

#[test]
fn a_document_that_cannot_be_is_none() {
    let restore = |document: &[u8]| Group::<u8>::restore(document, Pos::START, NOW).map(|_| ());
    for (document, error) in [
        (&[][..], RestoreError::Truncated),
        (&[2, 0, 1, 0], RestoreError::Version(2)),
        (&[1, 0, 1], RestoreError::Truncated),
        (&[1, 0, 1, 0, 0], RestoreError::Damaged),
        (&[1, 9, 1, 0], RestoreError::Truncated),
        (&[1, 2, 3, 0, 0, 0, 1, 0], RestoreError::Damaged),
        (&[1, 1, 3, 0, 0, 0], RestoreError::Damaged),
    ] {
        assert_eq!(restore(document), Err(error), "{document:?}");
    }
    assert_eq!(restore(&[1, 2, 3, 0, 0, 1, 1, 0]), Ok(()));
}
