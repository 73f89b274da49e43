//! What visitors ask for.

use std::borrow::Cow;
use std::collections::BTreeMap;

use session_core::adapter::{CookieHeaders, Finished, ResponseHeader, ResponseHeaders};
use session_core::{Session, SessionManager};

use super::world::World;

/// A set of requests and how often each comes up, chosen for what they can break together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mix {
    /// Everything.
    All,
    /// Rotations among writes.
    Rotation,
    /// Increments of one counter.
    Counter,
    /// Logouts among writes and rotations.
    Logout,
    /// Requests with long pauses and clock jumps between them.
    Time,
    /// Rotations and logouts that are slower than the grace time.
    SlowLogout,
}

impl Mix {
    /// Every mix.
    pub const ALL: [Self; 6] = [
        Self::All,
        Self::Rotation,
        Self::Counter,
        Self::Logout,
        Self::Time,
        Self::SlowLogout,
    ];

    pub(super) fn choose(self, rng: &mut fastrand::Rng) -> Kind {
        use Kind::*;
        let weights: &[(Kind, usize)] = match self {
            Self::All => &[
                (Set, 5),
                (Increment, 5),
                (SetAndIncrement, 3),
                (SetShared, 1),
                (SetSameAndIncrement, 2),
                (ClearAndSet, 1),
                (Rotate, 4),
                (RotateAndSet, 2),
                (Destroy, 2),
                (DestroyAndSet, 1),
                (Read, 4),
                (CommitTwice, 2),
                (Panic, 1),
                (DestroyAndPanic, 1),
            ],
            Self::Rotation => &[
                (Set, 4),
                (Increment, 4),
                (Rotate, 5),
                (RotateAndSet, 3),
                (Read, 3),
                (CommitTwice, 1),
            ],
            Self::Counter => &[
                (Increment, 6),
                (SetAndIncrement, 2),
                (SetSameAndIncrement, 2),
                (ClearAndSet, 1),
                (Rotate, 1),
                (CommitTwice, 1),
            ],
            Self::Logout => &[
                (Set, 4),
                (Rotate, 4),
                (Destroy, 3),
                (DestroyAndSet, 1),
                (DestroyAndPanic, 1),
                (Read, 1),
            ],
            Self::SlowLogout => &[(Set, 2), (Rotate, 3), (Destroy, 2)],
            Self::Time => &[
                (Set, 3),
                (Read, 6),
                (Rotate, 5),
                (Increment, 2),
                (Destroy, 4),
            ],
        };
        let total: usize = weights.iter().map(|(_, weight)| weight).sum();
        let mut left = rng.usize(..total);
        for (kind, weight) in weights {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return *kind,
            }
        }
        Read
    }
}

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

    fn record(&self, session: &Session) {
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
            Self::Set | Self::RotateAndSet | Self::DestroyAndSet | Self::Panic => vec![vec![own]],
            Self::Increment => vec![vec![DataOp::Increment]],
            Self::SetAndIncrement => vec![vec![own, DataOp::Increment]],
            Self::SetShared => vec![vec![DataOp::Set("shared".to_owned(), value)]],
            Self::SetSameAndIncrement => {
                vec![vec![DataOp::Set("same".to_owned(), 1), DataOp::Increment]]
            }
            Self::ClearAndSet => vec![vec![DataOp::Clear, own]],
            Self::CommitTwice => vec![vec![DataOp::Increment], vec![own, DataOp::Increment]],
            Self::Rotate => vec![vec![]],
            Self::Destroy | Self::Read | Self::DestroyAndPanic => vec![],
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

    pub(super) fn panics(self) -> bool {
        matches!(self, Self::Panic | Self::DestroyAndPanic)
    }
}

/// What came back from a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    pub(super) ok: bool,
    pub(super) set_cookie: Option<String>,
}

/// Serves one request, as an adapter would.
pub(super) async fn serve(
    server: SessionManager,
    world: World,
    id: usize,
    kind: Kind,
    cookie: Option<String>,
) -> Answer {
    let header =
        cookie.map(|value| format!("theme=dark; {}={value}", server.config().cookie_name()));
    let headers: Vec<_> = header.iter().map(String::as_bytes).collect();
    let handle = server.handle();
    let handler = async {
        let session: Session = handle.load(&CookieHeaders(&headers)).await?;
        world.pause().await;
        act(&session, kind, id, &world).await
    };
    let (result, finished) = handle.run(handler).await;
    let set_cookie = set_cookie_of(&finished);
    Answer {
        ok: result.is_ok() && finished.error().is_none(),
        set_cookie,
    }
}

async fn act(
    session: &Session,
    kind: Kind,
    id: usize,
    world: &World,
) -> Result<(), session_core::Error> {
    if kind.rotates() {
        session.regenerate();
    }
    if kind.destroys() {
        session.destroy();
    }
    if kind == Kind::Read {
        session.keys();
    }
    for (at, group) in kind.groups(id).iter().enumerate() {
        if at > 0 {
            session.commit().await?;
        }
        group.iter().for_each(|op| op.record(session));
        world.pause().await;
    }
    if kind.panics() {
        // As a panic, without the message that the panic hook prints.
        std::panic::resume_unwind(Box::new("the handler panicked"));
    }
    Ok(())
}

/// The value of our Set-Cookie header; the empty string is a removal.
fn set_cookie_of(finished: &Finished) -> Option<String> {
    struct Headers(Option<String>);
    impl ResponseHeaders for Headers {
        fn values(&self, _: ResponseHeader) -> impl Iterator<Item = &[u8]> {
            std::iter::empty()
        }
        fn append(&mut self, header: ResponseHeader, value: Cow<'static, str>) {
            if header == ResponseHeader::SetCookie {
                let pair = value.split(';').next().unwrap_or_default();
                self.0 = pair.split_once('=').map(|(_, value)| value.to_owned());
            }
        }
        fn replace(&mut self, _: ResponseHeader, _: Cow<'static, str>) {}
    }
    let mut headers = Headers(None);
    finished.apply(&mut headers);
    headers.0
}
