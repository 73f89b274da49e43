//! The numbers that the protocol goes by.

use std::time::Duration;

use crate::store::Lifetime;

/// What was configured about lifetimes and limits.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) lifetime: Lifetime,
    /// The lifetime of a session whose login is to be remembered.
    pub(crate) remembered: Lifetime,
    /// How much time passes before activity is noted again.
    pub(crate) touch_interval: Duration,
    pub(crate) grace: Duration,
    pub(crate) payload_limit: usize,
    pub(crate) cap: Option<Cap>,
    /// The time that all store calls of one load or one commit have together.
    pub(crate) store_timeout: Duration,
    /// How old an index entry without a record must be to be taken for one that was left behind: older than any
    /// commit can take.
    pub(crate) entry_grace: Duration,
}

/// How many sessions a user may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cap {
    pub(crate) max: usize,
    pub(crate) when_full: WhenFull,
}

/// What happens to a login when the user has as many sessions as one may have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum WhenFull {
    /// The session that was rotated or logged in the longest ago is ended.
    EndOldest,
    /// The login fails with [`ErrorKind::TooManySessions`](crate::ErrorKind::TooManySessions).
    Refuse,
}
