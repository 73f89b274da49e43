//! The session of one request, from before it is loaded until after it is committed.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use crate::config::SessionConfig;
use crate::data::SessionData;
use crate::error::{Error, ErrorKind};
use crate::headers::{self, ResponseHeaders};
use crate::id::SessionRef;
use crate::load::{Load, Loading};
use crate::manager::{SessionManager, handle_of};
use crate::oplog::OpLog;
use crate::plan::{Commit, Intent};
use crate::record::Lifetime;
use crate::run::Run;
use crate::session::{CommitStatus, Session};
use crate::state::{Cookie, State};
use crate::view::View;

/// One request's session, loaded when somebody asks for it.
///
/// [`SessionManager::enter`] makes it. An adapter keeps the [`RequestSessions`](crate::RequestSessions) that
/// holds it in the request's extensions, and runs the handler inside [`run`](Self::run); its extractor calls
/// [`load`](Self::load).
#[derive(Clone)]
pub struct SessionHandle(Arc<Shared>);

/// What all clones of a request's session share.
pub(crate) struct Shared {
    manager: SessionManager,
    opened: OnceCell<Result<(), Error>>,
    state: Mutex<State>,
    /// Commits of one request take turns. Nothing else waits for them.
    commit_turn: tokio::sync::Mutex<()>,
}

impl SessionHandle {
    pub(crate) fn new(manager: SessionManager) -> Self {
        Self(Arc::new(Shared {
            manager,
            opened: OnceCell::new(),
            state: Mutex::new(State::new()),
            commit_turn: tokio::sync::Mutex::new(()),
        }))
    }

    /// The configuration that this session follows.
    pub fn config(&self) -> &SessionConfig {
        self.0.manager.config()
    }

    /// The session, loaded on the first call. `cookie_headers` are the values of the request's Cookie
    /// headers. A failure sticks: every later call fails alike, and so does the response.
    ///
    /// The headers are read when this is called, and where they have no id that counts, the session is opened
    /// without one. The store is asked when the future is polled.
    pub fn load<'h, E>(&self, cookie_headers: impl IntoIterator<Item = &'h [u8]>) -> Load<E> {
        let loading = match self.0.opened.initialized() {
            true => None,
            false => self.0.begin_loading(cookie_headers),
        };
        Load::new(self.0.clone(), loading)
    }

    /// The session, if somebody has [loaded](Self::load) it by now: for code that can't wait. An earlier
    /// failure to load it is an error here too.
    ///
    /// # Errors
    /// [`ErrorKind::NotLoaded`] if nobody has loaded it yet.
    pub fn loaded<E>(&self) -> Result<Session<E>, Error> {
        Shared::loaded(self.0.clone())
    }

    /// Runs the rest of the request and commits its session, whatever comes out; then says what this means
    /// for the response.
    ///
    /// If `work` panics, an ended session is committed and nothing else is, and the panic goes on. If the
    /// future is dropped, nothing more is committed.
    pub fn run<F: Future>(&self, work: F) -> Run<F> {
        Run::new(self.0.clone(), work)
    }
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionHandle")
            .field("loaded", &self.0.opened.initialized())
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent between any two statements; a panic can't have left it half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to open the session, and gives what there is to wait for.
    fn begin_loading<'h>(
        self: &Arc<Self>,
        cookie_headers: impl IntoIterator<Item = &'h [u8]>,
    ) -> Option<Loading> {
        let mut opening = self.manager.opening(cookie_headers);
        if opening.next_key().is_none() && self.opened.set(Ok(())).is_ok() {
            return None;
        }
        let shared = self.clone();
        Some(Box::pin(async move {
            let opened = shared.opened.get_or_init(async || {
                let (found, report, at) = shared.manager.open(&mut opening).await?;
                shared.state().opened(found, report, at);
                Ok(())
            });
            opened.await;
        }))
    }

    pub(crate) fn loaded<E>(self: Arc<Self>) -> Result<Session<E>, Error> {
        match self.opened.get() {
            Some(Ok(())) => Ok(Session::new(self)),
            Some(Err(error)) => Err(error.clone()),
            None => Err(Error::new(
                ErrorKind::NotLoaded,
                "the session hasn't been loaded yet",
            )),
        }
    }

    pub(crate) fn manager(&self) -> &SessionManager {
        &self.manager
    }

    pub(crate) fn payload_limit(&self) -> usize {
        self.manager.config().checked().policy.payload_limit
    }

    pub(crate) fn lifetime(&self) -> Lifetime {
        self.manager.config().checked().policy.lifetime
    }

    pub(crate) async fn commit(&self) -> Result<CommitStatus, Error> {
        let _turn = self.commit_turn.lock().await;
        self.commit_in_turn(Some).await
    }

    /// Commits what `choose` leaves of what was wanted. The caller has the turn.
    async fn commit_in_turn(
        &self,
        choose: impl FnOnce(Intent) -> Option<Intent>,
    ) -> Result<CommitStatus, Error> {
        let Some((mut commit, before)) = self.begin_commit(choose)? else {
            return Ok(CommitStatus::Done);
        };
        let result = self.manager.commit(&mut commit, before).await;
        let dropped = result
            .as_ref()
            .is_ok_and(|outcome| outcome.dropped.is_some());
        self.state().end_commit(result)?;
        Ok(if dropped {
            CommitStatus::Dropped
        } else {
            CommitStatus::Done
        })
    }

    /// The commit of what `choose` leaves, and the session's handle as it was before.
    fn begin_commit(
        &self,
        choose: impl FnOnce(Intent) -> Option<Intent>,
    ) -> Result<Option<(Commit, Option<SessionRef>)>, Error> {
        let begun = self.state().begin_commit();
        let wanted = begun.map_err(|(error, refused)| {
            drop(refused);
            error
        })?;
        Ok(choose(wanted).map(|intent| {
            let before = handle_of(&intent.found);
            (Commit::new(intent), before)
        }))
    }

    /// Finishes a request that has nothing to write, which is most of them: whether it has is seen, and its cookie
    /// settled, under one lock, so that no commit of a task that goes on comes between. One that hasn't waited for
    /// anything is as old as its load, which spares a look at the clock.
    pub(crate) fn finish_at_once(&self, has_waited: bool) -> Option<Finished> {
        let is_used = self.opened.initialized();
        let now = (is_used && has_waited).then(|| self.manager.now());
        let mut state = self.state();
        let cookie = match self.opened.get() {
            None => {
                state.response_sent = true;
                return Some(Finished::unused());
            }
            Some(Err(_)) => return None,
            Some(Ok(())) => {
                let policy = &self.manager.config().checked().policy;
                state.settle_if_nothing_to_write(now, policy)?
            }
        };
        drop(state);
        Some(self.finished(Ok(()), cookie))
    }

    pub(crate) async fn finish(&self) -> Finished {
        // Nobody commits between the last commit and the moment at which the cookie is settled.
        let _turn = self.commit_turn.lock().await;
        let committed = match self.opened.get() {
            None => {
                self.state().response_sent = true;
                return Finished::unused();
            }
            Some(Err(error)) => Err(error.clone()),
            Some(Ok(())) => self.commit_in_turn(Some).await.map(drop),
        };
        let cookie = self.state().settle_cookie();
        self.finished(committed, cookie)
    }

    /// What the commits of the request mean for its response.
    fn finished(&self, committed: Result<(), Error>, cookie: Cookie) -> Finished {
        let set_cookie = match (&committed, cookie) {
            (Ok(()), Cookie::Send(id, expires_at)) => {
                Some(self.manager.set_cookie(&id, expires_at))
            }
            (Ok(()), Cookie::Remove) => {
                Some(self.manager.config().checked().cookie.removal().to_owned())
            }
            (_, _) => None,
        };
        Finished {
            used: true,
            set_cookie,
            error: committed.err(),
        }
    }

    /// A panic can't deliver a cookie, so that nothing but an ending is committed.
    pub(crate) async fn finish_after_panic(&self) {
        if matches!(self.opened.get(), Some(Ok(()))) {
            let only_the_end = |wanted: Intent| {
                let view = View::new(SessionData::empty());
                let end = Intent {
                    log: OpLog::default(),
                    view,
                    view_is_stale: false,
                    rotate: false,
                    login: None,
                    resign: false,
                    ..wanted
                };
                end.end.then_some(end)
            };
            let _turn = self.commit_turn.lock().await;
            // The failure has been logged, and there is no response to show it in.
            let _ = self.commit_in_turn(only_the_end).await;
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.response_sent && state.has_uncommitted() {
            tracing::error!(
                target: "session",
                "session changes were made after the response had left and were never committed: \
                 call commit() after the last change"
            );
        }
    }
}

/// What the end of a request means for its response.
#[must_use = "the response needs its headers"]
pub struct Finished {
    used: bool,
    set_cookie: Option<String>,
    error: Option<Error>,
}

impl Finished {
    fn unused() -> Self {
        Self {
            used: false,
            set_cookie: None,
            error: None,
        }
    }

    /// The error that takes the place of the handler's response: the session couldn't be loaded, or what
    /// the handler wanted couldn't be committed.
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// Whether the session was used, so that the response depends on the cookie: [`apply`](Self::apply) then
    /// has something to say.
    pub fn is_used(&self) -> bool {
        self.used
    }

    /// Whether the response gives the browser a cookie or takes it away.
    pub fn changes_cookie(&self) -> bool {
        self.set_cookie.is_some()
    }

    /// Puts our headers on the response: `Vary` if the session was used, and the cookie, if it has to
    /// change, with a `Cache-Control` that keeps it out of shared caches.
    pub fn apply(&self, headers: &mut impl ResponseHeaders) {
        if self.used {
            headers::vary_by_cookie(headers);
        }
        if let Some(cookie) = &self.set_cookie {
            headers::set_cookie(headers, cookie.clone());
        }
    }
}

/// Shows whether there is a cookie, not which one.
impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finished")
            .field("used", &self.used)
            .field("sets_cookie", &self.set_cookie.is_some())
            .field("error", &self.error)
            .finish()
    }
}
