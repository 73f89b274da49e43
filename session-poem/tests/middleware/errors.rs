//! CK-9: which errors those outside the middleware get to see. An error after the session was used says
//! `Vary: Cookie` when an answer is made of it, and is the error that it was in all else.

use poem::error::{BadGateway, NotFoundError};
use poem::http::StatusCode;
use poem::{EndpointExt as _, PathPattern, Response, handler};
use session_conformance::adapter::SpyStore;
use session_poem::InnerError;

use crate::visitor::{Reply, Visitor};
use crate::{
    COFFEE, Change, End, NoTea, ada, app, handler_that, look, name, no_tea, rename, routes,
    sessions,
};

/// Fails without a look at the session.
#[handler]
fn fail_at_once() -> poem::Result<Response> {
    no_tea()
}

/// An error in each of the ways that poem has.
const ERRORS: [End; 7] = [
    no_tea,
    || Err(StatusCode::CONFLICT.into()),
    || Err(NotFoundError.into()),
    || Err(BadGateway(NoTea)),
    || Err(poem::Error::from_string("no tea", StatusCode::GONE)),
    || {
        let response = Response::builder().status(StatusCode::PAYMENT_REQUIRED);
        let response = response.header("vary", "accept").body("pay first");
        Err(poem::Error::from_response(response))
    },
    || {
        let mut error = BadGateway(NoTea);
        error.set_error_message("no tea today");
        Err(error)
    },
];

/// CK-9: where no cookie has to go out, the error goes on: with its status, its text and its answer, to which
/// `Vary` is added.
#[tokio::test]
async fn an_error_goes_on_and_varies_by_the_cookie() {
    let changes: [(Change, &str); 2] = [(look, "Ada"), (rename, "Eve")];
    for (change, expected) in changes {
        for end in ERRORS {
            let store = SpyStore::default();
            let ada = ada(&store).await.at(app(&store, handler_that(change, end)));
            let (error, plain) = (ada.call("/").await.unwrap_err(), end().unwrap_err());
            assert!(error.downcast_ref::<InnerError>().is_some(), "{error:?}");
            assert_eq!(error.status(), plain.status());
            assert_eq!(error.to_string(), plain.to_string());

            let reply = Reply::read(error.into_response()).await;
            let mut without_vary = Reply::read(plain.into_response()).await;
            reply.check(without_vary.status, &without_vary.body);
            let mut vary = without_vary.all("vary");
            vary.push("Cookie");
            assert_eq!(reply.all("vary"), vary);
            without_vary.headers.remove("vary");
            for (name, value) in &without_vary.headers {
                assert_eq!(reply.headers.get(name), Some(value));
            }
            assert_eq!(reply.all("set-cookie"), [""; 0]);
            assert_eq!(name(&ada).await, expected);
        }
    }
}

/// The error has the pattern of its route, which metrics and traces further out go by, and so has its answer. It
/// can be had as it was made, too: with its type, and without `Vary`.
#[tokio::test]
async fn the_error_itself_and_its_route_can_be_had_again() {
    let store = SpyStore::default();
    let failing = app(&store, handler_that(look, no_tea));
    let ada = ada(&store).await.at(failing);
    let error = ada.call("/").await.unwrap_err();
    assert_eq!(&*error.data::<PathPattern>().unwrap().0, "/");
    let response = error.into_response();
    assert_eq!(&*response.data::<PathPattern>().unwrap().0, "/");

    let error = ada.call("/").await.unwrap_err();
    assert!(!error.is::<NoTea>());
    assert!(format!("{error:?}").contains("NoTea"), "{error:?}");
    let original = error.downcast::<InnerError>().unwrap().into_inner();
    assert!(original.is::<NoTea>());
    let reply = Reply::read(original.into_response()).await;
    reply.check(418, COFFEE);
    assert_eq!(reply.all("vary"), [""; 0]);
}

/// CK-9: an error of a request that didn't use its session passes as it is, and says nothing of the cookie.
#[tokio::test]
async fn an_error_without_the_session_passes_as_it_is() {
    let store = SpyStore::default();
    let routes = routes(fail_at_once).at("/excluded/tea", fail_at_once);
    let ada = ada(&store).await.at(routes.with(sessions(&store)));
    for path in ["/", "/excluded/tea", "/nowhere"] {
        let error = ada.call(path).await.unwrap_err();
        assert_eq!(error.is::<NoTea>(), path != "/nowhere", "{path}");
        assert_eq!(error.is::<NotFoundError>(), path == "/nowhere", "{path}");
        let reply = Reply::read(error.into_response()).await;
        assert_eq!(reply.all("vary"), [""; 0], "{path}");
    }
    assert_eq!(store.take_calls(), []);
}

/// Inside the middleware nothing has happened to the error yet. What is made of it there is an answer like
/// any other.
#[tokio::test]
async fn catch_error_inside_sees_the_type() {
    let store = SpyStore::default();
    let routes = routes(handler_that(rename, no_tea));
    let routes = routes.catch_error(|_: NoTea| async { "caught" });
    let mut ada = ada(&store).await.at(routes.with(sessions(&store)));
    let reply = ada.get("/").await;
    reply.check(200, "caught");
    assert_eq!(reply.all("vary"), ["Cookie"]);
    assert_eq!(name(&ada).await, "Eve");
}

/// Outside the middleware the type is there where the session wasn't used. Where it was, the error is another one
/// that looks the same; whoever catches everything gets at the first one all the same.
#[tokio::test]
async fn catching_outside_sees_the_type_of_unused_sessions_alone() {
    async fn tell_type(error: poem::Error) -> String {
        let original = error
            .downcast()
            .map_or_else(|other| other, InnerError::into_inner);
        original.is::<NoTea>().to_string()
    }
    let caught = |_: NoTea| async { "caught" };
    let store = SpyStore::default();
    let ada = ada(&store).await;
    let unused = || app(&store, fail_at_once);
    let used = || app(&store, handler_that(look, no_tea));
    let visit =
        async |mut visitor: Visitor, status, body| visitor.get("/").await.check(status, body);
    visit(ada.at(unused().catch_error(caught)), 200, "caught").await;
    visit(ada.at(used().catch_error(caught)), 418, COFFEE).await;
    visit(ada.at(unused().catch_all_error(tell_type)), 200, "true").await;
    visit(ada.at(used().catch_all_error(tell_type)), 200, "true").await;

    // Where a cookie has to go out, no error is left to catch.
    let begun = app(&store, handler_that(rename, no_tea)).catch_all_error(tell_type);
    visit(Visitor::new(begun), 418, COFFEE).await;
}
