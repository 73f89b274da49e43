//! `instructions`: how many instructions a request costs in process, compared with what was recorded.
//!
//! Unlike times, the counts are the same on a busy machine and on an idle one. They change with the compiler, the
//! C library and the dependencies, however, so that the record says what it holds for.

mod callgrind;
mod comparison;
mod conditions;
mod recorded;

use comparison::Line;
use recorded::Recorded;

use crate::error::{self, Result};
use crate::tools;

/// Fails if the instructions of a case differ from the record. Where they can't be compared, it says why.
pub(crate) fn compare() -> Result<()> {
    let recorded = recorded::load()?;
    let reasons = reasons_not_to_compare(&recorded)?;
    if !reasons.is_empty() {
        println!(
            "THE INSTRUCTION COUNTS ARE NOT COMPARED with {}:",
            recorded::FILE
        );
        for reason in reasons {
            println!("  - {reason}");
        }
        return Ok(());
    }
    let counted = callgrind::count()?;
    let lines = comparison::lines(&recorded.instructions, &counted);
    print!("{}", comparison::table(&lines));
    let problems: Vec<_> = lines.iter().filter_map(Line::problem).collect();
    error::report("the instruction counts", &problems)
}

/// Replaces the record by what is counted now.
pub(crate) fn record() -> Result<()> {
    if !tools::is_installed("valgrind") {
        return Err(NO_VALGRIND.to_owned());
    }
    let recorded = Recorded {
        conditions: conditions::here()?,
        instructions: callgrind::count()?,
    };
    recorded::save(&recorded)?;
    let cases = recorded.instructions.len();
    println!("recorded {cases} cases in {}", recorded::FILE);
    Ok(())
}

const NO_VALGRIND: &str = "valgrind is not there (Debian package valgrind)";

fn reasons_not_to_compare(recorded: &Recorded) -> Result<Vec<String>> {
    if !tools::is_installed("valgrind") {
        return Ok(vec![NO_VALGRIND.to_owned()]);
    }
    Ok(conditions::differences(
        &recorded.conditions,
        &conditions::here()?,
    ))
}
