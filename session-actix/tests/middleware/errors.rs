//! CM-2: a middleware between the session's and the handler fails. Then there is no response yet, but an
//! error that a response is made of.

use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::{ErrorUnauthorized, InternalError};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, HttpResponse};
use session_actix::{InnerError, Session};
use session_conformance::adapter::{Call, Mood, STORE_ERROR, SpyStore};

use crate::common::{Log, Reply, Site, Visitor};
use crate::{
    Change, NAME, OUTAGE, ada, app, become_eve, fail_afterwards, name, routes, sessions,
    unreachable,
};

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

/// CM-2, CK-6: an error keeps nothing from being stored, and the cookie reaches a new visitor. The error is
/// the middleware's own; every response that is made of it has the cookie, once.
#[actix_web::test]
async fn changes_are_stored_when_an_inner_middleware_fails() {
    let store = SpyStore::default();
    let failing = failing(&store, |session| session.set(NAME, "Eve").unwrap()).await;
    let mut newcomer = Visitor::new(&failing);
    let error = newcomer.error_of("GET /").await;
    assert!(is_outage(&error), "{error:?}");
    // actix-web's own ways to a response: the second passes over what mappers an error has.
    let responses = [error.error_response(), HttpResponse::from_error(error)];
    for response in responses {
        let reply = Reply::read(response).await;
        assert_eq!((reply.status, reply.body.as_str()), (502, OUTAGE));
        assert_eq!(reply.all("vary"), ["Cookie"]);
        assert_eq!(reply.all("cache-control"), ["no-store"]);
        assert!(reply.session_cookie().is_some());
        newcomer.take_cookies(&reply);
    }
    assert_eq!(store.take_calls(), [Call::Create]);
    let eve = newcomer.at(&app(&store, become_eve).await);
    assert_eq!(name(&eve).await, "Eve");
}

/// CM-2: a logout holds, and its response takes the cookie away.
#[actix_web::test]
async fn sessions_end_when_an_inner_middleware_fails() {
    let store = SpyStore::default();
    let ada = ada(&app(&store, become_eve).await, &store).await;
    let failing = failing(&store, |session| session.destroy()).await;
    let reply = ada.at(&failing).send("GET /").await;
    assert_eq!((reply.status, reply.removes_cookie()), (502, true));
    assert_eq!(reply.all("vary"), ["Cookie"]);
    assert_eq!(name(&ada).await, "nobody");
}

/// CK-9: a session that was only read is no reason for a cookie, but the response depends on it.
#[actix_web::test]
async fn an_error_after_a_read_varies_by_the_cookie() {
    let store = SpyStore::default();
    let ada = ada(&app(&store, become_eve).await, &store).await;
    let failing = failing(&store, |session| assert!(session.contains("name"))).await;
    let reply = ada.at(&failing).send("GET /").await;
    reply.check(502, OUTAGE);
    assert_eq!(reply.all("vary"), ["Cookie"]);
    assert_eq!(reply.all("cache-control"), [""; 0]);
}

/// CK-9: the same where the middleware itself has asked, and lets nobody through.
#[actix_web::test]
async fn an_error_instead_of_the_handler_varies_by_the_cookie() {
    async fn only_members<B>(
        session: Session,
        request: ServiceRequest,
        next: Next<B>,
    ) -> actix_web::Result<ServiceResponse<B>> {
        match session.contains("user_id") {
            true => next.call(request).await,
            false => Err(ErrorUnauthorized("members only")),
        }
    }
    let routes = App::new().configure(routes(unreachable));
    let sessions = sessions(&SpyStore::default());
    let site = Site::new(routes.wrap(from_fn(only_members)).wrap(sessions)).await;
    let reply = Visitor::new(&site).send("GET /").await;
    reply.check(401, "members only");
    assert_eq!(reply.all("vary"), ["Cookie"]);
}

/// An error of a request that hasn't used its session is none of the session's business.
#[actix_web::test]
async fn an_error_without_a_use_of_the_session_stays_as_it_is() {
    let store = SpyStore::default();
    let routes = App::new().configure(routes(|| async { "all is well" }));
    let site = Site::new(routes.wrap(from_fn(fail_afterwards)).wrap(sessions(&store))).await;
    let error = Visitor::new(&site).error_of("GET /").await;
    assert!(is_outage(&error), "{error:?}");
    let reply = Reply::read(error.error_response()).await;
    reply.check(502, OUTAGE);
    assert_eq!(reply.all("vary"), [""; 0]);
    assert_eq!(store.take_calls(), []);
}

/// CM-3: if what was wanted can't be saved, that is the error, and the response promises nothing: no cookie,
/// whether the handler wanted a new session, a new id or an end.
#[actix_web::test]
async fn a_failing_save_replaces_the_error() {
    let changes: [(Change, Call); 4] = [
        (|session| session.set("first", 1).unwrap(), Call::Create),
        (|session| session.set(NAME, "Eve").unwrap(), Call::Update),
        (|session| session.regenerate(), Call::Create),
        (|session| session.destroy(), Call::Bury),
    ];
    for (at, (change, call)) in changes.into_iter().enumerate() {
        let store = SpyStore::default();
        let ada = ada(&app(&store, become_eve).await, &store).await;
        let failing = failing(&store, change).await;
        let visitor = match at {
            0 => Visitor::new(&failing),
            _ => ada.at(&failing),
        };
        store.set(call, Mood::Fails);
        let log = Log::capture();
        let error = visitor.error_of("GET /").await;
        log.check_error(STORE_ERROR);
        assert!(!is_outage(&error), "{error:?}");
        assert!(
            error.as_error::<session_actix::Error>().is_some(),
            "{error:?}"
        );
        for _ in 0..2 {
            let reply = Reply::read(error.error_response()).await;
            reply.check(503, "session store unavailable");
            assert_eq!(reply.all("vary"), ["Cookie"]);
        }
        assert_eq!(name(&ada).await, "Ada");
    }
}
