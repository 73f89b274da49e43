//! CM-3: a store that fails, or never answers, costs the request its answer and nothing else.

use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{AppendHeaders, IntoResponse as _};
use session_axum::{Error, ErrorKind, Session, SessionLayer};
use tokio::time::Instant;

use crate::common::{Log, Reply, Visitor, config};
use crate::{NAME, ada, app, become_eve, layer, name, routes};
use session_conformance::adapter::{Call, Mood, STORE_ERROR, SpyStore};

fn check_opaque(reply: &Reply) {
    assert_eq!(
        (reply.status, reply.text()),
        (503, "session store unavailable")
    );
    assert_eq!(reply.all("set-cookie"), [""; 0]);
}

/// CM-3, SR-4: a session that can't be loaded is never taken for one that isn't there, whatever the handler
/// makes of it. The log says what happened; the visitor isn't told.
#[tokio::test]
async fn a_failing_load_is_a_503_whatever_the_handler_says() {
    let store = SpyStore::default();
    let apps: [Router; 3] = [
        app(&store, async |_: Session| "all is well"),
        app(&store, async |_: Option<Session>| "all is well"),
        app(&store, async |session: Result<Session, Error>| {
            assert_eq!(session.unwrap_err().kind(), ErrorKind::StoreUnavailable);
            (AppendHeaders([("set-cookie", "theirs=1")]), "all is well")
        }),
    ];
    for app in apps {
        let mut ada = ada(&app, &store).await;
        let log = Log::capture();
        store.set(Call::Load, Mood::Fails);
        check_opaque(&ada.send("GET /", "").await);
        assert_eq!(store.take_calls(), [Call::Load]);
        assert_eq!(log.lines_with(STORE_ERROR).len(), 1);

        store.set(Call::Load, Mood::Works);
        assert_eq!(name(&ada).await, "Ada");
    }
}

/// CM-3: a failure sticks. Asking again within the request neither helps nor burdens the store.
#[tokio::test]
async fn a_failed_load_is_not_tried_again() {
    let store = SpyStore::default();
    let several = async |a: Result<Session, Error>, b: Result<Option<Session>, Error>| {
        format!("{} {}", a.is_err(), b.is_err())
    };
    let app = app(&store, several);
    let mut ada = ada(&app, &store).await;
    store.set(Call::Load, Mood::Fails);
    check_opaque(&ada.send("GET /", "").await);
    assert_eq!(store.take_calls(), [Call::Load]);
}

/// CM-3: the handler has answered, but its answer would promise what isn't stored.
#[tokio::test]
async fn a_failing_save_replaces_the_answer() {
    let change = async |session: Session| -> Result<_, Error> {
        session.set(NAME, "Eve")?;
        Ok((AppendHeaders([("set-cookie", "theirs=1")]), "all is well"))
    };
    let store = SpyStore::default();
    let app = app(&store, change);
    let mut ada = ada(&app, &store).await;
    let log = Log::capture();
    for call in [Call::Create, Call::Update] {
        store.set(call, Mood::Fails);
    }
    check_opaque(&ada.send("GET /", "").await);
    check_opaque(&Visitor::new(&app).send("GET /", "").await);
    assert_eq!(log.lines_with(STORE_ERROR).len(), 2);
    assert_eq!((name(&ada).await, store.records().len()), ("Ada".into(), 1));
}

/// CM-3: a commit in the middle of a handler that fails makes the request fail, even if the handler goes on.
#[tokio::test]
async fn a_failed_commit_in_the_handler_cannot_be_talked_away() {
    let store = SpyStore::default();
    let app = app(&store, async |session: Session| {
        session.set(NAME, "Eve").unwrap();
        let error = session.commit().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
        "all is well"
    });
    store.set(Call::Create, Mood::Fails);
    check_opaque(&Visitor::new(&app).send("GET /", "").await);
    assert_eq!(store.take_calls(), [Call::Create]);
}

/// A touch is no more than a note, but a store that can't take notes is down.
#[tokio::test]
async fn a_failing_touch_is_a_503_without_a_cookie() {
    let store = SpyStore::default();
    let config = config().touch_interval(Duration::ZERO).build().unwrap();
    let app = routes(become_eve).layer(SessionLayer::new(config, store.clone()));
    let mut ada = ada(&app, &store).await;
    store.set(Call::Touch, Mood::Fails);
    check_opaque(&ada.send("GET /name", "").await);
    assert_eq!(store.take_calls(), [Call::Load, Call::Touch]);
}

/// A visitor whose request needs nothing of the store doesn't notice.
#[tokio::test]
async fn requests_that_need_no_store_are_answered() {
    let store = SpyStore::default();
    for call in [Call::Load, Call::Create, Call::Update, Call::Touch] {
        store.set(call, Mood::Fails);
    }
    let mut untouched = Visitor::new(&app(&store, async || "all is well"));
    untouched
        .cookies
        .insert("session_id".to_owned(), "whatever".to_owned());
    assert_eq!(untouched.send("GET /", "").await.status, 200);
    assert_eq!(name(&untouched).await, "nobody");
    assert_eq!(store.take_calls(), []);
}

/// CM-3: the application gives the answer its shape; the session's own headers stay right.
#[tokio::test]
async fn a_hook_shapes_the_answer() {
    let store = SpyStore::default();
    let shaped = layer(&store).on_error(|error| {
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
        (StatusCode::BAD_GATEWAY, "come back later").into_response()
    });
    let app = routes(become_eve).layer(shaped);
    let mut ada = ada(&app, &store).await;
    for call in [Call::Update, Call::Load] {
        store.set(call, Mood::Fails);
        let reply = ada.send("GET /", "").await;
        assert_eq!((reply.status, reply.text()), (502, "come back later"));
        assert_eq!(
            (reply.all("set-cookie"), reply.all("vary")),
            (vec![], vec!["Cookie"])
        );
    }
}

/// CM-3: a store that never answers is down when its time is up, and not later.
///
/// On a clock that jumps to whatever is waited for next, "in time" is exact.
#[tokio::test(start_paused = true)]
async fn a_hanging_store_is_a_503_in_time() {
    let timeout = Duration::from_millis(50);
    for call in [
        Call::Load,
        Call::Create,
        Call::Update,
        Call::Bury,
        Call::Touch,
    ] {
        let store = SpyStore::default();
        let config = config()
            .store_timeout(timeout)
            .touch_interval(Duration::ZERO);
        let end_or_become_eve = async |session: Session| match session.contains("name") {
            true => session.destroy(),
            false => session.set(NAME, "Eve").unwrap(),
        };
        let routes = routes(end_or_become_eve);
        let app = routes.layer(SessionLayer::new(config.build().unwrap(), store.clone()));
        let ada = ada(&app, &store).await;
        let (mut visitor, line) = match call {
            Call::Load | Call::Touch => (ada, "GET /name"),
            Call::Create => (Visitor::new(&app), "GET /"),
            Call::Update => (ada, "PUT /name"),
            Call::Bury | Call::Delete => (ada, "GET /"),
        };
        store.set(call, Mood::Hangs);
        let start = Instant::now();
        let reply = tokio::time::timeout(timeout * 2, visitor.send(line, "")).await;
        check_opaque(&reply.expect("the request hangs with its store"));
        assert_eq!(start.elapsed(), timeout, "{call:?}");
    }
}
