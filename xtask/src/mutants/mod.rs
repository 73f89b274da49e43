//! `mutants`: puts each deliberate fault of `mutants.toml` into a copy of the tree; a test has to notice it.

mod list;
mod runner;
mod working_copy;

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

pub(crate) use list::{Mutant, load};
use runner::{Filter, LIMIT, Runner, TestRun};
use working_copy::WorkingCopy;

use crate::error::{self, Result};
use crate::process::Ended;
use crate::workspace;

/// What a mutant's tests say about it.
enum Verdict {
    /// How a test noticed it.
    Caught(String),
    Missed,
    /// The end of the compiler's messages.
    DoesNotCompile(String),
}

/// Tries the mutants whose name contains `part`.
pub(crate) fn run(part: &str) -> Result<()> {
    let mut mutants = load()?;
    mutants.retain(|mutant| mutant.name.contains(part));
    if mutants.is_empty() && !part.is_empty() {
        return Err(format!(
            "the name of no mutant in {} contains `{part}`",
            list::FILE
        ));
    }
    // Neighbours in this order share most of what has to be compiled.
    mutants.sort_by_key(|mutant| (mutant.selection(), mutant.file.clone()));

    let directory = workspace::root().join("target/mutants");
    fs::create_dir_all(&directory).map_err(|error| error::failed("create", &directory, &error))?;
    let copy = WorkingCopy::of_the_tree(directory.join("tree"))?;
    let mutated = mutate_all(&mutants, &copy)?;

    let runner = Runner::new(&copy, &directory);
    let filters = run_unmutated(&mutants, &runner)?;
    let mut failures = Vec::new();
    for (mutant, text) in mutants.iter().zip(mutated) {
        let filter = &filters[&mutant.selection()];
        let original = copy.replace(&mutant.file, &text)?;
        let verdict = try_mutant(mutant, filter, &runner);
        // Whatever happened, the next mutant has to be the only one in the tree.
        copy.replace(&mutant.file, &original)?;
        failures.extend(show(mutant, verdict?));
    }
    println!(
        "{} mutants, {} caught",
        mutants.len(),
        mutants.len() - failures.len()
    );
    error::report("mutants", &failures)
}

/// The mutated texts of the mutants' files. Every mutant that is out of date is reported, before any build.
fn mutate_all(mutants: &[Mutant], copy: &WorkingCopy) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    let mut problems = Vec::new();
    for mutant in mutants {
        match copy.read(&mutant.file).and_then(|text| mutant.apply(&text)) {
            Ok(text) => texts.push(text),
            Err(problem) => problems.push(format!("the mutant {}: {problem}", mutant.name)),
        }
    }
    error::report(list::FILE, &problems)?;
    Ok(texts)
}

/// Without a mutant, the tests have to exist and to pass; otherwise a failure would say nothing about one.
fn run_unmutated(mutants: &[Mutant], runner: &Runner) -> Result<BTreeMap<list::Selection, Filter>> {
    let mut filters = BTreeMap::new();
    for selection in mutants.iter().map(Mutant::selection) {
        if filters.contains_key(&selection) {
            continue;
        }
        let started = Instant::now();
        if runner.build(&selection)? == Ended::Failed {
            return Err(format!(
                "{selection} does not compile unmutated:\n{}",
                runner.log_end()?
            ));
        }
        let filter = Filter::new(&selection.test, &runner.names(&selection)?);
        let run = runner.test(&selection, &filter)?;
        let seconds = started.elapsed().as_secs_f64();
        match run {
            TestRun {
                ended: Ended::Succeeded,
                passed: 0,
                ..
            } => {
                return Err(format!(
                    "{selection} runs no test: correct it in {}",
                    list::FILE
                ));
            }
            TestRun {
                ended: Ended::Succeeded,
                passed,
                ..
            } => {
                println!("passes  {selection} unmutated, tests: {passed}, {seconds:.1} s");
            }
            TestRun {
                ended: Ended::Failed,
                ..
            } => {
                return Err(format!(
                    "{selection} fails unmutated:\n{}",
                    runner.log_end()?
                ));
            }
            TestRun {
                ended: Ended::TimedOut,
                ..
            } => {
                return Err(format!(
                    "{selection} takes over {} s unmutated",
                    LIMIT.as_secs()
                ));
            }
        }
        filters.insert(selection, filter);
    }
    Ok(filters)
}

fn try_mutant(mutant: &Mutant, filter: &Filter, runner: &Runner) -> Result<Verdict> {
    let selection = mutant.selection();
    if runner.build(&selection)? == Ended::Failed {
        return Ok(Verdict::DoesNotCompile(runner.log_end()?));
    }
    let run = runner.test(&selection, filter)?;
    Ok(match (run.ended, run.failed.as_slice()) {
        (Ended::Succeeded, _) => Verdict::Missed,
        (Ended::TimedOut, _) => {
            Verdict::Caught(format!("{selection}, which hung for {} s", LIMIT.as_secs()))
        }
        (Ended::Failed, []) => Verdict::Caught(format!("{selection}, which was aborted")),
        (Ended::Failed, [test]) => Verdict::Caught(test.clone()),
        (Ended::Failed, [test, others @ ..]) => {
            Verdict::Caught(format!("{test} and {} more", others.len()))
        }
    })
}

/// Prints the line of a mutant; gives the problem if it was not caught.
fn show(mutant: &Mutant, verdict: Verdict) -> Option<String> {
    let Mutant { name, file, .. } = mutant;
    match verdict {
        Verdict::Caught(by) => {
            println!("caught  {name} by {by}");
            None
        }
        Verdict::Missed => {
            println!("MISSED  {name}");
            Some(format!(
                "no test of {} notices {name} in {file}",
                mutant.selection()
            ))
        }
        Verdict::DoesNotCompile(messages) => {
            println!("ERROR   {name}");
            Some(format!(
                "{name} in {file} does not compile, so it tests nothing:\n{messages}"
            ))
        }
    }
}
