//! `bench`: the benchmarks beside the peers, which are a workspace of their own.

use std::process::Command;

use crate::error::Result;
use crate::workspace::{self, cargo};
use crate::{process, tools};

/// The parts, each with the program that measures it.
const PARTS: [(&str, &[&str]); 3] = [
    ("in-process", &["in-process"]),
    ("growth", &["session-bench-growth"]),
    ("wire", &["wire", "run"]),
];

/// Runs all parts, or the one that is named, one after the other: two at a time would disturb each other.
pub(crate) fn run(part: Option<&str>) -> Result<()> {
    let chosen: Vec<_> = PARTS
        .into_iter()
        .filter(|(name, _)| part.is_none_or(|part| part == *name))
        .collect();
    if chosen.is_empty() {
        let names = PARTS.map(|(name, _)| name).join(", ");
        return Err(format!("the parts of the benchmarks are {names}"));
    }
    for (program, package) in [
        ("wrk", "wrk"),
        ("redis-server", "redis-server"),
        ("postgres", "postgresql"),
    ] {
        if part != Some("in-process") && !tools::is_installed(program) {
            return Err(format!(
                "the benchmarks need {program}: install the Debian package {package}, \
                 or run `cargo xtask bench in-process`"
            ));
        }
    }
    let benches = workspace::root().join("benches");
    for (name, _) in &chosen {
        let package = format!("build --release --package session-bench-{name}");
        process::run(cargo(&package).current_dir(&benches))?;
    }
    let programs = workspace::root().join("target/benches/release");
    for (name, words) in chosen {
        println!("\n## {name}\n");
        process::run(Command::new(programs.join(words[0])).args(&words[1..]))?;
    }
    Ok(())
}
