//! `features`: each package compiles without features, with each one alone, and with all, by cargo-hack.
//! Warnings are for `lint`: denying them here takes RUSTFLAGS, which would rebuild every dependency.

use crate::error::Result;
use crate::process;
use crate::tools::Missing;
use crate::workspace::cargo;

/// Without cargo-hack's `--no-dev-deps`, which edits manifests while it runs. Dependencies of tests turn on no feature
/// of these builds, because the workspace's resolver leaves them out where no test is built.
const CHECK: &str = "hack check --workspace --each-feature";
const INSTALL: &str = "install cargo-hack --locked";

pub(crate) fn run(on_missing: Missing) -> Result<()> {
    if process::output(&mut cargo("hack --version")).is_err() {
        match on_missing {
            Missing::Report => {
                return Err(format!(
                    "this needs cargo-hack, which is not there: run `cargo {INSTALL}`, \
                     or `cargo xtask features --install`"
                ));
            }
            Missing::Install => process::run(&mut cargo(INSTALL))?,
        }
    }
    process::run(&mut cargo(CHECK))
}
