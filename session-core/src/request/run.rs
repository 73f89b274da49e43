//! The rest of a request, and then the commit of its session.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::finished::Finished;
use super::shared::Shared;
use crate::spawn::Outlive;

pin_project! {
    /// The future of [`SessionHandle::run`](super::SessionHandle::run).
    ///
    /// It is no `async fn`, because it is a part of every request's future: the compiler would keep the work
    /// twice and room for a commit besides, and frameworks copy futures when they box them. Of an unused
    /// session on axum that was a third of the cost.
    #[must_use = "nothing runs before the future is polled"]
    pub struct Run<F>
    where
        F: Future,
    {
        // Dropped before the commit begins: the handler's future may hold the turn of a commit that it never
        // finishes, and ours would wait for it for ever.
        #[pin]
        work: Option<F>,
        has_waited: bool,
        stage: Stage<F::Output>,
        shared: FinishOnDrop,
    }
}

enum Stage<T> {
    Finishing(T, Outlive<Finished>),
    FinishingAfterPanic(Box<dyn Any + Send>, Outlive<()>),
    /// The future has given its output, or there is none yet.
    Over,
}

impl<F: Future> Run<F> {
    pub(crate) fn new(shared: Arc<Shared>, work: F) -> Self {
        Self {
            work: Some(work),
            has_waited: false,
            stage: Stage::Over,
            shared: FinishOnDrop {
                shared,
                is_over: false,
            },
        }
    }
}

impl<F: Future> Future for Run<F> {
    type Output = (F::Output, Finished);

    #[expect(clippy::panic, reason = "as every future that is polled after its end")]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(work) = this.work.as_mut().as_pin_mut() {
            let ended = match catch_unwind(AssertUnwindSafe(|| work.poll(cx))) {
                Ok(Poll::Pending) => {
                    *this.has_waited = true;
                    return Poll::Pending;
                }
                Ok(Poll::Ready(output)) => Ok(output),
                Err(panic) => Err(panic),
            };
            // A destructor of the handler's may panic too.
            let dropped = catch_unwind(AssertUnwindSafe(|| this.work.set(None)));
            let ended = dropped.and(ended);
            let shared = &this.shared.shared;
            *this.stage = match ended {
                Ok(output) => {
                    if let Some(finished) = shared.finish_at_once(*this.has_waited) {
                        this.shared.is_over = true;
                        return Poll::Ready((output, finished));
                    }
                    Stage::Finishing(output, shared.finish())
                }
                Err(panic) => Stage::FinishingAfterPanic(panic, shared.finish_after_panic()),
            };
            // From now on what is under way goes on by itself.
            this.shared.is_over = true;
        }
        match std::mem::replace(this.stage, Stage::Over) {
            Stage::Finishing(output, mut finishing) => match Pin::new(&mut finishing).poll(cx) {
                Poll::Ready(finished) => Poll::Ready((output, finished)),
                Poll::Pending => {
                    *this.stage = Stage::Finishing(output, finishing);
                    Poll::Pending
                }
            },
            Stage::FinishingAfterPanic(panic, mut finishing) => {
                match Pin::new(&mut finishing).poll(cx) {
                    Poll::Ready(()) => {
                        this.shared.shared.forget();
                        resume_unwind(panic)
                    }
                    Poll::Pending => {
                        *this.stage = Stage::FinishingAfterPanic(panic, finishing);
                        Poll::Pending
                    }
                }
            }
            Stage::Over => panic!("`Run` polled after it was ready"),
        }
    }
}

impl<F: Future> fmt::Debug for Run<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").finish_non_exhaustive()
    }
}

/// Looks after what a request wanted when its future goes away before its end.
struct FinishOnDrop {
    shared: Arc<Shared>,
    /// The request has come to its end, which spares another look at the state.
    is_over: bool,
}

impl Drop for FinishOnDrop {
    fn drop(&mut self) {
        if !self.is_over {
            self.shared.finish_after_drop();
        }
    }
}
