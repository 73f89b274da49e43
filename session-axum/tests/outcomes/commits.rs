//! CM-2: changes are committed on every outcome, except that a panic commits nothing but an ending.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts as _, Request};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use session_axum::{Error, Main, Session, SessionLayer, SessionManager};
use session_core::{Clock, Timestamp};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::common::{Visitor, config};
use crate::{NAME, ada, app, become_eve, layer, name, routes};
use session_conformance::adapter::{Call, SpyStore};

/// What a handler does with its session before it fails.
type Change = fn(&Session);

/// Lets the handler do its work, and then fails.
async fn fail_afterwards(request: Request, next: Next) -> Result<Response, StatusCode> {
    drop(next.run(request).await);
    Err(StatusCode::BAD_GATEWAY)
}

/// What the visitor's `GET /` panics with.
async fn panic_of(visitor: &Visitor) -> String {
    let mut visitor = visitor.clone();
    let request = tokio::spawn(async move { visitor.send("GET /", "").await });
    let panic = request.await.unwrap_err().into_panic();
    (*panic.downcast::<&str>().unwrap()).to_owned()
}

/// CM-2: a handler's error keeps nothing from being stored.
#[tokio::test]
async fn changes_are_stored_when_the_handler_fails() {
    let fail = async |session: Session| -> Result<(), StatusCode> {
        session.set(NAME, "Eve").unwrap();
        Err(StatusCode::IM_A_TEAPOT)
    };
    let store = SpyStore::default();
    let app = app(&store, fail);
    let mut ada = ada(&app, &store).await;
    assert_eq!(ada.send("GET /", "").await.status, 418);
    assert_eq!(name(&ada).await, "Eve");
}

/// CM-2: nor does an error of a middleware inside ours, and the cookie reaches a new visitor.
#[tokio::test]
async fn changes_are_stored_when_an_inner_middleware_fails() {
    let store = SpyStore::default();
    let failing = routes(become_eve).route_layer(from_fn(fail_afterwards));
    let mut newcomer = Visitor::new(&failing.layer(layer(&store)));
    assert_eq!(newcomer.send("GET /", "").await.status, 502);

    let eve = newcomer.at(&app(&store, become_eve));
    assert_eq!(name(&eve).await, "Eve");
}

#[tokio::test]
async fn sessions_end_when_an_inner_middleware_fails() {
    let store = SpyStore::default();
    let ada = ada(&app(&store, async || ()), &store).await;
    let failing = routes(async |session: Session| session.destroy());
    let failing = failing.route_layer(from_fn(fail_afterwards));
    let mut leaving = ada.at(&failing.layer(layer(&store)));
    let reply = leaving.send("GET /", "").await;
    assert_eq!((reply.status, reply.removes_cookie()), (502, true));
    assert_eq!(name(&ada).await, "nobody");
}

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

/// CM-2: a panic leaves the store alone, whatever the handler wanted before, and goes on.
#[tokio::test]
async fn a_panic_commits_no_change() {
    let changes: [Change; 5] = [
        |session| session.set(NAME, "Eve").unwrap(),
        |session| _ = session.update(NAME, |_| "Eve".to_owned()).unwrap(),
        |session| _ = session.delete("name"),
        |session| session.clear(),
        |session| {
            session.regenerate();
            session.set(NAME, "Eve").unwrap();
        },
    ];
    for change in changes {
        let store = SpyStore::default();
        let app = app(&store, async move |session: Session| -> () {
            change(&session);
            panic!("after a change");
        });
        let ada = ada(&app, &store).await;
        assert_eq!(panic_of(&ada).await, "after a change");
        assert_eq!(store.take_calls(), [Call::Load]);
        assert_eq!(name(&ada).await, "Ada");

        store.take_calls();
        assert_eq!(panic_of(&Visitor::new(&app)).await, "after a change");
        assert_eq!(store.take_calls(), []);
    }
}

/// CM-2: of an ended session and what was stored after its end, a panic leaves the end.
#[tokio::test]
async fn a_panic_commits_the_end_of_the_session_alone() {
    let store = SpyStore::default();
    let app = app(&store, async |session: Session| -> () {
        session.destroy();
        session.set(NAME, "Eve").unwrap();
        panic!("after the end");
    });
    let ada = ada(&app, &store).await;
    assert_eq!(panic_of(&ada).await, "after the end");
    assert_eq!(store.take_calls(), [Call::Load, Call::Bury]);
    assert_eq!(name(&ada).await, "nobody");
}

/// CM-2: the same if it isn't the handler that panics, but a middleware around it.
#[tokio::test]
async fn a_panicking_middleware_commits_the_end_of_the_session() {
    let panic_afterwards = async |request: Request, next: Next| -> Response {
        drop(next.run(request).await);
        panic!("in the middleware")
    };
    let store = SpyStore::default();
    let ada = ada(&app(&store, async || ()), &store).await;
    let routes = routes(async |session: Session| session.destroy());
    let leaving = ada.at(&routes.layer(from_fn(panic_afterwards)).layer(layer(&store)));
    assert_eq!(panic_of(&leaving).await, "in the middleware");
    assert_eq!(name(&ada).await, "nobody");
}

/// ST-4: what is stored after the end begins a new session; the answer brings its cookie, and no removal.
#[tokio::test]
async fn storing_after_the_end_begins_a_new_session() {
    let store = SpyStore::default();
    let app = app(&store, async |session: Session| {
        session.destroy();
        session.set(NAME, "Eve")
    });
    let mut ada = ada(&app, &store).await;
    let old = ada.clone();
    let reply = ada.send("GET /", "").await;
    assert!(!reply.removes_cookie());
    assert_ne!(ada.session_id(), old.session_id());
    assert_eq!(
        (name(&ada).await, name(&old).await),
        ("Eve".into(), "nobody".into())
    );
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

/// A clock that stands still until a test moves it on.
#[derive(Clone, Default)]
struct HandClock(Arc<AtomicU64>);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.0.load(Ordering::Relaxed))
    }

    fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(pending())
    }
}

/// CM-6, CM-9: a session that has run out while its request was under way isn't brought back. The answer
/// stands, and somebody is told.
#[tokio::test]
async fn a_session_that_expires_under_way_is_not_brought_back() {
    let (clock, dropped) = (HandClock::default(), Arc::new(AtomicUsize::new(0)));
    let count = dropped.clone();
    let config = config().on_dropped(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let store = SpyStore::default();
    let config = config.build().unwrap();
    let manager = SessionManager::with_clock(config, store.clone(), clock.clone());
    let routes = routes(
        async move |session: Session| -> Result<&'static str, Error> {
            session.set(NAME, "Eve")?;
            clock.0.fetch_add(3_600_000, Ordering::Relaxed);
            Ok("done")
        },
    );
    let app = routes.layer(SessionLayer::from_manager(manager));
    let ada = ada(&app, &store).await;
    let reply = ada.clone().send("GET /", "").await;
    assert_eq!((reply.status, reply.text()), (200, "done"));
    assert_eq!(reply.session_cookie(), None);
    assert_eq!(store.take_calls(), [Call::Load, Call::Update]);
    assert_eq!(
        (name(&ada).await.as_str(), dropped.load(Ordering::Relaxed)),
        ("nobody", 1)
    );
}
