//! The layer and the service that it makes.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::OriginalUri;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use session_core::store::SessionStore;
use session_core::{ResponseHeaders, SessionConfig, SessionHandle, SessionManager};
use tower_layer::Layer;
use tower_service::Service;

use crate::{Error, Main};

type OnError = Arc<dyn Fn(&Error) -> Response + Send + Sync>;

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
    /// Names the session, for applications that have several: handlers then extract `Session<M>`. Each
    /// needs a cookie name of its own.
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
    S: Service<Request<B>, Response: IntoResponse, Error: Send, Future: Send>
        + Clone
        + Send
        + 'static,
    B: Send + 'static,
    N: 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The service that was polled ready answers; its clone waits for the next request.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        if self.layer.leaves_alone(&request) {
            return Box::pin(
                async move { inner.call(request).await.map(IntoResponse::into_response) },
            );
        }
        let handle = self.layer.manager.handle();
        request.extensions_mut().insert(Slot::<N> {
            handle: handle.clone(),
            name: PhantomData,
        });
        let on_error = self.layer.on_error.clone();
        Box::pin(async move {
            let work = async { inner.call(request).await.map(IntoResponse::into_response) };
            let (result, finished) = handle.run(work).await;
            let mut response = match finished.error() {
                Some(error) => on_error(&error.clone().into()),
                None => result?,
            };
            finished.apply(&mut Headers(response.headers_mut()));
            Ok(response)
        })
    }
}

impl<N: 'static> SessionLayer<N> {
    /// Whether the path is excluded, or an identical layer further out has already been at work.
    fn leaves_alone<B>(&self, request: &Request<B>) -> bool {
        let config = self.manager.config();
        let original = request
            .extensions()
            .get::<OriginalUri>()
            .map_or(request.uri(), |original| &original.0);
        let outer = request.extensions().get::<Slot<N>>();
        config.is_excluded(original.path())
            || outer
                .is_some_and(|outer| outer.handle.config().cookie_name() == config.cookie_name())
    }
}

/// What the layer leaves in the request's extensions for the extractor.
pub(crate) struct Slot<N> {
    pub(crate) handle: SessionHandle,
    name: PhantomData<fn() -> N>,
}

impl<N> Clone for Slot<N> {
    fn clone(&self) -> Self {
        Self {
            handle: self.handle.clone(),
            name: PhantomData,
        }
    }
}

struct Headers<'r>(&'r mut HeaderMap);

impl ResponseHeaders for Headers<'_> {
    fn values<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        self.0.get_all(name).iter().map(HeaderValue::as_bytes)
    }

    fn append(&mut self, name: &str, value: &str) {
        if let Some((name, value)) = header(name, value) {
            self.0.append(name, value);
        }
    }

    fn replace(&mut self, name: &str, value: &str) {
        if let Some((name, value)) = header(name, value) {
            self.0.insert(name, value);
        }
    }
}

/// The core promises lower-case names and printable ASCII, so that nothing is ever left out here.
fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let mut value: HeaderValue = value.parse().ok()?;
    // The session's id has no business in anybody's log.
    value.set_sensitive(name == "set-cookie");
    Some((name.parse().ok()?, value))
}
