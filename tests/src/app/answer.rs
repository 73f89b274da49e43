//! What a handler answers.

use std::borrow::Cow;

use serde_json::{Value, json};
use session_core::Error;

/// What a middleware near the handler could set, and what the session must leave alone.
const OTHERS: [(&str, &str); 3] = [
    ("set-cookie", "theirs=1"),
    ("vary", "Accept"),
    ("cache-control", "max-age=60"),
];

/// A response, for the binding to turn into one of its framework's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// From 200 to 599.
    pub status: u16,
    /// To be added in this order, in lower case: the content type, and what
    /// [`OTHER_HEADERS`](super::OTHER_HEADERS) asks for.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// What follows.
    pub body: Body,
}

/// An answer's body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// A text; empty where HTTP forbids a body beside the status.
    Text(String),
    /// Lines that are sent one after the other, after the head.
    Lines(Lines),
}

/// The lines of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lines {
    next: u32,
    end: u32,
}

impl Iterator for Lines {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let line = (self.next < self.end).then(|| format!("chunk {}\n", self.next));
        self.next += 1;
        line
    }
}

impl Answer {
    /// The answer to a session error: an opaque line, and the status that fits. It is what the adapter's
    /// error hook has to make of the error, too.
    pub fn session_error(error: &Error) -> Self {
        Self::error(error.status(), error.public_message())
    }

    /// An error with this message.
    pub fn error(status: u16, message: &str) -> Self {
        Self::with_status(status, &json!({"error": message}))
    }

    /// 200 for those who have nothing to say.
    pub(super) fn ok() -> Self {
        Self::json(&json!({"ok": true}))
    }

    pub(super) fn json(body: &Value) -> Self {
        Self::with_status(200, body)
    }

    pub(super) fn with_status(status: u16, body: &Value) -> Self {
        let forbids_body = matches!(status, 204 | 205 | 304);
        let (headers, text) = match forbids_body {
            true => (Vec::new(), String::new()),
            false => (
                vec![("content-type", "application/json".into())],
                body.to_string(),
            ),
        };
        Self {
            status,
            headers,
            body: Body::Text(text),
        }
    }

    pub(super) fn page(html: &str, policy: &'static str) -> Self {
        Self {
            status: 200,
            headers: vec![
                ("content-type", "text/html; charset=utf-8".into()),
                ("content-security-policy", policy.into()),
            ],
            body: Body::Text(html.to_owned()),
        }
    }

    pub(super) fn lines(n: u32) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type", "text/plain".into())],
            body: Body::Lines(Lines { next: 0, end: n }),
        }
    }

    /// The head of a stream of events.
    pub(super) fn events() -> Self {
        Self {
            status: 200,
            headers: vec![
                ("content-type", "text/event-stream".into()),
                ("cache-control", "no-store".into()),
            ],
            body: Body::Text(String::new()),
        }
    }

    pub(super) fn no_such_session() -> Self {
        Self::error(404, "the user has no session of this reference")
    }

    /// 405, with the methods that are allowed, separated by commas.
    pub(super) fn method_not_allowed(allowed: String) -> Self {
        let mut refusal = Self::error(405, "this method isn't allowed here");
        refusal.headers.push(("allow", allowed.into()));
        refusal
    }

    pub(super) fn add_other_headers(&mut self) {
        self.headers
            .extend(OTHERS.map(|(name, value)| (name, value.into())));
    }
}
