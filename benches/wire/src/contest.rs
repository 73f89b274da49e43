//! Who is measured, on what, and at what.

/// A kind of thing that the command line names by a word.
pub(crate) trait Word: Copy + PartialEq + 'static {
    const ALL: &'static [(Self, &'static str)];

    fn word(self) -> &'static str {
        let found = Self::ALL.iter().find(|(one, _)| *one == self);
        found.map_or("", |(_, word)| word)
    }

    fn parse(word: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, name)| *name == word);
        found.map(|(one, _)| *one)
    }
}

/// What serves the requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Framework {
    Axum,
    Actix,
    Poem,
}

impl Word for Framework {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Axum, "axum"),
        (Self::Actix, "actix"),
        (Self::Poem, "poem"),
    ];
}

/// What looks after the sessions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Contender {
    /// Nothing: the framework alone.
    Bare,
    Ours,
    /// What most people use on the framework.
    Peer,
    /// actix-session where reads count as use, too, as they do with ours. Its default, like that of the other peers,
    /// is that a session that is only read expires.
    Sliding,
    /// No sessions, but the one command to Redis that reading a session takes.
    Raw,
}

impl Word for Contender {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Bare, "bare"),
        (Self::Ours, "ours"),
        (Self::Peer, "peer"),
        (Self::Sliding, "sliding"),
        (Self::Raw, "raw"),
    ];
}

impl Contender {
    /// What it is measured at. Without sessions all requests are alike, and the sliding peer's writes are the peer's.
    pub(crate) fn requests(self) -> &'static [Request] {
        match self {
            Self::Ours | Self::Peer => &[Request::Read, Request::Write],
            Self::Bare | Self::Sliding | Self::Raw => &[Request::Read],
        }
    }
}

/// What keeps the sessions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Engine {
    Memory,
    Redis,
    Postgres,
}

impl Word for Engine {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Memory, "memory"),
        (Self::Redis, "redis"),
        (Self::Postgres, "postgres"),
    ];
}

/// A request that is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Request {
    Read,
    Write,
}

impl Word for Request {
    const ALL: &'static [(Self, &'static str)] = &[(Self::Read, "read"), (Self::Write, "write")];
}

/// One server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Contestant {
    pub(crate) framework: Framework,
    pub(crate) contender: Contender,
    pub(crate) engine: Engine,
}

/// Those who are compared with each other, in one table.
pub(crate) struct Group {
    pub(crate) framework: Framework,
    pub(crate) engine: Engine,
    pub(crate) contenders: &'static [Contender],
}

/// All that is measured.
pub(crate) fn groups() -> [Group; 7] {
    use Contender::{Bare, Ours, Peer, Raw, Sliding};
    [
        group(Framework::Axum, Engine::Memory, &[Bare, Ours, Peer]),
        group(Framework::Axum, Engine::Redis, &[Bare, Raw, Ours, Peer]),
        group(Framework::Axum, Engine::Postgres, &[Bare, Ours, Peer]),
        group(Framework::Actix, Engine::Memory, &[Bare, Ours, Peer]),
        group(
            Framework::Actix,
            Engine::Redis,
            &[Bare, Ours, Peer, Sliding],
        ),
        group(Framework::Poem, Engine::Memory, &[Bare, Ours, Peer]),
        group(Framework::Poem, Engine::Redis, &[Bare, Ours, Peer]),
    ]
}

fn group(framework: Framework, engine: Engine, contenders: &'static [Contender]) -> Group {
    Group {
        framework,
        engine,
        contenders,
    }
}
