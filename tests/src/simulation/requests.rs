//! What visitors ask for, and how a server answers it.

use std::borrow::Cow;

use session_core::adapter::{CookieHeaders, Finished, ResponseHeader, ResponseHeaders};
use session_core::{Error, Login, Session, SessionInfo, SessionManager, SessionRef};

use super::kinds::{Answer, Ending, Kind, User};
use super::world::World;

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
        let name = self.server.config().cookie_name().unwrap_or_default();
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

/// The value of our Set-Cookie header; the empty string is a removal.
fn set_cookie_of(finished: &Finished) -> Option<String> {
    struct Headers(Option<String>);
    impl ResponseHeaders for Headers {
        fn values(&self, _: ResponseHeader<'_>) -> impl Iterator<Item = &[u8]> {
            std::iter::empty()
        }
        fn append(&mut self, header: ResponseHeader<'_>, value: Cow<'static, str>) {
            if header == ResponseHeader::SetCookie {
                let pair = value.split(';').next().unwrap_or_default();
                self.0 = pair.split_once('=').map(|(_, value)| value.to_owned());
            }
        }
        fn replace(&mut self, _: ResponseHeader<'_>, _: Cow<'static, str>) {}
    }
    let mut headers = Headers(None);
    finished.apply(&mut headers);
    headers.0
}
