//! `test --engines`: the tests of the stores on engines that the distribution doesn't have, which take the place of
//! those that it has. The packages of other Debian releases are unpacked under `target/engines`.

mod debian;
mod starter;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fmt, fs};

use session_test_servers::{IN_PLACE_OF_MARIADB, IN_PLACE_OF_REDIS};

use crate::error::{Result, failed, report};
use crate::full_tier::{DEMO, STORES, Stage, run_stages};
use crate::process;
use crate::tools::Missing;
use crate::workspace::{self, cargo};

/// An engine, and where it comes from.
#[derive(Debug)]
struct Engine {
    name: &'static str,
    /// The beginning of the version that has to be there, as the documentation names it.
    version: &'static str,
    /// The Debian release that has it, and its package there.
    release: &'static str,
    package: &'static str,
    /// The server's program in the package.
    program: &'static str,
    suite: &'static Suite,
}

const ENGINES: [Engine; 4] = [
    Engine {
        name: "Redis",
        version: "8.0",
        release: "trixie",
        package: "redis-server",
        program: "usr/bin/redis-server",
        suite: &OF_REDIS,
    },
    Engine {
        name: "Valkey",
        version: "8.1",
        release: "trixie",
        package: "valkey-server",
        program: "usr/bin/valkey-server",
        suite: &OF_REDIS,
    },
    Engine {
        name: "Valkey",
        version: "9.1",
        release: "sid",
        package: "valkey-server",
        program: "usr/bin/valkey-server",
        suite: &OF_REDIS,
    },
    Engine {
        name: "MySQL",
        version: "9.7",
        release: "sid",
        package: "mysql-server-core",
        program: "usr/sbin/mysqld",
        suite: &OF_MARIADB,
    },
];

/// The tests that run on one kind of engine.
#[derive(Debug)]
struct Suite {
    /// What tells the tests which program to start.
    variable: &'static str,
    programs: &'static [TestProgram],
}

/// A test program of the full tier, and which of its tests are meant, in its own options.
#[derive(Debug)]
struct TestProgram {
    /// What builds it, as in the full tier, so that nothing is built twice.
    build: &'static str,
    target: &'static str,
    selection: &'static [&'static str],
}

/// Not what becomes of a hundred thousand sessions (`expiry`): it takes minutes, and any engine shows it.
const OF_REDIS: Suite = Suite {
    variable: IN_PLACE_OF_REDIS,
    programs: &[
        TestProgram::of_stores("store_suite_redis", &[]),
        TestProgram::of_stores("servers", &[]),
        TestProgram::of_stores("engines", &["redis", "--skip", "expiry::"]),
        TestProgram::of_stores("faults", &[]),
        TestProgram::of_demo("processes", &["redis"]),
    ],
};

const OF_MARIADB: Suite = Suite {
    variable: IN_PLACE_OF_MARIADB,
    programs: &[
        TestProgram::of_stores("store_suite_mysql", &[]),
        TestProgram::of_stores("engines", &["mariadb", "--skip", "expiry::"]),
        TestProgram::of_stores("faults", &[]),
        TestProgram::of_demo("processes", &["mariadb"]),
    ],
};

/// Runs the tests on each engine. One that isn't there is a failure, unless it can be fetched.
pub(crate) fn run(on_missing: Missing) -> Result<()> {
    let provide = || {
        let problems = ENGINES
            .iter()
            .filter_map(|engine| engine.provide(on_missing).err());
        report("engines", &problems.collect::<Vec<_>>())
    };
    let build = || {
        process::run(&mut cargo(&format!("{STORES} --no-run")))?;
        process::run(&mut cargo(&format!("{DEMO} --test processes --no-run")))
    };
    let tests = ENGINES
        .each_ref()
        .map(|engine| (engine.to_string(), || engine.test()));
    let mut stages: Vec<Stage<'_>> = vec![("engines", &provide), ("test programs", &build)];
    stages.extend(
        tests
            .iter()
            .map(|(name, test)| (name.as_str(), test as &dyn Fn() -> Result<()>)),
    );
    let times = run_stages(&stages)?;
    println!("\nevery engine has passed: {}", times.join(", "));
    Ok(())
}

impl Engine {
    fn folder(&self) -> PathBuf {
        let name = format!("{}-{}", self.name.to_lowercase(), self.version);
        workspace::root().join("target/engines").join(name)
    }

    /// Makes sure that it is there and of the right version.
    fn provide(&self, on_missing: Missing) -> Result<()> {
        let starter = starter::path(&self.folder());
        if let Err(reason) = self.check(&starter) {
            match on_missing {
                Missing::Report => {
                    return Err(format!(
                        "{self} is not there: `cargo xtask test --engines --install` unpacks it under \
                         target/engines, from the package {} of the Debian release {} ({reason})",
                        self.package, self.release
                    ));
                }
                Missing::Install => self.fetch()?,
            }
        }
        println!("{self} is there: {}", self.check(&starter)?);
        Ok(())
    }

    fn fetch(&self) -> Result<()> {
        let folder = self.folder();
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|error| failed("remove", &folder, &error))?;
        }
        fs::create_dir_all(&folder).map_err(|error| failed("create", &folder, &error))?;
        println!(
            "unpacking {} of the Debian release {}",
            self.package, self.release
        );
        debian::unpack(self.release, self.package, &folder)?;
        starter::write(&folder, self.program)
    }

    /// Has it say its version, which has to be the one that is meant.
    fn check(&self, starter: &Path) -> Result<String> {
        let told = process::output(Command::new(starter).arg("--version"))?;
        let told = told.trim();
        if has_version(told, self.version) {
            Ok(told.to_owned())
        } else {
            Err(format!(
                "the Debian release {} has moved on: {self} is wanted, and its package {} has\n  {told}\n\
                 Name the new version in {} and wherever the documentation says which engines are tested.",
                self.release,
                self.package,
                file!()
            ))
        }
    }

    fn test(&self) -> Result<()> {
        let starter = starter::path(&self.folder());
        let Suite { variable, programs } = self.suite;
        println!("{variable}={}", starter.display());
        programs.iter().try_for_each(|program| {
            program.expect_tests()?;
            process::run(program.command(&[]).env(variable, &starter))
        })
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

impl TestProgram {
    const fn of_stores(target: &'static str, selection: &'static [&'static str]) -> Self {
        Self {
            build: STORES,
            target,
            selection,
        }
    }

    const fn of_demo(target: &'static str, selection: &'static [&'static str]) -> Self {
        Self {
            build: DEMO,
            target,
            selection,
        }
    }

    fn command(&self, options: &[&str]) -> Command {
        let mut command = cargo(self.build);
        command
            .args(["--test", self.target, "--"])
            .args(self.selection)
            .args(options);
        command
    }

    /// A name that no test has any more would otherwise pass for no reason.
    fn expect_tests(&self) -> Result<()> {
        let listed = process::output(&mut self.command(&["--list"]))?;
        if listed.lines().any(|line| line.ends_with(": test")) {
            return Ok(());
        }
        Err(format!(
            "{} has no test that `{}` selects",
            self.target,
            self.selection.join(" ")
        ))
    }
}

/// Whether a server that says this of itself is of that version, or of a later one that begins like it.
fn has_version(told: &str, version: &str) -> bool {
    let mut words = told.split_whitespace();
    words.any(|word| {
        let rest = word.trim_start_matches("v=").strip_prefix(version);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_recognised() {
        let valkey = "Valkey server v=9.1.2 sha=00000000:0 malloc=jemalloc-5.3.1 bits=64 build=9108e8f1788612b";
        assert!(has_version(valkey, "9.1") && !has_version(valkey, "9.10"));
        assert!(!has_version(valkey, "5.3"), "that is its allocator's");
        let mysql = "/usr/sbin/mysqld  Ver 9.7.4-2 for Linux on x86_64 ((Debian))";
        assert!(has_version(mysql, "9.7") && !has_version(mysql, "9.1"));
    }
}
