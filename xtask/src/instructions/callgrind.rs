//! Counts the instructions of every case with valgrind's callgrind.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use crate::error::{self, Result};
use crate::process;
use crate::workspace::{self, cargo};

/// A run of each length. What they differ by is requests alone; starting and warming up is in both.
const FEW: u64 = 200;
const MANY: u64 = 1_200;

/// What the environment may add to a build. It would change the counts, or the place of the program.
const OF_THE_ENVIRONMENT: [&str; 4] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
];

/// Room for every small allocation in the thread's cache of glibc's `malloc`. Without it, the other lists that
/// `malloc` searches depend on where on the heap the first allocations happened to lie: up to 5 % on poem.
const ALLOCATOR: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=2000");

/// The instructions of one request of each case.
pub(crate) fn count() -> Result<BTreeMap<String, u64>> {
    let program = build()?;
    let directory = workspace::root().join("target/instructions");
    fs::create_dir_all(&directory).map_err(|error| error::failed("create", &directory, &error))?;
    let cases = process::output(Command::new(&program).arg("--list"))?;
    let mut counts = BTreeMap::new();
    for case in cases.lines() {
        counts.insert(case.to_owned(), count_one(&program, case, &directory)?);
    }
    Ok(counts)
}

fn build() -> Result<PathBuf> {
    let mut command =
        cargo("build --release --package session-instruction-counts --target-dir target");
    for name in OF_THE_ENVIRONMENT {
        command.env_remove(name);
    }
    // With several units, what is inlined depends on how the compiler happens to divide a crate: a change of one
    // function moved cases that don't call it by up to 5 %.
    command.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1");
    process::run(&mut command)?;
    Ok(workspace::root().join("target/release/session-instruction-counts"))
}

fn count_one(program: &Path, case: &str, directory: &Path) -> Result<u64> {
    let (few, many) = thread::scope(|scope| {
        let few = scope.spawn(|| instructions(program, case, FEW, directory));
        let many = instructions(program, case, MANY, directory);
        let few = few.join();
        (few, many)
    });
    let few = few.map_err(|_| format!("the thread that counted {case} panicked"))??;
    per_request(few, many?).ok_or_else(|| format!("{case}: more requests took fewer instructions"))
}

/// The instructions of a whole run.
fn instructions(program: &Path, case: &str, requests: u64, directory: &Path) -> Result<u64> {
    let profile = directory.join(format!("{case}-{requests}.callgrind"));
    let mut valgrind = Command::new("valgrind");
    let (name, value) = ALLOCATOR;
    valgrind
        .env(name, value)
        .args(["--tool=callgrind", "--cache-sim=no"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(program)
        .args([case, &requests.to_string()]);
    process::output(&mut valgrind)?;
    total(&workspace::read_lossy(&profile)?)
        .ok_or_else(|| format!("{} has no total", profile.display()))
}

fn per_request(few: u64, many: u64) -> Option<u64> {
    many.checked_sub(few)
        .map(|difference| difference / (MANY - FEW))
}

/// The total of a profile's first event. Without a simulation of caches that is `Ir`, and the only one.
fn total(profile: &str) -> Option<u64> {
    let total = |line: &str| {
        let counts = line
            .strip_prefix("totals: ")
            .or_else(|| line.strip_prefix("summary: "))?;
        counts.split_whitespace().next()?.parse().ok()
    };
    profile.lines().find_map(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_a_total() {
        let start = "version: 1\npid: 1\ncmd: a 200\n\npositions: line\nevents: Ir\n";
        let end = "\nfn=(1) main\n0 12\ncalls=1 0\n0 30\n\n";
        let with_summary = format!("{start}summary: 126651\n{end}totals: 126651\n");
        assert_eq!(total(&with_summary), Some(126_651));
        assert_eq!(total(&format!("{start}{end}totals: 42 7\n")), Some(42));
        assert_eq!(total(&format!("{start}{end}")), None);
        assert_eq!(total("totals: \n"), None);
    }

    #[test]
    fn what_both_runs_have_does_not_count() {
        assert_eq!(per_request(9_000_200, 9_001_200), Some(1));
        assert_eq!(per_request(500_000, 3_500_999), Some(3_000));
        assert_eq!(per_request(2, 1), None);
    }
}
