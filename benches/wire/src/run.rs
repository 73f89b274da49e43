//! A run: all groups, round after round.

use session_test_servers::{Postgres, Redis};

use crate::Failure;
use crate::cli::Options;
use crate::commands;
use crate::contest::{Contender, Contestant, Engine, Group, Request, Word as _, groups};
use crate::process::Server;
use crate::report::{self, Figures};
use crate::wrk::{self, Script};

/// How many sessions take turns.
const SESSIONS: usize = 256;

/// How long a server is loaded before it is measured, in seconds.
const WARM_UP: u32 = 1;

pub(crate) fn run(options: Options) -> Result<(), Failure> {
    wrk::check()?;
    let engines = Engines {
        redis: Redis::start(&[]),
        postgres: Postgres::start(&[]),
    };
    println!("{}", report::preamble(options));
    for group in groups() {
        let figures = measure(&group, &engines, options)?;
        println!("{}", report::table(&group, &figures));
    }
    Ok(())
}

struct Engines {
    redis: Redis,
    postgres: Postgres,
}

impl Engines {
    fn url(&self, engine: Engine) -> String {
        match engine {
            Engine::Memory => String::new(),
            Engine::Redis => self.redis.url(),
            Engine::Postgres => self.postgres.url(),
        }
    }
}

/// A server under load, at one kind of request.
struct Case<'a> {
    station: &'a Station,
    figures: Figures,
}

/// A server and the sessions that it has.
struct Station {
    contender: Contender,
    server: Server,
    script: Script,
    first_cookie: String,
}

fn measure(group: &Group, engines: &Engines, options: Options) -> Result<Vec<Figures>, Failure> {
    let stations: Result<Vec<_>, _> = group
        .contenders
        .iter()
        .map(|contender| Station::start(group, *contender, &engines.url(group.engine)))
        .collect();
    let stations = stations?;
    let mut cases = Vec::new();
    // Those of one kind stand, and are measured, next to each other.
    for request in [Request::Read, Request::Write] {
        let those = stations.iter();
        for station in those.filter(|station| station.contender.requests().contains(&request)) {
            cases.push(Case::new(station, request, group.engine, engines)?);
        }
    }
    for round in 1..=options.rounds {
        eprintln!(
            "{}: round {round} of {}",
            report::title(group),
            options.rounds
        );
        for case in &mut cases {
            case.measure(options.seconds)?;
        }
    }
    Ok(cases.into_iter().map(|case| case.figures).collect())
}

impl Station {
    fn start(group: &Group, contender: Contender, store_url: &str) -> Result<Self, Failure> {
        let Group {
            framework, engine, ..
        } = *group;
        let server = Server::start(
            Contestant {
                framework,
                contender,
                engine,
            },
            store_url,
        )?;
        let mut cookies = Vec::with_capacity(SESSIONS);
        for n in 0..SESSIONS {
            let cookie = server.get("/fill", None)?;
            let has_sessions = !matches!(contender, Contender::Bare | Contender::Raw);
            if has_sessions && cookie.is_none() {
                let [framework, contender] = [framework.word(), contender.word()];
                return Err(format!("{contender} on {framework} began no session").into());
            }
            // Those without sessions get a cookie of the usual length, so that their requests are no smaller.
            cookies.push(cookie.unwrap_or_else(|| format!("session_id={n:090}")));
        }
        let name = [framework.word(), engine.word(), contender.word()].join("-");
        let script = Script::rotating(&name, &cookies)?;
        let first_cookie = cookies.swap_remove(0);
        Ok(Self {
            contender,
            server,
            script,
            first_cookie,
        })
    }
}

impl<'a> Case<'a> {
    fn new(
        station: &'a Station,
        request: Request,
        engine: Engine,
        engines: &Engines,
    ) -> Result<Self, Failure> {
        let mut figures = Figures::new(station.contender, request);
        if engine == Engine::Redis {
            let Station {
                server,
                first_cookie,
                ..
            } = station;
            let commands = commands::per_request(&engines.redis, server, request, first_cookie)?;
            figures.commands = Some(commands);
        }
        let case = Self { station, figures };
        case.load(WARM_UP)?;
        Ok(case)
    }

    fn measure(&mut self, seconds: u32) -> Result<(), Failure> {
        let measured = self.load(seconds)?;
        self.figures.per_second.push(measured.per_second);
        self.figures.p99.push(measured.p99);
        Ok(())
    }

    fn load(&self, seconds: u32) -> Result<wrk::Measured, Failure> {
        let path = format!("/{}", self.figures.request.word());
        self.station
            .script
            .load(&self.station.server.url(&path), seconds)
    }
}
