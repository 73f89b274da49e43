//! CM-2: what becomes of the session when a handler, or a middleware inside ours, returns an `Err`.

use std::time::Duration;

use poem::{Endpoint, EndpointExt as _, Request, Response};
use session_conformance::adapter::{Call, SpyStore, TestClock};
use session_poem::{SessionManager, SessionMiddleware};

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

/// CM-2: an error has no place for a cookie, so that it becomes its answer where one has to go out, because the
/// session began, moved or ended: whether the handler fails, or a middleware around it.
#[tokio::test]
async fn an_error_becomes_its_answer_where_a_cookie_has_to_go_out() {
    let move_and_rename: Change = |session| {
        session.regenerate();
        session.set(NAME, "Eve").unwrap();
    };
    let end: Change = |session| session.destroy();
    let store = SpyStore::default();
    for (is_new, change, expected) in [
        (true, rename as Change, "Eve"),
        (false, move_and_rename, "Eve"),
        (false, end, "nobody"),
    ] {
        let handler = handler_that(change, no_tea);
        let middleware = handler_that(change, done).around(fail_afterwards);
        for app in [app(&store, handler), app(&store, middleware)] {
            let before = match is_new {
                true => Visitor::new(app),
                false => ada(&store).await.at(app),
            };
            let mut after = before.clone();
            take_cookie_of_the_failure(&mut after).await;
            assert_ne!(after.cookies, before.cookies);
            assert_eq!(name(&after).await, expected);
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
    let later = SessionManager::builder(config, store.clone())
        .clock(clock)
        .build()
        .unwrap();
    let later = SessionMiddleware::from_manager(later);
    ada = ada.at(routes(handler_that(look, no_tea)).with(later));
    take_cookie_of_the_failure(&mut ada).await;
    assert_eq!(store.take_calls(), [Call::Load, Call::Touch]);
    assert_eq!(name(&ada).await, "Ada");
}
