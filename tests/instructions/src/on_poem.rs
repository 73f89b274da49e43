//! The cases on poem.

use poem::http::header::{COOKIE, HeaderValue, SET_COOKIE};
use poem::http::{StatusCode, Uri};
use poem::{Endpoint, EndpointExt as _, Request, Response, Route, get, handler};
use session_poem::{Session, SessionManager, SessionMiddleware};

use crate::{Requests, Result, setup};

pub(crate) async fn run(sessions: Option<SessionManager>, requests: &Requests) -> Result<()> {
    let routes = Route::new()
        .at("/unused", get(unused))
        .at("/read", get(read))
        .at("/write", get(write))
        .at("/new", get(begin));
    match sessions {
        None => answer(&routes, requests).await,
        Some(manager) => {
            let app = routes.with(SessionMiddleware::from_manager(manager));
            answer(&app, requests).await
        }
    }
}

async fn answer(app: &impl Endpoint<Output = Response>, requests: &Requests) -> Result<()> {
    let uri = Uri::from_static(requests.path);
    let cookies = HeaderValue::from_str(&requests.cookies)?;
    for _ in 0..requests.count {
        let request = Request::builder()
            .uri(uri.clone())
            .header(COOKIE, cookies.clone())
            .finish();
        let response = app.get_response(request).await;
        let sets_cookie = response.headers().contains_key(SET_COOKIE);
        requests.check(response.status().as_u16(), sets_cookie)?;
    }
    Ok(())
}

#[handler]
async fn unused() -> StatusCode {
    StatusCode::OK
}

#[handler]
async fn read(session: Session) -> poem::Result<StatusCode> {
    Ok(status(setup::read(&session)?))
}

#[handler]
async fn write(session: Session) -> poem::Result<StatusCode> {
    Ok(status(setup::write(&session)?))
}

#[handler]
async fn begin(session: Session) -> poem::Result<StatusCode> {
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
