//! Time as the core sees it: milliseconds since the Unix epoch, and a clock that tests can replace.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in time: whole milliseconds since the Unix epoch, never negative.
///
/// Arithmetic saturates at both ends, so that no duration and no clock jump can make it panic. The
/// largest value is one that every engine computes with exactly: SQL's signed 64-bit integers, and the
/// floating-point numbers of Redis's scripts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The latest time that can be represented: 2^53 - 1 milliseconds, in the year 287396.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// The time `millis` milliseconds after the Unix epoch, capped at [`Timestamp::MAX`].
    pub const fn from_unix_millis(millis: u64) -> Self {
        if millis > Self::MAX.0 {
            Self::MAX
        } else {
            Self(millis)
        }
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_unix_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn as_unix_secs(self) -> u64 {
        self.0 / 1000
    }

    /// This time plus `duration`. A fraction of a millisecond counts as a whole one, so that a
    /// positive duration always leads to a later time; the result is capped at [`Timestamp::MAX`].
    pub fn saturating_add(self, duration: Duration) -> Self {
        let whole = duration.as_secs().saturating_mul(1_000);
        let rest = u64::from(duration.subsec_nanos().div_ceil(1_000_000));
        Self::from_unix_millis(self.0.saturating_add(whole).saturating_add(rest))
    }

    /// This time plus so many milliseconds, capped at [`Timestamp::MAX`].
    pub(crate) const fn saturating_add_millis(self, millis: u64) -> Self {
        Self::from_unix_millis(self.0.saturating_add(millis))
    }

    /// This time less `duration`; the epoch if that is later.
    pub fn saturating_sub(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(millis))
    }

    /// The time that has passed since `earlier`; zero when `earlier` is later than this.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Where the core gets the time from. Applications use [`SystemClock`]; tests bring their own.
pub trait Clock: Send + Sync + 'static {
    /// The time of day, which decides about expiry. It may jump, in both directions.
    fn now(&self) -> Timestamp;

    /// Completes after `duration`. It bounds store calls and spaces out retries.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// The operating system's clock, and tokio's timer for sleeping.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_unix_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TM-5: extreme durations saturate.
    #[test]
    fn arithmetic_saturates() {
        let now = Timestamp::from_unix_millis(1_000);
        assert_eq!(now.saturating_add(Duration::MAX), Timestamp::MAX);
        assert_eq!(
            Timestamp::MAX.saturating_add(Duration::from_millis(1)),
            Timestamp::MAX
        );
        assert_eq!(Timestamp::from_unix_millis(u64::MAX), Timestamp::MAX);
        assert_eq!(now.saturating_since(Timestamp::MAX), Duration::ZERO);
        assert_eq!(now.saturating_add(Duration::ZERO), now);
    }

    /// TM-5: a lifetime below the resolution is rounded up, so that nothing dies at birth.
    #[test]
    fn a_fraction_of_a_millisecond_counts_as_one() {
        let now = Timestamp::from_unix_millis(1_000);
        assert!(now.saturating_add(Duration::from_nanos(1)) > now);
        assert_eq!(
            now.saturating_add(Duration::from_micros(1_500))
                .as_unix_millis(),
            1_002
        );
    }
}
