//! How a session moves on: to a new id, to a user, to its end, into the store.

use super::login::Login;
use super::session::Session;
use crate::error::Error;
use crate::request::{CommitStatus, Shared};

impl<E: From<Error>> Session<E> {
    /// Logs a user in, after they have proved who they are: the session gets a new id and belongs to the user
    /// from now on; [`user`](Self::user) says so at once. What a visitor stored before logging in stays, what
    /// another user stored doesn't: that session is ended, and another one begins. A visitor without a session gets one.
    /// The absolute timeout counts from the login, and the public [`reference`](Self::reference) changes unless the
    /// user is the same.
    ///
    /// A session that was rotated or ended a moment ago is no obstacle: the login begins another one. Where it was this
    /// user's login that moved the session, which changed nothing else, and nobody has used the session since, this login
    /// goes on from there. So a form that was sent twice is one login. If several live sessions came with the request,
    /// all of them are ended.
    ///
    /// The commit adds the session to the list of the user's sessions, if the store has such lists. Where the
    /// configured number of sessions per user is reached, it ends the oldest, or fails with
    /// [`ErrorKind::TooManySessions`](crate::ErrorKind::TooManySessions).
    ///
    /// ```
    /// use session_core::{Error, Login, Session};
    ///
    /// fn signed_in(session: &Session, remember_me: bool) -> Result<(), Error> {
    ///     session.login(Login::new("ada").remember(remember_me))
    /// }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::PayloadTooLarge`](crate::ErrorKind::PayloadTooLarge) if the name or the label is longer than
    /// [`MAX_USER_NAME_LEN`](crate::MAX_USER_NAME_LEN) or [`MAX_LABEL_LEN`](crate::MAX_LABEL_LEN). The session is as it
    /// was, and nobody is logged in by this.
    pub fn login(&self, login: impl Into<Login>) -> Result<(), E> {
        let login = login.into();
        login.check()?;
        let policy = self.shared.manager().config().policy();
        let login = login.into_wish(self.shared.now(), policy);
        let mut state = self.shared.state();
        let recorded = state.log_in(login);
        drop(state);
        recorded.settle(self.shared.events());
        Ok(())
    }

    /// Logs the user out by [ending](Self::destroy) the session.
    pub fn logout(&self) {
        self.destroy();
    }

    /// Moves the session to a new id and ends the old one: call it whenever the visitor's rights change.
    /// ([`login`](Self::login) does so by itself.) The data and [`created_at`](Self::created_at) stay; what is
    /// stored afterwards is kept too. Without a stored session it does nothing.
    pub fn regenerate(&self) {
        self.shared.state().rotate();
    }

    /// Ends the session and removes the cookie. What was stored is gone, and what other requests
    /// still want of it is dropped. Storing something afterwards starts a new session under a new id.
    ///
    /// It ends the session under whichever id it has by then, as long as it is the same user's, and every session that
    /// came with the request. It is carried out though the visitor has left, or the handler panics. The cookie is removed
    /// only if this request ended something: a second logout removes none, as a login may have set another one.
    pub fn destroy(&self) {
        let mut state = self.shared.state();
        let ended = state.end();
        drop(state);
        drop(ended);
    }

    /// Writes down now what has been wanted so far, instead of at the end of the request.
    ///
    /// For handlers that outlive their response: WebSockets, server-sent events, streaming bodies. What they change
    /// after the response head has left needs this call; without it there is an error in the log. The error is
    /// missing where a closure given to `update` holds a clone of the session: the two then keep each other alive. A
    /// commit after the head is no activity: it couldn't send the cookie, and cookie and record age together.
    ///
    /// If a later commit of the same request fails, the response is an error without our cookie, also where an
    /// earlier one rotated or ended the session: the visitor is then signed out.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`](crate::ErrorKind::StoreUnavailable), [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) and [`ErrorKind::PayloadTooLarge`](crate::ErrorKind::PayloadTooLarge) as for any
    /// commit; the request then fails. [`ErrorKind::ResponseSent`](crate::ErrorKind::ResponseSent) if a new or rotated session needs a
    /// cookie that can't be sent any more.
    pub async fn commit(&self) -> Result<CommitStatus, E> {
        Ok(Shared::commit(&self.shared).await?)
    }
}
