//! CM-2: changes are committed however the handler ends, except that a panic commits nothing but an ending.

use serde_json::json;

use super::Call;
use super::harness::{AdapterHarness, Scene};

/// A visitor with a session and one without store something with a request that ends as `line` says; both
/// find it in their session afterwards.
async fn expect_stored(harness: &impl AdapterHarness, line: &str, status: u16) {
    let scene = Scene::start(harness).await;
    let mut ada = scene.ada().await;
    let mut newcomer = scene.visitor();
    for visitor in [&mut ada, &mut newcomer] {
        let reply = visitor.send(line, r#""Eve""#).await;
        assert_eq!(reply.status, status, "{line}: {reply:?}");
        assert_eq!(
            visitor.values().await,
            json!({"name": "Eve"}),
            "what was stored before `{line}` ended is kept, and the cookie arrives"
        );
    }
}

/// CM-2: an error status keeps nothing from being stored.
pub async fn changes_are_kept_on_an_error_status(harness: &impl AdapterHarness) {
    for status in [400, 404, 500, 503, 599] {
        expect_stored(harness, &format!("PUT /api/status/{status}/name"), status).await;
    }
}

/// CM-2: nor does the framework's own error value, from the handler.
pub async fn changes_are_kept_when_the_handler_fails(harness: &impl AdapterHarness) {
    expect_stored(harness, "PUT /api/error/name", 500).await;
}

/// CM-2: nor does an error of a middleware between the handler and ours.
pub async fn changes_are_kept_when_an_inner_middleware_fails(harness: &impl AdapterHarness) {
    expect_stored(harness, "PUT /api/error-inner/name", 500).await;
}

/// CM-2: a panic leaves the store alone, whatever the handler wanted before.
pub async fn a_panic_keeps_no_change(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let ada = scene.ada().await;
    let line = "PUT /api/panic/name";
    scene.send_to_panic(&ada, line).await;
    assert_eq!(scene.store.take_calls(), [Call::Load]);
    assert_eq!(
        ada.values().await,
        json!({"name": "Ada"}),
        "nothing is stored of a request that panics"
    );
    scene.store.take_calls();
    scene.send_to_panic(&scene.visitor(), line).await;
    assert_eq!(scene.store.take_calls(), []);
}

/// CM-2: a logout holds however its request ends; where there is an answer, it removes the cookie.
pub async fn a_logout_holds_whatever_the_answer_is(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    for (line, status) in [
        ("POST /api/destroy", 200),
        ("POST /api/destroy/status/302", 302),
        ("POST /api/destroy/status/404", 404),
        ("POST /api/destroy/status/500", 500),
        ("POST /api/destroy/error", 500),
    ] {
        let mut ada = scene.ada().await;
        let old = ada.clone();
        let reply = ada.send(line, "").await;
        assert_eq!(reply.status, status, "{line}: {reply:?}");
        assert!(reply.removes_cookie(), "`{line}` has to remove the cookie");
        assert!(!old.is_known().await, "after `{line}` the session is over");
    }
}

/// CM-2: also where it panics.
pub async fn a_logout_holds_on_a_panic(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let ada = scene.ada().await;
    scene.send_to_panic(&ada, "POST /api/destroy/panic").await;
    assert!(
        !ada.is_known().await,
        "a logout holds although its handler panicked"
    );
}

/// CM-2, CM-7: so does a rotation, and its answer brings the new id.
pub async fn a_rotation_holds_whatever_the_answer_is(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    for (line, status) in [
        ("POST /api/regenerate", 200),
        ("POST /api/regenerate/status/302", 302),
        ("POST /api/regenerate/status/404", 404),
        ("POST /api/regenerate/status/500", 500),
        ("POST /api/regenerate/error", 500),
    ] {
        let mut ada = scene.ada().await;
        let old = ada.clone();
        let reply = ada.send(line, "").await;
        assert_eq!(reply.status, status, "{line}: {reply:?}");
        assert_ne!(
            ada.session_id(),
            old.session_id(),
            "`{line}` changes the id"
        );
        assert_eq!(ada.values().await, json!({"name": "Ada"}), "{line}");
        assert!(!old.is_known().await, "after `{line}` the old id is dead");
    }
}
