//! How memory and time grow with the number of sessions, and with their size.

mod engines;
mod memory;
mod sessions;
mod sizes;
mod users;

use lexopt::prelude::*;
use tokio::runtime::Runtime;

/// The error is for whoever runs the measurement; nothing here tells errors apart.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const USAGE: &str = "\
usage: session-bench-growth [memory | sizes | users | engines [--sessions N]]
  memory    what a session takes in memory, and what loading one costs, beside other libraries' stores
  sizes     what reading and writing one key costs in small and in large sessions
  users     what a login, a list and the end of all sessions cost for users with few sessions and with very many
  engines   what calls to Redis and PostgreSQL cost with few and with N sessions; default 1000000
Without a command: all four.
";

fn main() -> Result<()> {
    let mut arguments = lexopt::Parser::from_env();
    let mut words = Vec::new();
    let mut sessions = 1_000_000;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("sessions") => sessions = arguments.value()?.parse()?,
            Short('h') | Long("help") => {
                print!("{USAGE}");
                return Ok(());
            }
            Value(word) => words.push(word.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => {
            memory::report()?;
            runtime()?.block_on(sizes::report())?;
            runtime()?.block_on(users::report())?;
            runtime()?.block_on(engines::report(sessions))
        }
        ["memory"] => memory::report(),
        ["users"] => runtime()?.block_on(users::report()),
        ["sizes"] => runtime()?.block_on(sizes::report()),
        ["engines"] => runtime()?.block_on(engines::report(sessions)),
        // What `memory` starts itself as.
        [memory::LOADS, contender, count] => memory::measure_loads(contender, count.parse()?),
        [memory::PAUSES] => memory::measure_pauses(),
        _ => {
            eprint!("{USAGE}");
            Err("no such command".into())
        }
    }
}

/// One thread for all that is ours, so that the servers have the other core.
fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}
