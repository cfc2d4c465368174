//! Topics and filters that have much in common, for properties.

use proptest::prelude::*;

/// Few levels, so that topics share them; with characters on both sides of the slash.
fn any_level() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec!["", "a", "b", "a-", "a0", "ab", "$a", "!", "é", "~"]).prop_map(str::to_owned),
        1 => "[ !$%.0a-c~é\u{10ffff}]{0,3}",
    ]
}

pub(super) fn any_topic() -> impl Strategy<Value = String> {
    prop::collection::vec(any_level(), 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("a topic has a character", |topic| !topic.is_empty())
}

pub(super) fn any_filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![2 => any_level(), 1 => Just("+".to_owned())];
    (prop::collection::vec(level, 0..4), any::<bool>())
        .prop_map(|(mut levels, all_below)| {
            if all_below {
                levels.push("#".to_owned());
            }
            levels.join("/")
        })
        .prop_filter("a filter has a character", |filter| !filter.is_empty())
}
