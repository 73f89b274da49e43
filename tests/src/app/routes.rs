//! From a request's line and body to what it wants.

use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use serde_json::Value;
use session_core::{Flash, Login, SessionRef};

use super::action::{Action, Afterwards, Change};
use super::{Answer, Request, Wanted, profile};

const PAGE: &str = include_str!("page.html");
/// What the page may do: its own inline style and script, and requests to this server.
const PAGE_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'";

const LONGEST_WAIT_MS: u64 = 10_000;
const LONGEST_WATCH_SECS: u64 = 60;
const MOST_LINES: u32 = 1_000;
const LARGEST_AMOUNT: i64 = 1_000;

/// Reads what a route needs. The error is the answer to a request that can't be read.
type Read = fn(&Input<'_>) -> Result<Wanted, Answer>;

/// A path, in which a part in capitals stands for any one that isn't empty, with what each method does.
type Route = (&'static str, &'static [(&'static str, Read)]);

const ROUTES: &[Route] = &[
    (
        "/",
        &[("GET", |_| {
            Ok(Wanted::Nothing(Answer::page(PAGE, PAGE_POLICY)))
        })],
    ),
    (
        "/api/untouched",
        &[("GET", |_| Ok(Wanted::Nothing(Answer::ok())))],
    ),
    ("/api/values", &[("GET", |_| session(Action::AllValues))]),
    (
        "/api/values/KEY",
        &[
            ("GET", |input| session(Action::GetValue(input.part(0)?))),
            ("PUT", |input| change(set(input, 0)?, Afterwards::Answer)),
            ("DELETE", |input| {
                session(Action::DeleteValue(input.part(0)?))
            }),
        ],
    ),
    (
        "/api/clear",
        &[("POST", |_| change(Change::Clear, Afterwards::Answer))],
    ),
    (
        "/api/increment/KEY",
        &[("POST", |input| session(Action::Increment(input.part(0)?)))],
    ),
    ("/api/info", &[("GET", |_| session(Action::Info))]),
    (
        "/api/regenerate",
        &[("POST", |_| change(Change::Regenerate, Afterwards::Answer))],
    ),
    (
        "/api/regenerate-then-set/KEY",
        &[("POST", |input| {
            let (key, value) = (input.part(0)?, input.json()?);
            change(Change::RegenerateThenSet(key, value), Afterwards::Answer)
        })],
    ),
    (
        "/api/regenerate/status/CODE",
        &[("POST", |input| change(Change::Regenerate, input.status(0)?))],
    ),
    (
        "/api/regenerate/error",
        &[("POST", |_| change(Change::Regenerate, Afterwards::Fail))],
    ),
    (
        "/api/destroy",
        &[("POST", |_| change(Change::Destroy, Afterwards::Answer))],
    ),
    (
        "/api/logout",
        &[("POST", |_| change(Change::Destroy, Afterwards::Answer))],
    ),
    (
        "/api/destroy/status/CODE",
        &[("POST", |input| change(Change::Destroy, input.status(0)?))],
    ),
    (
        "/api/destroy/error",
        &[("POST", |_| change(Change::Destroy, Afterwards::Fail))],
    ),
    (
        "/api/destroy/panic",
        &[("POST", |_| change(Change::Destroy, Afterwards::Panic))],
    ),
    (
        "/api/slow",
        &[("GET", |input| session(Action::SlowRead(input.wait()?)))],
    ),
    (
        "/api/slow/KEY",
        &[("PUT", |input| {
            let (key, wait) = (input.part(0)?, input.wait()?);
            session(Action::SlowWrite(wait, key, input.json()?))
        })],
    ),
    (
        "/api/status/CODE/KEY",
        &[("PUT", |input| {
            let afterwards = input.status(0)?;
            change(set(input, 1)?, afterwards)
        })],
    ),
    (
        "/api/error/KEY",
        &[("PUT", |input| change(set(input, 0)?, Afterwards::Fail))],
    ),
    (
        "/api/error-inner/KEY",
        &[("PUT", |input| change(set(input, 0)?, Afterwards::Answer))],
    ),
    (
        "/api/panic/KEY",
        &[("PUT", |input| change(set(input, 0)?, Afterwards::Panic))],
    ),
    (
        "/api/login",
        &[("POST", |input| session(Action::Login(input.login()?)))],
    ),
    (
        "/api/sessions",
        &[
            ("GET", |_| session(Action::Sessions)),
            ("DELETE", |input| {
                let all = input.all()?;
                session(Action::EndSessions { all })
            }),
        ],
    ),
    (
        "/api/sessions/REF",
        &[("DELETE", |input| {
            session(Action::EndSession(input.reference(0)?))
        })],
    ),
    (
        "/api/flash",
        &[
            ("GET", |_| session(Action::Flashes)),
            ("POST", |input| session(Action::Flash(input.flash()?))),
        ],
    ),
    ("/api/csrf", &[("GET", |_| session(Action::CsrfToken))]),
    // The middleware has checked the token.
    (
        "/api/csrf-protected",
        &[("POST", |_| Ok(Wanted::Nothing(Answer::ok())))],
    ),
    (
        "/api/peek/KEY",
        &[("GET", |input| {
            Ok(Wanted::Peek(Action::GetValue(input.part(0)?)))
        })],
    ),
    (
        "/api/fresh",
        &[("GET", |input| session(Action::Fresh(input.within()?)))],
    ),
    (
        "/api/reauthenticate",
        &[("POST", |_| session(Action::Reauthenticate))],
    ),
    (
        "/api/end-everywhere",
        &[("POST", |_| session(Action::EndEverywhere))],
    ),
    (
        "/api/move/FROM/TO",
        &[("POST", |input| {
            let (from, to, n) = (input.part(0)?, input.part(1)?, input.amount()?);
            session(Action::Move { from, to, n })
        })],
    ),
    (
        "/api/profile",
        &[
            ("GET", |_| session(Action::Profile)),
            ("PUT", |input| {
                session(Action::SetProfile(profile::parse(input.json()?)?))
            }),
            ("DELETE", |_| session(Action::DeleteProfile)),
        ],
    ),
    (
        "/api/watch",
        &[("GET", |input| session(Action::Watch(input.seconds()?)))],
    ),
    (
        "/api/stream",
        &[("GET", |input| session(Action::Stream(input.lines()?)))],
    ),
    ("/excluded/ANY", &[("GET", |_| Ok(Wanted::Optional))]),
];

/// What a request wants, or the answer to one that can't be read.
pub(super) fn find(request: Request<'_>) -> Result<Wanted, Answer> {
    let found = ROUTES
        .iter()
        .find_map(|(pattern, methods)| Some((parts(pattern, request.path)?, methods)));
    let Some((parts, methods)) = found else {
        return Err(Answer::error(404, "there is nothing here"));
    };
    let wanted = match request.method {
        "HEAD" => "GET",
        method => method,
    };
    let Some((_, read)) = methods.iter().find(|(method, _)| *method == wanted) else {
        let names = methods.iter().map(|(method, _)| match *method {
            "GET" => "GET,HEAD",
            method => method,
        });
        return Err(Answer::method_not_allowed(
            names.collect::<Vec<_>>().join(","),
        ));
    };
    let Some(body) = request.body else {
        return Err(Answer::error(413, "the body is too long"));
    };
    read(&Input {
        parts,
        query: request.query.unwrap_or_default(),
        body,
    })
}

/// The parts of `path` that stand where `pattern` has capitals, if the two fit.
fn parts<'p>(pattern: &str, path: &'p str) -> Option<Vec<&'p str>> {
    let mut found = Vec::new();
    let mut path = path.split('/');
    for expected in pattern.split('/') {
        let part = path.next()?;
        if expected.starts_with(|first: char| first.is_ascii_uppercase()) {
            if part.is_empty() {
                return None;
            }
            found.push(part);
            if expected == "ANY" {
                return Some(found);
            }
        } else if part != expected {
            return None;
        }
    }
    path.next().is_none().then_some(found)
}

fn session(action: Action) -> Result<Wanted, Answer> {
    Ok(Wanted::Session(action))
}

fn change(change: Change, afterwards: Afterwards) -> Result<Wanted, Answer> {
    session(Action::Change(change, afterwards))
}

fn set(input: &Input<'_>, key: usize) -> Result<Change, Answer> {
    Ok(Change::Set(input.part(key)?, input.json()?))
}

/// The parts of a request that matter to its route.
struct Input<'r> {
    parts: Vec<&'r str>,
    query: &'r str,
    body: &'r [u8],
}

impl Input<'_> {
    /// A part of the path, percent-decoded once.
    fn part(&self, at: usize) -> Result<String, Answer> {
        let decoded = percent_decode_str(self.parts.get(at).copied().unwrap_or_default());
        decoded
            .decode_utf8()
            .map(Into::into)
            .map_err(|_| Answer::error(400, "the path is not valid UTF-8"))
    }

    fn json(&self) -> Result<Value, Answer> {
        serde_json::from_slice(self.body)
            .map_err(|_| Answer::error(400, "the body is not valid JSON"))
    }

    fn status(&self, at: usize) -> Result<Afterwards, Answer> {
        match number(&self.part(at)?) {
            Some(status @ 200..=599) => Ok(Afterwards::Status(status)),
            _ => Err(Answer::error(
                400,
                "the status must be a number from 200 to 599",
            )),
        }
    }

    fn reference(&self, at: usize) -> Result<SessionRef, Answer> {
        let reference = self.part(at)?.parse();
        reference.map_err(|_| Answer::no_such_session())
    }

    fn login(&self) -> Result<Login, Answer> {
        let body = self.json()?;
        let remember = match &body["remember"] {
            Value::Null => Some(false),
            remember => remember.as_bool(),
        };
        let label = match &body["label"] {
            Value::Null => Some(None),
            label => label.as_str().map(Some),
        };
        match (body["user"].as_str(), remember, label) {
            (Some(""), ..) => Err(Answer::error(422, "a user needs a name")),
            (Some(user), Some(remember), Some(label)) => {
                let login = Login::new(user).remember(remember);
                Ok(match label {
                    Some(label) => login.label(label),
                    None => login,
                })
            }
            _ => Err(Answer::error(
                400,
                r#"the body needs a user and may have more: {"user":"ada","remember":true,"label":"a phone"}"#,
            )),
        }
    }

    /// Whether the user's own session is meant too.
    fn all(&self) -> Result<bool, Answer> {
        let mut pairs = form_urlencoded::parse(self.query.as_bytes());
        match pairs.find(|(key, _)| key == "all") {
            None => Ok(false),
            Some((_, all)) => all
                .parse()
                .map_err(|_| Answer::error(400, "all must be true or false")),
        }
    }

    fn flash(&self) -> Result<Flash, Answer> {
        let body = self.json()?;
        let level = match &body["level"] {
            Value::Null => Some("info"),
            level => level.as_str(),
        };
        match (body["message"].as_str(), level) {
            (Some(message), Some(level)) => Ok(Flash::new(level.to_owned(), message)),
            _ => Err(Answer::error(
                400,
                r#"the body needs a message and may have a level: {"message":"Saved.","level":"success"}"#,
            )),
        }
    }

    fn amount(&self) -> Result<i64, Answer> {
        match self.parameter("n") {
            Some(n @ 1..=LARGEST_AMOUNT) => Ok(n),
            _ => Err(Answer::error(
                400,
                "the query needs n=N, an amount from 1 to 1000",
            )),
        }
    }

    fn wait(&self) -> Result<Duration, Answer> {
        match self.parameter("ms") {
            Some(ms @ 0..=LONGEST_WAIT_MS) => Ok(Duration::from_millis(ms)),
            _ => Err(Answer::error(
                400,
                "the query needs ms=N, a number of milliseconds up to 10000",
            )),
        }
    }

    fn within(&self) -> Result<Duration, Answer> {
        let within = self.parameter("within").map(Duration::from_secs);
        within.ok_or_else(|| Answer::error(400, "the query needs within=S, a number of seconds"))
    }

    fn seconds(&self) -> Result<Duration, Answer> {
        match self.parameter("s") {
            Some(s @ 0..=LONGEST_WATCH_SECS) => Ok(Duration::from_secs(s)),
            _ => Err(Answer::error(
                400,
                "the query needs s=N, a number of seconds up to 60",
            )),
        }
    }

    fn lines(&self) -> Result<u32, Answer> {
        match self.parameter("n") {
            Some(n @ 0..=MOST_LINES) => Ok(n),
            _ => Err(Answer::error(
                400,
                "the query needs n=N, a number of lines up to 1000",
            )),
        }
    }

    /// The number that the query gives under `name`.
    fn parameter<T: FromStr>(&self, name: &str) -> Option<T> {
        let mut pairs = form_urlencoded::parse(self.query.as_bytes());
        pairs
            .find(|(key, _)| key == name)
            .and_then(|(_, value)| number(&value))
    }
}

/// A number in plain digits; Rust's own parser takes a leading plus too.
fn number<T: FromStr>(text: &str) -> Option<T> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}
