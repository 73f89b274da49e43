//! The middleware and the service that it makes.

use std::fmt;
use std::future::{Future, Ready, ready};
use std::rc::Rc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{
    RequestHead, Service, ServiceRequest, ServiceResponse, Transform, forward_ready,
};
use actix_web::{HttpMessage as _, HttpResponse, ResponseError as _};
use session_core::adapter::{Middleware, RequestSessions, SessionHandle};
use session_core::store::SessionStore;
use session_core::{ConfigError, DroppedChanges, Main, SessionConfig, SessionManager};

use crate::Error;
use crate::extract::load;
use crate::future::{Answer, Respond, ResponseFuture};

/// Gives every request inside it a session. Clones share the store.
///
/// actix-web builds the application once for each worker: make the middleware outside of that closure and
/// clone it inside, so that all workers have one store.
pub struct SessionMiddleware<N = Main> {
    middleware: Middleware<Error, HttpResponse, RequestHead, N>,
    is_eager: bool,
}

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
        Self {
            middleware: Middleware::new(manager, Error::error_response),
            is_eager: false,
        }
    }
}

impl<N> SessionMiddleware<N> {
    /// Names the session, for applications that have several: handlers then extract `Session<M>`, where `M` is
    /// any type of the application's, such as `enum Admin {}`. Each needs a cookie name, or a token header, of its own; they may
    /// share a store.
    pub fn named<M>(self) -> SessionMiddleware<M> {
        SessionMiddleware {
            middleware: self.middleware.named(),
            is_eager: self.is_eager,
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
        self.middleware = self.middleware.on_error(respond);
        self
    }

    /// Shapes the same response, with a look at the request: JSON for a program and a page for a browser, say.
    ///
    /// Of the request there is the head, as it came to the middleware; an `HttpRequest` can't be kept while actix-web
    /// goes on with it. It is copied for every request, so that [`on_error`](Self::on_error) is the cheaper of the two.
    ///
    /// ```
    /// # use actix_web::{HttpResponse, ResponseError as _};
    /// # use session_actix::{SessionConfig, SessionMiddleware};
    /// # let config = SessionConfig::builder("an example secret of at least 32 bytes").build().unwrap();
    /// let sessions = SessionMiddleware::new(config, session_store_memory::MemoryStore::new())
    ///     .on_error_with(|error, request| match request.uri.path().starts_with("/api/") {
    ///         true => HttpResponse::build(error.status_code()).body(r#"{"error":"try again"}"#),
    ///         false => error.error_response(),
    ///     });
    /// # drop(sessions);
    /// ```
    #[must_use]
    pub fn on_error_with(
        mut self,
        respond: impl Fn(&Error, &RequestHead) -> HttpResponse + Send + Sync + 'static,
    ) -> Self {
        self.middleware = self.middleware.on_error_with(respond);
        self
    }

    /// Called when the changes of a request were dropped, because another one had ended or rotated the session: it may
    /// put another response in place of the handler's, such as a 409, or of an inner middleware's error. With `None` the
    /// handler's stands, as it does by default. The request is as for [`on_error_with`](Self::on_error_with).
    ///
    /// It is about what is committed when the handler has returned; an explicit [`commit`](session_core::Session::commit)
    /// tells the handler. For counting there is
    /// [`SessionConfigBuilder::on_dropped`](session_core::SessionConfigBuilder::on_dropped), which is called as well.
    #[must_use]
    pub fn on_dropped(
        mut self,
        respond: impl Fn(&DroppedChanges, &RequestHead) -> Option<HttpResponse> + Send + Sync + 'static,
    ) -> Self {
        self.middleware = self.middleware.on_dropped(respond);
        self
    }

    /// The manager behind it, for what isn't about one request: an administrator who ends somebody's sessions, say.
    pub fn manager(&self) -> &SessionManager {
        self.middleware.manager()
    }
}

impl<N> Clone for SessionMiddleware<N> {
    fn clone(&self) -> Self {
        Self {
            middleware: self.middleware.clone(),
            is_eager: self.is_eager,
        }
    }
}

impl<N> fmt::Debug for SessionMiddleware<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionMiddleware")
            .field("manager", self.manager())
            .field("is_eager", &self.is_eager)
            .finish()
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
            options: self.clone(),
        }))
    }
}

/// The service that [`SessionMiddleware`] makes.
#[derive(Debug)]
pub struct SessionService<S, N = Main> {
    service: Rc<S>,
    options: SessionMiddleware<N>,
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
        let SessionMiddleware {
            middleware,
            is_eager,
        } = &self.options;
        let entered = {
            let extensions = request.extensions();
            middleware.enter(extensions.get::<RequestSessions>(), request.path())
        };
        let sessions = match entered {
            Ok(Some(sessions)) => sessions,
            Ok(None) => return self.pass_on(request),
            Err(error) => {
                let responder = middleware.responder(|| request.head().clone());
                let response = responder.to_error(&error).map_into_right_body();
                let response = request.into_response(response);
                return ResponseFuture::waiting(ready(Ok(response)));
            }
        };
        let handle = sessions.handle().clone();
        let outer = request.extensions_mut().insert(sessions);
        let responder = middleware.responder(|| request.head().clone());
        let respond = Respond { outer, responder };
        if *is_eager {
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
        let handle = match self.options.is_eager {
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
        let middleware = &self.options.middleware;
        let responder = middleware.responder(|| request.head().clone());
        let service = self.service.clone();
        async move {
            if let Err(error) = load(&handle, request.request()).await {
                let response = responder.to_error(&error.into()).map_into_right_body();
                return Ok(request.into_response(response));
            }
            let response = service.call(request).await?;
            Ok(response.map_into_left_body())
        }
    }
}
