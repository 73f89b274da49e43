//! CM-3: a store that fails costs the request its answer, whatever poem or the handler makes of the error.

use poem::http::StatusCode;
use poem::{EndpointExt as _, IntoResponse as _, Response, Route, handler};
use session_conformance::adapter::{Call, Mood, STORE_ERROR, SpyStore};
use session_poem::{DropReason, Error, ErrorKind, Session};

use crate::log::Log;
use crate::{COFFEE, End, ada, app, done, handler_that, name, no_tea, rename, routes, sessions};

/// To poem a failed extraction is `None`, so that nothing tells a handler what is wrong; and one that is told
/// may answer all the same.
#[handler]
fn careless(optional: Option<Session>, fallible: poem::Result<Session>) -> Response {
    assert!(optional.is_none());
    let error = fallible.unwrap_err();
    let error: &Error = error.downcast_ref().unwrap();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    "all is well"
        .with_header("set-cookie", "theirs=1")
        .into_response()
}

/// CM-3, SR-4: a session that can't be loaded is never taken for one that isn't there, whatever the handler
/// makes of it. The failure sticks, so that asking again doesn't burden the store. The log says what happened;
/// the visitor isn't told.
#[tokio::test]
async fn a_failing_load_is_a_503_whatever_the_handler_says() {
    let store = SpyStore::default();
    let mut ada = ada(&store).await.at(app(&store, careless));
    let log = Log::capture();
    store.set(Call::Load, Mood::Fails);
    let reply = ada.get("/").await;
    reply.check(503, "session store unavailable");
    assert_eq!(reply.all("set-cookie"), [""; 0]);
    assert_eq!(reply.all("vary"), ["Cookie"]);
    assert_eq!(store.take_calls(), [Call::Load]);
    log.check_error(STORE_ERROR);

    store.set(Call::Load, Mood::Works);
    assert_eq!(name(&ada).await, "Ada");
}

/// CM-3: the application gives the answer its shape; the session's own headers stay right.
#[tokio::test]
async fn a_hook_shapes_the_answer() {
    let ends: [End; 2] = [done, no_tea];
    for end in ends {
        let store = SpyStore::default();
        let shaped = sessions(&store).on_error(|error| {
            assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
            (StatusCode::BAD_GATEWAY, "come back later")
                .with_header("vary", "accept")
                .into_response()
        });
        let routes = routes(handler_that(rename, end));
        let mut ada = ada(&store).await.at(routes.with(shaped));
        for call in [Call::Update, Call::Load] {
            store.set(call, Mood::Fails);
            let reply = ada.get("/").await;
            reply.check(502, "come back later");
            assert_eq!(reply.all("vary"), ["accept", "Cookie"], "{call:?}");
            assert_eq!(reply.all("set-cookie"), [""; 0], "{call:?}");
        }
    }
}

/// CM-3: the hook sees the request as the client sent it, wherever the failure showed, inside a nested route too.
#[tokio::test]
async fn a_hook_sees_the_request() {
    let store = SpyStore::default();
    let shaped = sessions(&store).on_error_with(|error, request| {
        let theirs = request.headers.contains_key("cookie");
        let (method, uri, kind) = (&request.method, &request.uri, error.kind());
        let said = format!("{method} {uri} {theirs} {kind:?}");
        said.with_status(StatusCode::BAD_GATEWAY).into_response()
    });
    let inner = routes(handler_that(rename, done)).with(shaped);
    let mut ada = ada(&store).await.at(Route::new().nest("/app", inner));
    for call in [Call::Update, Call::Load] {
        store.set(call, Mood::Fails);
        let reply = ada.get("/app/?n=1").await;
        reply.check(502, "GET /app/?n=1 true StoreUnavailable");
        assert_eq!(reply.all("vary"), ["Cookie"]);
    }
}

/// CM-9: where changes were dropped, the application may answer in place of the handler, or of its error, by what it sees
/// of the request; or it lets the handler's answer stand.
#[tokio::test]
async fn dropped_changes_may_have_an_answer_of_their_own() {
    let ends: [(End, u16, &str); 2] = [(done, 200, "done"), (no_tea, 418, COFFEE)];
    for (end, status, text) in ends {
        let store = SpyStore::default();
        let shaped = sessions(&store).on_dropped(|dropped, request| {
            assert_eq!(dropped.reason, DropReason::Superseded);
            let stands = request.uri.query() == Some("stands");
            let conflict = || "try again".with_status(StatusCode::CONFLICT);
            (!stands).then(|| conflict().into_response())
        });
        let ada = ada(&store).await;
        let logout = app(&store, handler_that(|session| session.destroy(), done));
        ada.at(logout).get("/").await.check(200, "done");
        let ada = ada.at(routes(handler_that(rename, end)).with(shaped));
        for (path, status, text) in [("/", 409, "try again"), ("/?stands", status, text)] {
            let reply = ada.clone().get(path).await;
            reply.check(status, text);
            assert_eq!(reply.all("vary"), ["Cookie"], "{path}");
            assert_eq!(reply.all("set-cookie"), [""; 0], "{path}");
        }
    }
}
