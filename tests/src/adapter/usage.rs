//! What requests ask of the store, and when there is a session.

use serde_json::json;

use super::harness::{AdapterHarness, Scene, config};
use super::visitor::Visitor;
use super::{Call, Mood, SECRET, SpyStore};
use session_core::{SessionConfig, SessionManager};

/// CM-1, CK-9: a handler that doesn't ask for its session costs no store call, and its answer has no header
/// of ours, whatever cookie came.
pub async fn an_unused_session_costs_nothing(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let ada = scene.ada().await;
    for mut visitor in [ada, scene.visitor()] {
        let reply = visitor.send("GET /api/untouched", "").await;
        assert_eq!((reply.status, reply.json()), (200, json!({"ok": true})));
        assert_eq!(
            scene.store.take_calls(),
            [],
            "a handler that doesn't use the session asks the store for nothing"
        );
        for header in ["set-cookie", "vary", "cache-control"] {
            assert_eq!(
                reply.all(header),
                [""; 0],
                "an answer that doesn't depend on the session has no `{header}` of ours"
            );
        }
    }
}

/// A read is one load. It stores nothing and sends no cookie.
pub async fn a_read_costs_one_load(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut ada = scene.ada().await;
    for line in ["GET /api/values", "GET /api/values/name", "GET /api/info"] {
        ada.send(line, "").await.expect_no_cookie(200);
        assert_eq!(scene.store.take_calls(), [Call::Load], "{line}");
    }
    let eve = json!({"value": "Ada", "exists": true});
    ada.check("GET /api/values/name", "", 200, eve).await;
}

/// A write to a session is a load and a save; to none, it is the one save that creates it. What changes
/// nothing isn't saved.
pub async fn a_write_costs_a_load_and_a_save(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut visitor = scene.visitor();
    let cases = [
        ("PUT /api/values/n", "1", vec![Call::Create]),
        ("PUT /api/values/n", "2", vec![Call::Load, Call::Update]),
        ("PUT /api/values/n", "2", vec![Call::Load]),
        ("DELETE /api/values/x", "", vec![Call::Load]),
        ("POST /api/increment/n", "", vec![Call::Load, Call::Update]),
        (
            "POST /api/regenerate",
            "",
            vec![Call::Load, Call::Create, Call::Tombstone],
        ),
        ("POST /api/destroy", "", vec![Call::Load, Call::Tombstone]),
    ];
    for (line, body, calls) in cases {
        assert_eq!(visitor.send(line, body).await.status, 200, "{line} {body}");
        assert_eq!(scene.store.take_calls(), calls, "{line} {body}");
    }
}

/// ID-6, ST-1, ST-5: a visitor for whom nothing is stored gets no session and no cookie.
pub async fn what_stores_nothing_begins_no_session(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut newcomer = scene.visitor();
    for line in [
        "GET /api/values",
        "GET /api/info",
        "DELETE /api/values/name",
        "POST /api/clear",
        "POST /api/regenerate",
        "POST /api/destroy",
        "POST /api/logout",
    ] {
        newcomer.send(line, "").await.expect_no_cookie(200);
        assert_eq!(scene.store.take_calls(), [], "{line}");
    }
}

/// ST-8: below an excluded path there is no session, even for a visitor who has one.
pub async fn an_excluded_path_has_no_session(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut ada = scene.ada().await;
    for path in ["/excluded/x", "/excluded/x/y", "/excluded/%2F"] {
        let none = json!({"session": false});
        ada.check(&format!("GET {path}"), "", 200, none).await;
    }
    assert_eq!(scene.store.take_calls(), []);
}

/// ST-8: an optional session is there wherever the middleware is: for a visitor without a cookie, or with
/// one that is worth nothing, too. A store that fails doesn't make it go away: that is a 503.
pub async fn an_optional_session_is_missing_only_without_the_middleware(
    harness: &impl AdapterHarness,
) {
    let everywhere = SessionConfig::builder(SECRET);
    let scene = Scene::with(harness, everywhere).await;
    let mut ada = scene.ada().await;
    let mut forger = scene.visitor();
    forger.cookies.insert("session_id".into(), "forged".into());
    let there = json!({"session": true});
    for visitor in [&mut scene.visitor(), &mut forger, &mut ada] {
        visitor
            .check("GET /excluded/x", "", 200, there.clone())
            .await;
    }
    scene.store.set(Call::Load, Mood::Fails);
    ada.send("GET /excluded/x", "").await.expect_unavailable();
}

/// CM-1: a streaming answer comes with the session's headers, and whole.
pub async fn a_stream_uses_the_session(harness: &impl AdapterHarness) {
    let scene = Scene::with(harness, config()).await;
    let mut ada = scene.ada().await;
    for (n, lines) in [("0", ""), ("3", "chunk 0\nchunk 1\nchunk 2\n")] {
        let reply = ada.send(&format!("GET /api/stream?n={n}"), "").await;
        assert_eq!((reply.status, reply.text()), (200, lines));
        assert_eq!(reply.all("content-type"), ["text/plain"]);
        assert_eq!(reply.list("vary"), ["cookie"]);
    }
    assert_eq!(scene.store.take_calls(), [Call::Load; 2]);
    let longest = ada.send("GET /api/stream?n=1000", "").await;
    assert_eq!(longest.text().lines().last(), Some("chunk 999"));
}

/// ST-7: the same middleware twice is one session, which is loaded and committed once.
pub async fn a_middleware_inside_itself_is_one_session(harness: &impl AdapterHarness) {
    let store = SpyStore::default();
    let sessions = manager(&store);
    let server = harness.start_nested(sessions.clone(), sessions).await;
    let mut visitor = Visitor::new(server);
    let reply = visitor.send("PUT /api/values/name", r#""Ada""#).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.session_cookie().is_some(), "there is exactly one");
    assert_eq!(reply.list("vary"), ["cookie"]);
    assert_eq!(store.take_calls(), [Call::Create]);
    let ada = json!({"value": "Ada", "exists": true});
    visitor.check("GET /api/values/name", "", 200, ada).await;
    assert_eq!(store.take_calls(), [Call::Load]);
}

/// ST-7: an inner middleware with a store of its own would never use it. That is an error at the first request, and
/// neither store is asked for anything.
pub async fn an_inner_middleware_of_another_manager_is_an_error(harness: &impl AdapterHarness) {
    let (outer, inner) = (SpyStore::default(), SpyStore::default());
    let server = harness.start_nested(manager(&outer), manager(&inner)).await;
    let mut visitor = Visitor::new(server);
    for line in ["PUT /api/values/n", "GET /api/untouched"] {
        let reply = visitor.send(line, "1").await;
        assert_eq!(
            (reply.status, reply.json()),
            (500, json!({"error": "internal server error"})),
            "the answer to `{line}`, where the inner of two middlewares has another manager"
        );
        assert_eq!(reply.session_cookie(), None);
    }
    assert_eq!((outer.take_calls(), inner.take_calls()), (vec![], vec![]));
}

fn manager(store: &SpyStore) -> SessionManager {
    let config = config().build().expect("the configuration is right");
    SessionManager::new(config, store.clone())
}
