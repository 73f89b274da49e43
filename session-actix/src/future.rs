//! The future of a response, and what the end of the session means for it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::EitherBody;
use actix_web::dev::{RequestHead, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse};
use pin_project_lite::pin_project;
use session_core::adapter::{Finished, RequestSessions, Responder, Run};

use crate::headers::OfResponse;
use crate::{Error, InnerError};

/// What a service answers.
pub(crate) type Answer<B> = Result<ServiceResponse<B>, actix_web::Error>;

pin_project! {
    /// The future of [`SessionService`](crate::SessionService).
    pub struct ResponseFuture<F, B>
    where
        F: Future,
    {
        #[pin]
        kind: Kind<F, B>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<F, B>
    where
        F: Future,
    {
        WithSession { #[pin] run: Run<F>, respond: Option<Respond> },
        PassingOn { #[pin] work: F },
        Waiting { answer: Pin<Box<dyn Future<Output = Answer<EitherBody<B>>>>> },
    }
}

impl<F: Future, B> ResponseFuture<F, B> {
    pub(crate) fn with_session(run: Run<F>, respond: Respond) -> Self {
        Self {
            kind: Kind::WithSession {
                run,
                respond: Some(respond),
            },
        }
    }

    pub(crate) fn passing_on(work: F) -> Self {
        Self {
            kind: Kind::PassingOn { work },
        }
    }

    /// For what isn't done for every request.
    pub(crate) fn waiting(answer: impl Future<Output = Answer<EitherBody<B>>> + 'static) -> Self {
        Self {
            kind: Kind::Waiting {
                answer: Box::pin(answer),
            },
        }
    }
}

impl<F: Future<Output = Answer<B>>, B> Future for ResponseFuture<F, B> {
    type Output = Answer<EitherBody<B>>;

    #[expect(clippy::panic, reason = "as every future that is polled after its end")]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProjection::WithSession { run, respond } => {
                let (result, finished) = ready!(run.poll(cx));
                let Some(respond) = respond.take() else {
                    panic!("`ResponseFuture` polled after it was ready");
                };
                let result = result.map(ServiceResponse::map_into_left_body);
                Poll::Ready(respond.respond(result, finished))
            }
            KindProjection::PassingOn { work } => {
                Poll::Ready(ready!(work.poll(cx)).map(ServiceResponse::map_into_left_body))
            }
            KindProjection::Waiting { answer } => answer.as_mut().poll(cx),
        }
    }
}

impl<F: Future, B> fmt::Debug for ResponseFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// What a response needs when the session is finished.
pub(crate) struct Respond {
    /// What a session middleware further out had in the request's extensions.
    pub(crate) outer: Option<RequestSessions>,
    pub(crate) responder: Responder<Error, HttpResponse, RequestHead>,
}

impl Respond {
    pub(crate) fn respond<B>(
        self,
        result: Answer<EitherBody<B>>,
        finished: Finished,
    ) -> Answer<EitherBody<B>> {
        let Self { outer, responder } = self;
        match result {
            Ok(mut response) => {
                restore(response.request(), outer);
                if let Some(instead) = responder.instead(&finished) {
                    response = response.into_response(instead.map_into_right_body());
                }
                finished.apply(&mut OfResponse(response.headers_mut()));
                Ok(response)
            }
            Err(error) => Err(with_headers(error, finished, responder)),
        }
    }
}

/// Puts back what a session middleware further out had in the request's extensions: the request goes on to
/// live, and our session is finished.
fn restore(request: &HttpRequest, outer: Option<RequestSessions>) {
    let mut extensions = request.extensions_mut();
    match outer {
        Some(outer) => drop(extensions.insert(outer)),
        None => drop(extensions.remove::<RequestSessions>()),
    }
}

/// An inner middleware's error, whose response has our headers as soon as somebody makes it; or ours in its
/// place. The request is gone, so that no response can be made here.
fn with_headers(
    mut error: actix_web::Error,
    finished: Finished,
    responder: Responder<Error, HttpResponse, RequestHead>,
) -> actix_web::Error {
    if let Some(ours) = finished.error() {
        let ours = Error::from(ours.clone());
        error = ours.clone().into();
        error.add_response_mapper(move |_| responder.to_error(&ours));
    } else if let Some(mut instead) = responder.instead(&finished) {
        finished.apply(&mut OfResponse(instead.headers_mut()));
        return InternalError::from_response(error, instead).into();
    } else if finished.changes_client() {
        // actix-web has ways to a response that pass over an error's mappers; none of them may lose a cookie.
        return InnerError::new(error, finished).into();
    }
    if finished.is_used() {
        error.add_response_mapper(move |mut response| {
            finished.apply(&mut OfResponse(response.headers_mut()));
            response
        });
    }
    error
}
