//! The programs that the full tier of tests needs: whether they are there, and their installation.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use crate::error::Result;
use crate::process;

/// A program that the full tier needs, and the Debian package that has it.
struct Tool {
    program: &'static str,
    package: &'static str,
    needed_for: &'static str,
}

const TOOLS: [Tool; 9] = [
    Tool {
        program: "chromium",
        package: "chromium",
        needed_for: "the demo's browser test",
    },
    Tool {
        program: "chromedriver",
        package: "chromium-driver",
        needed_for: "the demo's browser test",
    },
    Tool {
        program: "redis-server",
        package: "redis-server",
        needed_for: "the tests on Redis",
    },
    Tool {
        program: "postgres",
        package: "postgresql",
        needed_for: "the tests on PostgreSQL",
    },
    Tool {
        program: "initdb",
        package: "postgresql",
        needed_for: "the tests on PostgreSQL",
    },
    Tool {
        program: "pgbouncer",
        package: "pgbouncer",
        needed_for: "the tests on PostgreSQL behind a pooler",
    },
    Tool {
        program: "mariadbd",
        package: "mariadb-server",
        needed_for: "the tests on MariaDB",
    },
    Tool {
        program: "openssl",
        package: "openssl",
        needed_for: "the certificates of the tests with TLS",
    },
    Tool {
        program: "valgrind",
        package: "valgrind",
        needed_for: "the instruction counts",
    },
];

/// What to do about a tool that is missing.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Missing {
    Report,
    Install,
}

/// Makes sure that every tool is there: a full tier that skips a part of itself would pass for no reason.
pub(crate) fn provide(on_missing: Missing) -> Result<()> {
    let missing = missing(&TOOLS, is_installed);
    if !missing.is_empty() {
        match on_missing {
            Missing::Report => return Err(explain(&missing)),
            Missing::Install => install(&missing)?,
        }
    }
    for Tool {
        program,
        needed_for,
        ..
    } in &TOOLS
    {
        println!("{program} is there, for {needed_for}");
    }
    Ok(())
}

fn missing(tools: &'static [Tool], is_there: impl Fn(&str) -> bool) -> Vec<&'static Tool> {
    tools
        .iter()
        .filter(|tool| !is_there(tool.program))
        .collect()
}

pub(crate) fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut directories = env::split_paths(&path).chain(outside_of_the_path());
    directories.any(|directory| {
        fs::metadata(directory.join(program))
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    })
}

/// Where Debian puts servers: not every user has the one in the path, and nobody the others, of which there is
/// one for each version of PostgreSQL.
fn outside_of_the_path() -> impl Iterator<Item = PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let postgresql = versions.flatten().map(|version| version.path().join("bin"));
    postgresql.chain([PathBuf::from("/usr/sbin")])
}

fn explain(missing: &[&Tool]) -> String {
    let mut message = "the full tier of tests needs programs that are not there:\n".to_owned();
    for Tool {
        program,
        package,
        needed_for,
    } in missing
    {
        message += &format!("  {program} for {needed_for} (Debian package {package})\n");
    }
    let packages = packages(missing);
    message
        + &format!(
            "Install the packages {packages}, or run `cargo xtask test --install` as root.\n\
             Without them, `cargo test` runs the quick tier."
        )
}

fn install(missing: &[&Tool]) -> Result<()> {
    let packages = packages(missing);
    let user = process::output(Command::new("id").arg("-u"))?;
    if user.trim() != "0" {
        return Err(format!(
            "--install needs root to install the packages {packages}: run it as root, or install them \
             yourself and leave --install out"
        ));
    }
    if !is_installed("apt-get") {
        return Err(format!(
            "--install works with apt-get, which is not there: install what your distribution has for \
             the Debian packages {packages}, and leave --install out"
        ));
    }
    println!("installing the distribution's packages {packages}");
    apt_get(&["update"])?;
    let words = ["install", "-y", "--no-install-recommends"];
    apt_get(&[&words[..], &packages.split(' ').collect::<Vec<_>>()].concat())?;

    let still_missing = self::missing(&TOOLS, is_installed);
    if still_missing.is_empty() {
        Ok(())
    } else {
        Err(explain(&still_missing))
    }
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    process::run(
        command
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

/// The packages of the tools, separated by spaces, each one once.
fn packages(tools: &[&Tool]) -> String {
    let mut packages: Vec<_> = tools.iter().map(|tool| tool.package).collect();
    packages.sort_unstable();
    packages.dedup();
    packages.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_explained() {
        assert!(missing(&TOOLS, |_| true).is_empty());
        let message = explain(&missing(&TOOLS, |program| program != "chromedriver"));
        assert!(
            message.contains("chromedriver for the demo's browser test"),
            "{message}"
        );
        assert!(
            message.contains("the packages chromium-driver, or"),
            "{message}"
        );
        assert!(message.contains("cargo xtask test --install"), "{message}");
    }

    #[test]
    fn a_package_is_named_once() {
        let tool = |program| Tool {
            program,
            package: "postgresql",
            needed_for: "a test",
        };
        assert_eq!(
            packages(&[&tool("postgres"), &tool("initdb")]),
            "postgresql"
        );
    }

    #[test]
    fn programs_are_looked_up() {
        assert!(is_installed("sh"));
        assert!(!is_installed("a-program-that-nobody-has"));
    }
}
