//! The middleware and the service that it makes.

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, Ready, ready};
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::header::{
    CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, SET_COOKIE, VARY,
};
use actix_web::{HttpMessage as _, HttpResponse, ResponseError as _};
use session_core::store::SessionStore;
use session_core::{
    Main, RequestSessions, ResponseHeader, ResponseHeaders, SessionConfig, SessionHandle,
    SessionManager,
};

use crate::Error;
use crate::extract::load;
use crate::future::{Answer, Respond, ResponseFuture};

pub(crate) type OnError = Arc<dyn Fn(&Error) -> HttpResponse + Send + Sync>;

/// Gives every request inside it a session. Clones share the store.
///
/// actix-web builds the application once for each worker: make the middleware outside of that closure and
/// clone it inside, so that all workers have one store.
pub struct SessionMiddleware<N = Main> {
    manager: SessionManager,
    on_error: OnError,
    is_eager: bool,
    name: PhantomData<fn() -> N>,
}

impl SessionMiddleware {
    /// Sessions as configured, kept in `store`.
    pub fn new(config: SessionConfig, store: impl SessionStore) -> Self {
        Self::from_manager(SessionManager::new(config, store))
    }

    /// Sessions of a manager that the caller made, with a clock for tests, say.
    pub fn from_manager(manager: SessionManager) -> Self {
        Self {
            manager,
            on_error: Arc::new(Error::error_response),
            is_eager: false,
            name: PhantomData,
        }
    }
}

impl<N> SessionMiddleware<N> {
    /// Names the session, for applications that have several: handlers then extract `Session<M>`, where `M` is
    /// any type of the application's, such as `enum Admin {}`. Each needs a cookie name of its own; they may
    /// share a store.
    pub fn named<M>(self) -> SessionMiddleware<M> {
        SessionMiddleware {
            manager: self.manager,
            on_error: self.on_error,
            is_eager: self.is_eager,
            name: PhantomData,
        }
    }

    /// Loads the session of every request before anything inside sees it, so that guards, which can't wait,
    /// have it ([`SessionExt`](crate::SessionExt)). Default: a session is loaded when it is first extracted.
    ///
    /// Every request then uses its session, and costs what a read does. If the session can't be loaded, the
    /// response is the error, and nothing inside is called.
    #[must_use]
    pub fn load_eagerly(mut self) -> Self {
        self.is_eager = true;
        self
    }

    /// Shapes the response that takes the handler's place when the session can't be loaded or committed.
    /// Default: the error's status (503 for a store that fails) and one line that gives nothing away.
    #[must_use]
    pub fn on_error(
        mut self,
        respond: impl Fn(&Error) -> HttpResponse + Send + Sync + 'static,
    ) -> Self {
        self.on_error = Arc::new(respond);
        self
    }
}

impl<N> Clone for SessionMiddleware<N> {
    fn clone(&self) -> Self {
        Self {
            manager: self.manager.clone(),
            on_error: self.on_error.clone(),
            is_eager: self.is_eager,
            name: PhantomData,
        }
    }
}

impl<N> fmt::Debug for SessionMiddleware<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionMiddleware")
            .field("manager", &self.manager)
            .field("is_eager", &self.is_eager)
            .finish_non_exhaustive()
    }
}

impl<S, B, N> Transform<S, ServiceRequest> for SessionMiddleware<N>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error> + 'static,
    B: MessageBody + 'static,
    N: 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = actix_web::Error;
    type Transform = SessionService<S, N>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(SessionService {
            service: Rc::new(service),
            middleware: self.clone(),
        }))
    }
}

/// The service that [`SessionMiddleware`] makes.
#[derive(Debug)]
pub struct SessionService<S, N = Main> {
    service: Rc<S>,
    middleware: SessionMiddleware<N>,
}

impl<S, B, N> Service<ServiceRequest> for SessionService<S, N>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error> + 'static,
    B: MessageBody + 'static,
    N: 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = actix_web::Error;
    type Future = ResponseFuture<S::Future, B>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let on_error = self.middleware.on_error.clone();
        let sessions = match self.middleware.enter(&request) {
            Ok(Some(sessions)) => sessions,
            Ok(None) => return self.pass_on(request),
            Err(error) => {
                let response = on_error(&error).map_into_right_body();
                return ResponseFuture::waiting(ready(Ok(request.into_response(response))));
            }
        };
        let handle = sessions.handle().clone();
        let outer = request.extensions_mut().insert(sessions);
        let respond = Respond { outer, on_error };
        if self.middleware.is_eager {
            let work = self.load_and_call(handle.clone(), request);
            return ResponseFuture::waiting(async move {
                let (result, finished) = handle.run(work).await;
                respond.respond(result, finished)
            });
        }
        ResponseFuture::with_session(handle.run(self.service.call(request)), respond)
    }
}

impl<S, B, N> SessionService<S, N>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error> + 'static,
    B: MessageBody + 'static,
    N: 'static,
{
    /// Leaves the request alone, except that the guards inside may rely on this middleware to have loaded the
    /// session of an identical one further out.
    fn pass_on(&self, request: ServiceRequest) -> ResponseFuture<S::Future, B> {
        let handle = match self.middleware.is_eager {
            true => request
                .extensions()
                .get::<RequestSessions>()
                .and_then(RequestSessions::find::<N>)
                .cloned(),
            false => None,
        };
        match handle {
            Some(handle) => ResponseFuture::waiting(self.load_and_call(handle, request)),
            None => ResponseFuture::passing_on(self.service.call(request)),
        }
    }

    /// Calls what is inside when the session has been loaded; if it can't be, the error is the response.
    fn load_and_call(
        &self,
        handle: SessionHandle,
        request: ServiceRequest,
    ) -> impl Future<Output = Answer<EitherBody<B>>> + use<S, B, N> {
        let (service, on_error) = (self.service.clone(), self.middleware.on_error.clone());
        async move {
            if let Err(error) = load(&handle, request.request()).await {
                let response = on_error(&error.into()).map_into_right_body();
                return Ok(request.into_response(response));
            }
            let response = service.call(request).await?;
            Ok(response.map_into_left_body())
        }
    }
}

impl<N: 'static> SessionMiddleware<N> {
    fn enter(&self, request: &ServiceRequest) -> Result<Option<RequestSessions>, Error> {
        let extensions = request.extensions();
        let outer = extensions.get::<RequestSessions>();
        Ok(self.manager.enter::<N>(outer, request.path())?)
    }
}

/// The header map of actix-web 4, which is none of `http` 1.
pub(crate) struct Headers<'r>(pub(crate) &'r mut HeaderMap);

impl ResponseHeaders for Headers<'_> {
    fn values(&self, header: ResponseHeader) -> impl Iterator<Item = &[u8]> {
        self.0.get_all(name_of(header)).map(HeaderValue::as_bytes)
    }

    fn append(&mut self, header: ResponseHeader, value: Cow<'static, str>) {
        if let Some(value) = value_of(header, value) {
            self.0.append(name_of(header), value);
        }
    }

    fn replace(&mut self, header: ResponseHeader, value: Cow<'static, str>) {
        if let Some(value) = value_of(header, value) {
            self.0.insert(name_of(header), value);
        }
    }
}

fn name_of(header: ResponseHeader) -> HeaderName {
    match header {
        ResponseHeader::SetCookie => SET_COOKIE,
        ResponseHeader::Vary => VARY,
        ResponseHeader::CacheControl => CACHE_CONTROL,
        other => HeaderName::from_static(other.name()),
    }
}

/// The core writes printable ASCII, so that nothing is ever left out here.
fn value_of(header: ResponseHeader, value: Cow<'static, str>) -> Option<HeaderValue> {
    let mut value = match value {
        Cow::Borrowed(text) => HeaderValue::from_static(text),
        Cow::Owned(text) => text.try_into().ok()?,
    };
    value.set_sensitive(header == ResponseHeader::SetCookie);
    Some(value)
}
