//! The CSRF layer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::RequestExt as _;
use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Request};
use session_core::adapter::{CsrfMiddleware, CsrfStep, MAX_CSRF_FORM_LEN};
use session_core::{CsrfConfig, Main};
use tower_layer::Layer;
use tower_service::Service;

use crate::path::original_path;
use crate::{Error, Session};

/// Refuses requests that change something, unless they bring a CSRF token of their session and come from a page of this
/// site. It belongs inside the [`SessionLayer`](crate::SessionLayer).
///
/// Handlers give pages their token by the extractor [`CsrfToken`](crate::CsrfToken). A page sends it back in the header
/// `X-CSRF-Token`, or in a form's field `csrf_token`; [`CsrfConfig`] has the names and more. What is refused is a 403.
///
/// ```
/// use axum::{Router, response::Html, routing::get};
/// use session_axum::{CsrfConfig, CsrfLayer, CsrfToken, SessionLayer};
///
/// async fn form(token: CsrfToken) -> Html<String> {
///     Html(format!(
///         r#"<form method="post"><input type="hidden" name="csrf_token" value="{token}"><button>Go</button></form>"#
///     ))
/// }
///
/// async fn submit() -> &'static str {
///     "The form came from a page of ours."
/// }
///
/// fn app(sessions: SessionLayer) -> Router {
///     Router::new()
///         .route("/", get(form).post(submit))
///         .layer(CsrfLayer::new(CsrfConfig::default()))
///         .layer(sessions)
/// }
/// ```
#[derive(Debug)]
pub struct CsrfLayer<N = Main>(CsrfMiddleware<Error, Response, N>);

impl CsrfLayer {
    /// Asks for tokens as configured.
    pub fn new(config: CsrfConfig) -> Self {
        let on_refused = |error: &Error| error.clone().into_response();
        Self(CsrfMiddleware::new(config, on_refused))
    }
}

impl<N> CsrfLayer<N> {
    /// Asks for tokens of the session called `M`.
    pub fn named<M>(self) -> CsrfLayer<M> {
        CsrfLayer(self.0.named())
    }

    /// Shapes the response to what is refused. Default: the error's status, 403, and one line.
    #[must_use]
    pub fn on_refused(self, respond: impl Fn(&Error) -> Response + Send + Sync + 'static) -> Self {
        Self(self.0.on_refused(respond))
    }
}

impl<N: 'static> CsrfLayer<N> {
    /// Gives the request back if it may go on.
    async fn check(&self, mut request: Request<Body>) -> Result<Request<Body>, Error> {
        let config = self.0.config();
        let path = original_path(request.uri(), request.extensions());
        let step = config.step(request.method().as_str(), path, |name| {
            let value = request.headers().get(name).map(HeaderValue::as_bytes);
            let authority = || Some(request.uri().authority()?.as_str().as_bytes());
            value.or_else(|| authority().filter(|_| name == "host"))
        });
        let token = match step {
            CsrfStep::Pass => return Ok(request),
            CsrfStep::Refuse(error) => return Err(error.into()),
            CsrfStep::Check(token) => token,
            CsrfStep::ReadForm => {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, MAX_CSRF_FORM_LEN).await;
                let body = body.map_err(|_| CsrfConfig::form_too_long())?;
                let token = config.token_in_form(&body)?;
                request = Request::from_parts(parts, Body::from(body));
                token
            }
        };
        let session: Session<N> = request.extract_parts().await?;
        session.check_csrf(&token).await?;
        Ok(request)
    }
}

impl<N> Clone for CsrfLayer<N> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S, N> Layer<S> for CsrfLayer<N> {
    type Service = CsrfService<S, N>;

    fn layer(&self, inner: S) -> Self::Service {
        CsrfService {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service that [`CsrfLayer`] makes.
#[derive(Debug)]
pub struct CsrfService<S, N = Main> {
    inner: S,
    layer: CsrfLayer<N>,
}

impl<S: Clone, N> Clone for CsrfService<S, N> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            layer: self.layer.clone(),
        }
    }
}

impl<S, N> Service<Request<Body>> for CsrfService<S, N>
where
    S: Service<Request<Body>, Response: IntoResponse> + Clone + Send + 'static,
    S::Future: Send,
    N: 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The one that was asked whether it is ready is the one that is called.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let layer = self.layer.clone();
        Box::pin(async move {
            match layer.check(request).await {
                Ok(request) => inner.call(request).await.map(IntoResponse::into_response),
                Err(error) => Ok(layer.0.response(&error)),
            }
        })
    }
}
