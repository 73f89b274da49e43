//! The demo on axum.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::{RequestPartsExt as _, Router};
use futures_util::{Stream, stream};
use session_axum::{CsrfLayer, Error, Peek, Session, SessionLayer, SessionManager};
use session_conformance::app::{self, Answer, Ending, Task, Watch};

/// Serves the demo until `stop` completes, and the requests that are under way then; with a second session middleware
/// inside the first, if there is an `inner` manager.
pub(crate) async fn serve(
    listener: TcpListener,
    sessions: SessionManager,
    inner: Option<SessionManager>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    axum::serve(listener, application(sessions, inner))
        .with_graceful_shutdown(stop)
        .await
}

fn application(sessions: SessionManager, inner: Option<SessionManager>) -> Router {
    let layer = |manager| {
        SessionLayer::from_manager(manager).on_error(|error| respond(Answer::session_error(error)))
    };
    let csrf = CsrfLayer::new(app::csrf_config())
        .on_refused(|error| respond(Answer::session_error(error)));
    let router = Router::new()
        .fallback(handle)
        .layer(from_fn(fail_inside))
        .layer(csrf);
    let router = match inner {
        Some(inner) => router.layer(layer(inner)),
        None => router,
    };
    router.layer(layer(sessions))
}

#[expect(clippy::panic, reason = "some routes are there to panic")]
async fn handle(request: Request) -> Result<Response, Error> {
    let (mut parts, body) = request.into_parts();
    let body = to_bytes(body, app::MAX_BODY_LEN).await.ok();
    let task = app::task(app::Request {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query(),
        body: body.as_deref(),
        header: &|name| header(&parts.headers, name),
    });
    let ending = match task {
        Task::Unused(ending) => ending,
        Task::Optional(task) => {
            let session: Option<Session> = parts.extract().await?;
            task.run(session.as_deref())
        }
        Task::Session(task) => {
            let session: Session = parts.extract().await?;
            task.run(&session).await
        }
        Task::Peek(task) => {
            let session: Peek = parts.extract().await?;
            task.run(&session).await
        }
    };
    match ending {
        Ending::Answer(answer) | Ending::Error(answer) => Ok(respond(answer)),
        Ending::Watch(answer, watch) => {
            let mut response = respond(answer);
            *response.body_mut() = Body::from_stream(events(watch));
            Ok(response)
        }
        Ending::Panic => panic!("the handler panicked, as it was asked to"),
    }
}

/// A middleware between the session's and the handler that fails where it is asked to.
async fn fail_inside(request: Request, next: Next) -> Response {
    let failure = app::inner_failure(request.uri().path(), &|name| {
        header(request.headers(), name)
    });
    let response = next.run(request).await;
    match failure {
        Some(failure) if response.status().is_success() => respond(failure),
        _ => response,
    }
}

fn events(watch: Watch) -> impl Stream<Item = Result<String, Infallible>> {
    stream::unfold(watch, async |mut watch| {
        let event = watch.next().await?;
        Some((Ok(event), watch))
    })
}

fn header<'r>(headers: &'r HeaderMap, name: &str) -> Option<&'r [u8]> {
    headers.get(name).map(HeaderValue::as_bytes)
}

fn respond(answer: Answer) -> Response {
    let body = match answer.body {
        app::Body::Text(text) => Body::from(text),
        app::Body::Lines(lines) => Body::from_stream(stream::iter(lines.map(Ok::<_, Infallible>))),
    };
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, &*value);
    }
    let response = response.body(body);
    response.unwrap_or_else(|_| axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response())
}
