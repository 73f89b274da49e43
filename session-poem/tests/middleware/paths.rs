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

/// What a clear answer to a missing middleware is: nothing to the visitor, and the way out to the log.
async fn check_missing(mut visitor: Visitor, path: &str) {
    let log = Log::capture();
    let reply = visitor.get(path).await;
    reply.check(500, "internal server error");
    assert_eq!(reply.all("set-cookie"), [""; 0]);
    log.check_single_error("add .with(SessionMiddleware::new(config, store))");
}

/// ST-8: without the middleware there is an error, never a session that forgets everything.
#[tokio::test]
async fn without_the_middleware_extraction_is_an_error() {
    check_missing(Visitor::new(routes(become_eve)), "/").await;
}

/// ST-8: an excluded path is one without the middleware.
#[tokio::test]
async fn on_an_excluded_path_extraction_is_an_error() {
    let store = SpyStore::default();
    let routes = Route::new().at("/excluded/eve", become_eve);
    let visitor = Visitor::new(routes.with(sessions(&store)));
    check_missing(visitor, "/excluded/eve").await;
    assert_eq!(store.take_calls(), []);
}

/// ST-8: `None`, or an error, means that there is no middleware and nothing else.
#[tokio::test]
async fn an_optional_session_is_missing_only_without_the_middleware() {
    let routes = || {
        Route::new()
            .at("/x", is_there)
            .at("/excludedx", is_there)
            .at("/excluded/x", is_there)
    };
    Visitor::new(routes()).get("/x").await.check(200, MISSING);

    let store = SpyStore::default();
    let mut newcomer = Visitor::new(routes().with(sessions(&store)));
    newcomer.get("/x").await.check(200, THERE);
    newcomer.get("/excludedx").await.check(200, THERE);
    newcomer.get("/excluded/x").await.check(200, MISSING);

    // Somebody with a forged cookie is a visitor without a session, not one without a middleware.
    let forged = ("session_id".to_owned(), "forged".to_owned());
    newcomer.cookies.extend([forged]);
    newcomer.get("/x").await.check(200, THERE);
}

/// Exclusion looks at the path that the client sent, not at what nesting leaves of it.
#[tokio::test]
async fn exclusion_looks_at_the_original_path() {
    for (excluded, expected) in [
        ("/app/health", MISSING),
        ("/app/*", MISSING),
        ("/health", THERE),
    ] {
        let config = config().exclude_path(excluded).build().unwrap();
        let sessions = SessionMiddleware::new(config, SpyStore::default());
        let nested = Route::new().at("/health", is_there).with(sessions);
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
