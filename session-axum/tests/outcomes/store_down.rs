//! CM-3: what a handler can't talk away, and the answer's shape.

use axum::http::StatusCode;
use axum::response::{AppendHeaders, IntoResponse as _};
use session_axum::{Error, ErrorKind, Session};

use crate::log::Log;
use crate::{ada, app, become_eve, layer, name, routes};
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
