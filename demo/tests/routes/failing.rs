//! The routes that fail on purpose, and a store that fails.

use serde_json::{Value, json};

use crate::common::{Call, Mood, SpyStore, Visitor, config, demo};

/// The status that was asked for comes with a body of its own, or with none where HTTP forbids one.
const CODES: [u16; 9] = [200, 201, 204, 205, 304, 307, 404, 500, 599];

fn failed() -> Value {
    json!({"error": "the handler failed, as it was asked to"})
}

async fn with_a_session(store: &SpyStore) -> Visitor {
    let mut ada = Visitor::new(&demo(config(), store));
    ada.send("PUT /api/values/name", r#""Ada""#).await;
    store.take_calls();
    ada
}

async fn values(visitor: &Visitor) -> Value {
    let reply = visitor.clone().send("GET /api/values", "").await;
    reply.json()["values"].clone()
}

/// Sends a request whose handler panics, and sees to it that the panic isn't swallowed.
async fn send_and_panic(visitor: &Visitor, line: &str, body: &'static str) {
    let mut visitor = visitor.clone();
    let line = line.to_owned();
    let request = tokio::spawn(async move { visitor.send(&line, body).await });
    let panic = request.await.unwrap_err().into_panic();
    let message = panic.downcast_ref::<&str>();
    assert_eq!(message, Some(&"the handler panicked, as it was asked to"));
}

/// CM-2: the value is stored whatever the status.
#[tokio::test]
async fn values_are_stored_next_to_any_status() {
    for code in CODES {
        let mut ada = with_a_session(&SpyStore::default()).await;
        let reply = ada
            .send(&format!("PUT /api/status/{code}/name"), code.to_string())
            .await;
        assert_eq!(reply.status, code);
        match code {
            204 | 205 | 304 => assert_eq!(reply.text(), ""),
            200..=399 => assert_eq!(reply.json(), json!({"ok": true})),
            _ => assert_eq!(
                reply.json(),
                json!({"error": "the status that was asked for"})
            ),
        }
        assert_eq!(values(&ada).await, json!({"name": code}));
    }
}

/// CM-2: nor does an error keep a value from being stored.
#[tokio::test]
async fn values_are_stored_next_to_an_error() {
    for route in ["error", "error-inner"] {
        let mut ada = with_a_session(&SpyStore::default()).await;
        let line = format!("PUT /api/{route}/name");
        ada.check(&line, "1", 500, failed()).await;
        assert_eq!(values(&ada).await, json!({"name": 1}));
    }
}

/// CM-2: a new session is stored next to an error too, and the visitor gets its cookie.
#[tokio::test]
async fn sessions_begin_next_to_an_error() {
    for line in [
        "PUT /api/status/500/name",
        "PUT /api/error/name",
        "PUT /api/error-inner/name",
    ] {
        let mut newcomer = Visitor::new(&demo(config(), &SpyStore::default()));
        assert_eq!(newcomer.send(line, "1").await.status, 500);
        assert_eq!(values(&newcomer).await, json!({"name": 1}), "{line}");
    }
}

/// CM-2: a panic leaves the session as it was.
#[tokio::test]
async fn values_are_lost_with_a_panic() {
    let store = SpyStore::default();
    let ada = with_a_session(&store).await;
    send_and_panic(&ada, "PUT /api/panic/name", "1").await;
    assert_eq!(store.take_calls(), [Call::Load]);
    assert_eq!(values(&ada).await, json!({"name": "Ada"}));
}

/// CM-2: an ended session stays ended, however the request ends.
#[tokio::test]
async fn sessions_end_next_to_any_outcome() {
    let codes = CODES.map(|code| (format!("POST /api/destroy/status/{code}"), code));
    let error = ("POST /api/destroy/error".to_owned(), 500);
    for (line, status) in codes.into_iter().chain([error]) {
        let mut ada = with_a_session(&SpyStore::default()).await;
        let old = ada.clone();
        let reply = ada.send(&line, "").await;
        assert_eq!(
            (reply.status, reply.removes_cookie()),
            (status, true),
            "{line}"
        );
        assert_eq!(values(&old).await, json!({}), "{line}");
    }
    let ada = with_a_session(&SpyStore::default()).await;
    send_and_panic(&ada, "POST /api/destroy/panic", "").await;
    assert_eq!(values(&ada).await, json!({}));
}

/// CM-2: the new id reaches the visitor next to any status and next to an error.
#[tokio::test]
async fn ids_change_next_to_any_outcome() {
    let codes = CODES.map(|code| (format!("POST /api/regenerate/status/{code}"), code));
    let error = ("POST /api/regenerate/error".to_owned(), 500);
    for (line, status) in codes.into_iter().chain([error]) {
        let mut ada = with_a_session(&SpyStore::default()).await;
        let old = ada.clone();
        assert_eq!(ada.send(&line, "").await.status, status);
        assert_ne!(ada.session_id(), old.session_id(), "{line}");
        assert_eq!(values(&ada).await, json!({"name": "Ada"}), "{line}");
        assert_eq!(values(&old).await, json!({}), "{line}");
    }
}

/// CM-3: whichever call fails, the answer is the same opaque 503, and no cookie comes with it.
#[tokio::test]
async fn a_failing_store_is_a_503_as_json() {
    let requests = [
        (Call::Load, "GET /api/values", ""),
        (Call::Load, "GET /api/info", ""),
        (Call::Load, "GET /api/stream?n=1", ""),
        (Call::Update, "PUT /api/values/name", "1"),
        (Call::Update, "POST /api/increment/n", ""),
        (Call::Update, "PUT /api/error/name", "1"),
        (Call::Update, "PUT /api/status/204/name", "1"),
        (Call::Create, "POST /api/regenerate", ""),
        (Call::Bury, "POST /api/regenerate", ""),
        (Call::Bury, "POST /api/destroy", ""),
    ];
    for (call, line, body) in requests {
        let store = SpyStore::default();
        let ada = with_a_session(&store).await;
        store.set(call, Mood::Fails);
        let reply = ada.clone().send(line, body).await;
        let unavailable = json!({"error": "session store unavailable"});
        assert_eq!((reply.status, reply.json()), (503, unavailable), "{line}");
        assert_eq!(reply.session_cookie(), None, "{line}");

        store.set(call, Mood::Works);
        assert_eq!(values(&ada).await, json!({"name": "Ada"}), "{line}");
    }
}

/// CM-3: a visitor without a session gets none from a store that fails.
#[tokio::test]
async fn a_session_that_cannot_be_stored_is_a_503_without_a_cookie() {
    let store = SpyStore::default();
    store.set(Call::Create, Mood::Fails);
    let mut newcomer = Visitor::new(&demo(config(), &store));
    let unavailable = json!({"error": "session store unavailable"});
    newcomer
        .check("PUT /api/values/name", "1", 503, unavailable)
        .await;
    assert_eq!((newcomer.session_id(), store.records.len()), (None, 0));
}
