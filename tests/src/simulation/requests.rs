//! What visitors ask for.

use std::borrow::Cow;
use std::collections::BTreeMap;

use session_core::adapter::{CookieHeaders, Finished, ResponseHeader, ResponseHeaders};
use session_core::{Error, ErrorKind, Login, Session, SessionInfo, SessionManager, SessionRef};

use super::world::World;

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

/// One request, and the server that it goes to.
pub(super) struct Request {
    pub(super) server: SessionManager,
    pub(super) world: World,
    pub(super) id: usize,
    pub(super) kind: Kind,
    /// The values of our cookie, in the order of the header.
    pub(super) cookies: Vec<String>,
}

impl Request {
    /// Serves the request, as an adapter would.
    pub(super) async fn serve(self) -> Answer {
        if let Some(user) = self.kind.administrates() {
            return self.administrate(user).await;
        }
        let name = self.server.config().cookie_name();
        let cookies = self.cookies.iter().map(|value| format!("; {name}={value}"));
        let header = format!("theme=dark{}", cookies.collect::<String>());
        let headers = match self.cookies.is_empty() {
            true => &[][..],
            false => &[header.as_bytes()][..],
        };
        let handle = self.server.handle();
        let handler = async {
            let session: Session = handle.load(&CookieHeaders(headers)).await?;
            self.opened(&session);
            self.world.pause().await;
            self.act(&session).await
        };
        let (result, finished) = handle.run(handler).await;
        let set_cookie = set_cookie_of(&finished);
        let failed = finished.error().map(Error::kind);
        Answer {
            error: failed.or(result.err().map(|error| error.kind())),
            is_the_handlers: failed.is_none(),
            set_cookie,
        }
    }

    /// An administrator's request, which doesn't come with a session.
    async fn administrate(&self, user: User) -> Answer {
        let result = match self.kind {
            Kind::AdminEndAll(_) => {
                self.ends(Ending::All(user));
                let ended = self.server.end_all_sessions(user.name()).await;
                ended.map(|_| ())
            }
            _ => {
                self.ends(Ending::None);
                let listed = self.server.list_sessions(user.name()).await;
                listed.map(|infos| self.listed(user, &infos))
            }
        };
        Answer {
            error: result.err().map(|error| error.kind()),
            is_the_handlers: true,
            set_cookie: None,
        }
    }

    async fn act(&self, session: &Session) -> Result<(), Error> {
        let kind = self.kind;
        if kind.rotates() {
            session.regenerate();
        }
        if kind.destroys() {
            session.destroy();
        }
        if kind == Kind::Read {
            session.keys();
        }
        if let Some(user) = kind.login() {
            let remember = matches!(kind, Kind::LogInRemembered(_));
            session.login(Login::new(user.name()).remember(remember))?;
        }
        self.look_after_sessions(session).await?;
        for (at, group) in kind.groups(self.id).iter().enumerate() {
            if at > 0 {
                session.commit().await?;
            }
            group.iter().for_each(|op| op.record(session));
            self.world.pause().await;
        }
        if kind.panics() {
            // As a panic, without the message that the panic hook prints.
            std::panic::resume_unwind(Box::new("the handler panicked"));
        }
        Ok(())
    }

    /// Lists or ends the sessions of the session's user.
    async fn look_after_sessions(&self, session: &Session) -> Result<(), Error> {
        let Some(user) = session.user().and_then(|user| User::called(&user.name)) else {
            return Ok(());
        };
        let own = session.reference();
        match self.kind {
            Kind::List => {
                self.ends(Ending::None);
                self.listed(user, &session.list_sessions().await?);
            }
            Kind::EndOthers => {
                self.ends(own.map_or(Ending::All(user), |own| Ending::Others(user, own)));
                session.end_other_sessions().await?;
            }
            Kind::EndOne => {
                self.ends(Ending::None);
                let infos = session.list_sessions().await?;
                let others = infos.iter().filter(|info| Some(info.reference) != own);
                let Some(other) = self.choose(others.map(|info| info.reference).collect()) else {
                    return Ok(());
                };
                self.ends(Ending::One(user, other));
                session.end_session(other).await?;
            }
            _ => {}
        }
        Ok(())
    }

    fn choose(&self, among: Vec<SessionRef>) -> Option<SessionRef> {
        self.world.state().rng.choice(among)
    }

    /// Tells the oracle what the handler saw.
    fn opened(&self, session: &Session) {
        let user = session.user().and_then(|user| User::called(&user.name));
        self.world.state().oracle.opened(self.id, user);
    }

    /// Tells the oracle which sessions are to end by the calls that follow.
    fn ends(&self, ending: Ending) {
        self.world.state().oracle.ends(self.id, ending);
    }

    /// Tells the oracle what a list showed.
    fn listed(&self, user: User, infos: &[SessionInfo]) {
        let shown = infos.iter().map(|info| info.reference).collect();
        self.world.state().oracle.listed(self.id, user, shown);
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
