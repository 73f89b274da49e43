//! The demo on poem.

use std::io;
use std::net::TcpListener;

use futures_util::{Stream, stream};
use poem::endpoint::make;
use poem::http::{HeaderMap, HeaderValue, StatusCode};
use poem::listener::TcpAcceptor;
use poem::{
    Body, Endpoint, EndpointExt as _, FromRequest as _, IntoResponse as _, Request, Response,
    Server,
};
use session_conformance::app::{self, Answer, Ending, Task, Watch};
use session_poem::{CsrfMiddleware, Peek, Session, SessionManager, SessionMiddleware};

use crate::SHUTDOWN_TIME;

/// Serves the demo until `stop` completes, and the requests that are under way then; with a second session middleware
/// inside the first, if there is an `inner` manager.
pub(crate) async fn serve(
    listener: TcpListener,
    sessions: SessionManager,
    inner: Option<SessionManager>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let middleware = |manager| {
        SessionMiddleware::from_manager(manager)
            .on_error(|error| respond(Answer::session_error(error)))
    };
    let is_nested = inner.is_some();
    let inner = middleware(inner.unwrap_or_else(|| sessions.clone()));
    let csrf = CsrfMiddleware::new(app::csrf_config())
        .on_refused(|error| respond(Answer::session_error(error)));
    let application = make(handle)
        .around(fail_inside)
        .with(csrf)
        .with_if(is_nested, inner)
        .with(middleware(sessions));
    Server::new_with_acceptor(TcpAcceptor::from_std(listener)?)
        .run_with_graceful_shutdown(application, stop, Some(SHUTDOWN_TIME))
        .await
}

#[expect(clippy::panic, reason = "some routes are there to panic")]
async fn handle(mut request: Request) -> poem::Result<Response> {
    let body = request
        .take_body()
        .into_bytes_limit(app::MAX_BODY_LEN)
        .await
        .ok();
    let task = app::task(app::Request {
        method: request.method().as_str(),
        path: request.original_uri().path(),
        query: request.original_uri().query(),
        body: body.as_deref(),
        header: &|name| header(request.headers(), name),
    });
    let ending = match task {
        Task::Unused(ending) => ending,
        Task::Optional(task) => {
            let session = Option::<Session>::from_request_without_body(&request).await?;
            task.run(session.as_deref())
        }
        Task::Session(task) => {
            let session: Session = Session::from_request_without_body(&request).await?;
            task.run(&session).await
        }
        Task::Peek(task) => {
            let session: Peek = Peek::from_request_without_body(&request).await?;
            task.run(&session).await
        }
    };
    match ending {
        Ending::Answer(answer) => Ok(respond(answer)),
        Ending::Watch(answer, watch) => {
            let mut response = respond(answer);
            response.set_body(Body::from_bytes_stream(events(watch)));
            Ok(response)
        }
        Ending::Error(answer) => Err(poem::Error::from_response(respond(answer))),
        Ending::Panic => panic!("the handler panicked, as it was asked to"),
    }
}

/// A middleware between the session's and the handler that fails where it is asked to.
async fn fail_inside<E: Endpoint>(next: E, request: Request) -> poem::Result<Response> {
    let failure = app::inner_failure(request.original_uri().path(), &|name| {
        header(request.headers(), name)
    });
    let response = next.call(request).await?.into_response();
    match failure {
        Some(failure) if response.status().is_success() => {
            Err(poem::Error::from_response(respond(failure)))
        }
        _ => Ok(response),
    }
}

fn events(watch: Watch) -> impl Stream<Item = io::Result<String>> {
    stream::unfold(watch, async |mut watch| {
        let event = watch.next().await?;
        Some((Ok(event), watch))
    })
}

fn header<'r>(headers: &'r HeaderMap, name: &str) -> Option<&'r [u8]> {
    headers.get(name).map(HeaderValue::as_bytes)
}

fn respond(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::builder().status(status);
    for (name, value) in answer.headers {
        response = response.header(name, &*value);
    }
    response.body(match answer.body {
        app::Body::Text(text) => Body::from(text),
        app::Body::Lines(lines) => {
            Body::from_bytes_stream(stream::iter(lines.map(Ok::<_, io::Error>)))
        }
    })
}
