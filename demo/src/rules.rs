//! What the routes do, for every framework alike: from a session and the request's parts to an answer.

use std::ops::Deref;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Value, json};
use session_core::{Error, Session, Timestamp};

/// The page.
pub(crate) const PAGE: &str = include_str!("page.html");
/// What the page may do: its own inline style and script, and requests to this server.
pub(crate) const PAGE_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'";

const LONGEST_WAIT_MS: u64 = 10_000;
const MOST_CHUNKS: u32 = 1_000;

/// A status and a JSON body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

/// What an adapter's session methods return as their error.
pub(crate) trait SessionError: From<Error> + Deref<Target = Error> {}

impl<E: From<Error> + Deref<Target = Error>> SessionError for E {}

impl Answer {
    /// 200 for those who have nothing to say.
    pub(crate) fn ok() -> Self {
        Self::json(json!({"ok": true}))
    }

    pub(crate) fn json(body: Value) -> Self {
        Self { status: 200, body }
    }

    pub(crate) fn error(status: u16, message: &str) -> Self {
        Self {
            status,
            body: json!({"error": message}),
        }
    }

    /// The answer to a session error: an opaque line, and the status that fits.
    pub(crate) fn session_error(error: &Error) -> Self {
        Self::error(error.status(), error.public_message())
    }

    /// Whether HTTP forbids a body beside this status.
    pub(crate) fn has_body(&self) -> bool {
        !matches!(self.status, 204 | 205 | 304)
    }
}

/// An answer in place of the one that was asked for.
impl<E: SessionError> From<E> for Answer {
    fn from(error: E) -> Self {
        Self::session_error(&error)
    }
}

pub(crate) fn get_value<E: SessionError>(
    session: &Session<E>,
    key: &str,
) -> Result<Answer, Answer> {
    let value: Option<Value> = session.get(key)?;
    Ok(Answer::json(
        json!({"exists": value.is_some(), "value": value}),
    ))
}

pub(crate) fn put_value<E: SessionError>(
    session: &Session<E>,
    key: &str,
    body: &[u8],
) -> Result<Answer, Answer> {
    session.set(key, json_body(body)?)?;
    Ok(Answer::ok())
}

pub(crate) fn delete_value<E: SessionError>(session: &Session<E>, key: &str) -> Answer {
    Answer::json(json!({"existed": session.delete(key)}))
}

pub(crate) fn all_values<E: SessionError>(session: &Session<E>) -> Result<Answer, Answer> {
    Ok(Answer::json(json!({"values": session.entries()?})))
}

pub(crate) fn increment<E: SessionError>(
    session: &Session<E>,
    key: &str,
) -> Result<Answer, Answer> {
    let add_one = |value: Option<Value>| match value.unwrap_or_default() {
        Value::Null => Ok(Value::from(1)),
        Value::Number(n) => n
            .as_i64()
            .and_then(|n| n.checked_add(1))
            .map(Value::from)
            .ok_or(()),
        _ => Err(()),
    };
    match session.try_update(key, add_one)? {
        Ok(value) => Ok(Answer::json(json!({"value": value}))),
        Err(()) => Err(Answer::error(
            422,
            "the value is not an integer that can be increased",
        )),
    }
}

pub(crate) fn info<E: SessionError>(session: &Session<E>) -> Answer {
    Answer::json(json!({
        "new": session.is_new(),
        "user": session.user().map(|user| user.name.to_string()),
        "created_at": session.created_at().map(Timestamp::as_unix_secs),
        "expires_at": session.expires_at().map(Timestamp::as_unix_secs),
        "superseded": session.is_superseded(),
        "ref": session.reference().map(|reference| reference.to_string()),
    }))
}

/// The answer with a status of the client's choice.
pub(crate) fn status(code: &str) -> Result<Answer, Answer> {
    match number(code) {
        Some(status @ 200..=399) => Ok(Answer {
            status,
            ..Answer::ok()
        }),
        Some(status @ 400..=599) => Ok(Answer::error(status, "the status that was asked for")),
        _ => Err(Answer::error(
            400,
            "the status must be a number from 200 to 599",
        )),
    }
}

/// What the routes that fail on purpose answer with.
pub(crate) fn failure() -> Answer {
    Answer::error(500, "the handler failed, as it was asked to")
}

/// A route whose feature hasn't been built yet.
pub(crate) fn not_built() -> Answer {
    Answer::error(501, "this version doesn't have this feature yet")
}

pub(crate) fn wait(ms: Option<&str>) -> Result<Duration, Answer> {
    match ms.and_then(number) {
        Some(ms @ 0..=LONGEST_WAIT_MS) => Ok(Duration::from_millis(ms)),
        _ => Err(Answer::error(
            400,
            "the query needs ms=N, a number of milliseconds up to 10000",
        )),
    }
}

/// The lines that a stream consists of.
pub(crate) fn chunks(n: Option<&str>) -> Result<impl Iterator<Item = String> + use<>, Answer> {
    match n.and_then(number) {
        Some(n @ 0..=MOST_CHUNKS) => Ok((0..n).map(|at| format!("chunk {at}\n"))),
        _ => Err(Answer::error(
            400,
            "the query needs n=N, a number of lines up to 1000",
        )),
    }
}

/// A number in plain digits; Rust's own parser takes a leading plus too.
fn number<T: FromStr>(text: &str) -> Option<T> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

pub(crate) fn json_body(body: &[u8]) -> Result<Value, Answer> {
    serde_json::from_slice(body).map_err(|_| Answer::error(400, "the body is not valid JSON"))
}
