//! How a store fails, and what is known afterwards.

use std::fmt;
use std::sync::Arc;

use super::encoding::DecodeError;
use crate::error::{BoxError, Error, ErrorKind};

/// A store failed. Not finding a record is not a failure.
#[derive(Clone)]
pub struct StoreError {
    kind: StoreErrorKind,
    source: Arc<dyn std::error::Error + Send + Sync>,
}

/// What is known after a [`StoreError`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// What was asked for certainly did not happen: no connection, out of memory, read-only, rolled back.
    NotApplied,
    /// It may have happened, or may still happen: the connection broke or the answer took too long.
    Unknown,
    /// What lies under the key isn't a record. The visitor counts as anonymous; the bytes are left alone.
    Corrupt,
    /// A newer version of this library wrote the record. The request fails; the record is left alone.
    NewerFormat,
}

impl StoreError {
    /// A failure after which the write certainly did not happen.
    pub fn not_applied(source: impl Into<BoxError>) -> Self {
        Self {
            kind: StoreErrorKind::NotApplied,
            source: source.into().into(),
        }
    }

    /// A failure after which nobody knows whether the write happened. When in doubt, this one.
    pub fn unknown(source: impl Into<BoxError>) -> Self {
        Self {
            kind: StoreErrorKind::Unknown,
            source: source.into().into(),
        }
    }

    /// Whether the store works, and the record can't be read.
    pub(crate) fn is_about_the_record(&self) -> bool {
        matches!(
            self.kind,
            StoreErrorKind::Corrupt | StoreErrorKind::NewerFormat
        )
    }

    /// What is known after the failure.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl From<DecodeError> for StoreError {
    fn from(error: DecodeError) -> Self {
        let kind = match error {
            DecodeError::Corrupt => StoreErrorKind::Corrupt,
            DecodeError::NewerFormat => StoreErrorKind::NewerFormat,
        };
        Self {
            kind,
            source: Arc::new(error),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::with_source(
            ErrorKind::StoreUnavailable,
            "the session store failed",
            error,
        )
    }
}

impl Error {
    /// The failure of the store that this is about, if it is.
    pub(crate) fn store_error(&self) -> Option<&StoreError> {
        std::error::Error::source(self)?.downcast_ref()
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            StoreErrorKind::NotApplied => "the session store failed; nothing was written",
            StoreErrorKind::Unknown => "the session store failed; the outcome is unknown",
            StoreErrorKind::Corrupt | StoreErrorKind::NewerFormat => {
                "a stored session can't be read"
            }
        })
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreError")
            .field("kind", &self.kind)
            .field("source", &self.source)
            .finish()
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.source.as_ref())
    }
}
