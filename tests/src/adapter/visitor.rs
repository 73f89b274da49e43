//! A browser, as far as cookies go, over real connections.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{COOKIE, HOST, HeaderValue, SET_COOKIE};
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The cookie that the suite's sessions have.
pub(super) const COOKIE_NAME: &str = "session_id";

/// Somebody with a browser: keeps the cookies that answers set, and sends them along. A clone is another
/// request of the same browser, sent before the answers to this one's are there.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    address: SocketAddr,
    pub(super) cookies: BTreeMap<String, String>,
}

impl Visitor {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            cookies: BTreeMap::new(),
        }
    }

    /// The same browser at another server.
    pub(super) fn at(&self, address: SocketAddr) -> Self {
        Self {
            address,
            cookies: self.cookies.clone(),
        }
    }

    /// Sends `line`, such as `PUT /api/values/name`.
    pub(super) async fn send(&mut self, line: &str, body: impl Into<Bytes>) -> Reply {
        let reply = self.exchange(self.request(line, body)).await;
        self.take_cookies(&reply);
        reply
    }

    /// Sends `line` and looks at the status and at the JSON of the answer, which is all there is to most.
    pub(super) async fn check(&mut self, line: &str, body: &str, status: u16, answer: Value) {
        let reply = self.send(line, body.to_owned()).await;
        assert_eq!(
            (reply.status, reply.json()),
            (status, answer),
            "the answer to `{line}` with the body `{body}`"
        );
    }

    /// What [`send`](Self::send) would send.
    pub(super) fn request(&self, line: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        let (method, uri) = line.split_once(' ').expect("a method and a path");
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header(HOST, self.address.to_string());
        if !self.cookies.is_empty() {
            let pairs = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            request = request.header(COOKIE, pairs.collect::<Vec<_>>().join("; "));
        }
        request
            .body(Full::new(body.into()))
            .expect("the suite's requests are well-formed")
    }

    /// The answer to `line` with these Cookie headers in place of the browser's.
    pub(super) async fn send_cookies(&self, line: &str, headers: &[&[u8]]) -> Reply {
        let mut request = self.request(line, "1");
        request.headers_mut().remove(COOKIE);
        for header in headers {
            let value = HeaderValue::from_bytes(header).expect("a value that can be sent");
            request.headers_mut().append(COOKIE, value);
        }
        self.exchange(request).await
    }

    /// The answer to a request as it is, cookies and all.
    pub(super) async fn exchange(&self, request: Request<Full<Bytes>>) -> Reply {
        let line = format!("{} {}", request.method(), request.uri());
        match self.try_exchange(request).await {
            Ok(reply) => reply,
            Err(error) => panic!("`{line}` got no answer: {error}"),
        }
    }

    /// The answer, or how the connection failed to bring one.
    pub(super) async fn try_exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Reply, hyper::Error> {
        let stream = TcpStream::connect(self.address)
            .await
            .unwrap_or_else(|error| panic!("nobody listens on {}: {error}", self.address));
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        connection.abort();
        Ok(Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        })
    }

    /// All that the server sends in answer to a request of this line, with the browser's cookies, until it
    /// closes the connection.
    pub(super) async fn send_raw(&self, line: &str) -> String {
        let mut stream = self.send_and_stay(line).await;
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer).await;
        read.expect("an answer in UTF-8");
        answer
    }

    /// Sends a request of this line, with the browser's cookies. Whoever drops the connection leaves before the answer.
    pub(super) async fn send_and_stay(&self, line: &str) -> TcpStream {
        let (host, cookies) = (self.address, self.session_pair());
        let request =
            format!("{line}\r\nhost: {host}\r\ncookie: {cookies}\r\nconnection: close\r\n\r\n");
        let mut stream = TcpStream::connect(host).await.expect("a listening server");
        let written = stream.write_all(request.as_bytes()).await;
        written.expect("a server that reads");
        stream
    }

    /// The session's cookie value that the visitor has.
    pub(super) fn session_id(&self) -> Option<&str> {
        self.cookies.get(COOKIE_NAME).map(String::as_str)
    }

    /// The session's cookie as a header sends it.
    pub(super) fn session_pair(&self) -> String {
        format!("{COOKIE_NAME}={}", self.session_id().unwrap_or_default())
    }

    pub(super) fn take_cookies(&mut self, reply: &Reply) {
        for cookie in reply.all(SET_COOKIE.as_str()) {
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').expect("a name and a value");
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// All values in the visitor's session. Asking changes nothing.
    pub(super) async fn values(&self) -> Value {
        let reply = self.clone().send("GET /api/values", "").await;
        assert_eq!(reply.status, 200, "reading the values: {reply:?}");
        reply.json()["values"].clone()
    }

    /// What the server says about the visitor's session.
    pub(super) async fn info(&self) -> Value {
        self.clone().send("GET /api/info", "").await.json()
    }

    /// Whether the visitor's cookie leads to a live session.
    pub(super) async fn is_known(&self) -> bool {
        self.info().await["new"] == Value::Bool(false)
    }
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Reply {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("answers are UTF-8")
    }

    /// The body, which says that it is JSON and is.
    pub(super) fn json(&self) -> Value {
        assert_eq!(self.all("content-type"), ["application/json"], "{self:?}");
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("the body isn't JSON ({error}): {self:?}"))
    }

    /// The values of all headers called `name`.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).iter();
        values.filter_map(|value| value.to_str().ok()).collect()
    }

    /// The parts of a header that is a list, in lower case.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let values = self.all(name);
        let parts = values.iter().flat_map(|value| value.split(','));
        parts.map(|part| part.trim().to_lowercase()).collect()
    }

    /// The Set-Cookie that concerns the session.
    ///
    /// CK-6: there is never more than one.
    pub(super) fn session_cookie(&self) -> Option<&str> {
        let mut ours = self.all("set-cookie");
        ours.retain(|cookie| cookie.starts_with("session_id="));
        assert!(
            ours.len() <= 1,
            "an answer has to have one Set-Cookie of the session's at most, and has {ours:?}"
        );
        ours.pop()
    }

    /// Whether the answer takes the session's cookie away.
    pub(super) fn removes_cookie(&self) -> bool {
        self.session_cookie()
            .is_some_and(|cookie| cookie.contains("Max-Age=0"))
    }

    /// An answer that is fine and leaves the visitor's cookie as it is.
    pub(super) fn expect_no_cookie(&self, status: u16) {
        assert_eq!(
            (self.status, self.session_cookie()),
            (status, None),
            "the status, and no Set-Cookie: {self:?}"
        );
    }

    /// CM-3: the answer to a request whose store fails.
    pub(super) fn expect_unavailable(&self) {
        assert_eq!(self.status, 503, "a store that fails is a 503: {self:?}");
        assert_eq!(
            self.text(),
            r#"{"error":"session store unavailable"}"#,
            "a 503 tells nothing about the store"
        );
        assert_eq!(
            self.all("set-cookie"),
            [""; 0],
            "the answer to a request that failed has no cookie"
        );
    }
}
