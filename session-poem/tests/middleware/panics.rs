//! CM-2: a panic commits nothing but the end of the session, and goes on.

use poem::{Endpoint, EndpointExt as _, Request, Response};
use session_conformance::adapter::{Call, SpyStore};

use crate::visitor::Visitor;
use crate::{Change, NAME, ada, app, done, handler_that, name, rename};

/// What the visitor's `GET /` panics with.
async fn panic_of(visitor: &Visitor) -> String {
    let mut visitor = visitor.clone();
    let request = tokio::spawn(async move { visitor.get("/").await });
    let panic = request.await.unwrap_err().into_panic();
    (*panic.downcast::<&str>().unwrap()).to_owned()
}

/// CM-2: a panic leaves the store alone, whatever the handler wanted before, and goes on as it was.
#[tokio::test]
async fn a_panic_commits_no_change() {
    let changes: [Change; 4] = [
        rename,
        |session| _ = session.delete("name"),
        |session| session.clear(),
        |session| {
            session.regenerate();
            session.set(NAME, "Eve").unwrap();
        },
    ];
    for change in changes {
        let store = SpyStore::default();
        let app = app(&store, handler_that(change, || panic!("after a change")));
        let ada = ada(&store).await.at(app);
        assert_eq!(panic_of(&ada).await, "after a change");
        assert_eq!(store.take_calls(), [Call::Load]);
        assert_eq!(name(&ada).await, "Ada");
    }
}

/// CM-2: of an ended session and what was stored after its end, a panic leaves the end.
#[tokio::test]
async fn a_panic_commits_the_end_of_the_session_alone() {
    let end_and_begin: Change = |session| {
        session.destroy();
        session.set(NAME, "Eve").unwrap();
    };
    let store = SpyStore::default();
    let app = app(
        &store,
        handler_that(end_and_begin, || panic!("after the end")),
    );
    let ada = ada(&store).await.at(app);
    assert_eq!(panic_of(&ada).await, "after the end");
    assert_eq!(store.take_calls(), [Call::Load, Call::Bury]);
    assert_eq!(name(&ada).await, "nobody");
}

/// CM-2: the same if it isn't the handler that panics, but a middleware around it.
#[tokio::test]
async fn a_panicking_middleware_commits_the_end_of_the_session() {
    async fn panic_afterwards<E: Endpoint>(next: E, request: Request) -> poem::Result<Response> {
        drop(next.call(request).await);
        panic!("in the middleware")
    }
    let store = SpyStore::default();
    let leave = handler_that(|session| session.destroy(), done);
    let app = app(&store, leave.around(panic_afterwards));
    let ada = ada(&store).await.at(app);
    assert_eq!(panic_of(&ada).await, "in the middleware");
    assert_eq!(store.take_calls(), [Call::Load, Call::Bury]);
    assert_eq!(name(&ada).await, "nobody");
}
