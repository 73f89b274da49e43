//! The future of a response.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::response::{IntoResponse, Response};
use http::request::Parts;
use pin_project_lite::pin_project;
use session_core::adapter::{Responder, Run};

use crate::Error;

pin_project! {
    /// The future of [`SessionService`](crate::SessionService).
    pub struct ResponseFuture<F>
    where
        Answering<F>: Future,
    {
        #[pin]
        pub(crate) kind: Kind<F>,
    }
}

pin_project! {
    #[project = KindProjection]
    pub(crate) enum Kind<F>
    where
        Answering<F>: Future,
    {
        WithSession { #[pin] run: Run<Answering<F>>, responder: Responder<Error, Response, Parts> },
        PassingOn { #[pin] work: Answering<F> },
        Refusing { response: Option<Response> },
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<R, E>>,
    R: IntoResponse,
{
    type Output = Result<Response, E>;

    #[expect(clippy::panic, reason = "as every future that is polled after its end")]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProjection::WithSession { run, responder } => {
                let (result, finished) = ready!(run.poll(cx));
                let mut response = match responder.instead(&finished) {
                    Some(response) => response,
                    None => result?,
                };
                finished.apply(response.headers_mut());
                Poll::Ready(Ok(response))
            }
            KindProjection::PassingOn { work } => work.poll(cx),
            KindProjection::Refusing { response } => match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                None => panic!("`ResponseFuture` polled after it was ready"),
            },
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F>
where
    Answering<F>: Future,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

pin_project! {
    /// What is inside, and the response that its answer becomes: making that is a part of the request too.
    #[doc(hidden)]
    pub struct Answering<F> {
        #[pin]
        pub(crate) work: F,
    }
}

impl<F, R, E> Future for Answering<F>
where
    F: Future<Output = Result<R, E>>,
    R: IntoResponse,
{
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(self.project().work.poll(cx));
        Poll::Ready(answer.map(IntoResponse::into_response))
    }
}
