//! CM-2: ends of a request that only tower has, and panics with all that a handler may have wanted before.

use axum::body::Body;
use axum::extract::{FromRequestParts as _, Request};
use axum::response::Response;
use session_axum::{Error, Main, Session};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::{Change, NAME, ada, app, layer, name};
use session_conformance::adapter::{Call, SpyStore};

/// CM-2: an error below axum has no headers for a cookie, but what was wanted is stored, and it goes on.
#[tokio::test]
async fn changes_are_stored_when_an_inner_service_fails() {
    let changes: [(Change, &str); 2] = [
        (|session| session.set(NAME, "Eve").unwrap(), "Eve"),
        (|session| session.destroy(), "nobody"),
    ];
    for (change, expected) in changes {
        let failing = service_fn(move |request: Request| async move {
            let (mut parts, _) = request.into_parts();
            let session = Session::<Main>::from_request_parts(&mut parts, &()).await;
            change(&session.unwrap());
            Err::<Response, _>("the service failed")
        });
        let store = SpyStore::default();
        let ada = ada(&app(&store, async || ()), &store).await;
        let request = ada.request("GET /", Body::empty());
        let result = layer(&store).layer(failing).oneshot(request).await;
        assert_eq!(result.unwrap_err(), "the service failed");
        assert_eq!(name(&ada).await, expected);
    }
}

/// CM-2: of all that a handler wanted before it panicked, the end of the session is committed and nothing else;
/// the panic goes on as it was.
#[tokio::test]
async fn a_panic_commits_an_end_alone() {
    let changes: [(Change, &[Call], &str); 5] = [
        (
            |session| _ = session.update(NAME, |_| "Eve".to_owned()).unwrap(),
            &[Call::Load],
            "Ada",
        ),
        (|session| _ = session.delete("name"), &[Call::Load], "Ada"),
        (|session| session.clear(), &[Call::Load], "Ada"),
        (
            |session| {
                session.regenerate();
                session.set(NAME, "Eve").unwrap();
            },
            &[Call::Load],
            "Ada",
        ),
        (
            |session| {
                session.destroy();
                session.set(NAME, "Eve").unwrap();
            },
            &[Call::Load, Call::Tombstone],
            "nobody",
        ),
    ];
    for (change, calls, expected) in changes {
        let store = SpyStore::default();
        let app = app(&store, async move |session: Session| -> () {
            change(&session);
            panic!("after a change");
        });
        let ada = ada(&app, &store).await;
        let mut visitor = ada.clone();
        let request = tokio::spawn(async move { visitor.send("GET /", "").await });
        let panic = request.await.unwrap_err().into_panic();
        assert_eq!(*panic.downcast::<&str>().unwrap(), "after a change");
        assert_eq!(store.take_calls(), calls);
        assert_eq!(name(&ada).await, expected);
    }
}

/// A handler may do all it likes with its error; what the session says about itself stays opaque.
#[tokio::test]
async fn a_handlers_session_error_is_answered_without_details() {
    let read = async |session: Session| -> Result<String, Error> {
        let age: Option<u32> = session.get("name")?;
        Ok(format!("{age:?}"))
    };
    let store = SpyStore::default();
    let app = app(&store, read);
    let mut ada = ada(&app, &store).await;
    let reply = ada.send("GET /", "").await;
    assert_eq!((reply.status, reply.text()), (500, "internal server error"));
}
