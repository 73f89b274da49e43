//! The error that handlers return, as a response.

use axum::response::{IntoResponse, Response};
use http::StatusCode;

session_core::adapter::error_newtype! {
    /// A session error that axum can answer with: 503 for a store that fails, 413 for a session that is too
    /// large, 409 for one session too many, 500 for the rest, each with one line that gives nothing away.
    Error
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, self.public_message()).into_response()
    }
}
