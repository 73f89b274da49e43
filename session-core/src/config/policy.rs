//! The numbers that the protocol goes by.

use std::sync::Arc;
use std::time::Duration;

use crate::store::{Lifetime, Timestamp};

/// What was configured about lifetimes and limits.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) lifetime: Lifetime,
    /// The lifetime of a session whose login is to be remembered.
    pub(crate) remembered: Lifetime,
    /// How much time passes before activity is noted again.
    pub(crate) touch_interval: Duration,
    /// By how much the clocks of servers may differ.
    pub(crate) clock_tolerance: Duration,
    /// For how long a request with an id that its own browser rotated or ended may have been under way: the grace time,
    /// and the tolerance for the clocks of the two servers.
    pub(crate) window: Duration,
    pub(crate) payload_limit: usize,
    /// Holds where the store has an index of sessions by user.
    pub(crate) cap: Option<Cap>,
    /// The application asked for the cap itself, so that it can't do without.
    pub(crate) needs_index: bool,
    /// What sessions of other kinds are never listed, counted or ended together with.
    pub(crate) kind: Arc<str>,
    /// The time that all store calls of one load or one commit have together.
    pub(crate) store_timeout: Duration,
    /// By how much earlier a time one asks who concludes something from the absence of a record: another server's clock
    /// may be behind, and a write that was decided in time may land late.
    pub(crate) margin: Duration,
}

impl Policy {
    /// The margin, applied.
    pub(crate) fn earlier(&self, now: Timestamp) -> Timestamp {
        now.saturating_sub(self.margin)
    }

    /// How old an index entry without a record must be to be taken for one that was left behind: older than any
    /// commit can take, by any clock.
    pub(crate) fn is_left_behind(&self, added_at: Timestamp, now: Timestamp) -> bool {
        self.earlier(now).saturating_since(added_at) >= self.store_timeout
    }
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
    /// The session that was rotated or logged in the longest ago is ended, of those that the login looks at: of more than
    /// 32 the oldest sixteen, and sixteen chosen at random. Places that dead sessions hold there are freed first.
    EndOldest,
    /// The login fails with [`ErrorKind::TooManySessions`](crate::ErrorKind::TooManySessions).
    Refuse,
}
