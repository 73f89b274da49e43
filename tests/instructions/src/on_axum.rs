//! The cases on axum.

use axum::Router;
use axum::body::Body;
use axum::http::header::{COOKIE, HeaderValue, SET_COOKIE};
use axum::http::{Request, StatusCode, Uri};
use axum::routing::get;
use session_axum::{Error, Session, SessionLayer, SessionManager};
use tower_service::Service as _;

use crate::{Requests, Result, setup};

pub(crate) async fn run(sessions: Option<SessionManager>, requests: &Requests) -> Result<()> {
    let mut routes = Router::new()
        .route("/unused", get(unused))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/new", get(begin));
    if let Some(manager) = sessions {
        routes = routes.layer(SessionLayer::from_manager(manager));
    }
    // As axum's server does it: without a state the router would put its layers together for every request.
    let mut app: Router = routes.with_state(());

    let uri = Uri::from_static(requests.path);
    let cookies = HeaderValue::from_str(&requests.cookies)?;
    for _ in 0..requests.count {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = uri.clone();
        request.headers_mut().insert(COOKIE, cookies.clone());
        let response = app.call(request).await?;
        let sets_cookie = response.headers().contains_key(SET_COOKIE);
        requests.check(response.status().as_u16(), sets_cookie)?;
    }
    Ok(())
}

async fn unused() -> StatusCode {
    StatusCode::OK
}

async fn read(session: Session) -> std::result::Result<StatusCode, Error> {
    Ok(status(setup::read(&session)?))
}

async fn write(session: Session) -> std::result::Result<StatusCode, Error> {
    Ok(status(setup::write(&session)?))
}

async fn begin(session: Session) -> std::result::Result<StatusCode, Error> {
    setup::begin(&session)?;
    Ok(StatusCode::OK)
}

fn status(found: bool) -> StatusCode {
    if found {
        StatusCode::OK
    } else {
        StatusCode::NO_CONTENT
    }
}
