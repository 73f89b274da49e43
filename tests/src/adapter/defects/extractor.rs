//! What a handler gets of its request, and how it fails.

use std::ops::Deref;
use std::sync::Mutex;

use http_body_util::Full;
use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, COOKIE, HeaderValue};
use hyper::http::request::Parts;
use session_conformance::adapter::SpyStore;
use session_core::adapter::{CookieHeaders, SessionHandle};
use session_core::store::{SessionStore as _, StoreKey};
use session_core::{Error, Session, SessionManager, Timestamp};

use super::Defect::{self, *};

pub(super) type Response = hyper::Response<Full<Bytes>>;

/// The error values of a framework that has such a thing: a response, and who failed.
pub(super) enum Failure {
    Handler(Box<Response>),
    Middleware(Box<Response>),
    Session(Error),
}

/// The adapter's own error, as every adapter has one.
pub(super) struct SessionFailed(pub(super) Error);

impl From<Error> for SessionFailed {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl Deref for SessionFailed {
    type Target = Error;

    fn deref(&self) -> &Error {
        &self.0
    }
}

/// The request as handlers see it.
pub(super) struct Extractor<'r> {
    pub(super) head: &'r Parts,
    pub(super) handle: Option<&'r SessionHandle>,
    /// Sessions of a store that knows nobody.
    pub(super) strangers: &'r SessionManager,
    /// Sessions in a cookie, of the same secret and store.
    pub(super) browsers: &'r SessionManager,
    pub(super) store: &'r SpyStore,
    /// The CSRF tokens that were given out.
    pub(super) csrf_tokens: &'r Mutex<Vec<String>>,
    pub(super) defect: Option<Defect>,
}

impl Extractor<'_> {
    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    pub(super) async fn session(&self) -> Result<Session<SessionFailed>, Failure> {
        let handle = self
            .handle
            .expect("no route below an excluded path needs a session");
        let session = match self.load(handle).await {
            Err(_) if self.has(AnonymousWhenStoreIsDown) => {
                self.strangers.handle().load(&CookieHeaders(&[])).await
            }
            session => session,
        };
        let session = session.map_err(Failure::Session)?;
        if self.has(LogoutDoesNotFollow) && session.is_superseded() {
            let stranger = self.strangers.handle().load(&CookieHeaders(&[])).await;
            return stranger.map_err(Failure::Session);
        }
        Ok(session)
    }

    /// The session, without counting as activity.
    pub(super) async fn peek(&self) -> Result<Session<SessionFailed>, Failure> {
        let handle = self
            .handle
            .expect("no route below an excluded path needs a session");
        if self.has(PeekCountsAsActivity) {
            return self.session().await;
        }
        let peeked = handle.peek(&self.head.headers).await;
        peeked.map_err(Failure::Session)
    }

    pub(super) async fn optional_session(&self) -> Result<Option<Session<SessionFailed>>, Failure> {
        let Some(handle) = self.handle else {
            return Ok(None);
        };
        match self.load(handle).await {
            Ok(session) => Ok(Some(session)),
            Err(_) if self.has(NoneWhenStoreIsDown) => Ok(None),
            Err(error) => Err(Failure::Session(error)),
        }
    }

    pub(super) async fn load(
        &self,
        handle: &SessionHandle,
    ) -> Result<Session<SessionFailed>, Error> {
        let mut cookies: Vec<Vec<u8>> = self
            .head
            .headers
            .get_all(COOKIE)
            .iter()
            .filter(|value| !self.has(BrokenNeighbourHides) || value.to_str().is_ok())
            .map(|value| value.as_bytes().to_vec())
            .collect();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        for header in &mut cookies {
            if self.has(FirstOfTwoCookies) {
                let header_text = text(header);
                let ours = header_text
                    .split("; ")
                    .find(|pair| pair.starts_with("session_id="));
                *header = ours.unwrap_or_default().into();
            }
            if self.has(DecodesCookieNames) {
                *header = text(header).replace("session%5Fid", "session_id").into();
            }
            if self.has(SkipsForgedCookies) {
                let forged = format!("session_id={:A<92}; ", "forged");
                *header = text(header).replace(&forged, "").into();
            }
        }
        let session = handle.load(&self.headers(&cookies)).await;
        let asks_again = match &session {
            Ok(session) => {
                let brings_one =
                    !cookies.is_empty() || self.head.headers.contains_key(AUTHORIZATION);
                let found_nothing = session.is_new() && brings_one;
                self.has(LoadsTwice) || (self.has(AsksForForgedCookies) && found_nothing)
            }
            Err(_) => false,
        };
        if asks_again {
            let nobody = StoreKey::from_bytes([0; 32]);
            drop(self.store.load(&nobody, Timestamp::default()).await);
        }
        match (self.has(CookieTakenForToken), self.token()) {
            (true, Some(token)) if session.as_ref().is_ok_and(Session::is_new) => {
                let pair = format!("session_id={token}");
                let handle = self.browsers.handle();
                handle.load(&CookieHeaders(&[pair.as_bytes()])).await
            }
            _ => session,
        }
    }

    /// The bearer token of the request.
    fn token(&self) -> Option<&str> {
        let value = self.head.headers.get(AUTHORIZATION)?.to_str().ok()?;
        value.strip_prefix("Bearer ")
    }

    /// The request's headers, with these cookies in place of its own.
    fn headers(&self, cookies: &[Vec<u8>]) -> HeaderMap {
        let mut headers = self.head.headers.clone();
        headers.remove(COOKIE);
        for cookie in cookies {
            let cookie = HeaderValue::from_bytes(cookie).expect("what came in a header");
            headers.append(COOKIE, cookie);
        }
        if self.has(TokenFromTheUrl) {
            let query = self.head.uri.query().unwrap_or_default();
            if let Some(token) = query.strip_prefix("access_token=") {
                let value = format!("Bearer {token}").parse();
                headers.insert(AUTHORIZATION, value.expect("a part of a URL"));
            }
        }
        if self.has(FirstOfTwoTokens)
            && let Some(first) = headers.get(AUTHORIZATION).cloned()
        {
            headers.insert(AUTHORIZATION, first);
        }
        if self.has(ReadsAuthorizationAlone) {
            headers.remove("x-session");
        }
        headers
    }
}
