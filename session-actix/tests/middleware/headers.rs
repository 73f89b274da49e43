//! What the session does to a response's headers, and leaves alone.

use actix_web::App;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::middleware::{Next, from_fn};
use session_actix::{Error, Session};
use session_conformance::adapter::SpyStore;

use crate::common::{Reply, Site, Visitor};
use crate::{NAME, app, become_eve, fail_afterwards, routes, sessions, with_other_headers};

/// Everything that is said about caches and cookies.
fn check(reply: &Reply, sets_cookie: bool, cache_control: &str) {
    let mut cookies = reply.all("set-cookie");
    let ours = reply.session_cookie();
    assert_eq!(ours.is_some(), sets_cookie, "{cache_control}");
    cookies.retain(|cookie| Some(*cookie) != ours);
    assert_eq!(cookies, ["theirs=1"], "{cache_control}");
    assert_eq!(reply.all("vary"), ["Accept", "Cookie"], "{cache_control}");
    assert_eq!(reply.all("cache-control"), [cache_control]);
}

/// CK-6, CK-8, CK-9: what others have put on the response stays, except for a Cache-Control that would let a
/// shared cache keep our cookie. Without our cookie that stays too.
#[actix_web::test]
async fn headers_of_others_stay() {
    for (cache_control, with_cookie) in [
        ("public, max-age=60", "no-store"),
        ("no-cache", "no-store"),
        ("max-age=60, private", "max-age=60, private"),
        ("no-store", "no-store"),
    ] {
        let handler = move |session: Session| async move {
            session.set(NAME, "Eve")?;
            Ok::<_, Error>(with_other_headers(cache_control))
        };
        let mut visitor = Visitor::new(&app(&SpyStore::default(), handler).await);
        check(&visitor.send("GET /").await, true, with_cookie);
        check(&visitor.send("GET /").await, false, cache_control);
    }
}

/// CK-6, CK-8, CK-9: and so it is with the response that is made of a middleware's error.
#[actix_web::test]
async fn headers_of_others_stay_on_an_error() {
    async fn fail<B>(
        request: ServiceRequest,
        next: Next<B>,
    ) -> actix_web::Result<ServiceResponse<B>> {
        next.call(request).await?;
        Err(InternalError::from_response("an outage", with_other_headers("public")).into())
    }
    let store = SpyStore::default();
    let routes = App::new().configure(routes(become_eve));
    let site = Site::new(routes.wrap(from_fn(fail)).wrap(sessions(&store))).await;
    let mut visitor = Visitor::new(&site);
    check(&visitor.send("GET /").await, true, "no-store");
    check(&visitor.send("GET /").await, false, "public");
}

/// LG-1: whoever logs a response's headers doesn't log the session's cookie.
#[actix_web::test]
async fn the_cookie_is_marked_as_sensitive() {
    let store = SpyStore::default();
    let failing = App::new().configure(routes(become_eve));
    let failing = failing
        .wrap(from_fn(fail_afterwards))
        .wrap(sessions(&store));
    for site in [app(&store, become_eve).await, Site::new(failing).await] {
        let reply = Visitor::new(&site).send("GET /").await;
        assert!(reply.headers.get("set-cookie").unwrap().is_sensitive());
        assert!(!reply.headers.get("cache-control").unwrap().is_sensitive());
    }
}

/// CK-9: a response that doesn't depend on the session doesn't say that it does.
#[actix_web::test]
async fn an_unused_session_adds_nothing() {
    let store = SpyStore::default();
    let site = app(&store, || async { "the page" }).await;
    let mut visitor = Visitor::new(&site);
    visitor.send("PUT /name").await;
    store.take_calls();
    let reply = visitor.send("GET /").await;
    reply.check(200, "the page");
    for name in ["vary", "cache-control"] {
        assert_eq!(reply.all(name), [""; 0], "{name}");
    }
    assert_eq!(store.take_calls(), []);
}
