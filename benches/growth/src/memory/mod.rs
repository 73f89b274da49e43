//! What a session takes in memory, and what loading one costs, however many there are.
//!
//! Each store and each size has a process of its own, so that its resident memory is nothing but the store's.

mod chain;
mod contenders;
mod loads;
mod pauses;
mod waiting;

use std::process::{Command, Stdio};

use session_bench_common::{JSON_LEN, Table, ratio};

use crate::Result;

/// The hidden command for the loads of one store, which is followed by its name and the number of sessions.
pub(crate) const LOADS: &str = "child-loads";

/// The hidden command for the pauses.
pub(crate) const PAUSES: &str = "child-pauses";

pub(crate) use loads::measure as measure_loads;
pub(crate) use pauses::measure as measure_pauses;

const SIZES: [u64; 3] = [1_000, 100_000, 1_000_000];

/// The machine itself stops a thread for longer than the limit now and then, but not in every run.
const PAUSE_RUNS: usize = 5;

/// The most resident memory, as a multiple of the session's JSON.
const MOST_MEMORY: f64 = 2.5;

/// The most that a load may cost in the largest store, as a multiple of one in the smallest.
const MOST_GROWTH: f64 = 2.0;

/// The least that two threads get done, as a multiple of one.
const LEAST_SCALING: f64 = 1.8;

pub(crate) fn report() -> Result<()> {
    let mut table = Table::new(
        "Sessions in memory: what they take, and what loading one costs",
        &[
            "store",
            "sessions",
            "resident bytes each",
            "× JSON",
            "one load, ns",
            "× smallest",
            "cache line in as much memory, ns",
            "× smallest",
            "two threads / one",
            "lines, two threads / one",
        ],
    );
    for name in contenders::NAMES {
        let is_ours = name == contenders::OURS;
        let mut smallest = None;
        for size in SIZES {
            let figures = child(&[LOADS, name, &size.to_string()])?;
            let [bytes, load, scaling, line, line_scaling] = figures[..] else {
                return Err("a child's figures are not those that were expected".into());
            };
            let is_judged = is_ours && size == SIZES[SIZES.len() - 1];
            let (first_load, first_line) = *smallest.get_or_insert((load, line));
            table.row([
                name.to_owned(),
                size.to_string(),
                format!("{bytes:.0}"),
                ratio(bytes, JSON_LEN as f64, is_judged.then_some(MOST_MEMORY)),
                format!("{load:.0}"),
                ratio(load, first_load, is_judged.then_some(MOST_GROWTH)),
                format!("{line:.1}"),
                ratio(line, first_line, None),
                at_least(scaling, is_ours.then_some(LEAST_SCALING)),
                at_least(line_scaling, None),
            ]);
        }
    }
    println!("{table}");
    let runs: Result<Vec<_>> = (0..PAUSE_RUNS).map(|_| child(&[PAUSES])).collect();
    println!("{}", pauses::table(&runs?)?);
    Ok(())
}

/// Starts this program again, and reads the figures that it prints.
fn child(arguments: &[&str]) -> Result<Vec<f64>> {
    let output = Command::new(std::env::current_exe()?)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("{arguments:?} failed: {}", output.status).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let figures = text.split_whitespace().map(str::parse);
    Ok(figures.collect::<std::result::Result<_, _>>()?)
}

fn at_least(figure: f64, limit: Option<f64>) -> String {
    match limit {
        Some(limit) if figure >= limit => format!("{figure:.2} (≥ {limit})"),
        Some(limit) => format!("**{figure:.2}** (missed: ≥ {limit})"),
        None => format!("{figure:.2}"),
    }
}
