//! Errors: opaque, with a kind for what a caller can act on, and with their source kept.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// What went wrong while a session was loaded, used or committed.
///
/// It shows no id, no signature, no secret and no session data. Cloning is cheap.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    source: Option<BoxError>,
}

/// The kinds of [`Error`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The store failed or didn't answer in time. What it was asked to write may or may not have
    /// happened. The request is answered with 503.
    StoreUnavailable,
    /// Other requests kept changing the session until the time was up, or an `update` could not be
    /// run again on what another request had written. Nothing was saved; 503.
    Conflict,
    /// The session would grow beyond the payload limit, or a login's user name or label is too long. The session is
    /// as it was; 413.
    PayloadTooLarge,
    /// The user has as many sessions as one may have, and the configuration refuses another; 409. Nothing was
    /// changed.
    TooManySessions,
    /// What is stored doesn't fit the type that the application has now, and the type knows no way to migrate it. Nothing was
    /// changed; the application may store anew or delete what is there. 409.
    Mismatch,
    /// Nobody is logged in, where somebody has to be; 401.
    NotLoggedIn,
    /// The user is logged in, and proved who they are too long ago for this; 403.
    NotFresh,
    /// A CSRF token was needed, and the request had none that is good for its session; or it came from another site; 403.
    Csrf,
    /// The store has no index of sessions by user, which this needs; 500.
    NoUserIndex,
    /// A value can't be turned into JSON. The session is unchanged; 500.
    Serialize,
    /// What is stored under the key is not of the type that was asked for; 500.
    Deserialize,
    /// The closure of an `update` keeps changing the key that it updates; 500.
    Reentrant,
    /// There is no session middleware around this handler, or its path is excluded; 500.
    NoMiddleware,
    /// The session was asked for where nothing can wait for it, and nobody had loaded it before; 500.
    NotLoaded,
    /// Two session middlewares around this handler have the same cookie name, or the same token header, and different
    /// sessions or different managers; 500. The message says what to do.
    DuplicateName,
    /// The response has left, so that the cookie of a new or rotated session can't be sent; 500.
    ResponseSent,
    /// The random generator failed; 500.
    Random,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            source: None,
        }))
    }

    pub(crate) fn with_source(
        kind: ErrorKind,
        message: impl Into<Cow<'static, str>>,
        source: impl Into<BoxError>,
    ) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            source: Some(source.into()),
        }))
    }

    /// The error of an extractor that found no session middleware. `advice` says what to add; it is for the
    /// log, not for the client.
    pub fn no_middleware(advice: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::NoMiddleware, advice)
    }

    pub(crate) fn csrf(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Csrf, message)
    }

    /// What kind of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The HTTP status that fits: 503, 413, 409, 403, 401 or 500.
    pub fn status(&self) -> u16 {
        match self.kind() {
            ErrorKind::StoreUnavailable | ErrorKind::Conflict => 503,
            ErrorKind::PayloadTooLarge => 413,
            ErrorKind::TooManySessions | ErrorKind::Mismatch => 409,
            ErrorKind::NotLoggedIn => 401,
            ErrorKind::NotFresh | ErrorKind::Csrf => 403,
            _ => 500,
        }
    }

    /// A line for the client that gives nothing away.
    pub fn public_message(&self) -> &'static str {
        match self.kind() {
            ErrorKind::StoreUnavailable | ErrorKind::Conflict => "session store unavailable",
            ErrorKind::PayloadTooLarge => "too large to be stored",
            ErrorKind::TooManySessions => "too many sessions",
            ErrorKind::Mismatch => "what is stored has another form; it can be replaced or deleted",
            ErrorKind::NotLoggedIn => "nobody is logged in",
            ErrorKind::NotFresh => "prove again who you are",
            ErrorKind::Csrf => {
                "the CSRF token is missing or not good any more: load the page again"
            }
            _ => "internal server error",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            kind,
            message,
            source,
        } = &*self.0;
        f.debug_struct("Error")
            .field("kind", kind)
            .field("message", message)
            .field("source", source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| &**source as _)
    }
}

/// A configuration that must not start. The message says what to change.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigError(String);

impl ConfigError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The same as `Display`: this is what `main` prints when it returns the error.
impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfigError: {}", self.0)
    }
}

impl StdError for ConfigError {}
