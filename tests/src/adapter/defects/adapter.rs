//! The adapter over hyper.

use std::future::ready;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::header::{COOKIE, HeaderValue, SET_COOKIE, VARY};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request};
use session_conformance::adapter::{STORE_ERROR, SpyStore};
use session_conformance::app::Answer;
use session_core::adapter::{Finished, RequestSessions, SessionHandle};
use session_core::{Error, Main, SessionManager};

use super::Defect::{self, *};
use super::binding::{self, Bound};
use super::extractor::{Extractor, Failure, Response};

/// Everything that one server's requests share.
pub(super) struct Adapter {
    pub(super) sessions: SessionManager,
    /// Those of a second middleware inside the first.
    pub(super) inner: Option<SessionManager>,
    /// Sessions of a store that knows nobody.
    pub(super) strangers: SessionManager,
    /// Sessions in a cookie, of the same secret and store.
    pub(super) browsers: SessionManager,
    pub(super) store: SpyStore,
    /// Those that were given out.
    pub(super) csrf_tokens: Mutex<Vec<String>>,
    pub(super) defect: Option<Defect>,
}

impl Adapter {
    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    /// What the middleware and all within it make of a request.
    pub(super) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response {
        let (head, body) = request.into_parts();
        let bound = Bound::read(&head, body, self.defect).await;
        let path = head.uri.path();
        let entered = match self.sessions.enter::<Main>(None, path) {
            Ok(sessions) => sessions,
            Err(error) => panic!("nothing is around this middleware: {error}"),
        };
        if let Some(refusal) = self.refusal_inside(entered.as_ref(), path) {
            return refusal;
        }
        let handle = match entered {
            _ if self.has(ExcludedPathHasSession) => Some(self.sessions.handle()),
            sessions => sessions.map(|sessions| sessions.handle().clone()),
        };
        let extractor = Extractor {
            head: &head,
            handle: handle.as_ref(),
            strangers: &self.strangers,
            browsers: &self.browsers,
            store: &self.store,
            csrf_tokens: &self.csrf_tokens,
            defect: self.defect,
        };
        let work = bound.run(&extractor);
        let Some(handle) = &handle else {
            return Self::response_of(work.await);
        };
        if self.has(AsksWhenUnused) {
            drop(extractor.load(handle).await);
        }
        // What is worked on is caught, so that it can be decided whether it is committed.
        let outcome = AssertUnwindSafe(work).catch_unwind().await;
        if self.forgets_to_commit(&outcome) {
            return match outcome {
                Ok(outcome) => Self::response_of(outcome),
                Err(panic) => resume_unwind(panic),
            };
        }
        if self.has(CommitsChangesOnPanic) && outcome.is_err() {
            let _ = handle.run(ready(())).await;
        }
        self.break_session(handle, &head, &bound);
        let finish = async { outcome.unwrap_or_else(|panic| resume_unwind(panic)) };
        let (outcome, finished) = handle.run(finish).await;
        self.finish(outcome, &finished, handle, &head)
    }

    /// What a second middleware inside this one answers, unless it passes the request on.
    fn refusal_inside(&self, outer: Option<&RequestSessions>, path: &str) -> Option<Response> {
        let entered = self.inner.as_ref()?.enter::<Main>(outer, path);
        let answer = match entered {
            Ok(None) if self.has(RefusesItself) => Answer::error(500, "there is one already"),
            Err(error) if !self.has(InnerManagerIsIgnored) => Answer::session_error(&error),
            _ => return None,
        };
        Some(binding::respond(answer))
    }

    fn forgets_to_commit(&self, outcome: &std::thread::Result<Result<Response, Failure>>) -> bool {
        match outcome {
            Err(_) => self.has(LogoutLostOnPanic),
            Ok(Err(Failure::Handler(_))) => self.has(DropsChangesOnHandlerError),
            Ok(Err(Failure::Middleware(_))) => self.has(DropsChangesOnInnerError),
            Ok(Err(Failure::Session(_))) => false,
            Ok(Ok(response)) => response.status() == 500 && self.has(DropsChangesOn500),
        }
    }

    /// Does to the session what a broken adapter does after the handler.
    fn break_session(&self, handle: &SessionHandle, head: &Parts, bound: &Bound) {
        let Ok(session) = handle.loaded::<Error>() else {
            return;
        };
        if self.has(StoresEmptySessions) && session.is_new() {
            session.set("visited", true).expect("there is room");
        }
        if self.has(LosesDataOnRotation)
            && head.uri.path().contains("/regenerate")
            && !bound.is_refused()
        {
            session.clear();
        }
    }

    fn finish(
        &self,
        outcome: Result<Response, Failure>,
        finished: &Finished,
        handle: &SessionHandle,
        head: &Parts,
    ) -> Response {
        let is_inner_failure = matches!(outcome, Err(Failure::Middleware(_)));
        let is_stream = head.uri.path() == "/api/stream";
        let is_ignored = match finished.error() {
            _ if self.has(AnonymousWhenStoreIsDown) || self.has(NoneWhenStoreIsDown) => true,
            Some(_) if self.has(AnswersAlthoughSavingFailed) => handle.loaded::<Error>().is_ok(),
            _ => false,
        };
        let mut response = match finished.error() {
            Some(_) if self.has(ErrorTextInBody) => {
                binding::respond(Answer::error(503, STORE_ERROR))
            }
            Some(error) if !is_ignored => binding::respond(Answer::session_error(error)),
            _ => Self::response_of(outcome),
        };
        let loses_headers = (is_inner_failure && self.has(LosesHeadersOnInnerError))
            || (is_stream && self.has(LosesHeadersOnStreams))
            || (head.method == Method::HEAD && self.has(LosesHeadersOnHead));
        let before = response.headers().clone();
        if !loses_headers {
            finished.apply(response.headers_mut());
        }
        self.break_headers(response.headers_mut(), &before, finished, handle, head);
        response
    }

    /// Does to the headers what a broken adapter does: `before` is what they were before ours were added.
    fn break_headers(
        &self,
        headers: &mut HeaderMap,
        before: &HeaderMap,
        finished: &Finished,
        handle: &SessionHandle,
        head: &Parts,
    ) {
        let is_new = handle
            .loaded::<Error>()
            .map(|session| session.is_new())
            .ok();
        let theirs: Vec<_> = before.get_all(SET_COOKIE).iter().cloned().collect();
        let ours = headers.get_all(SET_COOKIE).iter().skip(theirs.len());
        let ours = ours
            .last()
            .map(|value| value.to_str().expect("it is ASCII").to_owned());
        let sent = head
            .headers
            .get(COOKIE)
            .and_then(|value| value.to_str().ok());
        let mut cookie = ours.clone();
        match self.defect {
            Some(RemovesCookieOnMiss) if sent.is_some() && is_new == Some(true) => {
                cookie = cookie.or_else(|| Some("session_id=; Path=/; Max-Age=0".to_owned()));
            }
            Some(RemovalWithoutPath) => {
                cookie = cookie.map(|cookie| match cookie.contains("Max-Age=0") {
                    true => cookie.replace("; Path=/", ""),
                    false => cookie,
                });
            }
            Some(CookieIsNotHttpOnly) => {
                cookie = cookie.map(|cookie| cookie.replace("; HttpOnly", ""))
            }
            Some(CookieFromLosers) if head.uri.path() == "/api/regenerate" => {
                cookie = cookie.or_else(|| Some(format!("{}; Path=/", sent?)));
            }
            Some(CookieOnEveryUse) if is_new == Some(false) => {
                cookie = cookie.or_else(|| Some(format!("{}; Path=/", sent?)));
            }
            Some(NoCookieOnTouch) => {
                cookie = cookie.filter(|cookie| sent.is_none_or(|sent| !cookie.starts_with(sent)));
            }
            Some(OverwritesSetCookie) if ours.is_some() => {
                headers.remove(SET_COOKIE);
                headers.append(SET_COOKIE, value(ours.as_deref()));
            }
            Some(SecondSetCookie) if ours.is_some() => {
                headers.append(SET_COOKIE, value(ours.as_deref()));
            }
            Some(NoVary) => restore(headers, before, "vary"),
            Some(VaryWhenUnused) => _ = headers.insert(VARY, HeaderValue::from_static("Cookie")),
            Some(OverwritesVary) if finished.is_used() => {
                headers.insert(VARY, HeaderValue::from_static("Cookie"));
            }
            Some(LosesTokens) => restore(headers, before, "session-token"),
            Some(LosesTokensOnReads) if head.method == Method::GET => {
                restore(headers, before, "session-token");
            }
            Some(VariesByCookieAlone) if finished.is_used() => {
                restore(headers, before, "vary");
                headers.append(VARY, HeaderValue::from_static("Cookie"));
            }
            Some(CacheableSetCookie) => restore(headers, before, "cache-control"),
            _ => {}
        }
        if cookie != ours {
            headers.remove(SET_COOKIE);
            for theirs in theirs {
                headers.append(SET_COOKIE, theirs);
            }
            if cookie.is_some() {
                headers.append(SET_COOKIE, value(cookie.as_deref()));
            }
        }
    }

    fn response_of(outcome: Result<Response, Failure>) -> Response {
        match outcome {
            Ok(response) => response,
            Err(Failure::Handler(response) | Failure::Middleware(response)) => *response,
            Err(Failure::Session(error)) => binding::respond(Answer::session_error(&error)),
        }
    }
}

fn value(cookie: Option<&str>) -> HeaderValue {
    let cookie = cookie.unwrap_or_default();
    HeaderValue::from_str(cookie).expect("a cookie is printable")
}

fn restore(headers: &mut HeaderMap, before: &HeaderMap, name: &'static str) {
    headers.remove(name);
    for value in before.get_all(name) {
        headers.append(name, value.clone());
    }
}
