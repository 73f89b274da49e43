//! CM-3: a store that fails, or never answers, costs the request its answer and nothing else.

use std::time::Duration;

use serde_json::json;

use super::harness::{AdapterHarness, Scene, config};
use super::{Call, Mood};

/// Requests that use the session, and what they would do.
const REQUESTS: [(&str, &str); 8] = [
    ("GET /api/values", ""),
    ("GET /api/info", ""),
    ("PUT /api/values/name", "1"),
    ("POST /api/regenerate", ""),
    ("POST /api/destroy", ""),
    ("PUT /api/status/404/name", "1"),
    ("PUT /api/error/name", "1"),
    ("PUT /api/error-inner/name", "1"),
];

/// CM-3, SR-4: a session that can't be loaded is never taken for one that isn't there, whatever the handler
/// makes of it; and the request doesn't ask again.
pub async fn a_failing_load_is_a_503(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let ada = scene.ada().await;
    for (line, body) in REQUESTS {
        scene.store.set(Call::Load, Mood::Fails);
        ada.clone().send(line, body).await.expect_unavailable();
        assert_eq!(scene.store.take_calls(), [Call::Load], "{line}");
        scene.store.set(Call::Load, Mood::Works);
        assert_eq!(ada.values().await, json!({"name": "Ada"}), "{line}");
        scene.store.take_calls();
    }
}

/// CM-3: an answer that promises what isn't stored is replaced, the errors of handlers too.
pub async fn a_failing_save_is_a_503(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let ada = scene.ada().await;
    for (line, body) in &REQUESTS[2..] {
        for call in [Call::Create, Call::Update, Call::Tombstone] {
            scene.store.set(call, Mood::Fails);
        }
        ada.clone().send(line, *body).await.expect_unavailable();
        for call in [Call::Create, Call::Update, Call::Tombstone] {
            scene.store.set(call, Mood::Works);
        }
        assert_eq!(ada.values().await, json!({"name": "Ada"}), "{line}");
    }
}

/// CM-3: a visitor without a session gets none from a store that fails.
pub async fn a_session_that_cannot_be_stored_is_a_503(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    scene.store.set(Call::Create, Mood::Fails);
    for line in [
        "PUT /api/values/name",
        "PUT /api/status/404/name",
        "PUT /api/error/name",
        "PUT /api/error-inner/name",
    ] {
        let mut newcomer = scene.visitor();
        newcomer.send(line, "1").await.expect_unavailable();
    }
    assert_eq!(scene.store.records().len(), 0);
}

/// CM-3: a store that never answers is one that fails, when the time is up.
pub async fn a_hanging_store_is_a_503_in_time(harness: &impl AdapterHarness) {
    let scene = Scene::with(harness, config().store_timeout(Duration::from_millis(100))).await;
    let ada = scene.ada().await;
    for (call, line) in [
        (Call::Load, "GET /api/values"),
        (Call::Update, "PUT /api/values/name"),
        (Call::Tombstone, "POST /api/destroy"),
    ] {
        scene.store.set(call, Mood::Hangs);
        // Twice the deadlines of one load and one commit would be a hang; the rest is for slow machines.
        let answer = tokio::time::timeout(Duration::from_secs(10), async {
            ada.clone().send(line, "1").await
        });
        let reply = answer.await.expect("an answer when the time is up");
        reply.expect_unavailable();
        scene.store.set(call, Mood::Works);
    }
    assert_eq!(ada.values().await, json!({"name": "Ada"}));
}

/// CM-3: a request that needs nothing of the store doesn't notice that it is down.
pub async fn requests_that_need_no_store_are_answered(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut ada = scene.ada().await;
    for call in [Call::Load, Call::Create, Call::Update, Call::Touch] {
        scene.store.set(call, Mood::Fails);
    }
    let ok = json!({"ok": true});
    ada.check("GET /api/untouched", "", 200, ok).await;
    let mut newcomer = scene.visitor();
    let empty = json!({"values": {}});
    newcomer.check("GET /api/values", "", 200, empty).await;
    assert_eq!(scene.store.take_calls(), []);
}

/// TM-1, TM-2: a session that wasn't used for its idle lifetime is over, whatever the cookie says; so is one
/// that has reached its absolute timeout, however much it was used.
pub async fn sessions_end_when_their_time_is_up(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let idle = scene.ada().await;
    scene.clock.advance(Duration::from_secs(3600));
    assert!(!idle.is_known().await, "it was idle for an hour");

    let busy = scene.ada().await;
    for _ in 0..47 {
        scene.clock.advance(Duration::from_secs(1800));
        assert!(busy.is_known().await, "it is used every half an hour");
    }
    scene.clock.advance(Duration::from_secs(1800));
    assert!(!busy.is_known().await, "it has lasted for a day");
}
