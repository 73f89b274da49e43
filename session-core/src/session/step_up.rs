//! Who is logged in, and how long ago they proved it.

use std::time::Duration;

use super::session::Session;
use crate::error::{Error, ErrorKind};
use crate::store::SessionUser;

impl<E: From<Error>> Session<E> {
    /// The user, or the error of a handler that needs one. The adapters have an extractor of this, `User`.
    ///
    /// # Errors
    /// [`ErrorKind::NotLoggedIn`], a 401, if nobody is logged in.
    pub fn require_user(&self) -> Result<SessionUser, E> {
        Ok(self.user().ok_or_else(not_logged_in)?)
    }

    /// The user, if they have proved who they are within this time, by a [`login`](Self::login) or by
    /// [`reauthenticate`](Self::reauthenticate): for what a session that somebody left open must not do, such as changing
    /// the password. The adapters have an extractor of this, `Fresh`.
    ///
    /// # Errors
    /// [`ErrorKind::NotLoggedIn`], a 401, if nobody is logged in, and [`ErrorKind::NotFresh`], a 403, if it was longer
    /// ago: ask for the password again.
    pub fn require_fresh(&self, within: Duration) -> Result<SessionUser, E> {
        let user = self.require_user()?;
        // A time ahead, which clocks that differ may give, counts as now.
        let age = self.shared.now().saturating_since(user.authenticated_at);
        if age > within {
            let message = "the user has to prove again who they are";
            return Err(Error::new(ErrorKind::NotFresh, message).into());
        }
        Ok(user)
    }

    /// Notes that the user has just proved again who they are, after the application has checked it. The session gets a
    /// new id, as by [`login`](Self::login), and the absolute timeout counts from now. The data stays, and so do the
    /// label, and the longer life of a remembered login.
    ///
    /// # Errors
    /// [`ErrorKind::NotLoggedIn`] if nobody is logged in.
    pub fn reauthenticate(&self) -> Result<(), E> {
        let now = self.shared.now();
        let mut state = self.shared.state();
        let Some(login) = state.reauthentication(now) else {
            drop(state);
            return Err(not_logged_in().into());
        };
        let recorded = state.log_in(login);
        drop(state);
        recorded.settle(self.shared.events());
        Ok(())
    }

    /// Ends all sessions of this session's user: the others at once, and this one with the request, which removes the
    /// cookie. Says how many there were.
    ///
    /// # Errors
    /// [`ErrorKind::NotLoggedIn`] if nobody is logged in, and those of
    /// [`end_other_sessions`](Self::end_other_sessions); this session is then still alive, and it is safe to ask again.
    pub async fn end_everywhere(&self) -> Result<usize, E> {
        self.require_user()?;
        let others = self.end_other_sessions().await?;
        self.logout();
        Ok(others + 1)
    }
}

fn not_logged_in() -> Error {
    Error::new(ErrorKind::NotLoggedIn, "nobody is logged in")
}
