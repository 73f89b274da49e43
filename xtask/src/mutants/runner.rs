//! Builds and runs the tests of a mutant with cargo, and reads what they say.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::list::Selection;
use super::working_copy::WorkingCopy;
use crate::error::Result;
use crate::process::{self, Ended};
use crate::workspace::{self, cargo};

/// A test that takes longer hangs.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// Runs cargo in the working copy, with a target directory that is kept from one run to the next.
pub(crate) struct Runner {
    tree: PathBuf,
    target: PathBuf,
    log: PathBuf,
}

/// What the test programs are told to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Filter(Vec<String>);

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TestRun {
    pub(crate) ended: Ended,
    pub(crate) passed: usize,
    /// The names of the tests that failed.
    pub(crate) failed: Vec<String>,
}

impl Runner {
    pub(crate) fn new(copy: &WorkingCopy, directory: &Path) -> Self {
        Self {
            tree: copy.root().to_owned(),
            target: directory.join("target"),
            log: directory.join("log.txt"),
        }
    }

    /// Only compiles, so that a fault in a mutant is not taken for a test that notices it.
    pub(crate) fn build(&self, selection: &Selection) -> Result<Ended> {
        process::run_logged(self.cargo_test(selection).arg("--no-run"), &self.log)
    }

    /// The full names of all the tests of the target.
    pub(crate) fn names(&self, selection: &Selection) -> Result<Vec<String>> {
        let listed = process::output(self.cargo_test(selection).args(["--", "--list"]))?;
        let names = listed
            .lines()
            .filter_map(|line| line.strip_suffix(": test"));
        Ok(names.map(str::to_owned).collect())
    }

    pub(crate) fn test(&self, selection: &Selection, filter: &Filter) -> Result<TestRun> {
        let mut command = self.cargo_test(selection);
        let ended = process::run_limited(command.arg("--").args(&filter.0), &self.log, LIMIT)?;
        Ok(TestRun::read(ended, &self.log_text()?))
    }

    /// The last lines of what the last build or test wrote.
    pub(crate) fn log_end(&self) -> Result<String> {
        let text = self.log_text()?;
        let lines: Vec<_> = text.lines().collect();
        Ok(lines[lines.len().saturating_sub(20)..].join("\n"))
    }

    fn log_text(&self) -> Result<String> {
        workspace::read_lossy(&self.log)
    }

    fn cargo_test(&self, selection: &Selection) -> Command {
        let mut command = cargo("test --package");
        command
            .arg(&selection.package)
            .args(selection.target.split_whitespace());
        command
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.target);
        // The end of the log is shown: a message without colours, and not the trace that led to it.
        command
            .env("CARGO_TERM_COLOR", "never")
            .env("RUST_BACKTRACE", "0");
        command
    }
}

impl Filter {
    /// `test` is the name of a test, a part of names (which a `*` at the end can stress), or empty.
    pub(crate) fn new(test: &str, names: &[String]) -> Self {
        let words: &[&str] = match test.trim_end_matches('*') {
            "" => &[],
            // Without `--exact`, the tests whose names begin like this one's would run too.
            name if names.iter().any(|known| known == test) => &["--exact", name],
            part => &[part],
        };
        Self(words.iter().map(|&word| word.to_owned()).collect())
    }
}

impl TestRun {
    fn read(ended: Ended, log: &str) -> Self {
        let results = log
            .lines()
            .filter_map(|line| line.strip_prefix("test result: "));
        let passed = results.filter_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let passed = words.iter().position(|word| *word == "passed;")?;
            words.get(passed.checked_sub(1)?)?.parse::<usize>().ok()
        });
        let failed = log.lines().filter_map(|line| {
            let name = line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?;
            Some(name.trim_end_matches(" - should panic").to_owned())
        });
        Self {
            ended,
            passed: passed.sum(),
            failed: failed.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_exact_if_it_names_a_test() {
        let names = ["a::b", "a::b_c", "d"].map(str::to_owned);
        let words = |test| Filter::new(test, &names).0;
        assert_eq!(words("a::b"), ["--exact", "a::b"]);
        assert_eq!(words("a::b*"), ["a::b"]);
        assert_eq!(words("a::"), ["a::"]);
        assert_eq!(words(""), [""; 0]);
        assert_eq!(words("*"), [""; 0]);
    }

    #[test]
    fn the_output_of_tests_is_read() {
        let log = "\
            running 3 tests\n\
            test a::b ... ok\n\
            test a::c - should panic ... FAILED\n\
            test d ... FAILED\n\n\
            test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 4 filtered out\n\
            test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
        let run = TestRun::read(Ended::Failed, log);
        assert_eq!(run.passed, 13);
        assert_eq!(run.failed, ["a::c", "d"]);
        assert_eq!(TestRun::read(Ended::Succeeded, "running 0 tests").passed, 0);
    }
}
