//! What every adapter's middleware consists of.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::error::Error;
use crate::manager::SessionManager;
use crate::request::{Main, RequestSessions};

/// Makes a framework's response `R` of an adapter's error `E`.
pub type OnError<E, R> = Arc<dyn Fn(&E) -> R + Send + Sync>;

/// What an adapter's middleware for the session `N` consists of: the manager, and the response that takes the handler's
/// place when the session can't be loaded or committed. Cloning is cheap.
pub struct Middleware<E, R, N = Main> {
    manager: SessionManager,
    on_error: OnError<E, R>,
    name: PhantomData<fn() -> N>,
}

impl<E: From<Error>, R, N> Middleware<E, R, N> {
    /// A middleware that answers with `on_error`'s response where the session fails.
    pub fn new(
        manager: SessionManager,
        on_error: impl Fn(&E) -> R + Send + Sync + 'static,
    ) -> Self {
        Self {
            manager,
            on_error: Arc::new(on_error),
            name: PhantomData,
        }
    }

    /// The same for the session called `M`.
    pub fn named<M>(self) -> Middleware<E, R, M> {
        Middleware {
            manager: self.manager,
            on_error: self.on_error,
            name: PhantomData,
        }
    }

    /// Another response in the same case.
    #[must_use]
    pub fn on_error(mut self, on_error: impl Fn(&E) -> R + Send + Sync + 'static) -> Self {
        self.on_error = Arc::new(on_error);
        self
    }

    /// The manager.
    pub fn manager(&self) -> &SessionManager {
        &self.manager
    }

    /// The response that takes the handler's place.
    pub fn response(&self, error: &E) -> R {
        (self.on_error)(error)
    }

    /// What makes that response, to be kept in a future.
    pub fn responder(&self) -> &OnError<E, R> {
        &self.on_error
    }
}

impl<E: From<Error>, R, N: 'static> Middleware<E, R, N> {
    /// [Enters](SessionManager::enter) a request.
    ///
    /// # Errors
    /// As `SessionManager::enter`. The [response](Self::response) to it is the response to the request.
    pub fn enter(
        &self,
        outer: Option<&RequestSessions>,
        path: &str,
    ) -> Result<Option<RequestSessions>, E> {
        Ok(self.manager.enter::<N>(outer, path)?)
    }
}

impl<E, R, N> Clone for Middleware<E, R, N> {
    fn clone(&self) -> Self {
        Self {
            manager: self.manager.clone(),
            on_error: self.on_error.clone(),
            name: PhantomData,
        }
    }
}

impl<E, R, N> fmt::Debug for Middleware<E, R, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Middleware")
            .field("manager", &self.manager)
            .finish_non_exhaustive()
    }
}
