//! The error that handlers return, and what becomes of the errors of others.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use poem::error::ResponseError;
use poem::http::StatusCode;
use poem::{PathPattern, Response};
use session_core::ErrorKind;
use session_core::adapter::Finished;

session_core::adapter::error_newtype! {
    /// A session error that poem can answer with: 503 for a store that fails, 413 for a session that is too
    /// large, 409 for one session too many, 500 for the rest, each with one line that gives nothing away.
    ///
    /// `?` turns it into a `poem::Error`, so that a handler may return `poem::Result`.
    Error
}

impl ResponseError for Error {
    fn status(&self) -> StatusCode {
        StatusCode::from_u16(session_core::Error::status(self))
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn as_response(&self) -> Response {
        // Logged here and not in the extractor: `Option<Session>` throws the error away without a response,
        // and that is no mistake.
        if self.kind() == ErrorKind::NoMiddleware {
            tracing::error!(target: "session", "{self}");
        }
        Response::builder()
            .status(ResponseError::status(self))
            .content_type("text/plain; charset=utf-8")
            .body(self.public_message())
    }
}

/// An error of the handler, or of a middleware inside the session's, after the session was used: whoever
/// makes a response of it gets one that says `Vary: Cookie`.
///
/// It shows itself as the error that it holds, and has its status. Its type is another one, though, so that
/// a `catch_error` for a type of errors has to be inside the [`SessionMiddleware`](crate::SessionMiddleware).
/// A `catch_all_error` outside gets at the error itself:
///
/// ```
/// use session_poem::InnerError;
///
/// fn original(error: poem::Error) -> poem::Error {
///     error.downcast().map_or_else(|other| other, InnerError::into_inner)
/// }
/// # assert!(original(poem::error::NotFoundError.into()).is::<poem::error::NotFoundError>());
/// ```
pub struct InnerError {
    /// Taken out when the response is made, which is the last that happens to an error.
    error: Mutex<Option<poem::Error>>,
    finished: Finished,
}

impl InnerError {
    /// The error as it goes on. Of the data that lies on `error`, the pattern of its route is what
    /// middleware further out looks for; others can't be listed, and stay inside.
    pub(crate) fn wrap(error: poem::Error, finished: Finished) -> poem::Error {
        let pattern = error.data::<PathPattern>().cloned();
        let mut outer = poem::Error::from(Self {
            error: Mutex::new(Some(error)),
            finished,
        });
        if let Some(pattern) = pattern {
            outer.set_data(pattern);
        }
        outer
    }

    /// The error as it was made.
    pub fn into_inner(self) -> poem::Error {
        let error = self.error().take();
        error.unwrap_or_else(|| StatusCode::INTERNAL_SERVER_ERROR.into())
    }

    fn error(&self) -> MutexGuard<'_, Option<poem::Error>> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for InnerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InnerError").field(&*self.error()).finish()
    }
}

impl fmt::Display for InnerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.error() {
            Some(error) => error.fmt(f),
            None => f.write_str("the error has become a response"),
        }
    }
}

impl std::error::Error for InnerError {}

impl ResponseError for InnerError {
    fn status(&self) -> StatusCode {
        let error = self.error();
        error
            .as_ref()
            .map_or(StatusCode::INTERNAL_SERVER_ERROR, poem::Error::status)
    }

    fn as_response(&self) -> Response {
        let error = self.error().take();
        let mut response = error.map_or_else(
            || ResponseError::status(self).into(),
            poem::Error::into_response,
        );
        self.finished.apply(response.headers_mut());
        response
    }
}
