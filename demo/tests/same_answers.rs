//! The same requests to the demo on each framework: the same answers, whether they succeed or fail.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that meets the unexpected fails by panicking"
)]

mod common;

use serde_json::{Value, json};
use ureq::http::{HeaderMap, Request};

use crate::common::Program;

const FRAMEWORKS: [&str; 3] = ["axum", "actix", "poem"];

/// Requests of all kinds, in order: the method and path, and the body. Each is sent with the cookie of those
/// before it, and once without.
const REQUESTS: &[(&str, &str)] = &[
    ("GET /", ""),
    ("GET /api/untouched", ""),
    ("GET /excluded/any", ""),
    ("GET /excluded/any/%FF", ""),
    ("PUT /api/values/name", r#"{"first":"Ada","year":1815}"#),
    ("PUT /api/values/a%2Fb", "1"),
    ("GET /api/values", ""),
    ("HEAD /api/values", ""),
    ("GET /api/values/name", ""),
    ("GET /api/values/nothing", ""),
    ("GET /api/values/%FF", ""),
    ("PUT /api/values/%FF", "1"),
    ("PUT /api/values/name", ""),
    ("PUT /api/values/name", "{"),
    ("PATCH /api/values/name", "1"),
    ("DELETE /api/values/a%2Fb", ""),
    ("POST /api/increment/n", ""),
    ("POST /api/increment/n", ""),
    ("POST /api/increment/name", ""),
    ("GET /api/info", "superseded"),
    ("POST /api/regenerate", ""),
    ("POST /api/regenerate/status/404", ""),
    ("POST /api/regenerate/status/999", ""),
    ("POST /api/regenerate/error", ""),
    ("POST /api/regenerate-then-set/n", "2"),
    ("POST /api/regenerate-then-set/n", "x"),
    ("GET /api/slow?ms=1", ""),
    ("GET /api/slow", ""),
    ("GET /api/slow?ms=10001", ""),
    ("PUT /api/slow/n?ms=1", "3"),
    ("PUT /api/status/201/n", "4"),
    ("PUT /api/status/204/n", "5"),
    ("PUT /api/status/304/n", "6"),
    ("PUT /api/status/418/n", "7"),
    ("PUT /api/status/503/n", "8"),
    ("PUT /api/status/199/n", "9"),
    ("PUT /api/error/n", "10"),
    ("PUT /api/error-inner/n", "11"),
    ("PUT /api/error-inner/n", "x"),
    ("PUT /api/panic/n", "12"),
    ("GET /api/values/n", ""),
    ("POST /api/login", r#"{"user":"ada","label":7}"#),
    ("POST /api/login", r#"{"user":"ada","label":"a phone"}"#),
    ("GET /api/sessions", ""),
    ("GET /api/flash", ""),
    ("POST /api/csrf-protected", ""),
    ("GET /api/stream?n=3", ""),
    ("GET /api/stream?n=-1", ""),
    ("GET /nothing", ""),
    ("GET /api/values/", ""),
    ("POST /api/clear", ""),
    ("POST /api/destroy/status/500", ""),
    ("PUT /api/values/name", "1"),
    ("POST /api/destroy/error", ""),
    ("PUT /api/values/name", "2"),
    ("POST /api/destroy/panic", ""),
    ("GET /api/values", ""),
    ("PUT /api/values/name", "3"),
    ("POST /api/logout", ""),
    ("POST /api/destroy", ""),
    ("GET /api/values", ""),
];

/// What a client sees of an answer, apart from what is different each time.
#[derive(PartialEq, Debug)]
struct Seen {
    request: String,
    status: u16,
    headers: Vec<(&'static str, Vec<String>)>,
    body: Value,
}

/// The headers that a client acts on. A server adds others of its own: a date, a length, how it goes on.
const HEADERS: [&str; 6] = [
    "allow",
    "cache-control",
    "content-security-policy",
    "content-type",
    "set-cookie",
    "vary",
];

#[test]
fn all_frameworks_give_the_same_answers() {
    let [axum, actix, poem] = FRAMEWORKS.map(seen_on);
    assert_eq!(axum.len(), 2 * REQUESTS.len());
    let counted = axum.iter().any(|seen| seen.body == json!({"value": 2}));
    assert!(counted, "the cookie is sent along");
    for ((axum, actix), poem) in axum.iter().zip(&actix).zip(&poem) {
        assert_eq!(axum, actix, "axum and actix-web");
        assert_eq!(axum, poem, "axum and poem");
    }
}

fn seen_on(framework: &str) -> Vec<Seen> {
    let (_demo, address) = Program::demo(&["--framework", framework]);
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .max_redirects(0)
        .build()
        .into();
    let mut cookie = String::new();
    let mut seen = Vec::new();
    for (line, body) in REQUESTS {
        for is_known in [true, false] {
            let sent = if is_known { cookie.as_str() } else { "" };
            let (answer, set) = exchange(&agent, &address, line, body, sent);
            if is_known && let Some(set) = set {
                cookie = set;
            }
            seen.push(answer);
        }
    }
    seen
}

/// Sends a request with a cookie, and says what came back, with the new cookie.
fn exchange(
    agent: &ureq::Agent,
    address: &str,
    line: &str,
    body: &str,
    cookie: &str,
) -> (Seen, Option<String>) {
    let (method, path) = line.split_once(' ').unwrap();
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"))
        .header("cookie", cookie)
        .body(body.to_owned())
        .unwrap();
    let mut seen = Seen {
        request: format!("{line} {body}, cookie: {}", !cookie.is_empty()),
        status: 0,
        headers: Vec::new(),
        body: Value::Null,
    };
    // A panic closes the connection: then there is no status.
    let Ok(response) = agent.run(request) else {
        return (seen, None);
    };
    let (head, mut body) = response.into_parts();
    let set_cookie = head.headers.get("set-cookie").map(|value| {
        let value = value.to_str().unwrap();
        value.split(';').next().unwrap().to_owned()
    });
    seen.status = head.status.as_u16();
    seen.headers = HEADERS
        .map(|name| (name, values(&head.headers, name)))
        .into();
    let body = body.read_to_string().unwrap();
    seen.body = serde_json::from_str(&body).unwrap_or(json!(body));
    // These are other ones each time.
    for field in ["created_at", "expires_at", "ref"] {
        if let Some(value) = seen.body.get_mut(field) {
            *value = json!(value.is_null());
        }
    }
    // So are these, and which of two was used last can be a matter of a millisecond.
    if let Some(Value::Array(sessions)) = seen.body.get("sessions") {
        seen.body = json!({"sessions": sessions.len()});
    }
    (seen, set_cookie)
}

/// The values of a header, with what is new each time left out of a cookie.
fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).iter();
    let values = values.map(|value| value.to_str().unwrap());
    let shown = values.map(|value| match name {
        "set-cookie" => {
            let (pair, attributes) = value.split_once(';').unwrap();
            let is_removal = pair.ends_with('=');
            let attributes = attributes.split("; Expires=").next().unwrap();
            format!("removal: {is_removal};{attributes}")
        }
        _ => value.to_owned(),
    });
    shown.collect()
}
