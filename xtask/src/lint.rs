//! `lint`: formatting, clippy and the documentation, each without a warning.

use crate::error::Result;
use crate::process;
use crate::workspace::{self, cargo};

pub(crate) fn run() -> Result<()> {
    process::run(&mut cargo("fmt --all --check"))?;
    process::run(&mut cargo(
        "clippy --workspace --all-targets --all-features -- -D warnings",
    ))?;
    // A workspace of its own, which nothing else here compiles.
    let benches = workspace::root().join("benches");
    process::run(cargo("fmt --all --check").current_dir(&benches))?;
    process::run(cargo("clippy --all-targets -- -D warnings").current_dir(&benches))?;
    let mut doc = cargo("doc --workspace --no-deps --all-features");
    process::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}
