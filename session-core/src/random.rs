//! Randomness as the core sees it: one trait, so that tests can seed it or make it fail.

use std::fmt;

/// Where ids, versions and handles come from. Applications use [`OsRandom`].
///
/// Anything else is for tests: an id from a guessable generator is a session that anyone can enter.
pub trait Random: Send + Sync + 'static {
    /// Fills `buffer` with random bytes, or fails; it never leaves part of it unfilled.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError>;
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        getrandom::fill(buffer).map_err(|error| RandomError(Box::new(error)))
    }
}

/// The generator gave nothing. The request fails; no weaker source is tried.
#[derive(Debug)]
pub struct RandomError(Box<dyn std::error::Error + Send + Sync>);

impl RandomError {
    /// Wraps the generator's own error.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

impl fmt::Display for RandomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the random generator failed")
    }
}

impl std::error::Error for RandomError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.0.as_ref())
    }
}
