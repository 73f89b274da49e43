//! The command line.

use lexopt::prelude::*;
use lexopt::{Error, Parser};

use crate::contest::{Contender, Contestant, Engine, Framework, Word};

pub(crate) const HELP: &str = "\
Measures requests per second over loopback. It needs wrk, redis-server and PostgreSQL.

wire run [--seconds N] [--rounds N]
    measures everything and prints tables (default: 3 rounds of 3 seconds)
wire serve --framework axum|actix|poem --contender bare|ours|peer|sliding|raw --store memory|redis|postgres [--url URL]
    serves one of those that are measured, and prints its port
";

/// What is asked for.
pub(crate) enum Command {
    Help,
    Run(Options),
    /// With the store's URL, which memory has none of.
    Serve(Contestant, String),
}

/// How long is measured, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) seconds: u32,
    pub(crate) rounds: u32,
}

pub(crate) fn parse(mut parser: Parser) -> Result<Command, Error> {
    let word = match parser.next()? {
        Some(Value(word)) => word.string()?,
        Some(Long("help") | Short('h')) => return Ok(Command::Help),
        Some(other) => return Err(other.unexpected()),
        None => return Err("say what to do: run or serve (see --help)".into()),
    };
    match word.as_str() {
        "run" => run(parser),
        "serve" => serve(parser),
        other => Err(format!("there is no command '{other}' (see --help)").into()),
    }
}

fn run(mut parser: Parser) -> Result<Command, Error> {
    let mut options = Options {
        seconds: 3,
        rounds: 3,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seconds") => options.seconds = parser.value()?.parse()?,
            Long("rounds") => options.rounds = parser.value()?.parse()?,
            Long("help") | Short('h') => return Ok(Command::Help),
            other => return Err(other.unexpected()),
        }
    }
    if options.seconds == 0 || options.rounds == 0 {
        return Err("there has to be a round at least, of a second at least".into());
    }
    Ok(Command::Run(options))
}

fn serve(mut parser: Parser) -> Result<Command, Error> {
    let (mut framework, mut contender, mut engine) = (None, None, None);
    let mut url = String::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("framework") => framework = Some(choice::<Framework>(&mut parser)?),
            Long("contender") => contender = Some(choice::<Contender>(&mut parser)?),
            Long("store") => engine = Some(choice::<Engine>(&mut parser)?),
            Long("url") => url = parser.value()?.string()?,
            Long("help") | Short('h') => return Ok(Command::Help),
            other => return Err(other.unexpected()),
        }
    }
    let missing = |option: &str| Error::from(format!("{option} is missing"));
    let contestant = Contestant {
        framework: framework.ok_or_else(|| missing("--framework"))?,
        contender: contender.ok_or_else(|| missing("--contender"))?,
        engine: engine.ok_or_else(|| missing("--store"))?,
    };
    Ok(Command::Serve(contestant, url))
}

fn choice<T: Word>(parser: &mut Parser) -> Result<T, Error> {
    let word = parser.value()?.string()?;
    T::parse(&word).ok_or_else(|| {
        let words: Vec<_> = T::ALL.iter().map(|(_, word)| *word).collect();
        format!("'{word}' is none of {}", words.join(", ")).into()
    })
}
