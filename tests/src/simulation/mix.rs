//! Which requests are mixed, and on which terms they meet.

use std::time::Duration;

use session_core::WhenFull;

use super::kinds::{Kind, User};

/// A set of requests and how often each comes up, chosen for what they can break together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mix {
    /// Everything that takes no user.
    All,
    /// Rotations among writes.
    Rotation,
    /// Increments of one counter.
    Counter,
    /// Logouts among writes and rotations.
    Logout,
    /// Requests with long pauses and clock jumps between them.
    Time,
    /// Rotations and logouts that are slower than the grace time.
    SlowLogout,
    /// Logins of several users, their lists, and endings by users and administrators.
    Users,
    /// Users with a limited number of sessions, some of which expire; two kinds of sessions.
    Devices,
    /// Login forms that are sent twice, ids from before a login, and logouts.
    Logins,
    /// Several cookies with one request: junk, of a former domain, planted.
    Cookies,
    /// Servers whose clocks are up to a minute apart and are corrected again and again.
    Clocks,
    /// Writes that land up to nine seconds after their caller gave up.
    Late,
    /// Records that can't be read any more.
    Unreadable,
}

impl Mix {
    /// Every mix.
    pub const ALL: [Self; 13] = [
        Self::All,
        Self::Rotation,
        Self::Counter,
        Self::Logout,
        Self::Time,
        Self::SlowLogout,
        Self::Users,
        Self::Devices,
        Self::Logins,
        Self::Cookies,
        Self::Clocks,
        Self::Late,
        Self::Unreadable,
    ];

    /// Whether users log in.
    pub(super) fn has_users(self) -> bool {
        self as usize >= Self::Users as usize
    }

    pub(super) fn choose(self, rng: &mut fastrand::Rng) -> Kind {
        let weights = self.weights();
        let total: usize = weights.iter().map(|(_, weight)| weight).sum();
        let mut left = rng.usize(..total);
        for (kind, weight) in weights {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return *kind,
            }
        }
        Kind::Read
    }

    fn weights(self) -> &'static [(Kind, usize)] {
        use Kind::*;
        use User::{Ada, Bob};
        match self {
            Self::All => &[
                (Set, 5),
                (Increment, 5),
                (SetAndIncrement, 3),
                (SetShared, 1),
                (SetSameAndIncrement, 2),
                (ClearAndSet, 1),
                (Rotate, 4),
                (RotateAndSet, 2),
                (Destroy, 2),
                (DestroyAndSet, 1),
                (Read, 4),
                (CommitTwice, 2),
                (Panic, 1),
                (DestroyAndPanic, 1),
            ],
            Self::Rotation => &[
                (Set, 4),
                (Increment, 4),
                (Rotate, 5),
                (RotateAndSet, 3),
                (Read, 3),
                (CommitTwice, 1),
            ],
            Self::Counter => &[
                (Increment, 6),
                (SetAndIncrement, 2),
                (SetSameAndIncrement, 2),
                (ClearAndSet, 1),
                (Rotate, 1),
                (CommitTwice, 1),
            ],
            Self::Logout => &[
                (Set, 4),
                (Rotate, 4),
                (Destroy, 3),
                (DestroyAndSet, 1),
                (DestroyAndPanic, 1),
                (Read, 1),
            ],
            Self::SlowLogout => &[(Set, 2), (Rotate, 3), (Destroy, 2)],
            Self::Time => &[
                (Set, 3),
                (Read, 6),
                (Rotate, 5),
                (Increment, 2),
                (Destroy, 4),
            ],
            Self::Users | Self::Unreadable => &[
                (LogIn(Ada), 6),
                (LogIn(Bob), 3),
                (LogInAndSet(Ada), 2),
                (Set, 3),
                (Increment, 3),
                (Read, 4),
                (Rotate, 2),
                (Destroy, 2),
                (List, 2),
                (EndOne, 2),
                (EndOthers, 3),
                (AdminList(Ada), 1),
                (AdminEndAll(Ada), 1),
                (AdminEndAll(Bob), 1),
            ],
            Self::Devices => &[
                (LogIn(Ada), 7),
                (LogInRemembered(Ada), 2),
                (LogIn(Bob), 1),
                (Set, 2),
                (Read, 6),
                (Rotate, 1),
                (Destroy, 1),
                (List, 2),
                (EndOthers, 2),
                (AdminList(Ada), 1),
                (AdminEndAll(Ada), 1),
            ],
            Self::Logins => &[
                (LogIn(Ada), 6),
                (LogInAndSet(Ada), 2),
                (LogIn(Bob), 2),
                (Set, 4),
                (Increment, 2),
                (Read, 2),
                (Rotate, 1),
                (Destroy, 3),
                (EndOthers, 1),
            ],
            Self::Cookies => &[
                (LogIn(Ada), 4),
                (LogIn(Bob), 2),
                (LogInAndSet(Ada), 1),
                (Set, 4),
                (Increment, 2),
                (Read, 5),
                (Rotate, 1),
                (Destroy, 1),
            ],
            Self::Clocks | Self::Late => &[
                (LogIn(Ada), 4),
                (LogIn(Bob), 1),
                (LogInRemembered(Ada), 1),
                (Set, 2),
                (Increment, 1),
                (Read, 6),
                (Rotate, 2),
                (Destroy, 2),
                (List, 2),
                (EndOthers, 2),
                (AdminList(Ada), 2),
                (AdminEndAll(Ada), 1),
            ],
        }
    }

    /// The terms of one schedule.
    pub(super) fn terms(self, rng: &mut fastrand::Rng) -> Terms {
        if !self.has_users() {
            return Terms::BRIEF;
        }
        let cap = match self {
            Self::Devices => rng.choice([
                Some((2, WhenFull::EndOldest)),
                Some((3, WhenFull::EndOldest)),
                Some((2, WhenFull::Refuse)),
                None,
            ]),
            Self::Unreadable => rng.choice([None, Some((2, WhenFull::EndOldest))]),
            Self::Users | Self::Logins => rng.choice([None, None, Some((2, WhenFull::EndOldest))]),
            _ => None,
        };
        Terms {
            cap: cap.flatten(),
            skew: match self {
                Self::Clocks => CLOCK_TOLERANCE,
                _ => Terms::BRIEF.skew,
            },
            kinds: match self {
                Self::Devices | Self::Users => rng.usize(1..=2),
                _ => 1,
            },
            ..Terms::LASTING
        }
    }
}

/// How far apart the clocks of servers may be.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// How long everything lasts in a schedule, and what is allowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) idle: Duration,
    pub(super) absolute: Duration,
    /// The idle lifetime of a remembered login.
    pub(super) remembered: Duration,
    pub(super) grace: Duration,
    /// The deadline over the store calls of one commit; a sleep of this length is that deadline.
    pub(super) store_timeout: Duration,
    /// How far the servers' clocks are ahead at most.
    pub(super) skew: Duration,
    /// How far apart the servers have to expect that their clocks are.
    pub(super) tolerance: Duration,
    /// How many sessions a user may have.
    pub(super) cap: Option<(usize, WhenFull)>,
    /// How many kinds of sessions, each with a cookie name of its own, share the store.
    pub(super) kinds: usize,
}

impl Terms {
    /// Everything expires within seconds, and no call is ever too late.
    const BRIEF: Self = Self {
        idle: Duration::from_millis(4_000),
        absolute: Duration::from_millis(9_000),
        remembered: Duration::from_millis(9_000),
        grace: Duration::from_millis(600),
        store_timeout: Duration::from_secs(3_600),
        skew: Duration::from_millis(20),
        tolerance: Duration::from_millis(200),
        cap: None,
        kinds: 1,
    };

    /// Close to what applications configure.
    const LASTING: Self = Self {
        idle: Duration::from_secs(600),
        absolute: Duration::from_secs(2_400),
        remembered: Duration::from_secs(1_200),
        grace: Duration::from_secs(60),
        store_timeout: Duration::from_secs(5),
        tolerance: CLOCK_TOLERANCE,
        ..Self::BRIEF
    };

    /// How far the servers' clocks are ahead at most, in milliseconds.
    pub(super) fn skew_millis(self) -> u64 {
        u64::try_from(self.skew.as_millis()).unwrap_or(u64::MAX)
    }

    /// The deadline over the store calls of one commit, in milliseconds.
    pub(super) fn store_timeout_millis(self) -> u64 {
        u64::try_from(self.store_timeout.as_millis()).unwrap_or(u64::MAX)
    }

    /// What expired longer ago than this is certainly dead. What expired later may still turn out to live: by another
    /// server's clock, or because a write lands that was decided in time.
    pub(super) fn margin(self) -> Duration {
        2 * self.tolerance + 4 * self.store_timeout
    }
}
