//! The layer and the service that it makes.

use std::fmt;
use std::task::{Context, Poll};

use axum::response::{IntoResponse, Response};
use http::Request;
use http::request::Parts;
use session_core::adapter::{Middleware, RequestSessions};
use session_core::store::SessionStore;
use session_core::{ConfigError, DroppedChanges, Main, SessionConfig, SessionManager};
use tower_layer::Layer;
use tower_service::Service;

use crate::Error;
use crate::future::{Answering, Kind, ResponseFuture};
use crate::path::original_path;

/// Gives every request inside it a session. Clones share the store.
pub struct SessionLayer<N = Main>(Middleware<Error, Response, Parts, N>);

impl SessionLayer {
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
        let on_error = |error: &Error| error.clone().into_response();
        Self(Middleware::new(manager, on_error))
    }
}

impl<N> SessionLayer<N> {
    /// Names the session, for applications that have several: handlers then extract `Session<M>`, where `M` is
    /// any type of the application's, such as `enum Admin {}`. Each needs a cookie name, or a token header, of its own; they may
    /// share a store.
    pub fn named<M>(self) -> SessionLayer<M> {
        SessionLayer(self.0.named())
    }

    /// Shapes the response that takes the handler's place when the session can't be loaded or committed.
    /// Default: the error's status (503 for a store that fails) and one line that gives nothing away.
    #[must_use]
    pub fn on_error(self, respond: impl Fn(&Error) -> Response + Send + Sync + 'static) -> Self {
        Self(self.0.on_error(respond))
    }

    /// Shapes the same response, with a look at the request: JSON for a program and a page for a browser, say.
    ///
    /// The request is as it came to the layer, its extensions too (`OriginalUri` inside a nested router), without its
    /// body. It is copied for every request, so that [`on_error`](Self::on_error) is the cheaper of the two.
    ///
    /// ```
    /// # use axum::response::IntoResponse as _;
    /// # use session_axum::{SessionConfig, SessionLayer};
    /// # let config = SessionConfig::builder("an example secret of at least 32 bytes").build().unwrap();
    /// let layer = SessionLayer::new(config, session_store_memory::MemoryStore::new())
    ///     .on_error_with(|error, request| match request.uri.path().starts_with("/api/") {
    ///         true => (axum::http::StatusCode::SERVICE_UNAVAILABLE, r#"{"error":"try again"}"#).into_response(),
    ///         false => error.clone().into_response(),
    ///     });
    /// # drop(layer);
    /// ```
    #[must_use]
    pub fn on_error_with(
        self,
        respond: impl Fn(&Error, &Parts) -> Response + Send + Sync + 'static,
    ) -> Self {
        Self(self.0.on_error_with(respond))
    }

    /// Called when the changes of a request were dropped, because another one had ended or rotated the session: it may
    /// put another response in place of the handler's, such as a 409. With `None` the handler's stands, as it does by
    /// default. The request is as for [`on_error_with`](Self::on_error_with).
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

impl<N> Clone for SessionLayer<N> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<N> fmt::Debug for SessionLayer<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionLayer").field(self.manager()).finish()
    }
}

impl<S, N> Layer<S> for SessionLayer<N> {
    type Service = SessionService<S, N>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service that [`SessionLayer`] makes.
#[derive(Debug)]
pub struct SessionService<S, N = Main> {
    inner: S,
    layer: SessionLayer<N>,
}

impl<S: Clone, N> Clone for SessionService<S, N> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            layer: self.layer.clone(),
        }
    }
}

impl<S, N, B> Service<Request<B>> for SessionService<S, N>
where
    S: Service<Request<B>, Response: IntoResponse>,
    N: 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let SessionLayer(middleware) = &self.layer;
        let outer = request.extensions().get::<RequestSessions>();
        let path = original_path(request.uri(), request.extensions());
        let sessions = match middleware.enter(outer, path) {
            Ok(Some(sessions)) => sessions,
            Ok(None) => {
                let work = Answering {
                    work: self.inner.call(request),
                };
                return ResponseFuture {
                    kind: Kind::PassingOn { work },
                };
            }
            Err(error) => {
                let (parts, _) = request.into_parts();
                let response = Some(middleware.responder(|| parts).to_error(&error));
                return ResponseFuture {
                    kind: Kind::Refusing { response },
                };
            }
        };
        let handle = sessions.handle().clone();
        let responder = middleware.responder(|| head_of(&request));
        request.extensions_mut().insert(sessions);
        // A panic in `call` itself needs no care: nobody can have loaded the session before there is a future.
        let work = Answering {
            work: self.inner.call(request),
        };
        ResponseFuture {
            kind: Kind::WithSession {
                run: handle.run(work),
                responder,
            },
        }
    }
}

/// A copy of the request's head.
fn head_of<B>(request: &Request<B>) -> Parts {
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = request.method().clone();
    head.uri = request.uri().clone();
    head.version = request.version();
    head.headers = request.headers().clone();
    head.extensions = request.extensions().clone();
    head
}
