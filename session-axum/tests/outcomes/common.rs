//! What the tests share: a visitor who keeps cookies.

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Request, Response, header};
use session_axum::{SessionConfig, SessionConfigBuilder};
use session_conformance::adapter::SECRET;
use tower::ServiceExt as _;

use crate::jar::{Cookies, cookie_header, session_cookie, take_cookies};

/// More than any answer of the tests is long.
const MAX_BODY_LEN: usize = 1 << 20;

/// The tests' configuration, for them to vary.
pub(crate) fn config() -> SessionConfigBuilder {
    SessionConfig::builder(SECRET).exclude_path("/excluded/*")
}

/// Somebody with a browser: keeps the cookies that answers set, and sends them along. A clone is another
/// request of the same browser, sent before the answers to this one's are there.
#[derive(Clone)]
pub(crate) struct Visitor {
    app: Router,
    pub(crate) cookies: Cookies,
}

impl Visitor {
    pub(crate) fn new(app: &Router) -> Self {
        Self {
            app: app.clone(),
            cookies: Cookies::new(),
        }
    }

    /// The same browser at another application.
    pub(crate) fn at(&self, app: &Router) -> Self {
        Self {
            app: app.clone(),
            cookies: self.cookies.clone(),
        }
    }

    /// Sends `line`, such as `PUT /api/values/name`.
    pub(crate) async fn send(&mut self, line: &str, body: impl Into<Body>) -> Reply {
        let request = self.request(line, body);
        let reply = self.exchange(request).await;
        take_cookies(&mut self.cookies, &reply.all("set-cookie"));
        reply
    }

    /// What [`send`](Self::send) would send.
    pub(crate) fn request(&self, line: &str, body: impl Into<Body>) -> Request<Body> {
        let (method, uri) = line.split_once(' ').expect("a method and a path");
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(cookies) = cookie_header(&self.cookies) {
            request = request.header(header::COOKIE, cookies);
        }
        request.body(body.into()).unwrap()
    }

    /// The answer to a request as it is, cookies and all.
    pub(crate) async fn exchange(&self, request: Request<Body>) -> Reply {
        Reply::read(self.head(request).await).await
    }

    /// The answer's head, with its body still to come.
    pub(crate) async fn head(&self, request: Request<Body>) -> Response<Body> {
        self.app.clone().oneshot(request).await.unwrap()
    }

    /// The `session_id` that the visitor has.
    pub(crate) fn session_id(&self) -> Option<&str> {
        self.cookies.get("session_id").map(String::as_str)
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) async fn read(response: Response<Body>) -> Self {
        let (head, body) = response.into_parts();
        Self {
            status: head.status.as_u16(),
            headers: head.headers,
            body: to_bytes(body, MAX_BODY_LEN).await.unwrap(),
        }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The values of all headers called `name`.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).iter();
        values.map(|value| value.to_str().unwrap()).collect()
    }

    /// The Set-Cookie that concerns the session.
    pub(crate) fn session_cookie(&self) -> Option<&str> {
        session_cookie(&self.all("set-cookie"))
    }

    /// Whether the answer takes the session's cookie away.
    pub(crate) fn removes_cookie(&self) -> bool {
        self.session_cookie()
            .is_some_and(|cookie| cookie.contains("Max-Age=0"))
    }
}
