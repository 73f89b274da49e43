//! The session as a handler sees it: plain calls that record intent.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::error::Error;
use crate::id::SessionRef;
use crate::request::Shared;
use crate::store::{SessionUser, Timestamp};

/// One request's session, loaded.
///
/// Every method is a plain call that records what is wanted. Nothing is written before the commit, which
/// happens when the handler has returned, before the response head leaves. Clones are the same session, and
/// may be used from several tasks of the request.
///
/// `E` is the error that the methods return; an adapter chooses its framework's, so that `?` works there.
///
/// Two requests that use one session at the same time don't overwrite each other: what this request did is
/// done again on what the other one saved. Only two plain [`set`](Self::set)s of one key are last-writer-wins;
/// [`update`](Self::update) is for what depends on the old value.
pub struct Session<E = Error> {
    pub(super) shared: Arc<Shared>,
    error: PhantomData<fn() -> E>,
}

impl<E> Session<E> {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            error: PhantomData,
        }
    }
}

impl<E: From<Error>> Session<E> {
    /// Whether the commit would write anything, the note of activity apart.
    pub fn is_modified(&self) -> bool {
        self.shared.state().is_modified()
    }

    /// Whether no stored session was found when this request came in.
    pub fn is_new(&self) -> bool {
        self.shared.state().is_new
    }

    /// Whether the request is late: another request of the same browser rotated or ended its session within
    /// [`grace`](crate::SessionConfigBuilder::grace) and the clock tolerance. The session is then empty, and what is stored
    /// in it is dropped; [`destroy`](Self::destroy) still ends the session that took its place, if that belongs to the
    /// same user, and [`login`](Self::login) logs in. A handler that needs the session asks this before it takes the
    /// visitor for a stranger: the browser's next request is likely to have the new id.
    ///
    /// It is also so when the session was ended, from wherever, while this request was under way and a
    /// [`commit`](Self::commit) has found that out. Whoever comes after their session was ended from elsewhere is not
    /// late, but a visitor without a session.
    pub fn is_superseded(&self) -> bool {
        self.shared.state().is_superseded()
    }

    /// A name for the session that isn't a credential, for logs and lists. It stays the same over rotation, and
    /// changes when the session's user does. `None` if nothing is stored.
    pub fn reference(&self) -> Option<SessionRef> {
        self.shared.state().live().map(|live| live.record.reference)
    }

    /// When the session began. It survives rotation. `None` if nothing is stored.
    pub fn created_at(&self) -> Option<Timestamp> {
        self.shared
            .state()
            .live()
            .map(|live| live.record.created_at)
    }

    /// When the session ends if it isn't used any more: the earlier of its idle and its absolute timeout.
    /// `None` if nothing is stored.
    pub fn expires_at(&self) -> Option<Timestamp> {
        let configured = self.shared.manager().config().policy().lifetime;
        self.shared
            .state()
            .live()
            .map(|live| live.expires_at.min(live.record.ends_at(configured)))
    }

    /// Whose session it is, if a user has [logged in](Self::login).
    pub fn user(&self) -> Option<SessionUser> {
        self.shared.state().user().cloned()
    }
}

impl<E> Clone for Session<E> {
    fn clone(&self) -> Self {
        Self::new(self.shared.clone())
    }
}

impl<E> fmt::Debug for Session<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is written to may be the application's, and use the session: nothing is written under the lock.
        let (reference, is_new, is_modified) = {
            let state = self.shared.state();
            let reference = state.live().map(|live| live.record.reference);
            (reference, state.is_new, state.is_modified())
        };
        f.debug_struct("Session")
            .field("reference", &reference)
            .field("new", &is_new)
            .field("modified", &is_modified)
            .finish_non_exhaustive()
    }
}
