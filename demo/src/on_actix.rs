//! The demo on actix-web.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::pin::pin;

use actix_web::body::{BodyStream, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderValue};
use actix_web::middleware::{Condition, Next, from_fn};
use actix_web::{App, FromRequest as _, HttpRequest, HttpResponse, HttpServer, web};
use futures_util::{Stream, stream};
use session_actix::{CsrfMiddleware, Peek, Session, SessionManager, SessionMiddleware};
use session_conformance::app::{self, Answer, Ending, Task, Watch};

use crate::SHUTDOWN_TIME;

/// Serves the demo until `stop` completes, and the requests that are under way then; with a second session middleware
/// inside the first, if there is an `inner` manager.
pub(crate) async fn serve(
    listener: TcpListener,
    sessions: SessionManager,
    inner: Option<SessionManager>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    // Made here, and not in the closure, which runs once for each worker.
    let middleware = |manager| {
        SessionMiddleware::from_manager(manager)
            .on_error(|error| respond(Answer::session_error(error)))
    };
    let is_nested = inner.is_some();
    let inner = middleware(inner.unwrap_or_else(|| sessions.clone()));
    let sessions = middleware(sessions);
    let csrf = CsrfMiddleware::new(app::csrf_config())
        .on_refused(|error| respond(Answer::session_error(error)));
    let application = move || {
        App::new()
            .wrap(from_fn(fail_inside))
            .wrap(csrf.clone())
            .wrap(Condition::new(is_nested, inner.clone()))
            .wrap(sessions.clone())
            .default_service(web::to(handle))
    };
    let server = HttpServer::new(application)
        .disable_signals()
        .shutdown_timeout(SHUTDOWN_TIME.as_secs())
        .listen(listener)?
        .run();
    let handle = server.handle();
    let mut server = pin!(server);
    tokio::select! {
        result = &mut server => result,
        () = stop => {
            // The command is given by the call; the server itself has to be waited for.
            drop(handle.stop(true));
            server.await
        }
    }
}

#[expect(clippy::panic, reason = "some routes are there to panic")]
async fn handle(request: HttpRequest, body: web::Payload) -> actix_web::Result<HttpResponse> {
    let body = body.to_bytes_limited(app::MAX_BODY_LEN).await;
    let body = body.ok().and_then(Result::ok);
    let task = app::task(app::Request {
        method: request.method().as_str(),
        path: request.path(),
        query: request.uri().query(),
        body: body.as_deref(),
        header: &|name| header(request.headers(), name),
    });
    let ending = match task {
        Task::Unused(ending) => ending,
        Task::Optional(task) => {
            let session = Option::<Session>::extract(&request).await?;
            task.run(session.as_deref())
        }
        Task::Session(task) => {
            let session: Session = Session::extract(&request).await?;
            task.run(&session).await
        }
        Task::Peek(task) => {
            let session: Peek = Peek::extract(&request).await?;
            task.run(&session).await
        }
    };
    match ending {
        Ending::Answer(answer) => Ok(respond(answer)),
        Ending::Watch(answer, watch) => {
            let (head, _) = respond(answer).into_parts();
            let body = BodyStream::new(events(watch));
            Ok(head.set_body(body.boxed()))
        }
        Ending::Error(answer) => {
            Err(InternalError::from_response("a failing handler", respond(answer)).into())
        }
        Ending::Panic => panic!("the handler panicked, as it was asked to"),
    }
}

/// A middleware between the session's and the handler that fails where it is asked to.
async fn fail_inside(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> actix_web::Result<ServiceResponse<impl MessageBody>> {
    let failure = app::inner_failure(request.path(), &|name| header(request.headers(), name));
    let response = next.call(request).await?;
    match failure {
        Some(failure) if response.status().is_success() => {
            Err(InternalError::from_response("a failing middleware", respond(failure)).into())
        }
        _ => Ok(response),
    }
}

fn events(watch: Watch) -> impl Stream<Item = Result<web::Bytes, Infallible>> {
    stream::unfold(watch, async |mut watch| {
        let event = watch.next().await?;
        Some((Ok(event.into()), watch))
    })
}

fn header<'r>(headers: &'r HeaderMap, name: &str) -> Option<&'r [u8]> {
    headers.get(name).map(HeaderValue::as_bytes)
}

fn respond(answer: Answer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    for (name, value) in answer.headers {
        response.append_header((name, &*value));
    }
    match answer.body {
        app::Body::Text(text) => response.body(text),
        app::Body::Lines(lines) => {
            let lines = lines.map(|line| Ok::<_, Infallible>(web::Bytes::from(line)));
            response.streaming(stream::iter(lines))
        }
    }
}
