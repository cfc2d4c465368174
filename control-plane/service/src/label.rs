//! Labels: the first label of an instance's server name, made of its name and four characters of chance.

use crate::seal::random;

/// The longest part that comes from the name.
const SLUG_CHARS_MAX: usize = 24;
/// The characters of chance: what nobody confuses when reading aloud.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// How many of them.
const CHANCE_CHARS: usize = 4;

/// A label for an instance of this name.
pub(crate) fn new_label(name: &str) -> String {
    format!("{}-{}", slug(name), chance(&random::<CHANCE_CHARS>()))
}

/// Characters of chance from random bytes, five bits of each.
pub(crate) fn chance(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(BASE32[usize::from(byte & 31)])).collect()
}

/// What of a name may stand in a server name: `a-z`, `0-9`, and `-` between them, beginning with a letter.
fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.to_lowercase().chars() {
        if slug.len() >= SLUG_CHARS_MAX {
            break;
        }
        if c.is_ascii_lowercase() || (c.is_ascii_digit() && !slug.is_empty()) {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "mq".to_owned() } else { slug.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_host_names() {
        for (name, expected) in [
            ("cars", "cars"),
            ("Cars & Trucks!", "cars-trucks"),
            ("42 cars", "cars"),
            ("--a--b--", "a-b"),
            ("车队", "mq"),
            ("", "mq"),
            ("abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrstuvwx"),
            ("abcdefghijklmnopqrstuvw x", "abcdefghijklmnopqrstuvw"),
        ] {
            assert_eq!(slug(name), expected, "{name}");
        }
    }

    #[test]
    fn a_label_fits_into_a_server_name() {
        let label = new_label(&"x".repeat(100));
        assert!(label.len() <= 63 && label.starts_with('x'), "{label}");
        assert_eq!(chance(&[0, 25, 26, 31, 32, 255]), "az27a7");
    }
}
