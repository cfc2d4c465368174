//! Under what conditions a run takes place: which rules hold, and what a disk may do.

use session::Rules;

/// Under what conditions a run takes place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Conditions {
    /// What sessions keep to.
    pub rules: Rules,
    /// What the workers around them keep to.
    pub glue: GlueRules,
    /// A disk that loses power within one write may have written the end of it and not the middle.
    pub holes: bool,
}

impl Conditions {
    /// Those under which nothing may go wrong.
    pub const ORDINARY: Self = Self { rules: Rules::ALL, glue: GlueRules::ALL, holes: true };
}

/// What a worker has to keep to besides what sessions do. Each rule may be broken, to see that it is noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GlueRules {
    /// A will is handed in together with the note that its session has it no more.
    pub will_with_session: bool,
    /// Nothing is said to be stored that was not.
    pub failure_is_told: bool,
    /// A session that had a connection when the machine stopped has none from the start on.
    pub away_from_start: bool,
    /// What is stored of a session that has expired is deleted.
    pub delete_expired: bool,
    /// Before a stored message is sent it is seen whether it has expired.
    pub see_expiry: bool,
    /// What is passed over because too much waits is what was counted, and no more.
    pub pass_over_what_is_counted: bool,
    /// What a group wants is logged.
    pub share_is_logged: bool,
    /// A group that is restored without a document begins where the first of its members' subscriptions does.
    pub share_begins_at_since: bool,
    /// What no member of a group has room for waits in the log.
    pub share_waits: bool,
    /// What a member has that goes is handed out again.
    pub share_goes_back: bool,
}

impl GlueRules {
    /// As it has to be.
    pub const ALL: Self = Self {
        will_with_session: true,
        failure_is_told: true,
        away_from_start: true,
        delete_expired: true,
        see_expiry: true,
        pass_over_what_is_counted: true,
        share_is_logged: true,
        share_begins_at_since: true,
        share_waits: true,
        share_goes_back: true,
    };
}
