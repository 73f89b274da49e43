//! ST-8: where a session is there, and what is said where none is.

use poem::{Endpoint as _, EndpointExt as _, Request, Route, handler};
use session_conformance::adapter::SpyStore;
use session_poem::{Error, Session, SessionMiddleware};

use crate::log::Log;
use crate::visitor::Visitor;
use crate::{become_eve, config, routes, sessions};

/// What [`is_there`] says where there is a session, and where there is none.
const THERE: &str = "true, None";
const MISSING: &str = "false, Some(NoMiddleware)";

/// Says whether there is a session, and what the error is if there is none.
#[handler]
fn is_there(optional: Option<Session>, fallible: poem::Result<Session>) -> String {
    let kind = fallible
        .err()
        .and_then(|error| Some(error.downcast_ref::<Error>()?.kind()));
    format!("{}, {kind:?}", optional.is_some())
}

/// ST-8: without the middleware, and on an excluded path, there is an error, never a session that forgets
/// everything. It tells the visitor nothing, and the log the way out.
#[tokio::test]
async fn without_the_middleware_extraction_is_an_error() {
    let store = SpyStore::default();
    let excluded = Route::new().at("/excluded/eve", become_eve);
    for (mut visitor, path) in [
        (Visitor::new(routes(become_eve)), "/"),
        (
            Visitor::new(excluded.with(sessions(&store))),
            "/excluded/eve",
        ),
    ] {
        let log = Log::capture();
        let reply = visitor.get(path).await;
        reply.check(500, "internal server error");
        assert_eq!(reply.all("set-cookie"), [""; 0]);
        log.check_error("add .with(SessionMiddleware::new(config, store))");
    }
    assert_eq!(store.take_calls(), []);
}

/// ST-8: an optional session is `None` without the middleware, and on an excluded path. That is the path that the
/// client sent, not what nesting leaves of it.
#[tokio::test]
async fn exclusion_looks_at_the_original_path() {
    let inner = || Route::new().at("/health", is_there);
    let bare = Route::new().nest("/app", inner());
    Visitor::new(bare)
        .get("/app/health")
        .await
        .check(200, MISSING);
    for (excluded, expected) in [
        ("/app/health", MISSING),
        ("/app/*", MISSING),
        ("/health", THERE),
    ] {
        let config = config().exclude_path(excluded).build().unwrap();
        let nested = inner().with(SessionMiddleware::new(config, SpyStore::default()));
        let mut visitor = Visitor::new(Route::new().nest("/app", nested));
        visitor.get("/app/health").await.check(200, expected);
    }
}

/// A request that was built by hand, as tests of applications do, has no original path; the path that it has
/// is excluded all the same.
#[tokio::test]
async fn exclusion_holds_for_requests_built_by_hand() {
    let routes = Route::new().at("/excluded/x", is_there).at("/x", is_there);
    let app = routes.with(sessions(&SpyStore::default()));
    for (path, expected) in [("/excluded/x", MISSING), ("/x", THERE)] {
        let request = Request::builder().uri_str(path).finish();
        let response = app.get_response(request).await;
        assert_eq!(response.into_body().into_string().await.unwrap(), expected);
    }
}
