//! What was measured, as tables.

use session_bench_common::{Rounds, Table};

use crate::cli::Options;
use crate::contest::{Contender, Engine, Framework, Group, Request, Word as _};
use crate::wrk::CONNECTIONS;

/// What ours has to reach beside a peer.
const BESIDE_PEER: f64 = 1.0;

/// What ours has to reach beside a peer that sends more commands for the same request.
const BESIDE_CHATTY_PEER: f64 = 1.3;

/// What ours has to reach beside the bare command.
const BESIDE_RAW: f64 = 0.85;

/// More commands than this are more than ours: a difference that isn't a matter of a single request of the sample.
const NOTABLE: f64 = 0.5;

/// What one contender reached at one kind of request.
pub(crate) struct Figures {
    pub(crate) contender: Contender,
    pub(crate) request: Request,
    pub(crate) per_second: Rounds,
    /// In milliseconds.
    pub(crate) p99: Rounds,
    /// To Redis, for each request.
    pub(crate) commands: Option<f64>,
}

impl Figures {
    pub(crate) fn new(contender: Contender, request: Request) -> Self {
        Self {
            contender,
            request,
            per_second: Rounds::default(),
            p99: Rounds::default(),
            commands: None,
        }
    }
}

/// What holds for all tables.
pub(crate) fn preamble(options: Options) -> String {
    let Options { seconds, rounds } = options;
    format!(
        "wrk with one thread and {CONNECTIONS} connections over loopback; one worker thread for each server; \
         {rounds} rounds of {seconds} s. Requests/s are the median of the rounds, with the least and the most. \
         PostgreSQL doesn't wait for the disk (`fsync=off`). tower-sessions is version 0.15 in memory, and 0.14 with \
         a database, because its newest stores for Redis (0.16) and PostgreSQL (0.15) are for that one.\n"
    )
}

pub(crate) fn table(group: &Group, figures: &[Figures]) -> Table {
    let columns = [
        "request",
        "contender",
        "requests/s",
        "p99, ms",
        "ours ÷ this",
        "commands/request",
    ];
    let mut table = Table::new(&title(group), &columns);
    for one in figures {
        let ours = figures
            .iter()
            .find(|other| other.contender == Contender::Ours && other.request == one.request);
        table.row([
            one.request.word().to_owned(),
            name(group, one.contender).to_owned(),
            format!(
                "{:.0} ({:.0}–{:.0})",
                one.per_second.median(),
                one.per_second.min(),
                one.per_second.max()
            ),
            format!("{:.2}", one.p99.median()),
            ours.map_or_else(String::new, |ours| compared(ours, one)),
            one.commands
                .map_or_else(|| "–".to_owned(), |commands| format!("{commands:.1}")),
        ]);
    }
    table
}

/// What a group's table is called.
pub(crate) fn title(group: &Group) -> String {
    let framework = match group.framework {
        Framework::Axum => "axum",
        Framework::Actix => "actix-web",
        Framework::Poem => "poem",
    };
    let engine = match group.engine {
        Engine::Memory => "memory",
        Engine::Redis => "Redis",
        Engine::Postgres => "PostgreSQL",
    };
    format!("{framework}, {engine}")
}

fn name(group: &Group, contender: Contender) -> &'static str {
    match (contender, group.framework, group.engine) {
        (Contender::Bare, ..) => "without sessions",
        (Contender::Raw, ..) => "one `GET` by redis-rs, without sessions",
        (Contender::Ours, Framework::Axum, _) => "session-axum",
        (Contender::Ours, Framework::Actix, _) => "session-actix",
        (Contender::Ours, Framework::Poem, _) => "session-poem",
        (Contender::Sliding, ..) => "actix-session, `OnEveryRequest`",
        (Contender::Peer, Framework::Axum, Engine::Memory) => "tower-sessions 0.15",
        (Contender::Peer, Framework::Axum, _) => "tower-sessions 0.14",
        (Contender::Peer, Framework::Actix, Engine::Memory) => "actix-session, a `HashMap`",
        (Contender::Peer, Framework::Actix, _) => "actix-session",
        (Contender::Peer, Framework::Poem, _) => "poem's `ServerSession`",
    }
}

/// How ours does beside another one, and whether that is enough.
fn compared(ours: &Figures, other: &Figures) -> String {
    let is_chatty = match (ours.commands, other.commands) {
        (Some(ours), Some(other)) => other - ours > NOTABLE,
        _ => false,
    };
    let at_least = match other.contender {
        Contender::Ours => return "–".to_owned(),
        Contender::Bare => None,
        Contender::Raw => Some(BESIDE_RAW),
        Contender::Peer | Contender::Sliding if is_chatty => Some(BESIDE_CHATTY_PEER),
        Contender::Peer | Contender::Sliding => Some(BESIDE_PEER),
    };
    ratio(
        ours.per_second.median() / other.per_second.median(),
        at_least,
    )
}

fn ratio(ratio: f64, at_least: Option<f64>) -> String {
    match at_least {
        Some(limit) if ratio >= limit => format!("{ratio:.2} (≥ {limit})"),
        Some(limit) => format!("**{ratio:.2}** (missed: ≥ {limit})"),
        None => format!("{ratio:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(contender: Contender, per_second: f64, commands: Option<f64>) -> Figures {
        let mut figures = Figures::new(contender, Request::Read);
        figures.per_second.push(per_second);
        figures.commands = commands;
        figures
    }

    #[test]
    fn a_missed_limit_stands_out() {
        let ours = figures(Contender::Ours, 110.0, Some(1.0));
        let beside = |other, commands| compared(&ours, &figures(other, 100.0, commands));
        assert_eq!(beside(Contender::Peer, None), "1.10 (≥ 1)");
        assert_eq!(beside(Contender::Peer, Some(1.0)), "1.10 (≥ 1)");
        assert_eq!(
            beside(Contender::Sliding, Some(2.0)),
            "**1.10** (missed: ≥ 1.3)"
        );
        assert_eq!(beside(Contender::Bare, None), "1.10");
        let raw = figures(Contender::Raw, 200.0, Some(1.0));
        assert_eq!(compared(&ours, &raw), "**0.55** (missed: ≥ 0.85)");
        assert_eq!(compared(&ours, &ours), "–");
    }
}
