//! Clients without cookies: the id in a token.

use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use serde_json::json;
use session_core::SessionConfigBuilder;

use super::harness::{AdapterHarness, SECRET, Scene, config};
use super::visitor::{Reply, Visitor};
use super::{Call, Mood};
use crate::app::OTHER_HEADERS;

/// The response header that a token goes out in by default.
const SENT_IN: &str = "session-token";

/// How a token is sent: what stands before it, and in which header.
#[derive(Clone, Copy, Debug)]
struct Place {
    header: &'static str,
    scheme: &'static str,
    sent_in: &'static str,
}

const BEARER: Place = Place {
    header: "authorization",
    scheme: "Bearer ",
    sent_in: SENT_IN,
};

const CUSTOM: Place = Place {
    header: "x-session",
    scheme: "",
    sent_in: "x-session-out",
};

fn bearer() -> SessionConfigBuilder {
    config().bearer_token()
}

fn custom() -> SessionConfigBuilder {
    config()
        .token_header("X-Session")
        .token_response_header("X-Session-Out")
}

/// A client that keeps the token that it was given last, and no cookies.
#[derive(Clone, Debug)]
struct Client {
    connection: Visitor,
    place: Place,
    token: Option<String>,
}

impl Client {
    fn of(scene: &Scene, place: Place) -> Self {
        Self {
            connection: scene.visitor(),
            place,
            token: None,
        }
    }

    /// One with a session, in which `name` is `"Ada"`. The store's notes are empty.
    async fn ada(scene: &Scene, place: Place) -> Self {
        let mut ada = Self::of(scene, place);
        let reply = ada.send("PUT /api/values/name", r#""Ada""#).await;
        assert!(
            reply.status == 200 && ada.token.is_some(),
            "storing a value has to begin a session, and the answer to bring its token: {reply:?}"
        );
        scene.store.take_calls();
        ada
    }

    fn token(&self) -> &str {
        self.token.as_deref().expect("the client has a token")
    }

    fn request(&self, line: &str, body: &'static str) -> Request<Full<Bytes>> {
        let mut request = self.connection.request(line, body);
        if let Some(token) = &self.token {
            let value = format!("{}{token}", self.place.scheme);
            put(&mut request, self.place.header, &value);
        }
        request
    }

    async fn send(&mut self, line: &str, body: &'static str) -> Reply {
        let reply = self.connection.exchange(self.request(line, body)).await;
        if let Some(token) = reply.token(self.place) {
            self.token = Some(token.to_owned()).filter(|token| !token.is_empty());
        }
        reply
    }

    /// The answer to `line` with these headers in place of the client's.
    async fn send_headers(&self, line: &str, headers: &[(&'static str, &str)]) -> Reply {
        let mut request = self.connection.request(line, "1");
        for (name, value) in headers {
            put(&mut request, name, value);
        }
        self.connection.exchange(request).await
    }

    /// The value of `name` that a request with these headers finds, as JSON.
    async fn name(&self, headers: &[(&'static str, &str)]) -> String {
        let reply = self.send_headers("GET /api/values/name", headers).await;
        reply.expect_no_token(self.place);
        reply.json()["value"].to_string()
    }

    async fn info(&self) -> serde_json::Value {
        let request = self.request("GET /api/info", "");
        self.connection.exchange(request).await.json()
    }
}

fn put(request: &mut Request<Full<Bytes>>, name: &'static str, value: &str) {
    let value = HeaderValue::from_str(value).expect("a value that can be sent");
    request.headers_mut().append(name, value);
}

impl Reply {
    /// What the answer says about the token: nothing, or the new one, which is empty where it is gone.
    fn token(&self, place: Place) -> Option<&str> {
        assert_eq!(self.all("set-cookie"), [""; 0], "a token is no cookie");
        let tokens = self.all(place.sent_in);
        assert!(tokens.len() <= 1, "one token at most: {tokens:?}");
        tokens.first().copied()
    }

    fn expect_no_token(&self, place: Place) {
        let found = (self.status, self.token(place));
        assert_eq!(found, (200, None), "the status, and no token: {self:?}");
    }
}

/// Goes through a session's life, with the token in this place.
async fn live(harness: &impl AdapterHarness, config: SessionConfigBuilder, place: Place) {
    let scene = Scene::with(harness, config).await;
    let mut ada = Client::of(&scene, place);
    ada.send("GET /api/values", "").await.expect_no_token(place);
    ada.send("PUT /api/values/name", r#""Ada""#).await;
    let begun = ada.token().to_owned();
    let reply = ada.send("PUT /api/values/name", r#""Eve""#).await;
    reply.expect_no_token(place);

    // When a tenth of the idle lifetime has passed, a read notes the activity and brings the token again.
    scene.clock.advance(Duration::from_secs(360));
    let reply = ada.send("GET /api/values", "").await;
    assert_eq!(reply.token(place), Some(&*begun), "activity: {reply:?}");
    ada.send("GET /api/values", "").await.expect_no_token(place);

    for line in ["POST /api/login", "POST /api/regenerate"] {
        let mut old = ada.clone();
        ada.send(line, r#"{"user":"ada"}"#).await;
        assert_ne!(ada.token(), old.token(), "`{line}` gives a new token");
        let info = ada.info().await;
        let found = (&info["user"], &info["new"], &info["superseded"]);
        assert_eq!(
            found,
            (&json!("ada"), &json!(false), &json!(false)),
            "{line}"
        );
        assert_eq!(
            old.info().await["superseded"],
            json!(true),
            "after `{line}`"
        );
        let reply = old.send("GET /api/values", "").await;
        reply.expect_no_token(place);
        assert_eq!(reply.json(), json!({"values": {}}), "after `{line}`");
    }
    assert_eq!(
        ada.send("GET /api/values", "").await.json(),
        json!({"values": {"name": "Eve"}})
    );

    let mut old = ada.clone();
    let reply = ada.send("POST /api/logout", "").await;
    assert_eq!(reply.token(place), Some(""), "a logout empties the token");
    let late = old.send("GET /api/values", "").await;
    late.expect_no_token(place);
    assert_eq!(late.json(), json!({"values": {}}), "after the logout");
}

/// ID-5: a client without cookies is given a token where a browser would be given a cookie: when a session begins, logs
/// in or moves, and with the note of activity. An empty one says that it is gone.
pub async fn a_bearer_token_follows_the_session(harness: &impl AdapterHarness) {
    live(harness, bearer(), BEARER).await;
}

/// ID-5: the same with a request header and a response header of choice.
pub async fn a_token_travels_in_headers_of_choice(harness: &impl AdapterHarness) {
    live(harness, custom(), CUSTOM).await;
}

/// SG-4: a token that was signed under a previous secret is signed anew with the next answer.
pub async fn a_token_is_signed_anew(harness: &impl AdapterHarness) {
    let scene = Scene::with(harness, bearer()).await;
    let mut ada = Client::ada(&scene, BEARER).await;
    let new = "another secret for tests, of at least 32 bytes";
    let config = session_core::SessionConfig::builder(new)
        .previous_secret(SECRET)
        .bearer_token();
    let config = config.build().expect("a configuration that is right");
    let server = harness.start(scene.store.clone(), config, scene.clock.clone());
    ada.connection = Visitor::new(server.await);
    let old = ada.token().to_owned();
    let reply = ada.send("GET /api/values/name", "").await;
    assert_eq!(reply.json()["value"], json!("Ada"));
    assert_ne!(ada.token(), old, "the token is signed anew");
    let reply = ada.send("GET /api/values/name", "").await;
    reply.expect_no_token(BEARER);
    assert_eq!(reply.json()["value"], json!("Ada"));
}

/// SG-1, SG-7, RQ-7: what isn't a token of ours is nobody's, and no store hears of it; another scheme is somebody
/// else's.
pub async fn a_forged_token_asks_nothing(harness: &impl AdapterHarness) {
    let scene = Scene::with(harness, bearer()).await;
    let ada = Client::ada(&scene, BEARER).await;
    let genuine = ada.token();
    let mut changed = genuine.to_owned().into_bytes();
    changed[50] = if changed[50] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).expect("it is ASCII");
    for value in [
        String::new(),
        "Bearer".to_owned(),
        genuine.to_owned(),
        format!("Basic {genuine}"),
        format!("Bearer{genuine}"),
        format!("Bearer {changed}"),
        format!("Bearer {}", &genuine[1..]),
        format!("Bearer {genuine}A"),
        format!("Bearer \"{genuine}\""),
        format!("Bearer {genuine} {genuine}"),
        format!("Bearer {genuine}, Bearer {genuine}"),
        format!("Bearer {}", "A".repeat(genuine.len())),
        format!("Bearer {}", "A".repeat(60_000)),
    ] {
        let found = ada.name(&[("authorization", &value)]).await;
        assert_eq!(found, "null", "`Authorization: {value}`");
        let calls = scene.store.take_calls();
        assert_eq!(calls, [], "no store is asked for `{value}`");
    }
    for scheme in ["bearer", "BEARER", "Bearer  "] {
        let value = format!("{scheme} {genuine}");
        let found = ada.name(&[("authorization", &value)]).await;
        assert_eq!(found, r#""Ada""#, "`Authorization: {value}`");
    }
}

/// ID-5: a token is taken from the header that was chosen, and never from the URL, the body, a cookie or another header.
pub async fn a_token_comes_from_its_header_alone(harness: &impl AdapterHarness) {
    let bearer_scene = Scene::with(harness, bearer()).await;
    let custom_scene = Scene::with(harness, custom()).await;
    for (scene, place, others) in [
        (&bearer_scene, BEARER, ["x-session", "session-token"]),
        (&custom_scene, CUSTOM, ["authorization", "x-session-out"]),
    ] {
        let ada = Client::ada(scene, place).await;
        let token = ada.token();
        for name in [
            "access_token",
            "token",
            "bearer",
            "Authorization",
            "session_id",
        ] {
            let line = format!("GET /api/values/name?{name}={token}");
            let reply = ada.send_headers(&line, &[]).await;
            assert_eq!(reply.json()["value"], json!(null), "from the URL: {line}");
            let mut request = ada.connection.request("GET /api/values/name", "");
            *request.body_mut() = Full::new(format!("{name}={token}").into());
            let content_type = "application/x-www-form-urlencoded";
            put(&mut request, "content-type", content_type);
            let reply = ada.connection.exchange(request).await;
            assert_eq!(reply.json()["value"], json!(null), "from the body: {name}");
            let found = ada.name(&[("cookie", &format!("{name}={token}"))]).await;
            assert_eq!(found, "null", "from the cookie {name}");
        }
        for other in others {
            for value in [token.to_owned(), format!("Bearer {token}")] {
                let found = ada.name(&[(other, &value)]).await;
                assert_eq!(found, "null", "from the header {other}: {value}");
            }
        }
        assert_eq!(scene.store.take_calls(), [], "no store is asked");
    }
}

/// SG-1: a cookie's value is no token, and a token is no cookie, though both are signed with one secret, and their
/// sessions lie in one store.
pub async fn a_cookie_is_no_token(harness: &impl AdapterHarness) {
    let scene = Scene::with(harness, bearer()).await;
    let config = config().build().expect("a configuration that is right");
    let server = harness.start(scene.store.clone(), config, scene.clock.clone());
    let mut browser = Visitor::new(server.await);
    browser.send("PUT /api/values/name", r#""Eve""#).await;
    let ada = Client::ada(&scene, BEARER).await;

    let cookie = browser.session_id().expect("the browser has a session");
    let value = format!("Bearer {cookie}");
    let found = ada.name(&[("authorization", &value)]).await;
    assert_eq!(found, "null", "the cookie's value as a token");
    for name in ["session_id", "authorization"] {
        let pair = format!("{name}={}", ada.token());
        let line = "GET /api/values/name";
        let reply = browser.send_cookies(line, &[pair.as_bytes()]).await;
        assert_eq!(reply.json()["value"], json!(null), "the token as {name}");
    }
    assert_eq!(scene.store.take_calls(), [], "no store is asked");
}

/// RQ-5: of several tokens the one that leads to a live session is used, in any order.
pub async fn of_several_tokens_the_live_one_is_used(harness: &impl AdapterHarness) {
    let scene = Scene::with(harness, bearer()).await;
    let ada = Client::ada(&scene, BEARER).await;
    let mut left = Client::ada(&scene, BEARER).await;
    let ended = format!("Bearer {}", left.token());
    left.send("POST /api/logout", "").await;
    let live = format!("Bearer {}", ada.token());
    for other in ["Basic dXNlcjpwYXNz", "Bearer forged", &ended] {
        for (first, second) in [(live.as_str(), other), (other, live.as_str())] {
            let headers = [("authorization", first), ("authorization", second)];
            assert_eq!(ada.name(&headers).await, r#""Ada""#, "{headers:?}");
        }
    }
}

/// CK-9: an answer that depends on the session names in `Vary` the header that the token is read from, beside what is
/// there, and no cookie. An unused session adds nothing.
pub async fn every_use_varies_by_the_tokens_header(harness: &impl AdapterHarness) {
    for (config, place) in [(bearer(), BEARER), (custom(), CUSTOM)] {
        let scene = Scene::with(harness, config).await;
        let ada = Client::ada(&scene, place).await;
        for client in [Client::of(&scene, place), ada] {
            for (line, used) in [
                ("GET /api/untouched", false),
                ("GET /excluded/any", false),
                ("GET /api/values", true),
                ("PUT /api/values/name", true),
                ("POST /api/regenerate/error", true),
                ("POST /api/destroy/status/404", true),
            ] {
                let mut request = client.request(line, "1");
                put(&mut request, OTHER_HEADERS, "yes");
                let reply = client.connection.exchange(request).await;
                let expected = if used {
                    &["accept", place.header][..]
                } else {
                    &["accept"]
                };
                assert_eq!(reply.list("vary"), expected, "`Vary` of `{line}`");
            }
        }
    }
}

/// CK-8, CM-3: an answer with a token, or with the word that it is gone, can't be stored by a shared cache; and the
/// answer to a request that failed has none.
pub async fn an_answer_with_a_token_is_kept_out_of_caches(harness: &impl AdapterHarness) {
    let scene = Scene::with(harness, bearer()).await;
    let mut ada = Client::of(&scene, BEARER);
    for line in [
        "PUT /api/values/name",
        "POST /api/regenerate",
        "POST /api/logout",
    ] {
        let mut request = ada.request(line, "1");
        put(&mut request, OTHER_HEADERS, "yes");
        let reply = ada.connection.exchange(request).await;
        // The application's own Set-Cookie stands beside it.
        assert_eq!(reply.all("set-cookie"), ["theirs=1"], "{line}");
        assert_eq!(reply.list("cache-control"), ["no-store"], "{line}");
        let token = reply.all(SENT_IN);
        assert_eq!(token.len(), 1, "{line}");
        ada.token = Some(token[0].to_owned()).filter(|token| !token.is_empty());
    }
    scene.store.take_calls();
    scene.store.set(Call::Create, Mood::Fails);
    let reply = ada.send("PUT /api/values/name", "1").await;
    reply.expect_unavailable();
    assert_eq!(reply.token(BEARER), None);
    assert_eq!(scene.store.take_calls(), [Call::Create]);
}
