//! The sessions of a session's user.

use std::sync::Arc;

use super::session::Session;
use crate::error::Error;
use crate::id::SessionRef;
use crate::protocol::{SessionInfo, Which};
use crate::store::EndedBy;

impl<E: From<Error>> Session<E> {
    /// The live sessions of this session's user, the one used last first. Empty if nobody is logged in.
    ///
    /// # Errors
    /// [`ErrorKind::NoUserIndex`](crate::ErrorKind::NoUserIndex) if the store has no lists of sessions, and
    /// [`ErrorKind::StoreUnavailable`](crate::ErrorKind::StoreUnavailable) if it fails.
    pub async fn list_sessions(&self) -> Result<Vec<SessionInfo>, E> {
        let Some((user, reference)) = self.listed() else {
            return Ok(Vec::new());
        };
        Ok(self.shared.manager().list(&user, reference).await?)
    }

    /// Ends one of the sessions of this session's user, at once; says whether there was one of that reference.
    /// If it is this very session, it ends with the request, as by [`logout`](Self::logout).
    ///
    /// # Errors
    /// As [`list_sessions`](Self::list_sessions), and [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if the session kept changing.
    pub async fn end_session(&self, session: SessionRef) -> Result<bool, E> {
        let Some((user, reference)) = self.listed() else {
            return Ok(false);
        };
        if reference == Some(session) {
            self.logout();
            return Ok(true);
        }
        Ok(self.end_listed(&user, Which::Only(session)).await? > 0)
    }

    /// Ends all sessions of this session's user but this one, at once; says how many there were.
    ///
    /// # Errors
    /// As [`end_session`](Self::end_session).
    pub async fn end_other_sessions(&self) -> Result<usize, E> {
        let Some((user, reference)) = self.listed() else {
            return Ok(0);
        };
        let which = reference.map_or(Which::All, Which::AllBut);
        self.end_listed(&user, which).await
    }

    async fn end_listed(&self, user: &str, which: Which) -> Result<usize, E> {
        let ended = self
            .shared
            .manager()
            .end(user, which, EndedBy::OtherSession);
        Ok(ended.await?)
    }

    /// The user, and the session's own reference.
    fn listed(&self) -> Option<(Arc<str>, Option<SessionRef>)> {
        let state = self.shared.state();
        let user = state.user()?.name.clone();
        Some((user, state.live().map(|live| live.record.reference)))
    }
}
