//! The CSRF middleware.

use poem::error::ResponseError as _;
use poem::http::HeaderValue;
use poem::{Body, Endpoint, FromRequest as _, IntoResponse, Middleware, Request, Response};
use session_core::adapter::{self, CsrfStep, MAX_CSRF_FORM_LEN};
use session_core::{CsrfConfig, Main};

use crate::extract::original_path;
use crate::{Error, Session};

/// Refuses requests that change something, unless they bring a CSRF token of their session and come from a page of this
/// site. It belongs inside the [`SessionMiddleware`](crate::SessionMiddleware).
///
/// Handlers give pages their token by the extractor [`CsrfToken`](crate::CsrfToken). A page sends it back in the header
/// `X-CSRF-Token`, or in a form's field `csrf_token`; [`CsrfConfig`] has the names and more. What is refused is a 403.
///
/// ```
/// use poem::{Endpoint, EndpointExt as _, Route, get, handler, web::Html};
/// use session_poem::{CsrfConfig, CsrfMiddleware, CsrfToken, SessionMiddleware};
///
/// #[handler]
/// async fn form(token: CsrfToken) -> Html<String> {
///     Html(format!(
///         r#"<form method="post"><input type="hidden" name="csrf_token" value="{token}"><button>Go</button></form>"#
///     ))
/// }
///
/// #[handler]
/// async fn submit() -> &'static str {
///     "The form came from a page of ours."
/// }
///
/// fn app(sessions: SessionMiddleware) -> impl Endpoint {
///     Route::new()
///         .at("/", get(form).post(submit))
///         .with(CsrfMiddleware::new(CsrfConfig::default()))
///         .with(sessions)
/// }
/// ```
#[derive(Debug)]
pub struct CsrfMiddleware<N = Main>(adapter::CsrfMiddleware<Error, Response, N>);

impl CsrfMiddleware {
    /// Asks for tokens as configured.
    pub fn new(config: CsrfConfig) -> Self {
        Self(adapter::CsrfMiddleware::new(config, Error::as_response))
    }
}

impl<N> CsrfMiddleware<N> {
    /// Asks for tokens of the session called `M`.
    pub fn named<M>(self) -> CsrfMiddleware<M> {
        CsrfMiddleware(self.0.named())
    }

    /// Shapes the response to what is refused. Default: the error's status, 403, and one line.
    #[must_use]
    pub fn on_refused(self, respond: impl Fn(&Error) -> Response + Send + Sync + 'static) -> Self {
        Self(self.0.on_refused(respond))
    }
}

impl<N: 'static> CsrfMiddleware<N> {
    async fn check(&self, request: &mut Request) -> poem::Result<()> {
        let config = self.0.config();
        let method = request.method().as_str();
        let step = config.step(method, original_path(request), |name| {
            let value = request.headers().get(name).map(HeaderValue::as_bytes);
            let authority = || Some(request.original_uri().authority()?.as_str().as_bytes());
            value.or_else(|| authority().filter(|_| name == "host"))
        });
        let token = match step {
            CsrfStep::Pass => return Ok(()),
            CsrfStep::Refuse(error) => return Err(Error::from(error).into()),
            CsrfStep::Check(token) => token,
            CsrfStep::ReadForm => {
                let body = request.take_body().into_bytes_limit(MAX_CSRF_FORM_LEN);
                let body = body.await;
                let body = body.map_err(|_| Error::from(CsrfConfig::form_too_long()))?;
                let token = config.token_in_form(&body).map_err(Error::from)?;
                request.set_body(Body::from(body));
                token
            }
        };
        let session = Session::<N>::from_request_without_body(request).await?;
        Ok(session.check_csrf(&token).await?)
    }
}

impl<N> Clone for CsrfMiddleware<N> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: Endpoint, N: 'static> Middleware<E> for CsrfMiddleware<N> {
    type Output = CsrfEndpoint<E, N>;

    fn transform(&self, inner: E) -> Self::Output {
        CsrfEndpoint {
            inner,
            middleware: self.clone(),
        }
    }
}

/// The endpoint that [`CsrfMiddleware`] makes.
#[derive(Debug)]
pub struct CsrfEndpoint<E, N = Main> {
    inner: E,
    middleware: CsrfMiddleware<N>,
}

impl<E: Endpoint, N: 'static> Endpoint for CsrfEndpoint<E, N> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        match self.middleware.check(&mut request).await {
            Ok(()) => Ok(self.inner.call(request).await?.into_response()),
            Err(error) => match error.downcast_ref::<Error>() {
                Some(error) => Ok(self.middleware.0.response(error)),
                None => Err(error),
            },
        }
    }
}
