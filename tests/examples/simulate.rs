//! A long run of the simulation, or the replay of one seed.
//!
//! ```text
//! cargo run --release -p session-conformance --example simulate                    100,000 seeds of each mix
//! cargo run --release -p session-conformance --example simulate -- --seeds 1000 [--first N] [--mix Users]
//! cargo run --release -p session-conformance --example simulate -- Rotation 42     one seed, with its trace
//! ```
//!
//! `--promise CapsHold` before everything else checks that promise alone.
#![allow(clippy::print_stdout, reason = "printing is what this program does")]

use std::process::ExitCode;

use session_conformance::simulation::{Mix, Promise, Promises, simulate_checking};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (checked, args) = match &args[..] {
        ["--promise", name, rest @ ..] => (promise_called(name).map(Promises::only), rest),
        rest => (Some(Promises::all()), rest),
    };
    match checked.zip(parse(args)) {
        Some((checked, Run::Replay(mix, seed))) => replay(mix, seed, checked),
        Some((checked, Run::Seeds { mix, first, count })) => run(mix, first, count, checked),
        None => {
            println!(
                "usage: simulate [--promise PROMISE] [--seeds N] [--first SEED] [--mix MIX] | \
                 MIX SEED, where MIX is one of {:?} and PROMISE one of {:?}",
                Mix::ALL,
                Promise::ALL
            );
            ExitCode::from(2)
        }
    }
}

enum Run {
    Replay(Mix, u64),
    Seeds {
        mix: Option<Mix>,
        first: u64,
        count: u64,
    },
}

fn promise_called(name: &str) -> Option<Promise> {
    let mut promises = Promise::ALL.iter().copied();
    promises.find(|known| format!("{known:?}") == name)
}

fn mix_called(name: &str) -> Option<Mix> {
    Mix::ALL
        .into_iter()
        .find(|known| format!("{known:?}") == name)
}

fn parse(args: &[&str]) -> Option<Run> {
    if let [name, seed] = args
        && let Some(mix) = mix_called(name)
    {
        return Some(Run::Replay(mix, seed.parse().ok()?));
    }
    let (mut mix, mut first, mut count) = (None, 0, 100_000);
    for option in args.chunks(2) {
        match option {
            ["--seeds", value] => count = value.parse().ok()?,
            ["--first", value] => first = value.parse().ok()?,
            ["--mix", name] => mix = Some(mix_called(name)?),
            _ => return None,
        }
    }
    Some(Run::Seeds { mix, first, count })
}

fn replay(mix: Mix, seed: u64, checked: Promises) -> ExitCode {
    match simulate_checking(mix, seed, checked) {
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

fn run(only: Option<Mix>, first: u64, count: u64, checked: Promises) -> ExitCode {
    let mut total = 0;
    let mixes = Mix::ALL.into_iter();
    for mix in mixes.filter(|mix| only.is_none_or(|only| only == *mix)) {
        let mut steps = 0;
        for seed in first..first + count {
            match simulate_checking(mix, seed, checked) {
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
