//! A message on its way to many clients: rendered once for each form in which somebody gets it, copied into each output
//! buffer. What only one client gets in that way, its subscription identifiers or a topic alias, is rendered for it alone.

use std::num::NonZeroU32;
use std::sync::Arc;

use contract::qos::Qos;
use contract::time::UnixMillis;
use mqtt::{Content, PublishForm, PublishHead, Version};

use crate::aliases::Alias;

/// The largest rendering whose memory is kept for the next message.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// Forms that many share: by 3.1.1 or 5.0, retain flag and QoS.
const FORMS: usize = 2 * V5;

/// Behind the forms without the flag stand those with it.
const RETAINED: usize = 3;

/// Behind those of 3.1.1 stand those of 5.0.
const V5: usize = 2 * RETAINED;

/// In which form a message goes to a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape<'a> {
    pub(crate) is_v5: bool,
    pub(crate) qos: Qos,
    /// The flag as the client sees it.
    pub(crate) retain: bool,
    /// Only in 5.0, and then the form is this client's own.
    pub(crate) alias: Option<Alias>,
    /// Only in 5.0, and then the form is this client's own.
    pub(crate) ids: &'a [NonZeroU32],
}

impl Shape<'_> {
    /// Where the form is that it shares with others; `None`: it is its own.
    fn place(&self) -> Option<usize> {
        if self.alias.is_some() || !self.ids.is_empty() {
            return None;
        }
        let retain = if self.retain { RETAINED } else { 0 };
        Some(usize::from(self.qos.bits()) + retain + if self.is_v5 { V5 } else { 0 })
    }
}

/// A form that outlives the round.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) form: PublishForm,
    /// From when on it is not sent any more.
    pub(crate) expires_at: Option<UnixMillis>,
}

impl Kept {
    pub(crate) fn is_over(&self, now: UnixMillis) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// What is said to be left of a message's time: whole seconds, the last one begun counted, so that what was just accepted
/// has all that it came with.
#[must_use]
pub fn left_secs(at: UnixMillis, now: UnixMillis) -> u32 {
    u32::try_from(at.0.saturating_sub(now.0).div_ceil(1_000)).unwrap_or(u32::MAX)
}

/// The memory in which messages are rendered, one after the other: a worker has one.
#[derive(Default, Debug)]
pub struct Rendering {
    forms: [PublishForm; FORMS],
    /// A form that nobody shares.
    own: PublishForm,
    /// Copies of the forms, made for the first client with which the message has to wait and shared by the rest.
    kept: [Option<Arc<Kept>>; FORMS],
    /// Something of the message before is long, or kept.
    is_used: bool,
}

impl Rendering {
    /// Nothing rendered, nothing allocated.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next message, which is news: to an established subscription none is marked as retained [MQTT-3.3.1-9], unless
    /// it asks for the mark as it was published [MQTT-3.3.1-13].
    #[inline]
    pub fn message<'a>(&'a mut self, topic: &'a str, payload: &'a [u8], qos: Qos) -> Message<'a> {
        self.next(topic, payload, qos, false)
    }

    /// The next message, which was kept for its topic and goes to a new subscription [MQTT-3.3.1-8].
    pub fn retained<'a>(&'a mut self, topic: &'a str, payload: &'a [u8], qos: Qos) -> Message<'a> {
        self.next(topic, payload, qos, true)
    }

    #[inline]
    fn next<'a>(&'a mut self, topic: &'a str, payload: &'a [u8], qos: Qos, is_kept: bool) -> Message<'a> {
        if self.is_used {
            self.forget();
        }
        Message {
            rendering: self,
            topic,
            payload,
            qos,
            is_kept,
            was_retain: false,
            rendered: 0,
            content: Content::default(),
            expires_at: None,
            now: UnixMillis(0),
            is_again: false,
        }
    }

    #[cold]
    fn forget(&mut self) {
        for form in self.forms.iter_mut().chain([&mut self.own]) {
            if form.size_bytes() > KEPT_BYTES_MAX {
                *form = PublishForm::new();
            }
        }
        self.kept = [const { None }; FORMS];
        self.is_used = false;
    }
}

/// One message and its wire forms, each rendered when the first receiver needs it.
#[derive(Debug)]
pub struct Message<'a> {
    rendering: &'a mut Rendering,
    topic: &'a str,
    payload: &'a [u8],
    qos: Qos,
    /// It was kept for its topic.
    is_kept: bool,
    /// It was published to be kept.
    was_retain: bool,
    /// Which of the shared forms are, a bit for each.
    rendered: u16,
    content: Content<'a>,
    expires_at: Option<UnixMillis>,
    now: UnixMillis,
    /// It was sent before, and goes on whether its time is over or not.
    is_again: bool,
}

/// What a message has besides, mostly nothing.
impl<'a> Message<'a> {
    /// With the properties that go to every subscriber of 5.0 unaltered [MQTT-3.3.2-17], [MQTT-3.3.2-4].
    #[inline]
    #[must_use]
    pub fn with_content(mut self, content: Content<'a>) -> Self {
        self.content = content;
        self
    }

    /// From then on nobody gets it who has not had it; `now` is the round's time. What is left is told to clients of
    /// 5.0 [MQTT-3.3.2-6].
    #[inline]
    #[must_use]
    pub const fn with_expiry(mut self, expires_at: Option<UnixMillis>, now: UnixMillis) -> Self {
        self.expires_at = expires_at;
        self.now = now;
        self
    }

    /// Whether it was published to be kept, for subscriptions that are to see that.
    #[inline]
    #[must_use]
    pub const fn with_retain(mut self, retain: bool) -> Self {
        self.was_retain = retain;
        self
    }

    /// It has been sent before: it goes on though its time may be over.
    pub(crate) const fn sent_before(mut self, is_again: bool) -> Self {
        self.is_again = is_again;
        self
    }

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

    /// The properties that go to every subscriber.
    #[must_use]
    pub const fn content(&self) -> Content<'a> {
        self.content
    }

    /// From when on nobody gets it who has not had it.
    #[must_use]
    pub const fn expires_at(&self) -> Option<UnixMillis> {
        self.expires_at
    }

    /// Whether it was published to be kept, as far as that was [said](Self::with_retain).
    #[must_use]
    pub const fn was_retain(&self) -> bool {
        self.was_retain
    }
}

impl Message<'_> {
    pub(crate) const fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// Whether its time is over, and nobody gets it.
    pub(crate) fn is_over(&self) -> bool {
        !self.is_again && self.expires_at.is_some_and(|at| at <= self.now)
    }

    /// The QoS with which a subscriber gets it: the lower of the publication's and the granted one [MQTT-3.8.4-8].
    #[inline]
    pub(crate) fn qos_for(&self, granted: Qos) -> Qos {
        self.qos.min(granted)
    }

    /// The retain flag as a subscriber sees it.
    #[inline]
    pub(crate) const fn retain_for(&self, as_published: bool) -> bool {
        self.is_kept || as_published && self.was_retain
    }

    /// The packet that all receivers of a version and QoS share who ask for nothing more.
    #[inline]
    pub(crate) fn shared_form(&mut self, version: Version, qos: Qos) -> &PublishForm {
        let kept = if self.is_kept { RETAINED } else { 0 };
        let at = usize::from(qos.bits()) + kept + if version.is_v5() { V5 } else { 0 };
        if self.rendered & 1 << at == 0 {
            self.render_shared(at, version, qos);
        }
        &self.rendering.forms[at]
    }

    fn render_shared(&mut self, at: usize, version: Version, qos: Qos) {
        let is_plain = self.expires_at.is_none() && (self.content.is_empty() || !version.is_v5());
        if !is_plain {
            let (is_v5, retain) = (version.is_v5(), self.is_kept);
            self.render(Some(at), &Shape { is_v5, qos, retain, alias: None, ids: &[] });
            return;
        }
        self.rendered |= 1 << at;
        let form = &mut self.rendering.forms[at];
        // A failure leaves the form empty, which is how the caller learns of it.
        let _ = form.render_plain(version, self.topic, qos, self.is_kept, self.payload);
        self.rendering.is_used |= form.size_bytes() > KEPT_BYTES_MAX;
    }

    /// The packet in a form; empty when it is not to be sent: when it is too long to be said at all, or over.
    pub(crate) fn form(&mut self, shape: &Shape<'_>) -> &PublishForm {
        match shape.place() {
            Some(at) if self.rendered & 1 << at == 0 => self.render(Some(at), shape),
            Some(at) => &self.rendering.forms[at],
            None => self.render(None, shape),
        }
    }

    /// The packet in the form that was asked for last.
    pub(crate) fn same_form(&self, shape: &Shape<'_>) -> &PublishForm {
        shape.place().map_or(&self.rendering.own, |at| &self.rendering.forms[at])
    }

    /// The same packet once more, said to be one that may have come before.
    pub(crate) fn again(&mut self, shape: &Shape<'_>) -> &PublishForm {
        self.form(shape);
        let form = match shape.place() {
            None => &mut self.rendering.own,
            Some(at) => {
                // What is rendered next begins without the mark.
                self.rendered &= !(1 << at);
                &mut self.rendering.forms[at]
            }
        };
        form.set_dup(true);
        form
    }

    /// The same packet, to be kept.
    pub(crate) fn keep(&mut self, shape: &Shape<'_>) -> Arc<Kept> {
        let at = shape.place();
        if let Some(kept) = at.and_then(|at| self.rendering.kept[at].as_ref()) {
            return Arc::clone(kept);
        }
        let expires_at = self.expires_at;
        let kept = Arc::new(Kept { form: self.form(shape).clone(), expires_at });
        if let Some(at) = at {
            self.rendering.kept[at] = Some(Arc::clone(&kept));
            self.rendering.is_used = true;
        }
        kept
    }

    #[inline(never)]
    fn render(&mut self, at: Option<usize>, shape: &Shape<'_>) -> &PublishForm {
        let form = match at {
            None => &mut self.rendering.own,
            Some(at) => {
                self.rendered |= 1 << at;
                &mut self.rendering.forms[at]
            }
        };
        let is_over = !self.is_again && self.expires_at.is_some_and(|at| at <= self.now);
        if is_over {
            *form = PublishForm::new();
            return form;
        }
        let (version, alias) = (if shape.is_v5 { Version::V5 } else { Version::V311 }, shape.alias);
        let head = PublishHead {
            version,
            topic: if alias.is_some_and(|alias| alias.is_known) { "" } else { self.topic },
            qos: shape.qos,
            retain: shape.retain,
            topic_alias: alias.map(|alias| alias.number),
            expiry_secs: self.expires_at.map(|at| left_secs(at, self.now)),
            subscription_ids: shape.ids,
            content: self.content,
        };
        // A failure leaves the form empty, which is how the caller learns of it.
        let _ = form.render(&head, self.payload);
        self.rendering.is_used |= form.size_bytes() > KEPT_BYTES_MAX;
        form
    }
}
