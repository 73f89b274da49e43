//! What those who watch are told: tracing events under the target `session`, and the hook for dropped changes.
//!
//! No event shows an id, a signature, a secret or data. A session is named by its public reference.
//!
//! Two kinds of events. What became of a session (loaded, created, saved, rotated, ended) is told each time. Everything
//! else that a client can cause by sending something, as often as it likes, is told once a second at most, for each kind
//! and manager; the next such event says in its field `suppressed` how many weren't shown since.

mod limit;
pub(crate) mod metrics;

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind};
use crate::id::SessionRef;
use crate::time::Clock;
use limit::{Admitted, Limit};
use metrics::{Count, count};

/// Why a request's changes were dropped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum DropReason {
    /// The session was ended or rotated before this request loaded it.
    Superseded,
    /// The session was ended, rotated or expired while this request was under way.
    LostRace,
    /// Several live sessions came with one request, and one of them was a user's. It stays, and the next request has it
    /// for itself.
    SeveralSessions,
}

/// A request's changes were dropped, because its session was ended or rotated by another request.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct DroppedChanges {
    /// Why they were dropped.
    pub reason: DropReason,
    /// The session's public reference, if the request had loaded it.
    pub session: Option<SessionRef>,
}

/// The application's own function for [`DroppedChanges`].
pub(crate) type DroppedHook = Arc<dyn Fn(&DroppedChanges) + Send + Sync>;

/// What a commit did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Done {
    Nothing,
    Created,
    Saved,
    Touched,
    /// Nothing, for the session was gone when it was to be written.
    FoundGone,
    Rotated,
    Ended,
}

/// What one manager tells, and how often.
pub(crate) struct Events {
    clock: Arc<dyn Clock>,
    id_rejected: Limit,
    late_request: Limit,
    former_id_used: Limit,
    several_live_sessions: Limit,
    unreadable_record: Limit,
    dated_ahead: Limit,
    changes_dropped: Limit,
    failed: FailureLimits,
    optional_write_failed: Limit,
    commit_cut_off: Limit,
    changed_after_cancellation: Limit,
    changes_never_committed: Limit,
    duplicate_name: Limit,
    csrf_refused: Limit,
}

/// A bound for each kind of error that a request may end with at the store; one for all the others, which are the
/// application's mistakes.
#[derive(Default)]
struct FailureLimits {
    store: Limit,
    conflict: Limit,
    payload: Limit,
    sessions: Limit,
    random: Limit,
    others: Limit,
}

impl FailureLimits {
    fn of(&self, kind: ErrorKind) -> &Limit {
        match kind {
            ErrorKind::StoreUnavailable => &self.store,
            ErrorKind::Conflict => &self.conflict,
            ErrorKind::PayloadTooLarge => &self.payload,
            ErrorKind::TooManySessions => &self.sessions,
            ErrorKind::Random => &self.random,
            _ => &self.others,
        }
    }
}

/// What is told once a second at most.
impl Events {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            id_rejected: Limit::default(),
            late_request: Limit::default(),
            former_id_used: Limit::default(),
            several_live_sessions: Limit::default(),
            unreadable_record: Limit::default(),
            dated_ahead: Limit::default(),
            changes_dropped: Limit::default(),
            failed: FailureLimits::default(),
            optional_write_failed: Limit::default(),
            commit_cut_off: Limit::default(),
            changed_after_cancellation: Limit::default(),
            changes_never_committed: Limit::default(),
            duplicate_name: Limit::default(),
            csrf_refused: Limit::default(),
        }
    }

    /// The clock is read only when there is something to tell.
    fn admit(&self, limit: &Limit) -> Option<Admitted> {
        limit.admit(self.clock.now())
    }

    /// A cookie of our name, or a token, that we never signed.
    pub(crate) fn id_rejected(&self, reason: impl fmt::Debug) {
        count(Count::IdRejected);
        let Some(Admitted { suppressed }) = self.admit(&self.id_rejected) else {
            return;
        };
        tracing::debug!(
            target: "session",
            ?reason,
            suppressed,
            "session id rejected"
        );
    }

    /// The session had been ended or rotated so recently that the request may have been under way.
    pub(crate) fn late_request(&self) {
        count(Count::LateRequest);
        let Some(Admitted { suppressed }) = self.admit(&self.late_request) else {
            return;
        };
        tracing::debug!(
            target: "session",
            suppressed,
            "an ended or rotated session id was used by a late request"
        );
    }

    pub(crate) fn former_id_used(&self) {
        count(Count::FormerIdUsed);
        let Some(Admitted { suppressed }) = self.admit(&self.former_id_used) else {
            return;
        };
        tracing::warn!(
            target: "session",
            suppressed,
            "an id was used that had been ended or rotated long before"
        );
    }

    pub(crate) fn several_live_sessions(&self) {
        count(Count::SeveralLiveSessions);
        let Some(Admitted { suppressed }) = self.admit(&self.several_live_sessions) else {
            return;
        };
        tracing::warn!(
            target: "session",
            suppressed,
            "several live sessions came with one request; none is used"
        );
    }

    pub(crate) fn unreadable_record(&self) {
        count(Count::UnreadableRecord);
        let Some(Admitted { suppressed }) = self.admit(&self.unreadable_record) else {
            return;
        };
        tracing::error!(
            target: "session",
            suppressed,
            "a stored session can't be decoded; its visitor is anonymous"
        );
    }

    /// A server's clock is further ahead than the tolerance, or was.
    pub(crate) fn dated_ahead(&self, session: SessionRef) {
        count(Count::DatedAhead);
        let Some(Admitted { suppressed }) = self.admit(&self.dated_ahead) else {
            return;
        };
        tracing::warn!(
            target: "session",
            %session,
            suppressed,
            "a session is dated further ahead than clock_tolerance and counts as expired: check the servers' clocks"
        );
    }

    /// The hook is called each time: what it does about it is the application's own.
    pub(crate) fn changes_dropped(&self, dropped: &DroppedChanges, hook: Option<&DroppedHook>) {
        count(Count::ChangesDropped);
        let DroppedChanges { reason, session } = dropped;
        if let Some(Admitted { suppressed }) = self.admit(&self.changes_dropped) {
            tracing::warn!(
                target: "session",
                ?reason,
                session = %Shown(*session),
                suppressed,
                "session changes dropped"
            );
        }
        if let Some(hook) = hook {
            hook(dropped);
        }
    }

    /// The source's `Display` is the store's own; ours shows nothing. Each kind of error has a bound of its own, so that
    /// nobody hides a failing store behind refused logins.
    pub(crate) fn failed(&self, during: &'static str, error: &Error) {
        let kind = error.kind();
        count(Count::Failed(kind));
        let Some(Admitted { suppressed }) = self.admit(self.failed.of(kind)) else {
            return;
        };
        tracing::error!(
            target: "session",
            during,
            ?kind,
            source = source_of(error),
            suppressed,
            "{error}"
        );
    }

    /// A note of activity or a new signature, which no request depends on.
    pub(crate) fn optional_write_failed(&self, error: &Error) {
        count(Count::OptionalWriteFailed);
        let Some(Admitted { suppressed }) = self.admit(&self.optional_write_failed) else {
            return;
        };
        tracing::warn!(
            target: "session",
            kind = ?error.kind(),
            source = source_of(error),
            suppressed,
            "activity could not be noted"
        );
    }

    /// A request was dropped while its session was being committed, and the commit can't go on without it.
    pub(crate) fn commit_cut_off(&self) {
        let Some(Admitted { suppressed }) = self.admit(&self.commit_cut_off) else {
            return;
        };
        tracing::error!(
            target: "session",
            suppressed,
            "a commit was cut off: its request was dropped, and there is no runtime, or no room, for it to go on"
        );
    }

    pub(crate) fn changed_after_cancellation(&self) {
        let Some(Admitted { suppressed }) = self.admit(&self.changed_after_cancellation) else {
            return;
        };
        tracing::error!(
            target: "session",
            suppressed,
            "a session was changed after its request had been cancelled"
        );
    }

    pub(crate) fn changes_never_committed(&self) {
        let Some(Admitted { suppressed }) = self.admit(&self.changes_never_committed) else {
            return;
        };
        tracing::error!(
            target: "session",
            suppressed,
            "session changes were made after the response had left and were never committed: \
             call commit() after the last change"
        );
    }

    /// A CSRF token that isn't good for the session that it came with.
    pub(crate) fn csrf_refused(&self, session: Option<SessionRef>) {
        count(Count::CsrfRefused);
        let Some(Admitted { suppressed }) = self.admit(&self.csrf_refused) else {
            return;
        };
        tracing::warn!(
            target: "session",
            session = %Shown(session),
            suppressed,
            "a CSRF token was refused"
        );
    }

    /// Two session middlewares around one request have one name on the wire.
    pub(crate) fn duplicate_name(&self, name: &str, session: &'static str, advice: &str) {
        let Some(Admitted { suppressed }) = self.admit(&self.duplicate_name) else {
            return;
        };
        tracing::error!(
            target: "session",
            name,
            session,
            suppressed,
            "{advice}"
        );
    }
}

fn source_of(error: &Error) -> String {
    let source = std::error::Error::source(error).and_then(std::error::Error::source);
    source.map(ToString::to_string).unwrap_or_default()
}

pub(crate) fn loaded(session: SessionRef) {
    count(Count::Loaded);
    tracing::debug!(target: "session", %session, "session loaded");
}

pub(crate) fn committed(done: Done, session: Option<SessionRef>) {
    let session = Shown(session);
    match done {
        Done::Nothing => {}
        Done::Created => {
            count(Count::Created);
            tracing::info!(target: "session", %session, "session created");
        }
        Done::Saved => {
            count(Count::Saved);
            tracing::debug!(target: "session", %session, "session saved");
        }
        Done::Touched => {
            count(Count::Touched);
            tracing::debug!(target: "session", %session, "session touched");
        }
        Done::FoundGone => {
            tracing::debug!(target: "session", %session, "session gone before its activity was noted");
        }
        Done::Rotated => {
            count(Count::Rotated);
            tracing::info!(target: "session", %session, "session rotated");
        }
        Done::Ended => {
            count(Count::Ended);
            tracing::info!(target: "session", %session, "session ended");
        }
    }
}

pub(crate) fn sessions_ended(ended: usize) {
    count(Count::EndedFromElsewhere(ended));
    tracing::info!(target: "session", ended, "a user's sessions were ended from elsewhere");
}

pub(crate) fn sweep_failed(error: &dyn fmt::Display) {
    count(Count::SweepFailed);
    tracing::error!(target: "session", %error, "sweeping expired sessions failed");
}

/// A session's public reference, as events show it; formatted only if somebody listens.
struct Shown(Option<SessionRef>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(reference) => reference.fmt(f),
            None => f.write_str("none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    /// LG-2: nobody hides a failing store behind refused logins, or a lack of randomness behind either.
    #[test]
    fn kinds_of_failures_do_not_hide_each_other() {
        let failed = FailureLimits::default();
        for kind in [
            ErrorKind::TooManySessions,
            ErrorKind::PayloadTooLarge,
            ErrorKind::Conflict,
            ErrorKind::StoreUnavailable,
            ErrorKind::Random,
            ErrorKind::ResponseSent,
        ] {
            assert!(failed.of(kind).admit(Timestamp::default()).is_some());
            assert!(failed.of(kind).admit(Timestamp::default()).is_none());
        }
    }
}
