//! The layer and the service that it makes.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::OriginalUri;
use axum::response::{IntoResponse, Response};
use http::{Extensions, Request, Uri};
use session_core::store::SessionStore;
use session_core::{Main, RequestSessions, SessionConfig, SessionManager};
use tower_layer::Layer;
use tower_service::Service;

use crate::Error;
use crate::future::ResponseFuture;

pub(crate) type OnError = Arc<dyn Fn(&Error) -> Response + Send + Sync>;

/// Gives every request inside it a session. Clones share the store.
pub struct SessionLayer<N = Main> {
    manager: SessionManager,
    on_error: OnError,
    name: PhantomData<fn() -> N>,
}

impl SessionLayer {
    /// Sessions as configured, kept in `store`.
    pub fn new(config: SessionConfig, store: impl SessionStore) -> Self {
        Self::from_manager(SessionManager::new(config, store))
    }

    /// Sessions of a manager that the caller made, with a clock for tests, say.
    pub fn from_manager(manager: SessionManager) -> Self {
        Self {
            manager,
            on_error: Arc::new(|error| error.clone().into_response()),
            name: PhantomData,
        }
    }
}

impl<N> SessionLayer<N> {
    /// Names the session, for applications that have several: handlers then extract `Session<M>`, where `M` is
    /// any type of the application's, such as `enum Admin {}`. Each needs a cookie name of its own; they may
    /// share a store.
    pub fn named<M>(self) -> SessionLayer<M> {
        SessionLayer {
            manager: self.manager,
            on_error: self.on_error,
            name: PhantomData,
        }
    }

    /// Shapes the response that takes the handler's place when the session can't be loaded or committed.
    /// Default: the error's status (503 for a store that fails) and one line that gives nothing away.
    #[must_use]
    pub fn on_error(
        mut self,
        respond: impl Fn(&Error) -> Response + Send + Sync + 'static,
    ) -> Self {
        self.on_error = Arc::new(respond);
        self
    }
}

impl<N> Clone for SessionLayer<N> {
    fn clone(&self) -> Self {
        Self {
            manager: self.manager.clone(),
            on_error: self.on_error.clone(),
            name: PhantomData,
        }
    }
}

impl<N> fmt::Debug for SessionLayer<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer")
            .field("manager", &self.manager)
            .finish_non_exhaustive()
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
        let sessions = match self.layer.enter(&request) {
            Ok(Some(sessions)) => sessions,
            Ok(None) => return ResponseFuture::passing_on(self.inner.call(request)),
            Err(error) => return ResponseFuture::refusing((self.layer.on_error)(&error)),
        };
        let handle = sessions.handle().clone();
        request.extensions_mut().insert(sessions);
        // No session can have been loaded before there is a future: a panic in the call itself ends nothing.
        let work = self.inner.call(request);
        ResponseFuture::with_session(&handle, work, self.layer.on_error.clone())
    }
}

impl<N: 'static> SessionLayer<N> {
    fn enter<B>(&self, request: &Request<B>) -> Result<Option<RequestSessions>, Error> {
        let outer = request.extensions().get::<RequestSessions>();
        let path = original_path(request.uri(), request.extensions());
        Ok(self.manager.enter::<N>(outer, path)?)
    }
}

/// The path that the client sent, with nothing stripped by nested routers.
pub(crate) fn original_path<'r>(uri: &'r Uri, extensions: &'r Extensions) -> &'r str {
    let original = extensions.get::<OriginalUri>();
    original.map_or(uri, |original| &original.0).path()
}
