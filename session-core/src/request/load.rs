//! Waiting for a session to be loaded.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::shared::Shared;
use crate::error::Error;
use crate::session::Session;
use crate::transport::RequestHeaders;

/// What there is to wait for.
type Loading = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The future of [`SessionHandle::load`](super::SessionHandle::load). It borrows nothing.
///
/// Where the request brings no id whose signature holds, and where the session has been loaded before, there is
/// nothing to wait for. The rest is boxed once here, so that it isn't copied with the future of every handler.
#[must_use = "the store isn't asked before the future is polled"]
pub struct Load<E> {
    /// Nothing once the session has been handed out.
    shared: Option<Arc<Shared>>,
    loading: Option<Loading>,
    error: PhantomData<fn() -> E>,
}

/// Reads the headers, and gives what there is to wait for.
pub(super) fn begin<E>(
    shared: &Arc<Shared>,
    headers: &impl RequestHeaders,
    is_use: bool,
) -> Load<E> {
    let mut loading: Option<Loading> = None;
    let is_first_use = is_use && !shared.mark_use();
    if !shared.is_opened() {
        let transport = shared.manager().config().transport();
        let mut ids = transport.read(headers, shared.events());
        if !(ids.is_empty() && shared.open_without_id()) {
            let shared = shared.clone();
            loading = Some(Box::pin(async move { shared.open(&mut ids).await }));
        }
    } else if is_first_use {
        let shared = shared.clone();
        loading = Some(Box::pin(async move { shared.note_if_urgent().await }));
    }
    Load {
        shared: Some(shared.clone()),
        loading,
        error: PhantomData,
    }
}

impl<E> Future for Load<E> {
    type Output = Result<Session<E>, Error>;

    #[expect(clippy::panic, reason = "as every future that is polled after its end")]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(loading) = &mut self.loading {
            ready!(loading.as_mut().poll(cx));
            self.loading = None;
        }
        let Some(shared) = self.shared.take() else {
            panic!("`Load` polled after it was ready");
        };
        let loaded = shared.check_loaded();
        Poll::Ready(loaded.map(|()| Session::new(shared)))
    }
}

impl<E> fmt::Debug for Load<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load").finish_non_exhaustive()
    }
}
