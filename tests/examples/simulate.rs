//! A long run of the simulation, or the replay of one seed.
//!
//! ```text
//! cargo run --release -p session-conformance --example simulate                    100,000 seeds of each mix
//! cargo run --release -p session-conformance --example simulate -- --seeds 1000 [--first N]
//! cargo run --release -p session-conformance --example simulate -- Rotation 42     one seed, with its trace
//! ```
#![allow(clippy::print_stdout, reason = "printing is what this program does")]

use std::process::ExitCode;

use session_conformance::simulation::{Mix, simulate};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match parse(&args) {
        Some(Run::Replay(mix, seed)) => replay(mix, seed),
        Some(Run::Seeds { first, count }) => run(first, count),
        None => {
            println!(
                "usage: simulate [--seeds N] [--first SEED] | MIX SEED, where MIX is one of {:?}",
                Mix::ALL
            );
            ExitCode::from(2)
        }
    }
}

enum Run {
    Replay(Mix, u64),
    Seeds { first: u64, count: u64 },
}

fn parse(args: &[&str]) -> Option<Run> {
    if let [mix, seed] = args
        && let Some(mix) = Mix::ALL
            .into_iter()
            .find(|known| format!("{known:?}") == *mix)
    {
        return Some(Run::Replay(mix, seed.parse().ok()?));
    }
    let (mut first, mut count) = (0, 100_000);
    for option in args.chunks(2) {
        match option {
            ["--seeds", value] => count = value.parse().ok()?,
            ["--first", value] => first = value.parse().ok()?,
            _ => return None,
        }
    }
    Some(Run::Seeds { first, count })
}

fn replay(mix: Mix, seed: u64) -> ExitCode {
    match simulate(mix, seed) {
        Ok(steps) => {
            println!("{mix:?} {seed}: {steps} steps, no violation");
            ExitCode::SUCCESS
        }
        Err(violation) => {
            println!("{violation}");
            ExitCode::FAILURE
        }
    }
}

fn run(first: u64, count: u64) -> ExitCode {
    let mut total = 0;
    for mix in Mix::ALL {
        let mut steps = 0;
        for seed in first..first + count {
            match simulate(mix, seed) {
                Ok(taken) => steps += taken,
                Err(violation) => {
                    println!("{violation}");
                    return ExitCode::FAILURE;
                }
            }
        }
        println!("{mix:?}: {count} seeds, {steps} steps, no violation");
        total += steps;
    }
    println!("{total} steps in all");
    ExitCode::SUCCESS
}
