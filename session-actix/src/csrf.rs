//! The CSRF middleware.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::rc::Rc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::header::HeaderValue;
use actix_web::{HttpResponse, ResponseError as _, web};
use session_core::adapter::{self, CsrfStep, MAX_CSRF_FORM_LEN};
use session_core::{CsrfConfig, Main};

use crate::{Error, Session};

/// Refuses requests that change something, unless they bring a CSRF token of their session and come from a page of this
/// site. It belongs inside the [`SessionMiddleware`](crate::SessionMiddleware), and so is wrapped before it.
///
/// Handlers give pages their token by the extractor [`CsrfToken`](crate::CsrfToken). A page sends it back in the header
/// `X-CSRF-Token`, or in a form's field `csrf_token`; [`CsrfConfig`] has the names and more. What is refused is a 403.
///
/// ```
/// use actix_web::{App, HttpResponse, web};
/// use session_actix::{CsrfConfig, CsrfMiddleware, CsrfToken, SessionMiddleware};
///
/// async fn form(token: CsrfToken) -> HttpResponse {
///     HttpResponse::Ok().content_type("text/html; charset=utf-8").body(format!(
///         r#"<form method="post"><input type="hidden" name="csrf_token" value="{token}"><button>Go</button></form>"#
///     ))
/// }
///
/// async fn submit() -> &'static str {
///     "The form came from a page of ours."
/// }
///
/// # fn app(sessions: SessionMiddleware) {
/// let app = App::new()
///     .service(web::resource("/").get(form).post(submit))
///     .wrap(CsrfMiddleware::new(CsrfConfig::default()))
///     .wrap(sessions);
/// # let _ = app;
/// # }
/// ```
#[derive(Debug)]
pub struct CsrfMiddleware<N = Main>(adapter::CsrfMiddleware<Error, HttpResponse, N>);

impl CsrfMiddleware {
    /// Asks for tokens as configured.
    pub fn new(config: CsrfConfig) -> Self {
        Self(adapter::CsrfMiddleware::new(config, Error::error_response))
    }
}

impl<N> CsrfMiddleware<N> {
    /// Asks for tokens of the session called `M`.
    pub fn named<M>(self) -> CsrfMiddleware<M> {
        CsrfMiddleware(self.0.named())
    }

    /// Shapes the response to what is refused. Default: the error's status, 403, and one line.
    #[must_use]
    pub fn on_refused(
        self,
        respond: impl Fn(&Error) -> HttpResponse + Send + Sync + 'static,
    ) -> Self {
        Self(self.0.on_refused(respond))
    }
}

impl<N: 'static> CsrfMiddleware<N> {
    async fn check(&self, request: &mut ServiceRequest) -> Result<(), Error> {
        let config = self.0.config();
        let method = request.method().as_str();
        let step = config.step(method, request.path(), |name| {
            let value = request.headers().get(name).map(HeaderValue::as_bytes);
            let authority = || Some(request.uri().authority()?.as_str().as_bytes());
            value.or_else(|| authority().filter(|_| name == "host"))
        });
        let token = match step {
            CsrfStep::Pass => return Ok(()),
            CsrfStep::Refuse(error) => return Err(error.into()),
            CsrfStep::Check(token) => token,
            CsrfStep::ReadForm => {
                let too_long = |()| Error::from(CsrfConfig::form_too_long());
                let body = request.extract::<web::Payload>().await;
                let body = body.map_err(|_| too_long(()))?;
                let body = body.to_bytes_limited(MAX_CSRF_FORM_LEN).await;
                let body = body.ok().and_then(Result::ok);
                let body = body.ok_or_else(|| too_long(()))?;
                let token = config.token_in_form(&body)?;
                request.set_payload(Payload::from(body));
                token
            }
        };
        let session = request.extract::<Session<N>>().await?;
        session.check_csrf(&token).await
    }
}

impl<N> Clone for CsrfMiddleware<N> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S, B, N> Transform<S, ServiceRequest> for CsrfMiddleware<N>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error> + 'static,
    B: MessageBody + 'static,
    N: 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = actix_web::Error;
    type Transform = CsrfService<S, N>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(CsrfService {
            service: Rc::new(service),
            middleware: self.clone(),
        }))
    }
}

/// The service that [`CsrfMiddleware`] makes.
#[derive(Debug)]
pub struct CsrfService<S, N = Main> {
    service: Rc<S>,
    middleware: CsrfMiddleware<N>,
}

impl<S, B, N> Service<ServiceRequest> for CsrfService<S, N>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error> + 'static,
    B: MessageBody + 'static,
    N: 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>>>>;

    forward_ready!(service);

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        let (service, middleware) = (self.service.clone(), self.middleware.clone());
        Box::pin(async move {
            if let Err(error) = middleware.check(&mut request).await {
                let response = middleware.0.response(&error).map_into_right_body();
                return Ok(request.into_response(response));
            }
            Ok(service.call(request).await?.map_into_left_body())
        })
    }
}
