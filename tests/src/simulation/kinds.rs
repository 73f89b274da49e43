//! The kinds of requests, what they are about, and what comes back.

use std::collections::BTreeMap;

use session_core::{ErrorKind, Session, SessionRef};

/// What a request does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Set,
    Increment,
    SetAndIncrement,
    /// Sets a key that others set too.
    SetShared,
    /// Sets a key to what everybody sets it to, and increments.
    SetSameAndIncrement,
    ClearAndSet,
    Rotate,
    RotateAndSet,
    Destroy,
    DestroyAndSet,
    Read,
    /// Increments, commits, and increments again.
    CommitTwice,
    Panic,
    DestroyAndPanic,
    LogIn(User),
    LogInAndSet(User),
    LogInRemembered(User),
    /// Lists the user's sessions.
    List,
    /// Ends another one of the user's sessions.
    EndOne,
    EndOthers,
    /// An administrator lists a user's sessions.
    AdminList(User),
    /// An administrator ends all of a user's sessions.
    AdminEndAll(User),
}

/// Who logs in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum User {
    Ada,
    Bob,
}

impl User {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ada => "ada",
            Self::Bob => "bob",
        }
    }

    pub(super) fn called(name: &str) -> Option<Self> {
        [Self::Ada, Self::Bob]
            .into_iter()
            .find(|user| user.name() == name)
    }
}

/// One operation on the data, for the handler to do and for the oracle to know.
#[derive(Clone, Debug)]
pub(super) enum DataOp {
    Set(String, i64),
    Increment,
    Clear,
}

pub(super) type Data = BTreeMap<String, i64>;

impl DataOp {
    pub(super) fn apply(&self, data: &mut Data) {
        match self {
            Self::Set(key, value) => {
                data.insert(key.clone(), *value);
            }
            Self::Increment => *data.entry("n".to_owned()).or_default() += 1,
            Self::Clear => data.clear(),
        }
    }

    pub(super) fn record(&self, session: &Session) {
        match self {
            Self::Set(key, value) => session.set(key, value).expect("a small value fits"),
            Self::Increment => {
                session
                    .update("n", |n: Option<i64>| n.unwrap_or(0) + 1)
                    .expect("n is a number");
            }
            Self::Clear => session.clear(),
        }
    }
}

impl Kind {
    /// The operations of request `id`, one group for each commit that can write them.
    pub(super) fn groups(self, id: usize) -> Vec<Vec<DataOp>> {
        let value = i64::try_from(id).expect("few requests");
        let own = DataOp::Set(format!("k{id}"), value);
        match self {
            Self::Set
            | Self::RotateAndSet
            | Self::DestroyAndSet
            | Self::Panic
            | Self::LogInAndSet(_) => vec![vec![own]],
            Self::Increment => vec![vec![DataOp::Increment]],
            Self::SetAndIncrement => vec![vec![own, DataOp::Increment]],
            Self::SetShared => vec![vec![DataOp::Set("shared".to_owned(), value)]],
            Self::SetSameAndIncrement => {
                vec![vec![DataOp::Set("same".to_owned(), 1), DataOp::Increment]]
            }
            Self::ClearAndSet => vec![vec![DataOp::Clear, own]],
            Self::CommitTwice => vec![vec![DataOp::Increment], vec![own, DataOp::Increment]],
            Self::Rotate | Self::LogIn(_) | Self::LogInRemembered(_) => vec![vec![]],
            Self::Destroy | Self::Read | Self::DestroyAndPanic => vec![],
            Self::List | Self::EndOne | Self::EndOthers => vec![],
            Self::AdminList(_) | Self::AdminEndAll(_) => vec![],
        }
    }

    pub(super) fn destroys(self) -> bool {
        matches!(
            self,
            Self::Destroy | Self::DestroyAndSet | Self::DestroyAndPanic
        )
    }

    pub(super) fn rotates(self) -> bool {
        matches!(self, Self::Rotate | Self::RotateAndSet)
    }

    /// Whom the request logs in.
    pub(super) fn login(self) -> Option<User> {
        match self {
            Self::LogIn(user) | Self::LogInAndSet(user) | Self::LogInRemembered(user) => Some(user),
            _ => None,
        }
    }

    /// The user whose sessions an administrator's request is about. It comes with no cookie.
    pub(super) fn administrates(self) -> Option<User> {
        match self {
            Self::AdminList(user) | Self::AdminEndAll(user) => Some(user),
            _ => None,
        }
    }

    pub(super) fn panics(self) -> bool {
        matches!(self, Self::Panic | Self::DestroyAndPanic)
    }
}

/// What came back from a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    /// Why it is no success.
    pub(super) error: Option<ErrorKind>,
    /// The error, if any, is the handler's own, and says nothing about the commit.
    pub(super) is_the_handlers: bool,
    pub(super) set_cookie: Option<String>,
}

impl Answer {
    pub(super) fn is_ok(&self) -> bool {
        self.error.is_none()
    }
}

/// Which of a user's sessions are to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// None of them: they are only listed.
    None,
    One(User, SessionRef),
    Others(User, SessionRef),
    All(User),
}
