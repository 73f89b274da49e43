//! `lint`: formatting, clippy and the documentation, each without a warning.

use crate::workspace::cargo;
use crate::{Result, process};

pub(crate) fn run() -> Result<()> {
    process::run(&mut cargo("fmt --all --check"))?;
    process::run(&mut cargo(
        "clippy --workspace --all-targets --all-features -- -D warnings",
    ))?;
    let mut doc = cargo("doc --workspace --no-deps --all-features");
    process::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}
