//! Headers of the application's own, and answers in place of the handler's.

use poem::endpoint::make;
use poem::http::StatusCode;
use poem::{EndpointExt as _, FromRequest as _, IntoResponse as _, Request, Response};
use session_conformance::adapter::{Call, Mood, SpyStore};
use session_poem::{ErrorKind, Session};

use crate::visitor::Visitor;
use crate::{End, NAME, ada, app, done, handler_that, no_tea, rename, routes, sessions};

/// CM-3: the application gives the answer its shape; the session's own headers stay right.
#[tokio::test]
async fn a_hook_shapes_the_answer() {
    let ends: [End; 2] = [done, no_tea];
    for end in ends {
        let store = SpyStore::default();
        let shaped = sessions(&store).on_error(|error| {
            assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
            (StatusCode::BAD_GATEWAY, "come back later")
                .with_header("vary", "accept")
                .into_response()
        });
        let routes = routes(handler_that(rename, end));
        let mut ada = ada(&store).await.at(routes.with(shaped));
        for call in [Call::Update, Call::Load] {
            store.set(call, Mood::Fails);
            let reply = ada.get("/").await;
            reply.check(502, "come back later");
            assert_eq!(reply.all("vary"), ["accept", "Cookie"], "{call:?}");
            assert_eq!(reply.all("set-cookie"), [""; 0], "{call:?}");
        }
    }
}

/// Changes the session, and answers with headers of its own: with an error if told so.
async fn answer(
    request: Request,
    cache_control: &'static str,
    fails: bool,
) -> poem::Result<Response> {
    let session: Session = Session::from_request_without_body(&request).await?;
    session.set(NAME, "Eve")?;
    let response = "done"
        .with_header("set-cookie", "theirs=1")
        .with_header("vary", "accept")
        .with_header("cache-control", cache_control)
        .into_response();
    match fails {
        true => Err(poem::Error::from_response(response)),
        false => Ok(response),
    }
}

/// CK-6, CK-8, CK-9: other people's headers stay, whether the handler returned them in an answer or in an error.
/// `Cache-Control` alone gives way: where our cookie is on the answer, and would get into shared caches.
#[tokio::test]
async fn headers_of_the_application_stay() {
    for (cache_control, with_cookie) in [
        ("public, max-age=60", "no-store"),
        ("no-cache", "no-store"),
        ("max-age=60, private", "max-age=60, private"),
        ("No-Store", "No-Store"),
    ] {
        for fails in [false, true] {
            let store = SpyStore::default();
            let endpoint = make(move |request| answer(request, cache_control, fails));
            let mut visitor = Visitor::new(app(&store, endpoint));

            let first = visitor.get("/").await;
            first.check(200, "done");
            let ours = first.session_cookie().expect("a new session has a cookie");
            assert_eq!(first.all("set-cookie"), ["theirs=1", ours]);
            assert_eq!(first.all("vary"), ["accept", "Cookie"]);
            assert_eq!(first.all("cache-control"), [with_cookie]);

            let second = visitor.get("/").await;
            second.check(200, "done");
            assert_eq!(second.all("set-cookie"), ["theirs=1"]);
            assert_eq!(second.all("vary"), ["accept", "Cookie"]);
            assert_eq!(second.all("cache-control"), [cache_control]);
        }
    }
}
