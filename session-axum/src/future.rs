//! The future of a response.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::response::{IntoResponse, Response};
use pin_project_lite::pin_project;
use session_core::Run;

use crate::layer::OnError;

pin_project! {
    /// The future of [`SessionService`](crate::SessionService).
    pub struct ResponseFuture<F>
    where
        F: Future,
    {
        #[pin]
        kind: Kind<F>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<F>
    where
        F: Future,
    {
        WithSession { #[pin] run: Run<F>, on_error: OnError },
        PassingOn { #[pin] work: F },
        Refusing { response: Option<Response> },
    }
}

impl<F: Future> ResponseFuture<F> {
    pub(crate) fn with_session(run: Run<F>, on_error: OnError) -> Self {
        Self {
            kind: Kind::WithSession { run, on_error },
        }
    }

    pub(crate) fn passing_on(work: F) -> Self {
        Self {
            kind: Kind::PassingOn { work },
        }
    }

    pub(crate) fn refusing(response: Response) -> Self {
        Self {
            kind: Kind::Refusing {
                response: Some(response),
            },
        }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<R, E>>,
    R: IntoResponse,
{
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProjection::WithSession { run, on_error } => {
                let (result, finished) = ready!(run.poll(cx));
                let mut response = match finished.error() {
                    Some(error) => on_error(&error.clone().into()),
                    None => result?.into_response(),
                };
                finished.apply(response.headers_mut());
                Poll::Ready(Ok(response))
            }
            KindProjection::PassingOn { work } => {
                Poll::Ready(ready!(work.poll(cx)).map(IntoResponse::into_response))
            }
            KindProjection::Refusing { response } => match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                // Somebody polls a future that has given its output.
                None => Poll::Pending,
            },
        }
    }
}

impl<F: Future> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
