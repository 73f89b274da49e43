//! What the end of a request means for its response.

use std::fmt;

use crate::error::Error;
use crate::events::DroppedChanges;
use crate::transport::{ForClient, ResponseHeaders, Vary};

/// What the end of a request means for its response.
#[must_use = "the response needs its headers"]
pub struct Finished {
    /// What the response depends on; nothing if the session wasn't used.
    vary: Option<Vary>,
    for_client: Option<ForClient>,
    dropped: Option<Box<DroppedChanges>>,
    error: Option<Error>,
}

impl Finished {
    /// Nobody asked for the session.
    pub(super) fn unused() -> Self {
        Self {
            vary: None,
            for_client: None,
            dropped: None,
            error: None,
        }
    }

    /// Everything that was wanted is stored, but for what was dropped, and the client is told this.
    pub(super) fn committed(
        vary: Vary,
        for_client: Option<ForClient>,
        dropped: Option<Box<DroppedChanges>>,
    ) -> Self {
        Self {
            vary: Some(vary),
            for_client,
            dropped,
            error: None,
        }
    }

    /// What was wanted isn't stored, or it isn't known whether it is: the client is told nothing.
    pub(super) fn failed(vary: Vary, error: Error) -> Self {
        Self {
            vary: Some(vary),
            for_client: None,
            dropped: None,
            error: Some(error),
        }
    }

    /// The error that takes the place of the handler's response: the session couldn't be loaded, or what
    /// the handler wanted couldn't be committed.
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// What the commit at the request's end has dropped, because another request had ended or rotated the session. Of
    /// what an explicit [`commit`](crate::Session::commit) drops, the handler is told itself.
    pub fn dropped(&self) -> Option<&DroppedChanges> {
        self.dropped.as_deref()
    }

    /// Whether there is neither an error nor anything dropped.
    #[inline]
    pub(crate) fn is_as_the_handler_wanted(&self) -> bool {
        self.error.is_none() && self.dropped.is_none()
    }

    /// Whether the session was used, so that the response depends on what the client sent: [`apply`](Self::apply)
    /// then has something to say.
    pub fn is_used(&self) -> bool {
        self.vary.is_some()
    }

    /// Whether the response has to reach the client, because it gives it an id or takes one away.
    pub fn changes_client(&self) -> bool {
        self.for_client.is_some()
    }

    /// Puts our headers on the response: `Vary` if the session was used, and the cookie or the token, if it has to
    /// change, with a `Cache-Control` that keeps it out of shared caches.
    pub fn apply(&self, headers: &mut impl ResponseHeaders) {
        if let Some(vary) = &self.vary {
            vary.apply(headers);
        }
        if let Some(for_client) = &self.for_client {
            for_client.apply(headers);
        }
    }
}

/// Shows whether the client is told something, not what.
impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finished")
            .field("is_used", &self.is_used())
            .field("changes_client", &self.changes_client())
            .field("dropped", &self.dropped)
            .field("error", &self.error)
            .finish()
    }
}
