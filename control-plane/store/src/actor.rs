//! Who did something: for audit rows and tokens. Stored as `member:<id>` or `platform`.

use std::fmt;
use std::str::FromStr;

use contract::ids::MemberId;

/// Who did something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Actor {
    /// A person.
    Member(MemberId),
    /// The platform itself: start-up, reconcilers, commands on the machine.
    Platform,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(member) => write!(f, "member:{member}"),
            Self::Platform => f.write_str("platform"),
        }
    }
}

impl FromStr for Actor {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let member = text.strip_prefix("member:").and_then(|id| id.parse().ok()).map(Self::Member);
        match member {
            Some(actor) => Ok(actor),
            None if text == "platform" => Ok(Self::Platform),
            None => Err(format!("`{text}` names no actor")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_reads_as_it_is_written() {
        let member = Actor::Member("0193a5f0-0000-7000-8000-000000000000".parse().expect("an id"));
        for actor in [member, Actor::Platform] {
            assert_eq!(actor.to_string().parse(), Ok(actor));
        }
        assert!("member:li".parse::<Actor>().is_err());
    }
}
