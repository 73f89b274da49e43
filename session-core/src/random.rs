//! Randomness as the core sees it: one trait, so that tests can seed it or make it fail.

use std::cell::RefCell;
use std::fmt;

/// Where ids, versions and references come from. Applications use [`OsRandom`].
///
/// Anything else is for tests: an id from a guessable generator is a session that anyone can enter.
pub trait Random: Send + Sync + 'static {
    /// Fills `buffer` with random bytes, or fails; it never leaves part of it unfilled.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError>;

    /// Fills `buffer` with random bytes that have to be unique and needn't be secret: for versions and the like.
    fn fill_unique(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        self.fill(buffer)
    }
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        getrandom::fill(buffer).map_err(|error| RandomError(Box::new(error)))
    }

    /// Draws 512 bytes at a time: a system call for each version would cost as much as the rest of a save in memory.
    ///
    /// A process that is copied while it runs, by a fork or with its whole machine, shares what is left with
    /// its copy: a few dozen versions and references, and never an id. That does harm only if both copies
    /// write one record with the same version and a third request loaded it between the two writes: its save
    /// would then overwrite the second one unseen.
    fn fill_unique(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        POOL.with_borrow_mut(|pool| pool.take(buffer, |fresh| self.fill(fresh)))
    }
}

const POOL_LEN: usize = 512;

/// Random bytes that haven't been given out yet: the last ones.
struct Pool {
    bytes: [u8; POOL_LEN],
    left: usize,
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; POOL_LEN], left: 0 }) };
}

impl Pool {
    fn take(
        &mut self,
        buffer: &mut [u8],
        fill: impl Fn(&mut [u8]) -> Result<(), RandomError>,
    ) -> Result<(), RandomError> {
        if buffer.len() > POOL_LEN {
            return fill(buffer);
        }
        if buffer.len() > self.left {
            self.left = 0;
            fill(&mut self.bytes)?;
            self.left = POOL_LEN;
        }
        let from = POOL_LEN - self.left;
        buffer.copy_from_slice(&self.bytes[from..from + buffer.len()]);
        self.left -= buffer.len();
        Ok(())
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
