//! The error that handlers return, and what becomes of the errors of others.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use actix_web::{HttpResponse, ResponseError};
use session_core::ErrorKind;
use session_core::adapter::Finished;

use crate::headers::OfResponse;

session_core::adapter::error_newtype! {
    /// A session error that actix-web can answer with: 503 for a store that fails, 413 for a session that is
    /// too large, 409 for one session too many, 500 for the rest, each with one line that gives nothing away.
    ///
    /// `?` turns it into an `actix_web::Error`, so that a handler may return `actix_web::Result`.
    Error
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        // Logged here and not in the extractor: `Option<Session>` throws the error away without a response,
        // and that is no mistake.
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
        self.finished.apply(&mut OfResponse(response.headers_mut()));
        response
    }
}
