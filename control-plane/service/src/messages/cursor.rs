//! Where a list of messages goes on: an opaque text that holds each node's place, and what was asked.

use contract::base64::Base64;
use contract::message::MessageId;
use contract::time::UnixMillis;
use serde::{Deserialize, Serialize};

use super::merge::Place;
use crate::seal::sha256;

/// What a cursor says. It holds places and times alone, which say nothing to who has no right to the list; the list
/// itself is asked for anew, with the caller's own rights.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Cursor {
    /// What was asked, so that a cursor goes on only with the list it is of.
    pub(super) asked: String,
    /// The window as it was at the first page.
    pub(super) from: UnixMillis,
    pub(super) to: UnixMillis,
    /// The place in each node's log, by the node's number.
    pub(super) places: Vec<(u16, Place)>,
}

#[derive(Serialize, Deserialize)]
struct Form {
    q: String,
    f: u64,
    t: u64,
    n: Vec<(u16, Mark)>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mark {
    /// Behind this message, or at the beginning.
    A(Option<MessageId>),
    /// At the end.
    E,
    /// Left out.
    L,
}

/// A short text that differs where the questions do.
pub(super) fn asked(question: &impl std::fmt::Debug) -> String {
    Base64(sha256(format!("{question:?}").as_bytes())[..9].to_vec()).encode()
}

impl Cursor {
    pub(super) fn encode(&self) -> String {
        let mark = |place: &Place| match place {
            Place::After(after) => Mark::A(*after),
            Place::End => Mark::E,
            Place::Left => Mark::L,
        };
        let form = Form {
            q: self.asked.clone(),
            f: self.from.0,
            t: self.to.0,
            n: self.places.iter().map(|(number, place)| (*number, mark(place))).collect(),
        };
        Base64(serde_json::to_vec(&form).expect("texts and numbers have a JSON form")).encode()
    }

    /// None for a text that is no cursor of a list that asks this.
    pub(super) fn decode(text: &str, asked: &str) -> Option<Self> {
        let form: Form = serde_json::from_slice(&Base64::decode(text)?.0).ok()?;
        let place = |mark| match mark {
            Mark::A(after) => Place::After(after),
            Mark::E => Place::End,
            Mark::L => Place::Left,
        };
        let places = form.n.into_iter().map(|(number, mark)| (number, place(mark))).collect();
        (form.q == asked).then_some(Self {
            asked: form.q,
            from: UnixMillis(form.f),
            to: UnixMillis(form.t),
            places,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_and_only_into_its_own_list() {
        let id = MessageId { shard: 0, record: 7, index: 1 };
        let asked = asked(&("vehicle/#", 50));
        let places =
            vec![(0, Place::After(None)), (1, Place::After(Some(id))), (2, Place::End), (3, Place::Left)];
        let cursor = Cursor { asked: asked.clone(), from: UnixMillis(1), to: UnixMillis(2), places };
        let text = cursor.encode();
        assert_eq!(Cursor::decode(&text, &asked), Some(cursor));
        assert_eq!(Cursor::decode(&text, &super::asked(&("vehicle/#", 51))), None);
        for wrong in ["", "?", "e30", &text[1..]] {
            assert_eq!(Cursor::decode(wrong, &asked), None, "{wrong}");
        }
    }
}
