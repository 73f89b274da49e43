//! How a session moves on: to a new id, to a user, to its end, into the store.

use super::login::Login;
use super::session::Session;
use crate::error::Error;
use crate::request::{CommitStatus, Refreshed, Shared};

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

    /// Looks what others have made of the session since it was loaded, or since the last look: for handlers that outlive
    /// their response. The session shows what is stored now, with what this request has changed since its last
    /// [`commit`](Self::commit) laid over it. It costs one load.
    ///
    /// A rotation that was made elsewhere is followed, a login isn't: a stream that somebody opened before it must not
    /// see what the user does after it. (Where earlier holders of an id have to be cut off, use [`login`](Self::login) or
    /// [`reauthenticate`](Self::reauthenticate), not [`regenerate`](Self::regenerate).) Once the session has been rotated
    /// elsewhere, this request can send no cookie of it any more, and so can't rotate it or log in.
    ///
    /// ```
    /// use std::time::Duration;
    /// use session_core::{Error, Refreshed, Session};
    ///
    /// /// Runs beside a WebSocket, and returns when it has to be closed.
    /// async fn until_signed_out(session: &Session) -> Result<(), Error> {
    ///     while session.refresh().await? != Refreshed::Ended {
    ///         tokio::time::sleep(Duration::from_secs(1)).await;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`](crate::ErrorKind::StoreUnavailable) if the store fails; the session is then as it
    /// was, and it is safe to ask again.
    pub async fn refresh(&self) -> Result<Refreshed, E> {
        Ok(self.shared.refresh().await?)
    }

    /// Notes that the session is in use, for handlers that outlive their response: a WebSocket whose visitor does
    /// something, say. It is written down when a tenth of `max_age`, or the configured `touch_interval`, has passed; says
    /// whether it was. It moves the record's expiry. The browser's cookie can't be moved then: it ends at the time that
    /// the last response said, unless another request comes in between.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`](crate::ErrorKind::StoreUnavailable) if the store fails; the session is then as it
    /// was.
    pub async fn note_activity(&self) -> Result<bool, E> {
        Ok(self.shared.note_activity().await?)
    }
}
