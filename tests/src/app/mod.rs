//! The application that the adapter suite talks to, and that the demo serves: what its routes do, once, for
//! every framework alike.
//!
//! [`task`] finds out what a request wants, without a session. The adapter's author writes the *binding*:
//! one handler for all paths, which extracts the session as its framework does and only if the request uses
//! it, and turns the [`Ending`] into a response, an error value of the framework, or a panic. A binding is
//! some eighty lines; those of the demo are examples. The routes are described in `docs/demo-api.md`.

mod action;
mod answer;
mod profile;
mod routes;
mod watch;

use std::fmt;
use std::ops::Deref;

use session_core::{CsrfConfig, Error, Session};

pub use answer::{Answer, Body, Lines};
pub use watch::Watch;

use action::Action;

/// The longest body that a binding reads: 2 MiB.
pub const MAX_BODY_LEN: usize = 2 * 1024 * 1024;

/// The request header that asks for headers of other people's on the answer; see [`Answer::headers`].
pub const OTHER_HEADERS: &str = "x-other-headers";

/// The paths without a session, as the application's configuration has to exclude them.
pub const EXCLUDED: &str = "/excluded/*";

/// What the binding's CSRF middleware, which is inside the session's, asks for: a token for one path, with the default
/// names.
#[expect(clippy::expect_used, reason = "the path is a constant that is right")]
pub fn csrf_config() -> CsrfConfig {
    let config = CsrfConfig::builder().protect_path("/api/csrf-protected");
    config.build().expect("the path is right")
}

/// The part of a request that the application looks at.
#[derive(Clone, Copy)]
pub struct Request<'r> {
    /// The method, in upper case.
    pub method: &'r str,
    /// The path as the client sent it, percent-encoding and all.
    pub path: &'r str,
    /// What follows the question mark, as it was sent.
    pub query: Option<&'r str>,
    /// The body; none if it is longer than [`MAX_BODY_LEN`].
    pub body: Option<&'r [u8]>,
    /// Looks up a request header by its name, which is in lower case.
    pub header: Header<'r>,
}

/// Looks up a request header by its name, which is in lower case.
pub type Header<'r> = &'r dyn Fn(&str) -> Option<&'r [u8]>;

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// What a request wants, as far as that is known without its session.
#[derive(Debug)]
pub enum Task {
    /// The session isn't used: the binding must not extract it.
    Unused(Ending),
    /// The binding extracts the session as something optional: `Option<Session>` on most frameworks.
    Optional(OptionalTask),
    /// The binding extracts the session, which is an error where there is none.
    Session(SessionTask),
    /// The binding extracts the session by what doesn't count as activity: `Peek` in the adapters here.
    Peek(SessionTask),
}

/// How a handler ends.
#[derive(Debug)]
pub enum Ending {
    /// It answers.
    Answer(Answer),
    /// It answers with this head, and then sends what the watch says, until that is over.
    Watch(Answer, Watch),
    /// It fails with the framework's own error value, if the framework has such a thing; the error's
    /// response is this.
    Error(Answer),
    /// It panics. The binding does so.
    Panic,
}

/// What an adapter's session methods return as their error.
pub trait SessionError: From<Error> + Deref<Target = Error> + 'static {}

impl<E: From<Error> + Deref<Target = Error> + 'static> SessionError for E {}

/// Finds out what a request wants.
pub fn task(request: Request<'_>) -> Task {
    let other_headers = (request.header)(OTHER_HEADERS).is_some();
    match routes::find(request) {
        Ok(Wanted::Nothing(answer)) | Err(answer) => {
            Task::Unused(Ending::Answer(answer).finish(other_headers))
        }
        Ok(Wanted::Optional) => Task::Optional(OptionalTask { other_headers }),
        Ok(Wanted::Session(action)) => Task::Session(SessionTask {
            action,
            other_headers,
        }),
        Ok(Wanted::Peek(action)) => Task::Peek(SessionTask {
            action,
            other_headers,
        }),
    }
}

/// What a route leads to.
enum Wanted {
    Nothing(Answer),
    Optional,
    Session(Action),
    Peek(Action),
}

/// A request that says whether there is a session.
#[derive(Debug)]
pub struct OptionalTask {
    other_headers: bool,
}

impl OptionalTask {
    /// Answers whether there is a session.
    pub fn run<E>(self, session: Option<&Session<E>>) -> Ending {
        let is_there = serde_json::json!({"session": session.is_some()});
        Ending::Answer(Answer::json(&is_there)).finish(self.other_headers)
    }
}

/// A request that uses its session.
#[derive(Debug)]
pub struct SessionTask {
    action: Action,
    other_headers: bool,
}

impl SessionTask {
    /// Does what the request wants.
    pub async fn run<E: SessionError>(self, session: &Session<E>) -> Ending {
        let ending = self.action.run(session).await;
        let ending = ending.unwrap_or_else(|error| Ending::Answer(Answer::session_error(&error)));
        ending.finish(self.other_headers)
    }
}

impl Ending {
    fn finish(mut self, other_headers: bool) -> Self {
        if let (true, Self::Answer(answer) | Self::Error(answer) | Self::Watch(answer, _)) =
            (other_headers, &mut self)
        {
            answer.add_other_headers();
        }
        self
    }
}

/// The error with which a middleware between the handler and the session's fails after the handler has
/// succeeded, for requests of this path; none for others. `header` as in [`Request`].
///
/// Where frameworks have error values for middleware (actix-web, poem), it fails with one whose response is
/// this; where they don't, it answers with it.
pub fn inner_failure(path: &str, header: Header<'_>) -> Option<Answer> {
    path.starts_with("/api/error-inner/").then(|| {
        let mut failure = Answer::error(500, "a middleware failed, as it was asked to");
        if header(OTHER_HEADERS).is_some() {
            failure.add_other_headers();
        }
        failure
    })
}
