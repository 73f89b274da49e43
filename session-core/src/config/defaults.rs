//! The defaults and limits of the options, and the reasons for them.

use std::time::Duration;

/// The default idle lifetime: one hour, as in fastmiddleware. It is also what NIST SP 800-63B-4 allows at most
/// between activities at its second assurance level.
pub const DEFAULT_MAX_AGE: Duration = Duration::from_secs(60 * 60);

/// The default absolute timeout: one day, after which NIST SP 800-63B-4 asks for a new authentication at
/// its second assurance level, however active the session is.
pub const DEFAULT_ABSOLUTE_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// The default idle lifetime of a login that is to be remembered: thirty days, within which a visitor who comes
/// once a month stays logged in.
pub const DEFAULT_REMEMBER_MAX_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The default absolute timeout of a login that is to be remembered: one year. Whoever comes once a month stays
/// logged in for that long; browsers keep no cookie for more than 400 days anyway.
pub const DEFAULT_REMEMBER_ABSOLUTE_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The default grace time, in which a request that was under way when its own browser rotated or ended the session
/// isn't taken for a new visitor: one minute, the time that proxies and browsers give a slow request.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(60);

/// By how much the clocks of servers that share a store may differ by default: one minute. Servers that keep time by
/// NTP differ by milliseconds; a minute leaves room for one that lost it for a while.
pub const DEFAULT_CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// The default number of sessions that a user may have where the store has an index of them: one hundred. It is more
/// than anybody has devices, and keeps an account that logs in without end from filling the store.
pub const DEFAULT_MAX_SESSIONS_PER_USER: usize = 100;

/// The default deadline over all store calls of one load or one commit: five seconds. A store that is
/// slower than that is down, as far as the visitor can tell.
pub const DEFAULT_STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// The default payload limit: 64 KiB of JSON. It is read from the store with each use.
pub const DEFAULT_PAYLOAD_LIMIT: usize = 64 * 1024;

/// The highest payload limit that can be configured: 64 MiB.
pub const MAX_PAYLOAD_LIMIT: usize = 64 * 1024 * 1024;
