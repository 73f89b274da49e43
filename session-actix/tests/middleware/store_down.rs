//! CM-3: a store that fails costs the request its answer, whatever actix-web or the handler makes of the error.

use actix_web::middleware::from_fn;
use actix_web::{App, HttpRequest, HttpResponse};
use session_actix::{DropReason, Error, ErrorKind, Session, SessionExt as _};
use session_conformance::adapter::{Call, Mood, STORE_ERROR, SpyStore};

use crate::common::Site;
use crate::log::Log;
use crate::{
    OUTAGE, ada, app, become_eve, fail_afterwards, name, routes, sessions, with_other_headers,
};

/// CM-3, SR-4, ST-8: a session that can't be loaded is never taken for one that isn't there. actix-web makes
/// `None` of any error, so that the handler can't tell; but what it then says reaches nobody, and neither
/// does its cookie. The failure sticks: asking again doesn't burden the store.
#[actix_web::test]
async fn a_failing_load_is_a_503_whatever_the_handler_says() {
    async fn hopeful(
        first: Option<Session>,
        second: Result<Session, Error>,
        request: HttpRequest,
    ) -> HttpResponse {
        assert!(first.is_none());
        for error in [second.unwrap_err(), request.session().unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
        }
        with_other_headers("public")
    }
    let store = SpyStore::default();
    let mut ada = ada(&app(&store, hopeful).await, &store).await;
    let log = Log::capture();
    store.set(Call::Load, Mood::Fails);
    let reply = ada.send("GET /").await;
    reply.check(503, "session store unavailable");
    assert_eq!(reply.all("vary"), ["Cookie"]);
    assert_eq!(reply.all("cache-control"), [""; 0]);
    assert_eq!(store.take_calls(), [Call::Load]);
    log.check_error(STORE_ERROR);

    store.set(Call::Load, Mood::Works);
    assert_eq!(name(&ada).await, "Ada");
}

/// CM-3: the application gives the answer its shape, wherever the failure showed; the session's own headers
/// stay right, beside those of the application.
#[actix_web::test]
async fn a_hook_shapes_the_answer() {
    let store = SpyStore::default();
    let shaped = || {
        sessions(&store).on_error(|error| {
            assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
            let mut answer = HttpResponse::BadGateway();
            answer.append_header(("vary", "Accept"));
            answer.body("come back later")
        })
    };
    let around = || App::new().configure(routes(become_eve));
    let failing = around().wrap(from_fn(fail_afterwards)).wrap(shaped());
    let eager = around().wrap(shaped().load_eagerly());
    let sites = [
        Site::new(around().wrap(shaped())).await,
        Site::new(failing).await,
        Site::new(eager).await,
    ];
    let ada = ada(&app(&store, become_eve).await, &store).await;
    for call in [Call::Update, Call::Load] {
        store.set(call, Mood::Fails);
        for site in &sites {
            let reply = ada.at(site).send("GET /").await;
            reply.check(502, "come back later");
            assert_eq!(reply.all("vary"), ["Accept", "Cookie"]);
        }
    }
}

/// CM-3: the hook sees the head of the request, wherever the failure showed.
#[actix_web::test]
async fn a_hook_sees_the_request() {
    let store = SpyStore::default();
    let shaped = || {
        sessions(&store).on_error_with(|error, request| {
            let theirs = request.headers.contains_key("cookie");
            let (method, uri, kind) = (&request.method, &request.uri, error.kind());
            HttpResponse::BadGateway().body(format!("{method} {uri} {theirs} {kind:?}"))
        })
    };
    let around = || App::new().configure(routes(become_eve));
    let failing = around().wrap(from_fn(fail_afterwards)).wrap(shaped());
    let sites = [
        Site::new(around().wrap(shaped())).await,
        Site::new(failing).await,
        Site::new(around().wrap(shaped().load_eagerly())).await,
    ];
    let ada = ada(&app(&store, become_eve).await, &store).await;
    for call in [Call::Update, Call::Load] {
        store.set(call, Mood::Fails);
        for site in &sites {
            let reply = ada.at(site).send("POST /?n=1").await;
            reply.check(502, "POST /?n=1 true StoreUnavailable");
            assert_eq!(reply.all("vary"), ["Cookie"]);
        }
    }
}

/// CM-9: where changes were dropped, the application may answer in place of the handler, or of an inner middleware's
/// error, by what it sees of the request; or it lets the answer stand.
#[actix_web::test]
async fn dropped_changes_may_have_an_answer_of_their_own() {
    async fn end(session: Session) -> &'static str {
        session.destroy();
        "done"
    }
    let store = SpyStore::default();
    let shaped = || {
        sessions(&store).on_dropped(|dropped, request| {
            assert_eq!(dropped.reason, DropReason::Superseded);
            let stands = request.uri.query() == Some("stands");
            (!stands).then(|| HttpResponse::Conflict().body("try again"))
        })
    };
    let around = || App::new().configure(routes(become_eve));
    let failing = around().wrap(from_fn(fail_afterwards)).wrap(shaped());
    let sites = [
        (Site::new(around().wrap(shaped())).await, 200, "done"),
        (Site::new(failing).await, 502, OUTAGE),
        (
            Site::new(around().wrap(shaped().load_eagerly())).await,
            200,
            "done",
        ),
    ];
    let ada = ada(&app(&store, become_eve).await, &store).await;
    ada.at(&app(&store, end).await).send("GET /").await;
    for (site, status, body) in &sites {
        for (line, status, body) in [("GET /", 409, "try again"), ("GET /?stands", *status, body)] {
            let reply = ada.at(site).send(line).await;
            reply.check(status, body);
            assert_eq!(reply.all("vary"), ["Cookie"], "{line}");
        }
    }
}
