//! CM-2: a panic commits an ending and nothing else, and goes on.

use actix_web::App;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use session_actix::Session;
use session_conformance::adapter::{Call, SpyStore};

use crate::common::{Site, Visitor};
use crate::{Change, NAME, ada, app, become_eve, name, routes, sessions};

fn fail() -> &'static str {
    panic!("after a change")
}

/// An application whose handler panics when it has made its change.
async fn panicking(store: &SpyStore, change: Change) -> Site {
    let handler = move |session: Session| async move {
        change(&session);
        fail()
    };
    app(store, handler).await
}

/// What the visitor's `GET /` panics with.
async fn panic_of(visitor: &Visitor) -> String {
    let mut visitor = visitor.clone();
    let request = actix_web::rt::spawn(async move { visitor.send("GET /").await });
    let panic = request.await.unwrap_err().into_panic();
    (*panic.downcast::<&str>().unwrap()).to_owned()
}

/// CM-2: a panic leaves the store alone, whatever the handler wanted before.
#[actix_web::test]
async fn a_panic_commits_no_change() {
    let changes: [Change; 4] = [
        |session| session.set(NAME, "Eve").unwrap(),
        |session| _ = session.update(NAME, |_| "Eve".to_owned()).unwrap(),
        |session| session.clear(),
        |session| {
            session.regenerate();
            session.set(NAME, "Eve").unwrap();
        },
    ];
    for change in changes {
        let store = SpyStore::default();
        let site = panicking(&store, change).await;
        let ada = ada(&site, &store).await;
        assert_eq!(panic_of(&ada).await, "after a change");
        assert_eq!(store.take_calls(), [Call::Load]);
        assert_eq!(name(&ada).await, "Ada");

        store.take_calls();
        assert_eq!(panic_of(&Visitor::new(&site)).await, "after a change");
        assert_eq!(store.take_calls(), []);
    }
}

/// CM-2: of an ended session and what was stored after its end, a panic leaves the end.
#[actix_web::test]
async fn a_panic_commits_the_end_of_the_session_alone() {
    fn end_and_begin(session: &Session) {
        session.destroy();
        session.set(NAME, "Eve").unwrap();
    }
    let store = SpyStore::default();
    let ada = ada(&panicking(&store, end_and_begin).await, &store).await;
    assert_eq!(panic_of(&ada).await, "after a change");
    assert_eq!(store.take_calls(), [Call::Load, Call::Bury]);
    assert_eq!(name(&ada).await, "nobody");
}

/// CM-2: the same if it isn't the handler that panics, but a middleware around it.
#[actix_web::test]
async fn a_panicking_middleware_commits_the_end_of_the_session() {
    async fn panic_afterwards<B>(
        request: ServiceRequest,
        next: Next<B>,
    ) -> actix_web::Result<ServiceResponse<B>> {
        next.call(request).await?;
        panic!("in the middleware")
    }
    let destroy = |session: Session| async move {
        session.destroy();
        "all is well"
    };
    let store = SpyStore::default();
    let ada = ada(&app(&store, become_eve).await, &store).await;
    let routes = App::new().configure(routes(destroy));
    let site = Site::new(
        routes
            .wrap(from_fn(panic_afterwards))
            .wrap(sessions(&store)),
    )
    .await;
    assert_eq!(panic_of(&ada.at(&site)).await, "in the middleware");
    assert_eq!(store.take_calls(), [Call::Load, Call::Bury]);
    assert_eq!(name(&ada).await, "nobody");
}
