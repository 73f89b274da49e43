//! The error that handlers return, and what becomes of the errors of others.

use std::fmt;
use std::ops::Deref;

use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use actix_web::{HttpResponse, ResponseError};
use session_core::{ErrorKind, Finished};

use crate::middleware::Headers;

/// A session error that actix-web can answer with: 503 for a store that fails, 413 for a session that is too
/// large, 500 for the rest, each with one line that gives nothing away.
///
/// `?` turns it into an `actix_web::Error`, so that a handler may return `actix_web::Result`.
#[derive(Clone, Debug)]
pub struct Error(session_core::Error);

impl From<session_core::Error> for Error {
    fn from(error: session_core::Error) -> Self {
        Self(error)
    }
}

impl Deref for Error {
    type Target = session_core::Error;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.0)
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        // Only now it is known that nobody wanted the session to be optional.
        if self.kind() == ErrorKind::NoMiddleware {
            tracing::error!(target: "session", "{self}");
        }
        HttpResponse::build(self.status_code())
            .content_type(ContentType::plaintext())
            .body(self.public_message())
    }
}

/// An error of a middleware inside the session's, after which the response has to bring a cookie: the session
/// was created, rotated or ended. Every response that is made of it does.
///
/// It shows itself as the error that it holds, and has its status and its response.
#[derive(Debug)]
pub struct InnerError {
    error: actix_web::Error,
    finished: Finished,
}

impl InnerError {
    pub(crate) fn new(error: actix_web::Error, finished: Finished) -> Self {
        Self { error, finished }
    }

    /// The error as it was made.
    pub fn inner(&self) -> &actix_web::Error {
        &self.error
    }
}

impl fmt::Display for InnerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl ResponseError for InnerError {
    fn status_code(&self) -> StatusCode {
        self.error.as_response_error().status_code()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = self.error.error_response();
        self.finished.apply(&mut Headers(response.headers_mut()));
        response
    }
}
