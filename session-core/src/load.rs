//! Waiting for a session to be loaded.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::error::Error;
use crate::handle::Shared;
use crate::session::Session;

/// What there is to wait for.
pub(crate) type Loading = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The future of [`SessionHandle::load`](crate::SessionHandle::load). It borrows nothing.
///
/// Where the request brings no id that counts, and where the session has been loaded before, there is nothing
/// to wait for. The rest is boxed once here, so that it isn't copied with the future of every handler.
#[must_use = "the store isn't asked before the future is polled"]
pub struct Load<E> {
    /// Nothing once the session has been handed out.
    shared: Option<Arc<Shared>>,
    loading: Option<Loading>,
    error: PhantomData<fn() -> E>,
}

impl<E> Load<E> {
    pub(crate) fn new(shared: Arc<Shared>, loading: Option<Loading>) -> Self {
        Self {
            shared: Some(shared),
            loading,
            error: PhantomData,
        }
    }
}

impl<E> Future for Load<E> {
    type Output = Result<Session<E>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(loading) = &mut self.loading {
            ready!(loading.as_mut().poll(cx));
            self.loading = None;
        }
        match self.shared.take() {
            Some(shared) => Poll::Ready(shared.loaded()),
            // Somebody polls a future that has given its output.
            None => Poll::Pending,
        }
    }
}

impl<E> fmt::Debug for Load<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load").finish_non_exhaustive()
    }
}
