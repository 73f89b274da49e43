//! The middleware and the endpoint that it makes.

use std::fmt;

use poem::error::ResponseError as _;
use poem::http::request::Parts;
use poem::{Endpoint, IntoResponse, Middleware, Request, Response};
use session_core::adapter::{self, RequestSessions};
use session_core::store::SessionStore;
use session_core::{ConfigError, DroppedChanges, Main, SessionConfig, SessionManager};

use crate::extract::{original_path, original_uri};
use crate::{Error, InnerError};

/// Gives every request inside it a session. Clones share the store.
pub struct SessionMiddleware<N = Main>(adapter::Middleware<Error, Response, Parts, N>);

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

    /// Shapes the same response, with a look at the request: JSON for a program and a page for a browser, say.
    ///
    /// The request is as it came to the middleware, its extensions too, without its body; its URI is the one that the
    /// client sent. It is copied for every request, so that [`on_error`](Self::on_error) is the cheaper of the two.
    ///
    /// ```
    /// # use poem::{IntoResponse as _, error::ResponseError as _};
    /// # use session_poem::{SessionConfig, SessionMiddleware};
    /// # let config = SessionConfig::builder("an example secret of at least 32 bytes").build().unwrap();
    /// let sessions = SessionMiddleware::new(config, session_store_memory::MemoryStore::new())
    ///     .on_error_with(|error, request| match request.uri.path().starts_with("/api/") {
    ///         true => r#"{"error":"try again"}"#.with_status(error.status()).into_response(),
    ///         false => error.as_response(),
    ///     });
    /// # drop(sessions);
    /// ```
    #[must_use]
    pub fn on_error_with(
        self,
        respond: impl Fn(&Error, &Parts) -> Response + Send + Sync + 'static,
    ) -> Self {
        Self(self.0.on_error_with(respond))
    }

    /// Called when the changes of a request were dropped, because another one had ended or rotated the session: it may
    /// put another response in place of the handler's, such as a 409, or of its error. With `None` the handler's stands,
    /// as it does by default. The request is as for [`on_error_with`](Self::on_error_with).
    ///
    /// It is about what is committed when the handler has returned; an explicit [`commit`](session_core::Session::commit)
    /// tells the handler. For counting there is
    /// [`SessionConfigBuilder::on_dropped`](session_core::SessionConfigBuilder::on_dropped), which is called as well.
    #[must_use]
    pub fn on_dropped(
        self,
        respond: impl Fn(&DroppedChanges, &Parts) -> Option<Response> + Send + Sync + 'static,
    ) -> Self {
        Self(self.0.on_dropped(respond))
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
            Err(error) => {
                let responder = middleware.responder(|| head_of(&request));
                return Ok(responder.to_error(&error));
            }
        };
        let handle = sessions.handle().clone();
        let responder = middleware.responder(|| head_of(&request));
        request.extensions_mut().insert(sessions);
        let (result, finished) = handle.run(self.inner.call(request)).await;
        let mut response = match (responder.instead(&finished), result) {
            (Some(response), _) => response,
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

/// A copy of the request's head.
fn head_of(request: &Request) -> Parts {
    let (mut head, ()) = poem::http::Request::new(()).into_parts();
    head.method = request.method().clone();
    head.uri = original_uri(request).clone();
    head.version = request.version();
    head.headers = request.headers().clone();
    head.extensions = request.extensions().clone();
    head
}
