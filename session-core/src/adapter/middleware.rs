//! What every adapter's middleware consists of.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::Finished;
use crate::error::Error;
use crate::events::DroppedChanges;
use crate::manager::SessionManager;
use crate::request::{Main, RequestSessions};

/// What an adapter's middleware for the session `N` consists of: the manager, and the hooks that put a framework's
/// response `R` in place of the handler's. They are given an adapter's error `E`, and what the framework has for the head
/// of a request, `C`. Cloning is cheap.
pub struct Middleware<E, R, C, N = Main> {
    manager: SessionManager,
    hooks: Arc<Hooks<E, R, C>>,
    name: PhantomData<fn() -> N>,
}

type OnError<E, R> = Arc<dyn Fn(&E) -> R + Send + Sync>;
type OnErrorWith<E, R, C> = Arc<dyn Fn(&E, &C) -> R + Send + Sync>;
type OnDropped<R, C> = Arc<dyn Fn(&DroppedChanges, &C) -> Option<R> + Send + Sync>;

struct Hooks<E, R, C> {
    on_error: OnError<E, R>,
    /// Goes before `on_error`.
    on_error_with: Option<OnErrorWith<E, R, C>>,
    on_dropped: Option<OnDropped<R, C>>,
}

impl<E: From<Error>, R, C, N> Middleware<E, R, C, N> {
    /// A middleware that answers with `on_error`'s response where the session fails.
    pub fn new(
        manager: SessionManager,
        on_error: impl Fn(&E) -> R + Send + Sync + 'static,
    ) -> Self {
        Self {
            manager,
            hooks: Arc::new(Hooks {
                on_error: Arc::new(on_error),
                on_error_with: None,
                on_dropped: None,
            }),
            name: PhantomData,
        }
    }

    /// The same for the session called `M`.
    pub fn named<M>(self) -> Middleware<E, R, C, M> {
        Middleware {
            manager: self.manager,
            hooks: self.hooks,
            name: PhantomData,
        }
    }

    /// Another response in the same case.
    #[must_use]
    pub fn on_error(self, on_error: impl Fn(&E) -> R + Send + Sync + 'static) -> Self {
        self.with_hooks(|hooks| {
            hooks.on_error = Arc::new(on_error);
            hooks.on_error_with = None;
        })
    }

    /// Another response in the same case, which depends on the request too.
    #[must_use]
    pub fn on_error_with(self, on_error: impl Fn(&E, &C) -> R + Send + Sync + 'static) -> Self {
        self.with_hooks(|hooks| hooks.on_error_with = Some(Arc::new(on_error)))
    }

    /// A response in place of the handler's, or none, where the commit at the request's end has dropped its changes.
    #[must_use]
    pub fn on_dropped(
        self,
        on_dropped: impl Fn(&DroppedChanges, &C) -> Option<R> + Send + Sync + 'static,
    ) -> Self {
        self.with_hooks(|hooks| hooks.on_dropped = Some(Arc::new(on_dropped)))
    }

    fn with_hooks(mut self, change: impl FnOnce(&mut Hooks<E, R, C>)) -> Self {
        let mut hooks = (*self.hooks).clone();
        change(&mut hooks);
        self.hooks = Arc::new(hooks);
        self
    }

    /// The manager.
    pub fn manager(&self) -> &SessionManager {
        &self.manager
    }

    /// What answers in place of the handler, to be kept in a future. `request` is called only if a hook wants to see the
    /// request.
    pub fn responder(&self, request: impl FnOnce() -> C) -> Responder<E, R, C> {
        let wants_request = self.hooks.on_error_with.is_some() || self.hooks.on_dropped.is_some();
        Responder {
            hooks: self.hooks.clone(),
            request: wants_request.then(|| capture(request)),
        }
    }
}

impl<E: From<Error>, R, C, N: 'static> Middleware<E, R, C, N> {
    /// [Enters](SessionManager::enter) a request.
    ///
    /// # Errors
    /// As `SessionManager::enter`. The [response](Responder::to_error) to it is the response to the request.
    pub fn enter(
        &self,
        outer: Option<&RequestSessions>,
        path: &str,
    ) -> Result<Option<RequestSessions>, E> {
        Ok(self.manager.enter::<N>(outer, path)?)
    }
}

impl<E, R, C, N> Clone for Middleware<E, R, C, N> {
    fn clone(&self) -> Self {
        Self {
            manager: self.manager.clone(),
            hooks: self.hooks.clone(),
            name: PhantomData,
        }
    }
}

impl<E, R, C> Clone for Hooks<E, R, C> {
    fn clone(&self) -> Self {
        Self {
            on_error: self.on_error.clone(),
            on_error_with: self.on_error_with.clone(),
            on_dropped: self.on_dropped.clone(),
        }
    }
}

impl<E, R, C, N> fmt::Debug for Middleware<E, R, C, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Middleware")
            .field("manager", &self.manager)
            .finish_non_exhaustive()
    }
}

/// What answers one request in place of its handler. [`Middleware::responder`] makes it.
pub struct Responder<E, R, C> {
    hooks: Arc<Hooks<E, R, C>>,
    /// The head of the request, if a hook wants to see it. In a box: most applications have no such hook.
    request: Option<Box<C>>,
}

impl<E: From<Error>, R, C> Responder<E, R, C> {
    /// The response to an error of the session.
    pub fn to_error(&self, error: &E) -> R {
        match (&self.hooks.on_error_with, &self.request) {
            (Some(on_error_with), Some(request)) => on_error_with(error, request),
            _ => (self.hooks.on_error)(error),
        }
    }

    /// The response that takes the place of the handler's, if one does: the session couldn't be loaded or committed, or
    /// the hook for dropped changes gives one. It needs the headers of `finished` as the handler's does.
    #[inline]
    pub fn instead(&self, finished: &Finished) -> Option<R> {
        match finished.is_as_the_handler_wanted() {
            true => None,
            false => self.replacement(finished),
        }
    }

    #[cold]
    fn replacement(&self, finished: &Finished) -> Option<R> {
        if let Some(error) = finished.error() {
            return Some(self.to_error(&error.clone().into()));
        }
        let (dropped, request) = (finished.dropped()?, self.request.as_deref()?);
        let on_dropped = self.hooks.on_dropped.as_ref()?;
        on_dropped(dropped, request)
    }
}

/// Apart from the requests that need none.
#[cold]
#[inline(never)]
fn capture<C>(request: impl FnOnce() -> C) -> Box<C> {
    Box::new(request())
}

impl<E, R, C> fmt::Debug for Responder<E, R, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder").finish_non_exhaustive()
    }
}
