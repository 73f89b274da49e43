//! The project's own commands, run as `cargo xtask <command>`.
#![allow(
    clippy::print_stdout,
    reason = "the commands report to whoever runs them"
)]

mod bench;
mod engines;
mod error;
mod features;
mod full_tier;
mod instructions;
mod lint;
mod mutants;
mod process;
mod tools;
mod tree;
mod workspace;

use std::process::ExitCode;

use error::Result;

const USAGE: &str = "\
Usage: cargo xtask <command>

  test [--install]         The full tier of tests; --install gets the tools it needs from the distribution
  test --engines [--install]
                           The tests of the stores on Redis 8, Valkey and MySQL; --install gets these from other releases
  lint                     Formatting, clippy and the documentation, without a warning
  features [--install]     Each package without features, with each one alone, and with all; --install gets cargo-hack
  simulate [OPTIONS]       The long run of the simulation, for example with --seeds 100000 --first 1
  bench [PART]             The benchmarks beside other libraries: all, or in-process, growth or wire
  instructions [--record]  Counts the instructions of requests and compares them with the record, or renews it
  mutants [NAME]           Puts each mutant (whose name contains NAME) in and requires that a test notices
  tree                     Length of files, leftovers, and the links of the documentation
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["test"] => full_tier::run(tools::Missing::Report),
        ["test", "--install"] => full_tier::run(tools::Missing::Install),
        ["test", "--engines"] => engines::run(tools::Missing::Report),
        ["test", "--engines", "--install"] | ["test", "--install", "--engines"] => {
            engines::run(tools::Missing::Install)
        }
        ["lint"] => lint::run(),
        ["bench"] => bench::run(None),
        ["bench", part] if !part.starts_with('-') => bench::run(Some(part)),
        ["features"] => features::run(tools::Missing::Report),
        ["features", "--install"] => features::run(tools::Missing::Install),
        ["simulate", options @ ..] => simulate(options),
        ["instructions"] => instructions::compare(),
        ["instructions", "--record"] => instructions::record(),
        ["mutants"] => mutants::run(""),
        ["mutants", name] if !name.starts_with('-') => mutants::run(name),
        ["tree"] => tree::run(),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn simulate(options: &[&str]) -> Result<()> {
    let mut command =
        workspace::cargo("run --release --package session-conformance --example simulate --");
    process::run(command.args(options))
}
