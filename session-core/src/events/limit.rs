//! A bound on how often something is shown.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::time::Timestamp;

/// At most one event of a kind is shown in this time.
const INTERVAL_MILLIS: u64 = 1_000;

/// Lets one event of a kind through each second, and counts the others.
pub(super) struct Limit {
    /// When the last one was shown, in milliseconds since the epoch.
    shown_at: AtomicU64,
    /// How many have come since and weren't shown.
    suppressed: AtomicU64,
}

/// One event that is to be shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Admitted {
    /// How many of its kind weren't shown since the last one that was; none if there were none, so that an event that
    /// stands alone has no such field.
    pub(super) suppressed: Option<u64>,
}

impl Limit {
    /// Whether an event may be shown at `now`. One that may not is counted.
    pub(super) fn admit(&self, now: Timestamp) -> Option<Admitted> {
        let now = now.as_unix_millis();
        let last = self.shown_at.load(Ordering::Relaxed);
        // The distance in either direction: a clock that is put back must not silence anything for long.
        let is_due = now.abs_diff(last) >= INTERVAL_MILLIS;
        // Of several at once one wins, and the others are counted.
        let wins = || {
            let exchanged =
                self.shown_at
                    .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed);
            exchanged.is_ok()
        };
        if is_due && wins() {
            let suppressed = self.suppressed.swap(0, Ordering::Relaxed);
            return Some(Admitted {
                suppressed: (suppressed > 0).then_some(suppressed),
            });
        }
        self.suppressed.fetch_add(1, Ordering::Relaxed);
        None
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self {
            // Further from every time than the interval: the first event is shown.
            shown_at: AtomicU64::new(u64::MAX),
            suppressed: AtomicU64::new(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_unix_millis(millis)
    }

    fn shown(suppressed: Option<u64>) -> Option<Admitted> {
        Some(Admitted { suppressed })
    }

    /// LG-2: one a second, and the next one says how many there were meanwhile.
    #[test]
    fn one_a_second_is_shown() {
        let limit = Limit::default();
        assert_eq!(limit.admit(at(0)), shown(None), "the first one");
        assert_eq!(limit.admit(at(1)), None);
        assert_eq!(limit.admit(at(999)), None);
        assert_eq!(limit.admit(at(1_000)), shown(Some(2)));
        assert_eq!(limit.admit(at(2_000)), shown(None));
        assert_eq!(limit.admit(Timestamp::MAX), shown(None));
    }

    /// LG-2: a clock that was put back by a year silences nothing for a year.
    #[test]
    fn a_clock_that_was_put_back_silences_nothing() {
        let limit = Limit::default();
        assert_eq!(limit.admit(at(31_536_000_000)), shown(None));
        assert_eq!(limit.admit(at(500)), shown(None));
        assert_eq!(limit.admit(at(1_499)), None);
        assert_eq!(limit.admit(at(1_500)), shown(Some(1)));
    }

    /// LG-2: of several threads at once one shows its event, and no other is lost from the count.
    #[test]
    fn threads_at_once_show_one() {
        let limit = Limit::default();
        let admitted = std::thread::scope(|scope| {
            let ask = || (0..100).filter_map(|_| limit.admit(at(5))).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            let counts = threads.into_iter().map(|thread| thread.join().unwrap());
            counts.sum::<usize>()
        });
        assert_eq!(admitted, 1);
        assert_eq!(limit.admit(at(1_005)), shown(Some(399)));
    }
}
