//! The rules of lasting sessions that tests may break, to see that they notice.

/// What has to be so, each rule by itself. Broken ones exist in tests alone: leaving one out loses or doubles messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// QoS 2 towards the client: which message a packet identifier stands for is safe before the first PUBLISH.
    pub assign_before_publish: bool,
    /// QoS 2 towards the client: that PUBREC came is safe before PUBREL is sent.
    pub record_before_release: bool,
    /// QoS 2 towards the client: that PUBCOMP came is safe before the packet identifier is used again. Left out, it is
    /// used at once, on the ground that the documents have it in use anyway.
    pub record_before_reuse: bool,
    /// QoS 2 from the client: that the message was received is made safe together with it.
    pub receive_with_message: bool,
    /// QoS 2 from the client: a message that comes again while it is made safe is acknowledged when it is.
    pub repeat_when_safe: bool,
    /// QoS 2 from the client: that it was released is safe before PUBCOMP.
    pub release_before_complete: bool,
    /// A subscription is safe before SUBACK.
    pub subscribe_before_suback: bool,
    /// The cursor goes on to the first message that is not finished, not to the newest that was sent.
    pub contiguous_cursor: bool,
}

impl Rules {
    /// As it has to be.
    pub const ALL: Self = Self {
        assign_before_publish: true,
        record_before_release: true,
        record_before_reuse: true,
        receive_with_message: true,
        repeat_when_safe: true,
        release_before_complete: true,
        subscribe_before_suback: true,
        contiguous_cursor: true,
    };
}
