//! The session of one request, as an adapter holds it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use super::load::{self, Load};
use super::run::Run;
use super::shared::Shared;
use crate::config::SessionConfig;
use crate::error::Error;
use crate::manager::SessionManager;
use crate::session::Session;
use crate::transport::RequestHeaders;

/// One request's session, loaded when somebody asks for it.
///
/// [`SessionManager::enter`] makes it. An adapter keeps the [`RequestSessions`](super::RequestSessions) that
/// holds it in the request's extensions, and runs the handler inside [`run`](Self::run); its extractor calls
/// [`load`](Self::load).
#[derive(Clone)]
pub struct SessionHandle(Arc<Shared>);

impl SessionManager {
    /// A request's session, not loaded yet. Excluded paths and other session middlewares are not considered.
    /// Middleware calls [`enter`](Self::enter).
    pub fn handle(&self) -> SessionHandle {
        SessionHandle(Arc::new(Shared::new(self.clone())))
    }
}

impl SessionHandle {
    /// The configuration that this session follows.
    pub fn config(&self) -> &SessionConfig {
        self.0.manager().config()
    }

    /// Whether the session is this manager's.
    pub(super) fn is_of(&self, manager: &SessionManager) -> bool {
        self.0.manager().is_same(manager)
    }

    /// The session, loaded on the first call. `headers` are the request's. A failure sticks: every later call
    /// fails alike, and so does the response.
    ///
    /// The headers are read when this is called, and where they have no id whose signature holds, the session
    /// is opened without one. The store is asked when the future is polled.
    pub fn load<E>(&self, headers: &impl RequestHeaders) -> Load<E> {
        load::begin(&self.0, headers, true)
    }

    /// Like [`load`](Self::load), without counting as activity, so that a page that asks by itself, again and again, doesn't
    /// keep its visitor signed in. What is stored is committed as ever. If the same request also loads the session, it
    /// counts.
    pub fn peek<E>(&self, headers: &impl RequestHeaders) -> Load<E> {
        load::begin(&self.0, headers, false)
    }

    /// The session, if somebody has [loaded](Self::load) it by now: for code that can't wait. An earlier
    /// failure to load it is an error here too.
    ///
    /// # Errors
    /// [`ErrorKind::NotLoaded`](crate::ErrorKind::NotLoaded) if nobody has loaded it yet.
    pub fn loaded<E>(&self) -> Result<Session<E>, Error> {
        self.0.check_loaded()?;
        Ok(Session::new(self.0.clone()))
    }

    /// Runs the rest of the request and commits its session, whatever comes out; then says what this means
    /// for the response.
    ///
    /// If `work` panics, or the future is dropped before `work` has ended, an ending that was asked for is committed
    /// and nothing else is; a panic then goes on. A commit that has begun goes on without the future.
    pub fn run<F: Future>(&self, work: F) -> Run<F> {
        Run::new(self.0.clone(), work)
    }
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionHandle")
            .field("loaded", &self.0.is_opened())
            .finish_non_exhaustive()
    }
}
