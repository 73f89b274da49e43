//! The application, bound to hyper.

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::StatusCode;
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use session_conformance::app::{self, Answer, Body, Ending, Task};
use session_core::adapter::{CsrfStep, MAX_CSRF_FORM_LEN};
use session_core::{Flash, Session};

use super::Defect::{self, *};
use super::extractor::{Extractor, Failure, Response, SessionFailed};

/// A request, read, for the application.
pub(super) struct Bound {
    path: String,
    query: Option<String>,
    body: Option<Bytes>,
    defect: Option<Defect>,
}

impl Bound {
    pub(super) async fn read(head: &Parts, body: Incoming, defect: Option<Defect>) -> Self {
        let limit = match defect {
            Some(ReadsAnyBody) => usize::MAX,
            _ => app::MAX_BODY_LEN,
        };
        let body = Limited::new(body, limit).collect().await;
        let mut bound = Self {
            path: head.uri.path().to_owned(),
            query: head.uri.query().map(str::to_owned),
            body: body.ok().map(http_body_util::Collected::to_bytes),
            defect,
        };
        match defect {
            Some(LosesQueries) => bound.query = None,
            Some(LosesBodies) => bound.body = Some(Bytes::new()),
            Some(DecodesPathsTwice) => {
                let decoded = percent_encoding::percent_decode_str(&bound.path);
                bound.path = decoded.decode_utf8_lossy().into_owned();
            }
            _ => {}
        }
        bound
    }

    fn task(&self, head: &Parts) -> Task {
        app::task(app::Request {
            method: head.method.as_str(),
            path: &self.path,
            query: self.query.as_deref(),
            body: self.body.as_deref(),
            header: &|name| header(head, name),
        })
    }

    /// Whether the body can't be what a route needs.
    pub(super) fn is_refused(&self) -> bool {
        self.path.contains("then-set") && self.body.as_ref().is_none_or(Bytes::is_empty)
    }

    /// The handler, with a middleware around it that fails where it is asked to.
    pub(super) async fn run(&self, extractor: &Extractor<'_>) -> Result<Response, Failure> {
        let head = extractor.head;
        let response = self.handle(extractor).await?;
        match app::inner_failure(&self.path, &|name| header(head, name)) {
            Some(failure) if response.status().is_success() => {
                Err(Failure::Middleware(respond(failure).into()))
            }
            _ => Ok(response),
        }
    }

    async fn handle(&self, extractor: &Extractor<'_>) -> Result<Response, Failure> {
        let head = extractor.head;
        let content_type = head.headers.get("content-type");
        if self.defect == Some(RefusesForms) && content_type.is_some() {
            return Ok(respond(Answer::error(415, "only JSON is taken")));
        }
        if let Err(refusal) = self.check_csrf(extractor).await? {
            return Ok(respond(refusal));
        }
        let ending = match self.task(head) {
            Task::Unused(ending) => ending,
            Task::Optional(task) => task.run(extractor.optional_session().await?.as_ref()),
            Task::Peek(task) => task.run(&extractor.peek().await?).await,
            Task::Session(task) => {
                let session = extractor.session().await?;
                let before = session.peek_flashes().unwrap_or_default();
                let ending = task.run(&session).await;
                self.break_flashes(&session, before);
                ending
            }
        };
        if let Ending::Answer(answer) = &ending
            && self.path == "/api/csrf"
        {
            let mut given_out = extractor.csrf_tokens.lock().expect("nobody panics");
            given_out.push(token_in(answer));
        }
        match ending {
            Ending::Answer(answer) => Ok(respond(self.break_answer(answer))),
            Ending::Watch(mut answer, mut watch) => {
                let mut events = String::new();
                while let Some(event) = watch.next().await {
                    if self.defect != Some(WatchMissesTheEnd) || !event.contains("ended") {
                        events.push_str(&event);
                    }
                }
                answer.body = Body::Text(events);
                Ok(respond(answer))
            }
            Ending::Error(answer) => Err(Failure::Handler(respond(answer).into())),
            Ending::Panic => panic!("the handler panicked, as it was asked to"),
        }
    }

    /// What an adapter's CSRF middleware does, or the answer to what it refuses.
    async fn check_csrf(&self, extractor: &Extractor<'_>) -> Result<Result<(), Answer>, Failure> {
        if self.defect == Some(NoCsrfCheck) {
            return Ok(Ok(()));
        }
        let (head, config) = (extractor.head, app::csrf_config());
        let token = match config.step(head.method.as_str(), &self.path, |name| header(head, name)) {
            CsrfStep::Pass => return Ok(Ok(())),
            CsrfStep::Refuse(error) => Err(error),
            CsrfStep::Check(token) => Ok(token),
            CsrfStep::ReadForm => match self.body.as_deref() {
                Some(form) if form.len() <= MAX_CSRF_FORM_LEN => config.token_in_form(form),
                _ => Err(session_core::CsrfConfig::form_too_long()),
            },
        };
        let token = match token {
            Ok(token) => token,
            Err(error) => return Ok(Err(Answer::session_error(&error))),
        };
        let session = extractor.session().await?;
        let checked = session.check_csrf(&token).await;
        let is_good = {
            let given_out = extractor.csrf_tokens.lock().expect("nobody panics");
            let is_known = |prefix: &str| given_out.iter().any(|token| token.starts_with(prefix));
            match self.defect {
                Some(CsrfTokenComparedByPrefix) => {
                    checked.is_ok() || token.get(..40).is_some_and(is_known)
                }
                Some(CsrfTokenSurvivesLogin) => {
                    checked.is_ok() || (session.user().is_some() && is_known(&token))
                }
                Some(CsrfTokenDiesOnRotation) => checked.is_ok() && !session.is_superseded(),
                _ => checked.is_ok(),
            }
        };
        Ok(match checked {
            Err(error) if !is_good => Err(Answer::session_error(&error.0)),
            Ok(()) if !is_good => Err(Answer::error(403, "this token is of another id")),
            _ => Ok(()),
        })
    }

    /// Does to the messages what a broken adapter does: `before` are those that the request met.
    fn break_flashes(&self, session: &Session<SessionFailed>, before: Vec<Flash>) {
        match self.defect {
            Some(FlashShownTwice) => drop(session.keep_flashes(before)),
            Some(FlashLost) => drop(session.flashes()),
            _ => {}
        }
    }

    fn break_answer(&self, mut answer: Answer) -> Answer {
        match self.defect {
            Some(EverythingIsJson) => answer.headers[0].1 = "application/json".into(),
            Some(EverythingIsOk) => answer.status = 200,
            Some(TooLargeIsInternal) if answer.status == 413 => answer.status = 500,
            Some(StaleUserIsFresh) if self.path == "/api/fresh" && answer.status == 403 => {
                answer.status = 200;
            }
            _ => {}
        }
        answer
    }
}

/// The token in an answer that has one.
fn token_in(answer: &Answer) -> String {
    let Body::Text(text) = &answer.body else {
        return String::new();
    };
    let answer: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    answer["token"].as_str().unwrap_or_default().to_owned()
}

fn header<'r>(head: &'r Parts, name: &str) -> Option<&'r [u8]> {
    head.headers.get(name).map(HeaderValue::as_bytes)
}

pub(super) fn respond(answer: Answer) -> Response {
    let body = match answer.body {
        Body::Text(text) => text,
        Body::Lines(lines) => lines.collect(),
    };
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).expect("a status of the application's");
    for (name, value) in answer.headers {
        let value = value.parse().expect("a header of the application's");
        response.headers_mut().append(name, value);
    }
    response
}
