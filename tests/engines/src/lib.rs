//! The suites over the stores that need a server are this crate's tests. They are no part of the quick tier;
//! `cargo xtask test` runs them. Here is what several of them use.
#![allow(
    clippy::expect_used,
    reason = "a test that meets the unexpected fails by panicking"
)]

pub mod sql;

use std::path::{Path, PathBuf};
use std::{env, fs};

use session_core::{OsRandom, Random as _};

/// A new folder, which goes with its owner.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes one among the system's temporary ones.
    pub fn fresh() -> Self {
        let path = env::temp_dir().join(format!("session-engines-{}", fresh_name()));
        fs::create_dir(&path).expect("the name is new");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is still open goes when it is closed; what can't be removed is the system's to clear.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A name that is good for a table, a file or a user, and that nobody else has.
pub fn fresh_name() -> String {
    format!("t{}", hex(&random_bytes(8)))
}

/// So many bytes, which nothing compresses.
pub fn random_bytes(count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    OsRandom
        .fill(&mut bytes)
        .expect("the system has random numbers");
    bytes
}

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
