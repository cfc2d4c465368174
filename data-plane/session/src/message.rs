//! A message on its way to many clients: rendered once for each QoS, copied into each output buffer.

use std::sync::Arc;

use contract::qos::Qos;
use mqtt::PublishForm;

/// The largest rendering whose memory is kept for the next message.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// The memory in which messages are rendered, one after the other: a worker has one.
#[derive(Default, Debug)]
pub struct Rendering {
    /// By QoS.
    forms: [PublishForm; 3],
    /// Copies of the forms, made for the first client with which the message has to wait and shared by the rest.
    kept: [Option<Arc<PublishForm>>; 3],
}

impl Rendering {
    /// Nothing rendered, nothing allocated.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next message, which is news: to an established subscription none is marked as retained [MQTT-3.3.1-9].
    #[inline]
    pub fn message<'a>(&'a mut self, topic: &'a str, payload: &'a [u8], qos: Qos) -> Message<'a> {
        self.next(topic, payload, qos, false)
    }

    /// The next message, which was kept for its topic and goes to a new subscription [MQTT-3.3.1-8].
    pub fn retained<'a>(&'a mut self, topic: &'a str, payload: &'a [u8], qos: Qos) -> Message<'a> {
        self.next(topic, payload, qos, true)
    }

    #[inline]
    fn next<'a>(&'a mut self, topic: &'a str, payload: &'a [u8], qos: Qos, retain: bool) -> Message<'a> {
        for form in &mut self.forms {
            if form.size_bytes() > KEPT_BYTES_MAX {
                *form = PublishForm::new();
            }
        }
        self.kept = [const { None }; 3];
        Message { rendering: self, topic, payload, qos, retain, rendered: [false; 3] }
    }
}

/// One message and its wire forms, each rendered when the first receiver needs it.
#[derive(Debug)]
pub struct Message<'a> {
    rendering: &'a mut Rendering,
    topic: &'a str,
    payload: &'a [u8],
    qos: Qos,
    retain: bool,
    rendered: [bool; 3],
}

impl<'a> Message<'a> {
    /// The topic.
    #[must_use]
    pub const fn topic(&self) -> &'a str {
        self.topic
    }

    /// The payload.
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

impl Message<'_> {
    pub(crate) const fn is_retained(&self) -> bool {
        self.retain
    }

    /// The QoS with which a subscriber gets it: the lower of the publication's and the granted one [MQTT-3.8.4-6].
    #[inline]
    pub(crate) fn qos_for(&self, granted: Qos) -> Qos {
        self.qos.min(granted)
    }

    /// The packet at a QoS; empty when the message is too long to be said at all.
    #[inline]
    pub(crate) fn form(&mut self, qos: Qos) -> &PublishForm {
        let at = Self::at(qos);
        if !self.rendered[at] {
            self.render(at, qos);
        }
        &self.rendering.forms[at]
    }

    /// The same packet once more, said to be one that may have come before.
    pub(crate) fn again(&mut self, qos: Qos) -> &PublishForm {
        self.form(qos);
        let at = Self::at(qos);
        // What is rendered next begins without the mark.
        self.rendered[at] = false;
        let form = &mut self.rendering.forms[at];
        form.set_dup(true);
        form
    }

    /// The same packet, to be kept.
    pub(crate) fn keep(&mut self, qos: Qos) -> Arc<PublishForm> {
        let at = Self::at(qos);
        if let Some(kept) = &self.rendering.kept[at] {
            return Arc::clone(kept);
        }
        let kept = Arc::new(self.form(qos).clone());
        self.rendering.kept[at] = Some(Arc::clone(&kept));
        kept
    }

    fn render(&mut self, at: usize, qos: Qos) {
        // A failure leaves the form empty, which is how the caller learns of it.
        let _ = self.rendering.forms[at].render(self.topic, self.payload, qos, self.retain);
        self.rendered[at] = true;
    }

    #[inline]
    const fn at(qos: Qos) -> usize {
        match qos {
            Qos::AtMostOnce => 0,
            Qos::AtLeastOnce => 1,
            Qos::ExactlyOnce => 2,
        }
    }
}
