//! The sessions of one request, as an adapter keeps them there.

use std::any::TypeId;
use std::sync::Arc;

use super::handle::SessionHandle;
use crate::error::{Error, ErrorKind};
use crate::manager::SessionManager;

/// The application's main session: the one that is meant where no other is named.
#[derive(Clone, Copy, Debug)]
pub enum Main {}

/// What an adapter's middleware leaves in the request's extensions, and its extractor looks for: the
/// handles of the session middlewares that are around the request, each under the type that names it.
///
/// Most applications have one, [`Main`]. [`SessionManager::enter`] makes it.
#[derive(Clone, Debug)]
pub struct RequestSessions {
    name: TypeId,
    handle: SessionHandle,
    outer: Option<Arc<RequestSessions>>,
}

impl SessionManager {
    /// What a middleware for the session `N` does with a request that has reached it. `outer` is what lies in
    /// the request's extensions, put there by a session middleware further out; `path` is the request's
    /// original path, as for [`SessionConfig::is_excluded`](crate::SessionConfig::is_excluded).
    ///
    /// With sessions, the middleware puts them into the extensions and [runs](SessionHandle::run) the rest of
    /// the request under their [handle](RequestSessions::handle). With `None` it passes the request on as it
    /// is: the path is excluded, or a middleware of the same session and the same manager further out is at work
    /// already.
    ///
    /// # Errors
    /// [`ErrorKind::DuplicateName`] if a middleware further out has the same cookie name, or the same token header, for
    /// another session, or for this one with another manager. The error says what to do, and has been logged; it is
    /// the response.
    pub fn enter<N: 'static>(
        &self,
        outer: Option<&RequestSessions>,
        path: &str,
    ) -> Result<Option<RequestSessions>, Error> {
        if self.config().is_excluded(path) {
            return Ok(None);
        }
        let (name, transport) = (TypeId::of::<N>(), self.config().transport());
        let collides =
            |sessions: &&RequestSessions| transport.collides(sessions.handle.config().transport());
        match outer.and_then(|outer| outer.iter().find(collides)) {
            None => Ok(Some(RequestSessions {
                name,
                handle: self.handle(),
                outer: outer.cloned().map(Arc::new),
            })),
            Some(outer) if outer.name != name => Err(self.refuse_sharing::<N>()),
            Some(outer) if !outer.handle.is_of(self) => Err(self.refuse_name::<N>(OTHER_MANAGER)),
            Some(_) => Ok(None),
        }
    }

    fn refuse_sharing<N>(&self) -> Error {
        self.refuse_name::<N>(match self.config().cookie_name() {
            Some(_) => SHARED_COOKIE,
            None => SHARED_HEADER,
        })
    }

    /// The error of a middleware that would be silently without effect, with `advice` for whoever set it up.
    fn refuse_name<N>(&self, advice: &'static str) -> Error {
        let (events, transport) = (&self.environment().events, self.config().transport());
        events.duplicate_name(transport.name(), std::any::type_name::<N>(), advice);
        Error::new(ErrorKind::DuplicateName, advice)
    }
}

const SHARED_COOKIE: &str =
    "two sessions of different names share a cookie: give one of them another cookie_name";

const SHARED_HEADER: &str = "two sessions of different names have their tokens in the same header of requests or of \
                             responses: give one of them another token_header and another token_response_header";

const OTHER_MANAGER: &str = "a session middleware inside another one has the same cookie or token header but another \
                             manager, whose store and configuration would never be used: give both middlewares \
                             clones of one manager, or give the inner session a name, and a cookie_name or a \
                             token_header of its own";

impl RequestSessions {
    /// The handle of the innermost middleware: the one that has just entered.
    pub fn handle(&self) -> &SessionHandle {
        &self.handle
    }

    /// The handle of the session called `N`.
    pub fn find<N: 'static>(&self) -> Option<&SessionHandle> {
        let name = TypeId::of::<N>();
        let mut all = self.iter();
        all.find(|sessions| sessions.name == name)
            .map(|sessions| &sessions.handle)
    }

    /// From the innermost to the outermost.
    fn iter(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |sessions| sessions.outer.as_deref())
    }
}
