//! CM-3: a store that fails costs the request its answer and nothing else.

use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, HttpRequest, HttpResponse};
use session_actix::{Error, ErrorKind, Session, SessionExt as _};
use session_conformance::adapter::{Call, Mood, STORE_ERROR, SpyStore};

use crate::common::{Log, Site, Visitor};
use crate::{
    NAME, ada, app, become_eve, fail_afterwards, name, routes, sessions, unreachable,
    with_other_headers,
};

/// A middleware that asks for the session, and hands the request on.
async fn ask_first<B>(
    _: Session,
    request: ServiceRequest,
    next: Next<B>,
) -> actix_web::Result<ServiceResponse<B>> {
    next.call(request).await
}

/// CM-3, SR-4, ST-8: a session that can't be loaded is never taken for one that isn't there. actix-web makes
/// `None` of any error, so that the handler can't tell; but what it then says reaches nobody, and neither
/// does its cookie. The failure sticks: asking again doesn't burden the store.
#[actix_web::test]
async fn a_failing_load_is_a_503_whatever_the_handler_says() {
    async fn hopeful(
        first: Option<Session>,
        second: Option<Session>,
        request: HttpRequest,
    ) -> HttpResponse {
        assert!(first.is_none() && second.is_none());
        let error = request.session().err().map(|error| error.kind());
        assert_eq!(error, Some(ErrorKind::StoreUnavailable));
        with_other_headers("public")
    }
    async fn stubborn(session: Result<Session, Error>) -> HttpResponse {
        let error = session.err().map(|error| error.kind());
        assert_eq!(error, Some(ErrorKind::StoreUnavailable));
        with_other_headers("public")
    }
    let store = SpyStore::default();
    let routes = App::new().configure(routes(unreachable));
    let asked_before = routes.wrap(from_fn(ask_first)).wrap(sessions(&store));
    for site in [
        app(&store, unreachable).await,
        app(&store, hopeful).await,
        app(&store, stubborn).await,
        Site::new(asked_before).await,
    ] {
        let mut ada = ada(&site, &store).await;
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
}

/// CM-3: the handler has answered, but its answer would promise what isn't stored.
#[actix_web::test]
async fn a_failing_save_replaces_the_answer() {
    async fn change(session: Session) -> actix_web::Result<HttpResponse> {
        session.set(NAME, "Eve")?;
        Ok(with_other_headers("public"))
    }
    let store = SpyStore::default();
    let site = app(&store, change).await;
    let ada = ada(&site, &store).await;
    for call in [Call::Create, Call::Update] {
        store.set(call, Mood::Fails);
    }
    for mut visitor in [ada.clone(), Visitor::new(&site)] {
        let log = Log::capture();
        let reply = visitor.send("GET /").await;
        reply.check(503, "session store unavailable");
        assert_eq!(reply.all("vary"), ["Cookie"]);
        log.check_error(STORE_ERROR);
    }
    assert_eq!(name(&ada).await, "Ada");
    assert_eq!(store.records().len(), 1);
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

/// A visitor whose request needs nothing of the store doesn't notice.
#[actix_web::test]
async fn requests_that_need_no_store_are_answered() {
    let store = SpyStore::default();
    for call in [Call::Load, Call::Create, Call::Update, Call::Touch] {
        store.set(call, Mood::Fails);
    }
    let site = app(&store, || async { "all is well" }).await;
    let mut visitor = Visitor::new(&site);
    visitor.send("GET /").await.check(200, "all is well");
    assert_eq!(name(&visitor).await, "nobody");
    assert_eq!(store.take_calls(), []);
}
