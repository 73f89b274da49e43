//! CM-2: what becomes of the session when a handler, or a middleware inside ours, returns an `Err`.

use std::time::Duration;

use poem::{Endpoint, EndpointExt as _, Request, Response, Route};
use session_conformance::adapter::{Call, SpyStore, TestClock};
use session_poem::{SessionEndpoint, SessionManager, SessionMiddleware};

use crate::visitor::{Reply, Visitor};
use crate::{
    COFFEE, Change, NAME, NoTea, ada, app, config, done, handler_that, look, name, no_tea, rename,
    routes,
};

/// Lets the handler do its work, and then fails.
async fn fail_afterwards<E: Endpoint>(next: E, request: Request) -> poem::Result<Response> {
    drop(next.call(request).await);
    Err(NoTea.into())
}

/// An application whose handler fails after `change`, and one in which a middleware around the handler does.
fn failing(store: &SpyStore, change: Change) -> [SessionEndpoint<Route>; 2] {
    let handler = handler_that(change, no_tea);
    let middleware = handler_that(change, done).around(fail_afterwards);
    [app(store, handler), app(store, middleware)]
}

/// CM-2: an error keeps nothing from being stored.
#[tokio::test]
async fn changes_are_stored() {
    let store = SpyStore::default();
    for app in failing(&store, rename) {
        let ada = ada(&store).await.at(app);
        assert!(ada.call("/").await.is_err());
        assert_eq!(store.take_calls(), [Call::Load, Call::Update]);
        assert_eq!(name(&ada).await, "Eve");
    }
}

/// The answer that [`NoTea`] makes, with a Set-Cookie of the session's. The visitor takes that.
async fn take_cookie_of_the_failure(visitor: &mut Visitor) {
    let response = visitor.call("/").await.expect("an answer with a cookie");
    let reply = Reply::read(response).await;
    reply.check(418, COFFEE);
    assert!(reply.session_cookie().is_some(), "{reply:?}");
    assert_eq!(reply.all("retry-after"), ["3600"]);
    assert_eq!(reply.all("vary"), ["Cookie"]);
    assert_eq!(reply.all("cache-control"), ["no-store"]);
    visitor.take_cookies(&reply);
}

/// CM-2: an error has no place for a cookie, so that it becomes its answer where one has to go out. A visitor
/// whose session began would lose it otherwise.
#[tokio::test]
async fn the_cookie_of_a_new_session_goes_out() {
    let store = SpyStore::default();
    for app in failing(&store, rename) {
        let mut newcomer = Visitor::new(app);
        take_cookie_of_the_failure(&mut newcomer).await;
        assert_eq!(store.take_calls(), [Call::Create]);
        assert_eq!(name(&newcomer).await, "Eve");
        store.take_calls();
    }
}

/// CM-2: the same where the session moved or ended; the old id is dead either way.
#[tokio::test]
async fn the_cookie_of_a_session_that_moved_or_ended_goes_out() {
    let changes: [(Change, &str); 3] = [
        (
            |session| {
                session.regenerate();
                session.set(NAME, "Eve").unwrap();
            },
            "Eve",
        ),
        (|session| session.destroy(), "nobody"),
        (
            |session| {
                session.destroy();
                session.set(NAME, "Eve").unwrap();
            },
            "Eve",
        ),
    ];
    for (change, expected) in changes {
        let store = SpyStore::default();
        for app in failing(&store, change) {
            let before = ada(&store).await.at(app);
            let mut after = before.clone();
            take_cookie_of_the_failure(&mut after).await;
            assert_ne!(after.cookies, before.cookies);
            assert_eq!(name(&after).await, expected);
            assert_eq!(name(&before).await, "nobody");
        }
    }
}

/// TM-3: the cookie goes out as well where a read was due to be noted as activity.
#[tokio::test]
async fn the_cookie_of_an_active_session_goes_out() {
    let store = SpyStore::default();
    let mut ada = ada(&store).await;
    let (config, clock) = (config().build().unwrap(), TestClock::new());
    clock.advance(Duration::from_secs(360));
    let later = SessionManager::with_clock(config, store.clone(), clock);
    let later = SessionMiddleware::from_manager(later);
    ada = ada.at(routes(handler_that(look, no_tea)).with(later));
    take_cookie_of_the_failure(&mut ada).await;
    assert_eq!(store.take_calls(), [Call::Load, Call::Touch]);
    assert_eq!(name(&ada).await, "Ada");
}
