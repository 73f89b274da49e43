//! CM-3: what a handler can't talk away, and the answer's shape.

use axum::http::StatusCode;
use axum::response::{AppendHeaders, IntoResponse as _};
use session_axum::{DropReason, Error, ErrorKind, Session};

use crate::log::Log;
use crate::{NAME, ada, app, become_eve, layer, name, routes};
use session_conformance::adapter::{Call, Mood, STORE_ERROR, SpyStore};

/// CM-3, SR-4: a session that can't be loaded is never taken for one that isn't there, even by a handler that
/// answers all the same. Asking again within the request doesn't burden the store. The log says what happened;
/// the visitor isn't told.
#[tokio::test]
async fn a_failing_load_is_a_503_whatever_the_handler_says() {
    type Extracted<T> = Result<T, Error>;
    let stubborn = async |first: Extracted<Session>, second: Extracted<Option<Session>>| {
        for error in [first.unwrap_err(), second.unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
        }
        (AppendHeaders([("set-cookie", "theirs=1")]), "all is well")
    };
    let store = SpyStore::default();
    let mut ada = ada(&app(&store, stubborn), &store).await;
    let log = Log::capture();
    store.set(Call::Load, Mood::Fails);
    let reply = ada.send("GET /", "").await;
    assert_eq!(
        (reply.status, reply.text()),
        (503, "session store unavailable")
    );
    assert_eq!(reply.all("set-cookie"), [""; 0]);
    assert_eq!(store.take_calls(), [Call::Load]);
    log.check_error(STORE_ERROR);

    store.set(Call::Load, Mood::Works);
    assert_eq!(name(&ada).await, "Ada");
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

/// CM-3: the hook sees the request as it came to the layer, wherever the failure showed.
#[tokio::test]
async fn a_hook_sees_the_request() {
    let store = SpyStore::default();
    let shaped = layer(&store).on_error_with(|error, request| {
        let theirs = request.headers.contains_key("cookie");
        let (method, uri, kind) = (&request.method, &request.uri, error.kind());
        let said = format!("{method} {uri} {theirs} {kind:?}");
        (StatusCode::BAD_GATEWAY, said).into_response()
    });
    let app = routes(become_eve).layer(shaped);
    let mut ada = ada(&app, &store).await;
    for call in [Call::Update, Call::Load] {
        store.set(call, Mood::Fails);
        let reply = ada.send("POST /?n=1", "").await;
        assert_eq!(reply.status, 502);
        assert_eq!(reply.text(), "POST /?n=1 true StoreUnavailable");
        assert_eq!(reply.all("vary"), ["Cookie"]);
    }
    // The plain form takes the place of the other one.
    let plain = layer(&store).on_error_with(|_, _| unreachable!());
    let plain = plain.on_error(|_| StatusCode::BAD_GATEWAY.into_response());
    let reply = ada
        .at(&routes(become_eve).layer(plain))
        .send("GET /", "")
        .await;
    assert_eq!((reply.status, reply.text()), (502, ""));
}

/// CM-9: where changes were dropped, the application may answer in place of the handler, by what it sees of the request;
/// or it lets the handler's answer stand. A request that loses nothing never gets there.
#[tokio::test]
async fn dropped_changes_may_have_an_answer_of_their_own() {
    let store = SpyStore::default();
    let shaped = layer(&store).on_dropped(|dropped, request| {
        assert_eq!(dropped.reason, DropReason::Superseded);
        let stands = request.uri.query() == Some("stands");
        (!stands).then(|| (StatusCode::CONFLICT, "try again").into_response())
    });
    let app = routes(become_eve).layer(shaped);
    let ada = ada(&app, &store).await;
    assert_eq!(ada.clone().send("GET /", "").await.text(), "done");
    let end = routes(async |session: Session| session.destroy()).layer(layer(&store));
    ada.at(&end).send("GET /", "").await;

    for (line, status, text) in [
        ("GET /", 409, "try again"),
        ("GET /?stands", 200, "done"),
        ("GET /name", 200, "nobody"),
    ] {
        let reply = ada.clone().send(line, "").await;
        assert_eq!((reply.status, reply.text()), (status, text), "{line}");
        assert_eq!(reply.all("vary"), ["Cookie"], "{line}");
        assert_eq!(reply.all("set-cookie"), [""; 0], "{line}");
    }
    // Of what is committed explicitly the handler knows itself.
    let early = async |session: Session| {
        session.set(NAME, "Eve")?;
        let status = session.commit().await?;
        Ok::<_, Error>(format!("{status:?}"))
    };
    let shaped = layer(&store).on_dropped(|_, _| unreachable!());
    let reply = ada.at(&routes(early).layer(shaped)).send("GET /", "").await;
    assert_eq!(reply.text(), "Dropped");
}
