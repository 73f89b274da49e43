//! Counters and timings for those who watch, through the facade of the crate `metrics`. Without the feature of that name
//! all of this is empty.
//!
//! `docs/watching.md` has the names for users.

use crate::error::ErrorKind;

/// What is counted.
#[derive(Clone, Copy)]
#[cfg_attr(
    not(feature = "metrics"),
    expect(dead_code, reason = "nobody reads what isn't counted")
)]
pub(crate) enum Count {
    Loaded,
    Created,
    Saved,
    Touched,
    Rotated,
    Ended,
    /// Sessions that somebody ended from elsewhere, as many at once.
    EndedFromElsewhere(usize),
    IdRejected,
    LateRequest,
    FormerIdUsed,
    SeveralLiveSessions,
    UnreadableRecord,
    DatedAhead,
    ChangesDropped,
    CsrfRefused,
    Conflict,
    OptionalWriteFailed,
    Failed(ErrorKind),
    SweepFailed,
}

/// What is timed.
#[derive(Clone, Copy)]
pub(crate) enum Timing {
    /// Finding out what the ids of a request lead to.
    Open,
    /// Committing a request that had something to write.
    Commit,
}

#[cfg(not(feature = "metrics"))]
mod sink {
    use super::{Count, Timing};

    #[inline]
    pub(crate) fn count(_: Count) {}

    /// Nothing is timed.
    pub(crate) struct Stopwatch;

    #[inline]
    pub(crate) fn start(_: Timing) -> Stopwatch {
        Stopwatch
    }

    impl Stopwatch {
        #[inline]
        pub(crate) fn stop(self) {}
    }
}

#[cfg(feature = "metrics")]
mod sink {
    use std::time::Instant;

    use super::{Count, Timing};
    use crate::error::ErrorKind;

    pub(crate) fn count(count: Count) {
        let name = match count {
            Count::EndedFromElsewhere(ended) => {
                let ended = u64::try_from(ended).unwrap_or(u64::MAX);
                metrics::counter!("session_ended_from_elsewhere_total").increment(ended);
                return;
            }
            Count::Failed(kind) => {
                metrics::counter!("session_failed_total", "kind" => name_of(kind)).increment(1);
                return;
            }
            Count::Loaded => "session_loaded_total",
            Count::Created => "session_created_total",
            Count::Saved => "session_saved_total",
            Count::Touched => "session_touched_total",
            Count::Rotated => "session_rotated_total",
            Count::Ended => "session_ended_total",
            Count::IdRejected => "session_id_rejected_total",
            Count::LateRequest => "session_late_request_total",
            Count::FormerIdUsed => "session_former_id_used_total",
            Count::SeveralLiveSessions => "session_several_live_total",
            Count::UnreadableRecord => "session_unreadable_record_total",
            Count::DatedAhead => "session_dated_ahead_total",
            Count::ChangesDropped => "session_changes_dropped_total",
            Count::CsrfRefused => "session_csrf_refused_total",
            Count::Conflict => "session_conflict_total",
            Count::OptionalWriteFailed => "session_optional_write_failed_total",
            Count::SweepFailed => "session_sweep_failed_total",
        };
        metrics::counter!(name).increment(1);
    }

    /// The kinds that those who watch tell apart.
    fn name_of(kind: ErrorKind) -> &'static str {
        match kind {
            ErrorKind::StoreUnavailable => "store",
            ErrorKind::Conflict => "conflict",
            ErrorKind::PayloadTooLarge => "payload",
            ErrorKind::TooManySessions => "too_many_sessions",
            ErrorKind::Random => "random",
            _ => "other",
        }
    }

    /// Time that runs.
    pub(crate) struct Stopwatch {
        timing: Timing,
        started: Instant,
    }

    pub(crate) fn start(timing: Timing) -> Stopwatch {
        Stopwatch {
            timing,
            started: Instant::now(),
        }
    }

    impl Stopwatch {
        /// Records the time since the start.
        pub(crate) fn stop(self) {
            let name = match self.timing {
                Timing::Open => "session_open_seconds",
                Timing::Commit => "session_commit_seconds",
            };
            metrics::histogram!(name).record(self.started.elapsed());
        }
    }
}

pub(crate) use sink::{count, start};
