//! What the session does to the headers of answers.

use std::time::Duration;

use hyper::header::HeaderValue;

use super::Call;
use super::harness::{AdapterHarness, Scene};
use super::visitor::Reply;
use crate::app::OTHER_HEADERS;

const ATTRIBUTES: [&str; 5] = [
    "HttpOnly",
    "Max-Age=3600",
    "Path=/",
    "SameSite=Lax",
    "Secure",
];

/// The attributes of a Set-Cookie, sorted.
fn attributes(cookie: &str) -> Vec<&str> {
    let mut attributes: Vec<_> = cookie.split("; ").skip(1).collect();
    attributes.sort_unstable();
    attributes
}

/// CK-1: what the cookie says by default.
pub async fn the_cookie_has_the_default_attributes(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let reply = scene.visitor().send("PUT /api/values/name", "1").await;
    let cookie = reply.session_cookie().expect("a new session has a cookie");
    assert_eq!(attributes(cookie), ATTRIBUTES, "{cookie}");
}

/// CK-2: a removal hits the cookie that was set, by repeating its attributes.
pub async fn a_removal_repeats_the_attributes(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    for line in ["POST /api/destroy", "POST /api/logout"] {
        let reply = scene.ada().await.send(line, "").await;
        let removal = reply.session_cookie().expect("a logout removes the cookie");
        assert!(removal.starts_with("session_id=;"), "{removal}");
        let mut expected = ATTRIBUTES;
        expected[1] = "Max-Age=0";
        // An Expires, for the oldest of browsers, is allowed.
        let mut found = attributes(removal);
        found.retain(|attribute| !attribute.starts_with("Expires="));
        assert_eq!(found, expected, "{removal}");
    }
}

/// What a request does with the session, as far as the headers tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Use {
    /// Nothing: the answer has no header of ours.
    None,
    /// The session's id and lifetime stay as they are.
    Keeps,
    /// A visitor without a session gets one.
    Stores,
    /// A session gets a new id.
    Rotates,
    /// Both.
    RotatesAndStores,
    /// The cookie is removed.
    Ends,
}

/// Requests of all kinds, with a body that fits, the status, and what they do.
const REQUESTS: [(&str, &str, u16, Use); 44] = [
    ("GET /", "", 200, Use::None),
    ("GET /api/untouched", "", 200, Use::None),
    ("GET /excluded/any", "", 200, Use::None),
    ("GET /api/stream?n=1", "", 200, Use::Keeps),
    ("GET /api/values", "", 200, Use::Keeps),
    ("GET /api/values/name", "", 200, Use::Keeps),
    ("PUT /api/values/name", "1", 200, Use::Stores),
    ("DELETE /api/values/name", "", 200, Use::Keeps),
    ("POST /api/clear", "", 200, Use::Keeps),
    ("POST /api/increment/name", "", 200, Use::Stores),
    ("GET /api/info", "", 200, Use::Keeps),
    ("POST /api/regenerate", "", 200, Use::Rotates),
    (
        "POST /api/regenerate-then-set/name",
        "1",
        200,
        Use::RotatesAndStores,
    ),
    ("POST /api/regenerate/status/201", "", 201, Use::Rotates),
    ("POST /api/regenerate/status/404", "", 404, Use::Rotates),
    ("POST /api/regenerate/error", "", 500, Use::Rotates),
    ("POST /api/destroy", "", 200, Use::Ends),
    ("POST /api/logout", "", 200, Use::Ends),
    ("POST /api/destroy/status/204", "", 204, Use::Ends),
    ("POST /api/destroy/status/500", "", 500, Use::Ends),
    ("POST /api/destroy/error", "", 500, Use::Ends),
    ("GET /api/slow?ms=1", "", 200, Use::Keeps),
    ("PUT /api/slow/name?ms=1", "1", 200, Use::Stores),
    ("PUT /api/status/201/name", "1", 201, Use::Stores),
    ("PUT /api/status/304/name", "1", 304, Use::Stores),
    ("PUT /api/status/503/name", "1", 503, Use::Stores),
    ("PUT /api/error/name", "1", 500, Use::Stores),
    ("PUT /api/error-inner/name", "1", 500, Use::Stores),
    ("HEAD /api/values", "", 200, Use::Keeps),
    (
        "POST /api/login",
        r#"{"user":"ada"}"#,
        200,
        Use::RotatesAndStores,
    ),
    ("POST /api/login", r#"{"user":""}"#, 422, Use::None),
    ("GET /api/sessions", "", 401, Use::Keeps),
    ("DELETE /api/sessions/x", "", 404, Use::None),
    ("GET /api/flash", "", 200, Use::Keeps),
    ("POST /api/flash", r#"{"message":"x"}"#, 200, Use::Stores),
    ("GET /api/csrf", "", 200, Use::Stores),
    ("GET /api/profile", "", 404, Use::Keeps),
    (
        "PUT /api/profile",
        r#"{"name":"Ada","visits":1}"#,
        200,
        Use::Stores,
    ),
    ("POST /api/move/name/text?n=1", "", 422, Use::Keeps),
    ("PUT /api/values/%FF", "1", 400, Use::None),
    ("PUT /api/values/name", "{", 400, Use::None),
    ("GET /nothing", "", 404, Use::None),
    ("PATCH /api/values", "", 405, Use::None),
    ("POST /api/increment/text", "", 422, Use::Keeps),
];

/// Makes each of the requests, as a visitor without a session and as one with a session, and hands the answer
/// out with what is known about it: whether the session was used, and whether the cookie changes.
async fn for_each_request(
    harness: &impl AdapterHarness,
    with_others: bool,
    mut check: impl FnMut(&str, &Reply, bool, bool),
) {
    let scene = Scene::start(harness).await;
    for (line, body, status, session) in REQUESTS {
        let mut ada = scene.ada().await;
        ada.send("PUT /api/values/name", "7").await;
        ada.send("PUT /api/values/text", r#""x""#).await;
        let stores = matches!(session, Use::Stores | Use::RotatesAndStores);
        let moves = matches!(session, Use::Rotates | Use::RotatesAndStores | Use::Ends);
        for (visitor, changes_cookie) in [(scene.visitor(), stores), (ada, moves)] {
            // Where there is nothing to work on, this one begins a session.
            let begins = line.ends_with("/increment/text") && visitor.cookies.is_empty();
            let status = if begins { 200 } else { status };
            let mut request = visitor.request(line, body);
            if with_others {
                let headers = request.headers_mut();
                headers.insert(OTHER_HEADERS, HeaderValue::from_static("yes"));
            }
            let reply = visitor.exchange(request).await;
            assert_eq!(reply.status, status, "{line}: {reply:?}");
            check(line, &reply, session != Use::None, changes_cookie || begins);
        }
    }
}

/// CK-9: every answer that depends on the session says `Vary: Cookie`, whatever else it is, and no other
/// does.
pub async fn every_use_varies_by_cookie(harness: &impl AdapterHarness) {
    for_each_request(harness, false, |line, reply, used, _| {
        let expected = if used { &["cookie"][..] } else { &[] };
        assert_eq!(reply.list("vary"), expected, "`Vary` of `{line}`");
    })
    .await;
}

/// CK-6, CK-7: the session's cookie is sent when it has to change, once, and at no other time.
pub async fn the_cookie_is_sent_when_it_changes(harness: &impl AdapterHarness) {
    for_each_request(harness, false, |line, reply, _, changes_cookie| {
        assert_eq!(
            reply.session_cookie().is_some(),
            changes_cookie,
            "whether `{line}` changes the cookie"
        );
        let all = reply.all("set-cookie").len();
        assert_eq!(all, usize::from(changes_cookie), "cookies of `{line}`");
    })
    .await;
}

/// CK-8: an answer with our cookie can't be stored by a shared cache; on others, nobody asked.
pub async fn an_answer_with_the_cookie_is_kept_out_of_caches(harness: &impl AdapterHarness) {
    for_each_request(harness, false, |line, reply, _, changes_cookie| {
        let expected = if changes_cookie {
            &["no-store"][..]
        } else {
            &[]
        };
        let found = reply.list("cache-control");
        assert_eq!(found, expected, "`Cache-Control` of `{line}`");
    })
    .await;
}

/// CK-6, CK-8, CK-9: what others put into Set-Cookie and Vary stays beside ours, and their Cache-Control
/// where there is no cookie of ours.
pub async fn headers_of_others_stay(harness: &impl AdapterHarness) {
    for_each_request(harness, true, |line, reply, used, changes_cookie| {
        let cookies = reply.all("set-cookie");
        let theirs = cookies.iter().filter(|cookie| **cookie == "theirs=1");
        assert_eq!(theirs.count(), 1, "other people's Set-Cookie of `{line}`");
        assert_eq!(
            cookies.len(),
            1 + usize::from(changes_cookie),
            "`{line}`: {cookies:?}"
        );
        let vary = reply.list("vary");
        let expected = if used {
            &["accept", "cookie"][..]
        } else {
            &["accept"]
        };
        assert_eq!(vary, expected, "`Vary` of `{line}`");
        let expected = if changes_cookie {
            "no-store"
        } else {
            "max-age=60"
        };
        let found = reply.list("cache-control");
        assert_eq!(found, [expected], "`Cache-Control` of `{line}`");
    })
    .await;
}

/// CK-7, TM-3: when a tenth of the idle lifetime has passed, a read notes the activity and sends the cookie
/// again, so that the browser's copy lives as long as the record.
pub async fn activity_is_noted_with_the_cookie(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut ada = scene.ada().await;
    scene.clock.advance(Duration::from_secs(359));
    ada.send("GET /api/values", "").await.expect_no_cookie(200);
    assert_eq!(scene.store.take_calls(), [Call::Load]);

    scene.clock.advance(Duration::from_secs(1));
    let before = ada.clone();
    let reply = ada.send("GET /api/values", "").await;
    let cookie = reply.session_cookie().expect("the cookie is sent again");
    assert_eq!(attributes(cookie), ATTRIBUTES, "{cookie}");
    assert_eq!(ada.session_id(), before.session_id());
    assert_eq!(scene.store.take_calls(), [Call::Load, Call::Touch]);
    ada.send("GET /api/values", "").await.expect_no_cookie(200);
}

/// `HEAD` is answered like `GET`: the same status and headers, and no body.
pub async fn head_is_get_without_the_body(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut ada = scene.ada().await;
    for path in ["/", "/api/values", "/api/info", "/excluded/x", "/nothing"] {
        let get = ada.send(&format!("GET {path}"), "").await;
        let head = ada.send(&format!("HEAD {path}"), "").await;
        assert_eq!(head.status, get.status, "{path}");
        for name in ["content-type", "set-cookie", "vary", "cache-control"] {
            assert_eq!(head.all(name), get.all(name), "`{name}` of {path}");
        }
        // A client passes over a body that must not be there, so that it takes a look at the bytes.
        let raw = ada.send_raw(&format!("HEAD {path} HTTP/1.1")).await;
        let (_, body) = raw.split_once("\r\n\r\n").expect("a head");
        assert_eq!(body, "", "the body of HEAD {path}");
    }
}
