//! What a SUBSCRIBE asks for with one filter, and what of it is kept once that is granted. Which messages it brings is
//! decided elsewhere.

use std::num::NonZeroU32;

use contract::qos::Qos;
use mqtt::Options;

/// The bits of the QoS.
const QOS: u32 = 0b0011;

/// The client's own messages are not for it [MQTT-3.8.3-3].
const NO_LOCAL: u32 = 0b0100;

/// Messages keep the retain flag that they were published with.
const RETAIN_AS_PUBLISHED: u32 = 0b1000;

/// From here on the identifier: 28 bits, as many as it may have.
const ID_SHIFT: u32 = 4;

/// What a client asks for with one filter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked {
    /// As they stand behind the filter; of 3.1.1 only the QoS is ever other than the default.
    pub options: Options,
    /// The packet's subscription identifier, which comes with every message of this subscription [MQTT-3.3.4-3].
    pub subscription_id: Option<NonZeroU32>,
    /// The filter was not subscribed to before: retained messages come with `SendIfNew` too [MQTT-3.3.1-10].
    pub is_new: bool,
}

impl Asked {
    /// What is kept of it when it is granted `qos`.
    #[must_use]
    pub fn granted(&self, qos: Qos) -> Granted {
        Granted::new(qos, &self.options, self.subscription_id)
    }

    /// See [`Granted::is_special`].
    #[must_use]
    pub fn is_special(&self) -> bool {
        self.granted(self.options.qos).is_special()
    }
}

/// What a client was granted for one filter: QoS, options and identifier. Retain handling is none of it: that is of the
/// SUBSCRIBE alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Granted(u32);

impl Granted {
    /// A QoS and nothing else, as in 3.1.1.
    #[must_use]
    pub const fn of(qos: Qos) -> Self {
        Self(qos.bits() as u32)
    }

    /// A QoS with the options and the identifier of the SUBSCRIBE; the QoS that those ask for does not count.
    #[must_use]
    pub fn new(qos: Qos, options: &Options, subscription_id: Option<NonZeroU32>) -> Self {
        let no_local = if options.no_local { NO_LOCAL } else { 0 };
        let as_published = if options.retain_as_published { RETAIN_AS_PUBLISHED } else { 0 };
        let id = subscription_id.map_or(0, NonZeroU32::get) << ID_SHIFT;
        Self(u32::from(qos.bits()) | no_local | as_published | id)
    }

    /// The QoS.
    #[inline]
    #[must_use]
    pub fn qos(self) -> Qos {
        match self.0 & QOS {
            0 => Qos::AtMostOnce,
            1 => Qos::AtLeastOnce,
            _ => Qos::ExactlyOnce,
        }
    }

    /// Whether the client's own messages are not for it.
    #[must_use]
    pub const fn is_no_local(self) -> bool {
        self.0 & NO_LOCAL != 0
    }

    /// Whether messages keep the retain flag that they were published with [MQTT-3.3.1-13].
    #[must_use]
    pub const fn is_retain_as_published(self) -> bool {
        self.0 & RETAIN_AS_PUBLISHED != 0
    }

    /// What comes with every message of it.
    #[must_use]
    pub const fn subscription_id(self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.0 >> ID_SHIFT)
    }

    /// Whether the QoS does not say all: then [`Session::special`](crate::Session::special) has to be asked what becomes
    /// of a message.
    #[inline]
    #[must_use]
    pub const fn is_special(self) -> bool {
        self.0 & !QOS != 0
    }

    /// For a message that comes for this subscription alone, whatever others match it: of a replay, or of a group.
    #[must_use]
    pub fn alone(self) -> Special {
        let mut alone = None;
        Special::add(&mut alone, self, false);
        alone.unwrap_or(Special::plain(self.qos()))
    }

    /// As it stands in documents: of one that is not special the number of its QoS.
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    /// What these bits say; `None`: QoS 3.
    pub(crate) const fn from_bits(bits: u32) -> Option<Self> {
        if bits & QOS == QOS { None } else { Some(Self(bits)) }
    }
}

/// What becomes of a message for a client of whose subscriptions some are special: all that match and want it, together
/// [MQTT-3.3.4-2]. It goes out once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Special {
    pub(crate) qos: Qos,
    pub(crate) is_retain_as_published: bool,
    pub(crate) ids: Vec<NonZeroU32>,
}

impl Special {
    /// The highest QoS that any of them was granted.
    #[must_use]
    pub const fn qos(&self) -> Qos {
        self.qos
    }

    /// A QoS and nothing else.
    pub(crate) const fn plain(qos: Qos) -> Self {
        Self { qos, is_retain_as_published: false, ids: Vec::new() }
    }

    /// Adds a subscription that matches, unless it does not want the client's own messages and this is one.
    pub(crate) fn add(found: &mut Option<Self>, granted: Granted, is_own: bool) {
        if is_own && granted.is_no_local() {
            return;
        }
        let special = found.get_or_insert_with(|| Self::plain(granted.qos()));
        special.qos = special.qos.max(granted.qos());
        special.is_retain_as_published |= granted.is_retain_as_published();
        special.ids.extend(granted.subscription_id());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_granted_fits_in_four_bytes() {
        assert_eq!(size_of::<Granted>(), 4);
        let highest = NonZeroU32::new(268_435_455);
        for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
            assert_eq!((Granted::of(qos).qos(), Granted::of(qos).is_special()), (qos, false));
            for (no_local, retain_as_published, id) in [
                (false, false, None),
                (true, false, None),
                (false, true, None),
                (false, false, NonZeroU32::new(1)),
                (true, true, highest),
            ] {
                let options = Options { no_local, retain_as_published, ..Options::of(Qos::AtMostOnce) };
                let granted = Granted::new(qos, &options, id);
                assert_eq!(granted.qos(), qos);
                assert_eq!(granted.is_no_local(), no_local);
                assert_eq!(granted.is_retain_as_published(), retain_as_published);
                assert_eq!(granted.subscription_id(), id);
                assert_eq!(granted.is_special(), no_local || retain_as_published || id.is_some());
                assert_eq!(Granted::from_bits(granted.bits()), Some(granted));
            }
        }
        assert_eq!(Granted::from_bits(3), None);
    }
}
