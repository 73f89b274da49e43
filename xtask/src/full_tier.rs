//! `test`: the full tier, which is the quick one, the browser test, the tests of the stores that need a server, the
//! checks of the tree, the instruction counts and the mutants.

use std::time::Instant;

use crate::error::Result;
use crate::tools::{self, Missing};
use crate::workspace::cargo;
use crate::{instructions, mutants, process, tree};

/// Builds and runs the tests of the stores that need a server.
pub(crate) const STORES: &str = "test --package session-test-servers --package session-store-redis \
     --package session-store-sqlx --package session-engine-tests --all-features";

/// Builds the demo with every store, and runs its tests.
pub(crate) const DEMO: &str = "test --package session-demo --features redis,postgres,mysql,sqlite";

pub(crate) type Stage<'a> = (&'a str, &'a dyn Fn() -> Result<()>);

pub(crate) fn run(missing_tools: Missing) -> Result<()> {
    let browser_test = "test --package session-demo --features browser-tests --test browser";
    let processes = format!("{DEMO} --test processes");
    let stages: [Stage<'_>; 8] = [
        ("tools", &|| tools::provide(missing_tools)),
        ("quick tier", &|| process::run(&mut cargo("test"))),
        ("browser test", &|| process::run(&mut cargo(browser_test))),
        ("stores with servers", &|| process::run(&mut cargo(STORES))),
        ("several processes", &|| {
            process::run(&mut cargo(&processes))
        }),
        ("checks of the tree", &tree::run),
        ("instruction counts", &instructions::compare),
        ("mutants", &|| mutants::run("")),
    ];
    let times = run_stages(&stages)?;
    println!("\nall stages passed: {}", times.join(", "));
    Ok(())
}

/// Runs the stages until one fails; gives each one's name with how long it took.
pub(crate) fn run_stages(stages: &[Stage<'_>]) -> Result<Vec<String>> {
    let mut times = Vec::new();
    for (name, stage) in stages {
        println!("\n=== {name} ===");
        let started = Instant::now();
        stage().map_err(|error| format!("the stage \"{name}\" failed: {error}"))?;
        times.push(format!("{name} {:.1} s", started.elapsed().as_secs_f64()));
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_stage_is_named_and_the_last() {
        let stages: [Stage<'_>; 3] = [
            ("first", &|| Ok(())),
            ("second", &|| Err("broken".to_owned())),
            ("third", &|| Err("not reached".to_owned())),
        ];
        assert_eq!(
            run_stages(&stages),
            Err("the stage \"second\" failed: broken".to_owned())
        );
        assert!(run_stages(&stages[..1]).is_ok_and(|times| times[0].starts_with("first 0.")));
    }
}
