//! Taking the time, one contender after the other.

use std::collections::HashMap;
use std::error::Error;
use std::process::Command;
use std::time::Instant;

use session_bench_common::Rounds;
use session_bench_in_process::{Case, Contender, floor};

/// Many short rounds: what disturbs the machine then hits all contenders alike.
const ROUNDS: usize = 41;
const REQUESTS: u32 = 1_000;

/// Nanoseconds of a whole request, by the places of contender and case.
pub(crate) type Times = HashMap<(usize, usize), Rounds>;

/// Nanoseconds of each part of the floor.
pub(crate) type Floor = Vec<(&'static str, Rounds)>;

/// Allocations of a whole request, by framework, contender and case.
pub(crate) type Allocations = HashMap<String, f64>;

pub(crate) fn times(contenders: &[Contender]) -> (Times, Floor) {
    let samples: Vec<_> = contenders.iter().map(Contender::samples).collect();
    let (mut times, mut floor) = (Times::new(), Floor::new());
    for _ in 0..ROUNDS {
        for (at, (part, nanos)) in floor::measure(REQUESTS).into_iter().enumerate() {
            if floor.len() == at {
                floor.push((part, Rounds::new()));
            }
            floor[at].1.push(nanos);
        }
        for (case, _) in Case::ALL.iter().enumerate() {
            for (at, contender) in contenders.iter().enumerate() {
                let started = Instant::now();
                contender.app.serve(&samples[at][case], REQUESTS);
                let nanos = started.elapsed().as_secs_f64() * 1e9 / f64::from(REQUESTS);
                times.entry((at, case)).or_default().push(nanos);
            }
        }
    }
    (times, floor)
}

/// What the program beside this one counts.
pub(crate) fn allocations() -> Result<Allocations, Box<dyn Error>> {
    let program = std::env::current_exe()?.with_file_name("allocations");
    let output = Command::new(&program).output();
    let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
    if !output.status.success() {
        return Err(format!("{}: {}", program.display(), output.status).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let lines = text.lines().filter_map(|line| line.rsplit_once('\t'));
    lines
        .map(|(name, count)| Ok((name.to_owned(), count.parse()?)))
        .collect()
}
