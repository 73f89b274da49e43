//! The routes about the session itself, the page, excluded paths and streaming.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::common::{Call, SpyStore, Visitor, config, demo};

fn visitor(store: &SpyStore) -> Visitor {
    Visitor::new(&demo(config(), store))
}

async fn with_a_session(store: &SpyStore) -> Visitor {
    let mut ada = visitor(store);
    ada.send("PUT /api/values/name", r#""Ada""#).await;
    store.take_calls();
    ada
}

async fn info(visitor: &mut Visitor) -> Value {
    visitor.send("GET /api/info", "").await.json()
}

fn ok() -> Value {
    json!({"ok": true})
}

fn nobody(superseded: bool) -> Value {
    json!({
        "new": true,
        "user": null,
        "created_at": null,
        "expires_at": null,
        "superseded": superseded,
        "ref": null,
    })
}

#[tokio::test]
async fn info_of_a_visitor_without_a_session_is_empty() {
    let store = SpyStore::default();
    assert_eq!(info(&mut visitor(&store)).await, nobody(false));
    assert_eq!(store.take_calls(), []);
}

/// TM-1: the idle timeout comes before the absolute one here, so that it is the expiry.
#[tokio::test]
async fn info_describes_the_session() {
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs()
    };
    let before = now();
    let mut ada = with_a_session(&SpyStore::default()).await;
    let info = info(&mut ada).await;
    let created_at = info["created_at"].as_u64().unwrap();
    assert!((before..=now()).contains(&created_at), "{info}");
    let reference = info["ref"].as_str().unwrap();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    assert!(!reference.is_empty() && reference.bytes().all(allowed));
    let expected = json!({
        "new": false,
        "user": null,
        "created_at": created_at,
        "expires_at": created_at + 3600,
        "superseded": false,
        "ref": reference,
    });
    assert_eq!(info, expected);
}

/// CK-7, ST-3: the data, the reference and the beginning move to the new id; the old one is superseded.
#[tokio::test]
async fn regenerating_gives_the_session_a_new_id() {
    let store = SpyStore::default();
    let mut ada = with_a_session(&store).await;
    let mut old = ada.clone();
    let before = info(&mut ada).await;

    ada.check("POST /api/regenerate", "", 200, ok()).await;
    assert_ne!(ada.session_id(), old.session_id());
    let after = info(&mut ada).await;
    for field in ["ref", "created_at", "new"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    ada.check(
        "GET /api/values",
        "",
        200,
        json!({"values": {"name": "Ada"}}),
    )
    .await;

    assert_eq!(info(&mut old).await, nobody(true));
    old.check("GET /api/values", "", 200, json!({"values": {}}))
        .await;
}

/// ST-3: what is set after the regeneration is kept; what can't be read stops it from happening.
#[tokio::test]
async fn regenerate_then_set_does_both() {
    let mut ada = with_a_session(&SpyStore::default()).await;
    let old = ada.clone();
    let refusal = json!({"error": "the body is not valid JSON"});
    ada.check("POST /api/regenerate-then-set/age", "", 400, refusal)
        .await;
    assert_eq!(ada.session_id(), old.session_id());

    ada.check("POST /api/regenerate-then-set/age", "36", 200, ok())
        .await;
    assert_ne!(ada.session_id(), old.session_id());
    let both = json!({"values": {"name": "Ada", "age": 36}});
    ada.check("GET /api/values", "", 200, both).await;
}

/// CK-2: the cookie is removed with the attributes that it was set with. CK-7: and only once.
#[tokio::test]
async fn ending_the_session_removes_its_cookie() {
    for line in ["POST /api/destroy", "POST /api/logout"] {
        let mut ada = with_a_session(&SpyStore::default()).await;
        let mut old = ada.clone();
        let reply = ada.send(line, "").await;
        assert_eq!((reply.status, reply.json()), (200, ok()));
        let removal = reply.session_cookie().unwrap();
        for attribute in [
            "session_id=;",
            "Path=/",
            "HttpOnly",
            "Secure",
            "SameSite=Lax",
            "Max-Age=0",
        ] {
            assert!(removal.contains(attribute), "{attribute} in {removal}");
        }
        assert_eq!(ada.session_id(), None);
        assert_eq!(info(&mut ada).await, nobody(false));

        assert_eq!(info(&mut old).await, nobody(true));
        let late = old.send("PUT /api/values/name", "1").await;
        assert_eq!((late.status, late.session_cookie()), (200, None));
        old.check("GET /api/values", "", 200, json!({"values": {}}))
            .await;
    }
}

/// ST-5: without a session there is nothing to rotate or to end.
#[tokio::test]
async fn regenerating_or_ending_no_session_creates_none() {
    let store = SpyStore::default();
    let mut newcomer = visitor(&store);
    for line in [
        "POST /api/regenerate",
        "POST /api/destroy",
        "POST /api/logout",
    ] {
        let reply = newcomer.send(line, "").await;
        assert_eq!(
            (reply.status, reply.session_cookie()),
            (200, None),
            "{line}"
        );
    }
    assert_eq!(store.take_calls(), []);
}

/// CK-1: what the cookie says by default.
#[tokio::test]
async fn the_cookie_has_the_attributes_of_the_defaults() {
    let reply = visitor(&SpyStore::default())
        .send("PUT /api/values/name", "1")
        .await;
    let cookie = reply.session_cookie().unwrap();
    let (_, attributes) = cookie.split_once("; ").unwrap();
    let mut attributes: Vec<_> = attributes.split("; ").collect();
    attributes.sort_unstable();
    let expected = [
        "HttpOnly",
        "Max-Age=3600",
        "Path=/",
        "SameSite=Lax",
        "Secure",
    ];
    assert_eq!(attributes, expected);
}

#[tokio::test]
async fn the_page_is_html_that_loads_nothing_from_elsewhere() {
    let store = SpyStore::default();
    let reply = visitor(&store).send("GET /", "").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.all("content-type"), ["text/html; charset=utf-8"]);
    let policy = reply.all("content-security-policy");
    assert!(policy[0].starts_with("default-src 'none'"), "{policy:?}");
    assert!(reply.text().starts_with("<!doctype html>"));
    assert!(!reply.text().contains("://"));
    assert_eq!(store.take_calls(), []);
}

#[tokio::test]
async fn untouched_and_excluded_requests_ask_no_store() {
    let store = SpyStore::default();
    let mut ada = with_a_session(&store).await;
    ada.check("GET /api/untouched", "", 200, ok()).await;
    for path in ["/excluded/x", "/excluded/x/y", "/excluded/%2F"] {
        let none = json!({"session": false});
        ada.check(&format!("GET {path}"), "", 200, none).await;
    }
    assert_eq!(store.take_calls(), []);
}

#[tokio::test]
async fn a_stream_uses_the_session_and_sends_its_lines() {
    let store = SpyStore::default();
    let mut ada = with_a_session(&store).await;
    for (n, lines) in [("0", ""), ("3", "chunk 0\nchunk 1\nchunk 2\n")] {
        let reply = ada.send(&format!("GET /api/stream?n={n}"), "").await;
        assert_eq!((reply.status, reply.text()), (200, lines));
        assert_eq!(reply.all("content-type"), ["text/plain"]);
    }
    assert_eq!(store.take_calls(), [Call::Load; 2]);
    let longest = ada.send("GET /api/stream?n=1000", "").await;
    assert_eq!(longest.text().lines().last(), Some("chunk 999"));
}

/// On a clock that jumps to whatever is waited for next, the slow routes are quick, and exact.
#[tokio::test(start_paused = true)]
async fn slow_routes_wait_as_long_as_they_are_told() {
    let mut ada = with_a_session(&SpyStore::default()).await;
    for ms in [0, 1, 10_000] {
        let start = Instant::now();
        let all = json!({"values": {"name": "Ada"}});
        ada.check(&format!("GET /api/slow?ms={ms}"), "", 200, all)
            .await;
        assert_eq!(start.elapsed(), Duration::from_millis(ms));

        let start = Instant::now();
        let (line, body) = (format!("PUT /api/slow/name?ms={ms}"), r#""Ada""#);
        ada.check(&line, body, 200, ok()).await;
        assert_eq!(start.elapsed(), Duration::from_millis(ms));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_write_stores_its_body() {
    let mut ada = with_a_session(&SpyStore::default()).await;
    ada.check("PUT /api/slow/name?ms=50", r#""Eve""#, 200, ok())
        .await;
    let eve = json!({"value": "Eve", "exists": true});
    ada.check("GET /api/values/name", "", 200, eve).await;
}
