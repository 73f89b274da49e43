//! The sessions of a session's user.
//!
//! The user is whoever logs in with this request, or else whoever the session belongs to that came with it. A request
//! that logs out, and then ends the user's other sessions, means those of the user who has just logged out.

use std::sync::Arc;

use super::session::Session;
use crate::error::Error;
use crate::id::SessionRef;
use crate::protocol::{Found, SessionInfo, Which};
use crate::store::EndedBy;

impl<E: From<Error>> Session<E> {
    /// The live sessions of this session's user, the one used last first. Empty if nobody is logged in. Where this
    /// request has asked for the session's end, it is still about the user whose session it was; the session is listed
    /// until the commit ends it.
    ///
    /// # Errors
    /// [`ErrorKind::NoUserIndex`](crate::ErrorKind::NoUserIndex) if the store has no lists of sessions, and
    /// [`ErrorKind::StoreUnavailable`](crate::ErrorKind::StoreUnavailable) if it fails.
    pub async fn list_sessions(&self) -> Result<Vec<SessionInfo>, E> {
        let Some(Listed { user, own, .. }) = self.listed() else {
            return Ok(Vec::new());
        };
        Ok(self.shared.manager().list(&user, own).await?)
    }

    /// Ends one of the sessions of this session's user, at once; says whether there was one of that reference.
    /// If it is this very session, it ends with the request, as by [`logout`](Self::logout).
    ///
    /// # Errors
    /// As [`list_sessions`](Self::list_sessions), and [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if the session kept changing.
    pub async fn end_session(&self, session: SessionRef) -> Result<bool, E> {
        let Some(Listed {
            user,
            own,
            is_ending,
        }) = self.listed()
        else {
            return Ok(false);
        };
        if own == Some(session) {
            // What was wanted since the first logout is for another session.
            if !is_ending {
                self.logout();
            }
            return Ok(true);
        }
        Ok(self.end_listed(&user, Which::Only(session)).await? > 0)
    }

    /// Ends all sessions of this session's user but this one, at once; says how many there were. After a
    /// [`logout`](Self::logout) in the same request, committed or not, none is left.
    ///
    /// # Errors
    /// As [`end_session`](Self::end_session). One session that can't be ended doesn't shield the others: the error says
    /// at the end how many were ended and how many weren't. It is safe to ask again.
    pub async fn end_other_sessions(&self) -> Result<usize, E> {
        let Some(Listed { user, own, .. }) = self.listed() else {
            return Ok(0);
        };
        let which = own.map_or(Which::All, Which::AllBut);
        self.end_listed(&user, which).await
    }

    async fn end_listed(&self, user: &str, which: Which) -> Result<usize, E> {
        let ended = self
            .shared
            .manager()
            .end(user, which, EndedBy::OtherSession);
        Ok(ended.await?)
    }

    /// Whose sessions are meant; `None` if nobody's.
    fn listed(&self) -> Option<Listed> {
        let state = self.shared.state();
        let found = match &state.found {
            Found::Live(live) => Some(live),
            Found::Nothing | Found::SeveralLive(_) | Found::Gone(_) => None,
        };
        let owner = found.and_then(|live| live.user());
        let named = state.user().or(owner).map(|user| &user.name);
        let user = named.or(state.logged_out.as_ref())?.clone();
        let is_theirs = owner.is_some_and(|owner| owner.name == user);
        let own = found.filter(|_| is_theirs);
        Some(Listed {
            user,
            own: own.map(|live| live.record.reference),
            is_ending: state.live().is_none(),
        })
    }
}

/// Whose sessions are listed or ended.
struct Listed {
    user: Arc<str>,
    /// The reference of the session that came with the request, if it is one of them.
    own: Option<SessionRef>,
    /// This request has asked for that session's end.
    is_ending: bool,
}
