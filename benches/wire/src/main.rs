//! Throughput over the wire: what a server with sessions answers in a second, beside the bare framework, the peers
//! and the bare command to Redis.
//!
//! `wire run` does it all: it starts Redis and PostgreSQL, starts itself once for each contender (`wire serve`), and
//! loads each with `wrk` for a few seconds in turn, round after round, so that a slow moment of the machine doesn't
//! fall on one of them alone.

mod cli;
mod commands;
mod contest;
mod process;
mod report;
mod run;
mod serve;
mod wrk;

use std::error::Error;
use std::process::ExitCode;

use crate::cli::Command;

/// Why something couldn't be measured.
type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // `Debug`, which returning the error from `main` would show, has line breaks in quotes.
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<(), Failure> {
    match cli::parse(lexopt::Parser::from_env())? {
        Command::Help => print!("{}", cli::HELP),
        Command::Run(options) => run::run(options)?,
        Command::Serve(contestant, url) => serve::serve(contestant, &url)?,
    }
    Ok(())
}
