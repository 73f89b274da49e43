//! Some seconds of the simulation. `cargo xtask simulate` runs it for longer.

#![allow(clippy::panic, reason = "a violation fails the test")]

use session_conformance::simulation::{Mix, simulate};

/// How many schedules of each mix.
const SEEDS: u64 = 1_500;

fn run(mix: Mix) {
    let mut steps = 0;
    for seed in 0..SEEDS {
        match simulate(mix, seed) {
            Ok(taken) => steps += taken,
            Err(violation) => panic!("{violation}"),
        }
    }
    eprintln!("{mix:?}: {SEEDS} schedules, {steps} steps");
    assert!(
        steps > 50_000,
        "{steps} steps: the schedules hardly did anything"
    );
}

/// CM-5, CM-6, CM-7, CM-8, CM-9: the promises hold under every schedule.
#[test]
fn everything_at_once() {
    run(Mix::All);
}

/// CM-7: rotations lose nothing and leave one live id.
#[test]
fn rotations() {
    run(Mix::Rotation);
}

/// CM-5: no increment is lost, and none is made twice.
#[test]
fn increments() {
    run(Mix::Counter);
}

/// CM-8: a logout ends the session, wherever it has moved.
#[test]
fn logouts() {
    run(Mix::Logout);
}

/// TM-1, TM-5, CM-6: expiry and jumping clocks bring nothing back.
#[test]
fn time_passes() {
    run(Mix::Time);
}

/// CM-8: a logout that takes longer than the grace time ends the session too.
#[test]
fn slow_logouts() {
    run(Mix::SlowLogout);
}

/// A seed replays: the same schedule, step by step.
#[test]
fn a_seed_replays() {
    for mix in Mix::ALL {
        let steps = || simulate(mix, 7).map_err(|violation| violation.to_string());
        assert_eq!(steps(), steps());
    }
}
