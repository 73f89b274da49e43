//! The cases on actix-web.

use actix_http::Request;
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::header::{COOKIE, HeaderValue, SET_COOKIE};
use actix_web::http::{StatusCode, Uri};
use actix_web::{App, HttpResponse, test, web};
use session_actix::{Error, Session, SessionManager, SessionMiddleware};

use crate::{Requests, Result, setup};

pub(crate) async fn run(sessions: Option<SessionManager>, requests: &Requests) -> Result<()> {
    let app = App::new().configure(routes);
    match sessions {
        None => answer(&test::init_service(app).await, requests).await,
        Some(manager) => {
            let app = app.wrap(SessionMiddleware::from_manager(manager));
            answer(&test::init_service(app).await, requests).await
        }
    }
}

fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/unused", web::get().to(unused))
        .route("/read", web::get().to(read))
        .route("/write", web::get().to(write))
        .route("/new", web::get().to(begin));
}

async fn answer<B>(
    app: &impl Service<Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    requests: &Requests,
) -> Result<()> {
    let uri = Uri::from_static(requests.path);
    let cookies = HeaderValue::from_str(&requests.cookies)?;
    for _ in 0..requests.count {
        let mut request = Request::new();
        *request.uri_mut() = uri.clone();
        request.headers_mut().insert(COOKIE, cookies.clone());
        let response = app.call(request).await?;
        let sets_cookie = response.headers().contains_key(SET_COOKIE);
        requests.check(response.status().as_u16(), sets_cookie)?;
    }
    Ok(())
}

async fn unused() -> HttpResponse {
    HttpResponse::new(StatusCode::OK)
}

async fn read(session: Session) -> std::result::Result<HttpResponse, Error> {
    Ok(HttpResponse::new(status(setup::read(&session)?)))
}

async fn write(session: Session) -> std::result::Result<HttpResponse, Error> {
    Ok(HttpResponse::new(status(setup::write(&session)?)))
}

async fn begin(session: Session) -> std::result::Result<HttpResponse, Error> {
    setup::begin(&session)?;
    Ok(HttpResponse::new(StatusCode::OK))
}

fn status(found: bool) -> StatusCode {
    if found {
        StatusCode::OK
    } else {
        StatusCode::NO_CONTENT
    }
}
