//! The middleware and the endpoint that it makes.

use std::fmt;

use poem::error::ResponseError as _;
use poem::{Endpoint, IntoResponse, Middleware, Request, Response};
use session_core::adapter::{self, RequestSessions};
use session_core::store::SessionStore;
use session_core::{ConfigError, Main, SessionConfig, SessionManager};

use crate::extract::original_path;
use crate::{Error, InnerError};

/// Gives every request inside it a session. Clones share the store.
pub struct SessionMiddleware<N = Main>(adapter::Middleware<Error, Response, N>);

impl SessionMiddleware {
    /// Sessions as configured, kept in `store`.
    ///
    /// # Panics
    /// If the configuration asks for something that the store can't do; a program that started so would fail later.
    /// [`try_new`](Self::try_new) gives the error instead.
    pub fn new(config: SessionConfig, store: impl SessionStore) -> Self {
        Self::from_manager(SessionManager::new(config, store))
    }

    /// Sessions as configured, kept in `store`.
    ///
    /// # Errors
    /// If the configuration asks for something that the store can't do. The error says what to change.
    pub fn try_new(config: SessionConfig, store: impl SessionStore) -> Result<Self, ConfigError> {
        Ok(Self::from_manager(SessionManager::try_new(config, store)?))
    }

    /// Sessions of a manager that the caller made, with a clock for tests, say.
    pub fn from_manager(manager: SessionManager) -> Self {
        Self(adapter::Middleware::new(manager, Error::as_response))
    }
}

impl<N> SessionMiddleware<N> {
    /// Names the session, for applications that have several: handlers then extract `Session<M>`, where `M` is
    /// any type of the application's, such as `enum Admin {}`. Each needs a cookie name, or a token header, of its own; they may
    /// share a store.
    pub fn named<M>(self) -> SessionMiddleware<M> {
        SessionMiddleware(self.0.named())
    }

    /// Shapes the response that takes the handler's place when the session can't be loaded or committed.
    /// Default: the error's status (503 for a store that fails) and one line that gives nothing away.
    #[must_use]
    pub fn on_error(self, respond: impl Fn(&Error) -> Response + Send + Sync + 'static) -> Self {
        Self(self.0.on_error(respond))
    }

    /// The manager behind it, for what isn't about one request: an administrator who ends somebody's sessions, say.
    pub fn manager(&self) -> &SessionManager {
        self.0.manager()
    }
}

impl<N> Clone for SessionMiddleware<N> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<N> fmt::Debug for SessionMiddleware<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionMiddleware")
            .field(self.manager())
            .finish()
    }
}

impl<E: Endpoint, N: 'static> Middleware<E> for SessionMiddleware<N> {
    type Output = SessionEndpoint<E, N>;

    fn transform(&self, inner: E) -> Self::Output {
        SessionEndpoint {
            inner,
            middleware: self.clone(),
        }
    }
}

/// The endpoint that [`SessionMiddleware`] makes.
#[derive(Debug)]
pub struct SessionEndpoint<E, N = Main> {
    inner: E,
    middleware: SessionMiddleware<N>,
}

impl<E: Endpoint, N: 'static> Endpoint for SessionEndpoint<E, N> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let SessionMiddleware(middleware) = &self.middleware;
        let outer = request.extensions().get::<RequestSessions>();
        let sessions = match middleware.enter(outer, original_path(&request)) {
            Ok(Some(sessions)) => sessions,
            Ok(None) => {
                let passed_on = self.inner.call(request).await;
                return passed_on.map(IntoResponse::into_response);
            }
            Err(error) => return Ok(middleware.response(&error)),
        };
        let handle = sessions.handle().clone();
        request.extensions_mut().insert(sessions);
        let (result, finished) = handle.run(self.inner.call(request)).await;
        let mut response = match (finished.error(), result) {
            (Some(error), _) => middleware.response(&error.clone().into()),
            (None, Ok(response)) => response.into_response(),
            (None, Err(error)) if finished.changes_client() => error.into_response(),
            (None, Err(error)) if finished.is_used() && !error.is::<InnerError>() => {
                return Err(InnerError::wrap(error, finished));
            }
            (None, Err(error)) => return Err(error),
        };
        finished.apply(response.headers_mut());
        Ok(response)
    }
}
