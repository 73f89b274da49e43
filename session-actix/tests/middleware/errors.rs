//! CM-2: a middleware between the session's and the handler fails. Then there is no response yet, but an
//! error that a response is made of.

use actix_web::error::InternalError;
use actix_web::http::header::HeaderValue;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse};
use session_actix::{InnerError, Session};
use session_conformance::adapter::{Call, Mood, STORE_ERROR, SpyStore};

use crate::common::{Reply, Site, Visitor};
use crate::log::Log;
use crate::{Change, NAME, OUTAGE, ada, app, become_eve, fail_afterwards, name, routes, sessions};

/// An application whose handler makes its change before a middleware around it fails.
async fn failing(store: &SpyStore, change: Change) -> Site {
    let handler = move |session: Session| async move {
        change(&session);
        "all is well"
    };
    let routes = App::new().configure(routes(handler));
    Site::new(routes.wrap(from_fn(fail_afterwards)).wrap(sessions(store))).await
}

/// Whether this is still the middleware's own error, for those further out who know its type; where a cookie
/// has to go out, inside of ours.
fn is_outage(error: &actix_web::Error) -> bool {
    let inner = error
        .as_error::<InnerError>()
        .map_or(error, InnerError::inner);
    let own = inner.as_error::<InternalError<&'static str>>();
    own.is_some_and(|own| own.to_string() == OUTAGE && error.to_string() == OUTAGE)
}

/// CM-2, CK-6: an error keeps nothing from being stored, and the cookie goes out: to a new visitor, and to one
/// whose session ends. The error is the middleware's own; every response that is made of it has the cookie, once.
#[actix_web::test]
async fn changes_are_stored_when_an_inner_middleware_fails() {
    let store = SpyStore::default();
    let site = app(&store, become_eve).await;
    let ada = ada(&site, &store).await;
    let set: Change = |session| session.set(NAME, "Eve").unwrap();
    let end: Change = |session| session.destroy();
    for (before, change, calls, expected) in [
        (Visitor::new(&site), set, &[Call::Create][..], "Eve"),
        (ada.clone(), end, &[Call::Load, Call::Tombstone], "nobody"),
    ] {
        let mut visitor = before.at(&failing(&store, change).await);
        let error = visitor.error_of("GET /").await;
        assert!(is_outage(&error), "{error:?}");
        assert_eq!(store.take_calls(), calls);
        // actix-web's own ways to a response: the second passes over what mappers an error has.
        for response in [error.error_response(), HttpResponse::from_error(error)] {
            let reply = Reply::read(response).await;
            assert_eq!((reply.status, reply.body.as_str()), (502, OUTAGE));
            assert_eq!(reply.all("vary"), ["Cookie"]);
            assert_eq!(reply.all("cache-control"), ["no-store"]);
            assert!(reply.session_cookie().is_some());
            let cookie = reply.headers.get("set-cookie");
            assert!(cookie.is_some_and(HeaderValue::is_sensitive));
            visitor.take_cookies(&reply);
        }
        assert_ne!(visitor.cookies, before.cookies);
        assert_eq!(name(&visitor.at(&site)).await, expected);
        store.take_calls();
    }
    assert_eq!(name(&ada).await, "nobody");
}

/// CK-9: an error that has no cookie to carry goes on as it is, and says what its response depends on: on the
/// session, if that was used.
#[actix_web::test]
async fn an_error_without_a_cookie_stays_as_it_is() {
    let store = SpyStore::default();
    let ada = ada(&app(&store, become_eve).await, &store).await;
    let unused = App::new().configure(routes(|| async { "all is well" }));
    let unused = unused.wrap(from_fn(fail_afterwards)).wrap(sessions(&store));
    let used = failing(&store, |session| assert!(session.contains("name"))).await;
    for (site, calls, vary) in [
        (Site::new(unused).await, &[][..], &[][..]),
        (used, &[Call::Load], &["Cookie"]),
    ] {
        let error = ada.at(&site).error_of("GET /").await;
        assert!(
            is_outage(&error) && error.as_error::<InnerError>().is_none(),
            "{error:?}"
        );
        let reply = Reply::read(error.error_response()).await;
        reply.check(502, OUTAGE);
        assert_eq!(reply.all("vary"), vary);
        assert_eq!(store.take_calls(), calls);
    }
}

/// CM-3: if what was wanted can't be saved, that is the error, and the responses made of it promise nothing.
#[actix_web::test]
async fn a_failing_save_replaces_the_error() {
    let store = SpyStore::default();
    let ada = ada(&app(&store, become_eve).await, &store).await;
    let failing = failing(&store, |session| session.regenerate()).await;
    store.set(Call::Create, Mood::Fails);
    let log = Log::capture();
    let error = ada.at(&failing).error_of("GET /").await;
    log.check_error(STORE_ERROR);
    let ours = error.as_error::<session_actix::Error>();
    assert!(ours.is_some(), "{error:?}");
    for _ in 0..2 {
        let reply = Reply::read(error.error_response()).await;
        reply.check(503, "session store unavailable");
        assert_eq!(reply.all("vary"), ["Cookie"]);
    }
    assert_eq!(name(&ada).await, "Ada");
}
