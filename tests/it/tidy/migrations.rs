//! Migrations are numbered `0001_…sql` and on, each number once and none left out: they are applied in this order.

use super::{assert_none, tree};

fn faults(names: &[&str]) -> Vec<String> {
    let mut names: Vec<&str> = names.to_vec();
    names.sort_unstable();
    let expected = (1..).map(|number: u32| format!("{number:04}_"));
    let wrong = |(name, prefix): (&&str, String)| {
        let rest = name.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(".sql"));
        let is_right = rest.is_some_and(|rest| {
            !rest.is_empty()
                && rest.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_')
        });
        (!is_right).then(|| format!("{name} stands where {prefix}<name>.sql is due"))
    };
    names.iter().zip(expected).filter_map(wrong).collect()
}

#[test]
fn migrations_are_in_sequence() {
    let files = tree();
    let names: Vec<&str> = files
        .iter()
        .filter_map(|file| file.path.strip_prefix("migrations/"))
        .filter(|name| *name != "README.md")
        .collect();
    assert!(!names.is_empty(), "there are migrations");
    assert_none("migrations are out of sequence", &faults(&names));
}

#[test]
fn the_check_of_migrations_finds_each_fault() {
    for (names, count) in [
        (&["0001_tenants.sql", "0002_topics.sql"][..], 0),
        (&["0002_topics.sql", "0001_tenants.sql"], 0),
        (&["0001_tenants.sql", "0003_topics.sql"], 1),
        (&["0001_tenants.sql", "0001_topics.sql"], 1),
        (&["0002_tenants.sql"], 1),
        (&["001_tenants.sql"], 1),
        (&["0001_Tenants.sql"], 1),
        (&["0001_.sql"], 1),
        (&["0001_tenants.sql", "notes.txt"], 1),
    ] {
        assert_eq!(faults(names).len(), count, "{names:?}");
    }
}
