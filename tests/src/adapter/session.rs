//! The session itself: what is known about it, a new id, and its end.

use serde_json::{Value, json};
use session_core::Clock as _;

use super::harness::{AdapterHarness, Scene};

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

/// TM-1: what is known about a session, and about none. The idle timeout comes first here, so that it is the
/// expiry.
pub async fn info_describes_the_session(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    assert_eq!(scene.visitor().info().await, nobody(false));
    let info = scene.ada().await.info().await;
    let now = scene.clock.now().as_unix_secs();
    let reference = info["ref"].as_str().expect("a session has a reference");
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    assert!(!reference.is_empty() && reference.bytes().all(allowed));
    let expected = json!({
        "new": false,
        "user": null,
        "created_at": now,
        "expires_at": now + 3600,
        "superseded": false,
        "ref": reference,
    });
    assert_eq!(info, expected);
}

/// CM-7, CM-8: data, reference and beginning move to the new id; the old one is superseded.
pub async fn regenerating_gives_the_session_a_new_id(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut ada = scene.ada().await;
    let old = ada.clone();
    let before = ada.info().await;
    ada.check("POST /api/regenerate", "", 200, json!({"ok": true}))
        .await;
    assert_ne!(ada.session_id(), old.session_id());
    let after = ada.info().await;
    for field in ["ref", "created_at", "new"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert_eq!(ada.values().await, json!({"name": "Ada"}));
    assert_eq!(old.info().await, nobody(true));
    assert_eq!(old.values().await, json!({}));
}

/// ST-3: what is set after the regeneration is kept; what can't be read stops it from happening.
pub async fn regenerate_then_set_does_both(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut ada = scene.ada().await;
    let old = ada.clone();
    let refusal = json!({"error": "the body is not valid JSON"});
    ada.check("POST /api/regenerate-then-set/age", "", 400, refusal)
        .await;
    assert_eq!(ada.session_id(), old.session_id());
    let ok = json!({"ok": true});
    ada.check("POST /api/regenerate-then-set/age", "36", 200, ok)
        .await;
    assert_ne!(ada.session_id(), old.session_id());
    assert_eq!(ada.values().await, json!({"name": "Ada", "age": 36}));
}

/// CM-8: a session that was ended is gone, under every id that it had; a logout that comes with an old id
/// ends what the session has become.
pub async fn ending_ends_the_session_under_every_id(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    for line in ["POST /api/destroy", "POST /api/logout"] {
        let mut ada = scene.ada().await;
        let mut old = ada.clone();
        ada.send("POST /api/regenerate", "").await;
        let reply = old.send(line, "").await;
        assert!(reply.removes_cookie(), "{reply:?}");
        assert_eq!(old.session_id(), None);
        assert_eq!(ada.info().await, nobody(true), "`{line}` with the old id");
        assert_eq!(ada.values().await, json!({}));
    }
}

/// The slow routes wait as long as they are told, and store what they were given.
pub async fn slow_routes_wait_and_store(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut ada = scene.ada().await;
    let started = std::time::Instant::now();
    let all = json!({"values": {"name": "Ada"}});
    ada.check("GET /api/slow?ms=50", "", 200, all).await;
    let ok = json!({"ok": true});
    ada.check("PUT /api/slow/name?ms=50", r#""Eve""#, 200, ok)
        .await;
    assert!(started.elapsed().as_millis() >= 100);
    assert_eq!(ada.values().await, json!({"name": "Eve"}));
}

/// The page is HTML that loads nothing from elsewhere.
pub async fn the_page_is_html(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let reply = scene.visitor().send("GET /", "").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.all("content-type"), ["text/html; charset=utf-8"]);
    let policy = reply.all("content-security-policy");
    assert!(policy[0].starts_with("default-src 'none'"), "{policy:?}");
    assert!(reply.text().starts_with("<!doctype html>"));
    assert!(!reply.text().contains("://"));
}
