//! What those who watch are told: tracing events under the target `session`, and the hook for dropped changes.
//!
//! No event shows an id, a signature, a secret or data. A session is named by its public reference.

use std::fmt;
use std::sync::Arc;

use crate::error::Error;
use crate::id::SessionRef;

/// Why a request's changes were dropped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum DropReason {
    /// The session was ended or rotated before this request loaded it.
    Superseded,
    /// The session was ended, rotated or expired while this request was under way.
    LostRace,
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

pub(crate) fn id_rejected(reason: impl fmt::Debug) {
    tracing::debug!(target: "session", ?reason, "session id rejected");
}

pub(crate) fn loaded(session: SessionRef) {
    tracing::debug!(target: "session", %session, "session loaded");
}

/// The session had been ended or rotated so recently that the request may have been under way.
pub(crate) fn late_request() {
    tracing::debug!(target: "session", "an ended or rotated session id was used by a late request");
}

pub(crate) fn former_id_used() {
    tracing::warn!(target: "session", "an id was used that had been ended or rotated long before");
}

pub(crate) fn several_live_sessions() {
    tracing::warn!(target: "session", "several live sessions came with one request; none is used");
}

pub(crate) fn unreadable_record() {
    tracing::error!(target: "session", "a stored session can't be decoded; its visitor is anonymous");
}

pub(crate) fn committed(done: Done, session: Option<SessionRef>) {
    let session = Shown(session);
    match done {
        Done::Nothing => {}
        Done::Created => {
            tracing::info!(target: "session", %session, "session created");
        }
        Done::Saved => {
            tracing::debug!(target: "session", %session, "session saved");
        }
        Done::Touched => {
            tracing::debug!(target: "session", %session, "session touched");
        }
        Done::FoundGone => {
            tracing::debug!(target: "session", %session, "session gone before its activity was noted");
        }
        Done::Rotated => {
            tracing::info!(target: "session", %session, "session rotated");
        }
        Done::Ended => {
            tracing::info!(target: "session", %session, "session ended");
        }
    }
}

pub(crate) fn changes_dropped(dropped: &DroppedChanges, hook: Option<&DroppedHook>) {
    let DroppedChanges { reason, session } = dropped;
    tracing::warn!(target: "session", ?reason, session = %Shown(*session), "session changes dropped");
    if let Some(hook) = hook {
        hook(dropped);
    }
}

pub(crate) fn sessions_ended(ended: usize) {
    tracing::info!(target: "session", ended, "a user's sessions were ended from elsewhere");
}

/// The source's `Display` is the store's own; ours shows nothing.
pub(crate) fn failed(during: &'static str, error: &Error) {
    let source = std::error::Error::source(error).and_then(std::error::Error::source);
    let source = source.map(ToString::to_string).unwrap_or_default();
    tracing::error!(target: "session", during, kind = ?error.kind(), source, "{error}");
}

pub(crate) fn changed_after_cancellation() {
    tracing::error!(target: "session", "a session was changed after its request had been cancelled");
}

pub(crate) fn changes_never_committed() {
    tracing::error!(
        target: "session",
        "session changes were made after the response had left and were never committed: \
         call commit() after the last change"
    );
}

/// Two session middlewares around one request have one name on the wire.
pub(crate) fn duplicate_name(cookie_name: &str, session: &'static str) {
    tracing::error!(
        target: "session",
        cookie_name,
        session,
        "two sessions of different names share a cookie: give one of them another cookie_name"
    );
}

pub(crate) fn sweep_failed(error: &dyn fmt::Display) {
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
