//! What the tests share: a visitor who keeps cookies, and the log.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Request, Response, header};
use session_axum::{SessionConfig, SessionConfigBuilder};
use session_conformance::adapter::SECRET;
use tower::ServiceExt as _;
use tracing::subscriber::DefaultGuard;

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
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Visitor {
    pub(crate) fn new(app: &Router) -> Self {
        Self {
            app: app.clone(),
            cookies: BTreeMap::new(),
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
        self.take_cookies(&reply.headers);
        reply
    }

    /// What [`send`](Self::send) would send.
    pub(crate) fn request(&self, line: &str, body: impl Into<Body>) -> Request<Body> {
        let (method, uri) = line.split_once(' ').expect("a method and a path");
        let mut request = Request::builder().method(method).uri(uri);
        if !self.cookies.is_empty() {
            let pairs = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            request = request.header(header::COOKIE, pairs.collect::<Vec<_>>().join("; "));
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

    pub(crate) fn take_cookies(&mut self, headers: &HeaderMap) {
        for cookie in headers.get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').expect("a name and a value");
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
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
    ///
    /// CK-6: there is never more than one.
    pub(crate) fn session_cookie(&self) -> Option<&str> {
        let mut ours = self.all("set-cookie");
        ours.retain(|cookie| cookie.starts_with("session_id="));
        assert!(ours.len() <= 1, "{ours:?}");
        ours.pop()
    }

    /// Whether the answer takes the session's cookie away.
    pub(crate) fn removes_cookie(&self) -> bool {
        self.session_cookie()
            .is_some_and(|cookie| cookie.contains("Max-Age=0"))
    }
}

/// What is logged on this thread while this lives.
pub(crate) struct Log {
    lines: LogWriter,
    _until_dropped: DefaultGuard,
}

#[derive(Clone, Default)]
struct LogWriter(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn capture() -> Self {
        let lines = LogWriter::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .finish();
        Self {
            lines,
            _until_dropped: tracing::subscriber::set_default(subscriber),
        }
    }

    /// The lines that contain `part`.
    pub(crate) fn lines_with(&self, part: &str) -> Vec<String> {
        let log = String::from_utf8(self.lines.0.lock().unwrap().clone()).unwrap();
        let found = log.lines().filter(|line| line.contains(part));
        found.map(str::to_owned).collect()
    }
}

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
