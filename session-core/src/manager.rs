//! The driver: carries out what the plans decide, against the store, under a deadline.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use crate::config::{DroppedChanges, SessionConfig};
use crate::error::{ConfigError, Error, ErrorKind};
use crate::handle::SessionHandle;
use crate::id::{SessionId, SessionRef, UserKey};
use crate::login::{Login, SessionInfo};
use crate::plan::{
    Answer, Binding, Call, Commit, Context, Deed, DropReason, EndSessions, Found, Ids,
    ListSessions, Open, OpenReport, Outcome, Step, Which,
};
use crate::random::{OsRandom, Random};
use crate::record::Record;
use crate::store::{SessionStore, StoreError, UserIndex};
use crate::time::{Clock, SystemClock, Timestamp};

/// Configuration, store, clock and generator: what all requests share. Cloning is cheap, and clones are
/// the same manager.
#[derive(Clone)]
pub struct SessionManager(Arc<Parts>);

struct Parts {
    config: SessionConfig,
    store: Arc<dyn SessionStore>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Parts {
    /// The store itself: the one behind the `Arc`, which is a store too and would box each future again.
    fn store(&self) -> &dyn SessionStore {
        &*self.store
    }
}

impl SessionManager {
    /// A manager on the system's clock and generator.
    ///
    /// # Panics
    /// If the configuration has something that the store can't do, which [`check`](Self::check) tells without
    /// a panic: a program that starts so would fail at its first login.
    pub fn new(config: SessionConfig, store: impl SessionStore) -> Self {
        Self::with_clock(config, store, SystemClock)
    }

    /// A manager on a clock of the caller's, for tests.
    pub fn with_clock(config: SessionConfig, store: impl SessionStore, clock: impl Clock) -> Self {
        Self::with_clock_and_insecure_random(config, store, clock, OsRandom)
    }

    /// A manager on a clock and a generator of the caller's, for tests. Whoever can guess what the
    /// generator gives can enter every session.
    pub fn with_clock_and_insecure_random(
        config: SessionConfig,
        store: impl SessionStore,
        clock: impl Clock,
        random: impl Random,
    ) -> Self {
        if let Err(error) = Self::check(&config, &store) {
            refuse(&error);
        }
        let (store, clock, random) = (Arc::new(store), Arc::new(clock), Arc::new(random));
        Self(Arc::new(Parts {
            config,
            store,
            clock,
            random,
        }))
    }

    /// Whether the store can do what the configuration asks for: a number of sessions per user needs an index of
    /// sessions by user.
    ///
    /// # Errors
    /// Says what to change.
    pub fn check(config: &SessionConfig, store: &dyn SessionStore) -> Result<(), ConfigError> {
        if config.checked().policy.cap.is_some() && store.user_index().is_none() {
            return Err(ConfigError::new(
                "max_sessions_per_user needs a store with an index of sessions by user, which this one doesn't \
                 have: leave the number out, or use another store",
            ));
        }
        Ok(())
    }

    /// The live sessions of the user with this name, the one used last first: for administrators.
    /// [`Session::list_sessions`](crate::Session::list_sessions) is for the user.
    ///
    /// # Errors
    /// [`ErrorKind::NoUserIndex`] if the store has no lists of sessions, and
    /// [`ErrorKind::StoreUnavailable`] if it fails.
    pub async fn sessions_of(&self, user: &str) -> Result<Vec<SessionInfo>, Error> {
        self.list(user, None).await
    }

    /// Ends one of the sessions of the user with this name; says whether there was one of that reference.
    ///
    /// # Errors
    /// As [`sessions_of`](Self::sessions_of), and [`ErrorKind::Conflict`] if the session kept changing.
    pub async fn end_session(&self, user: &str, session: SessionRef) -> Result<bool, Error> {
        Ok(self.end(user, Which::Only(session)).await? > 0)
    }

    /// Ends all sessions of the user with this name; says how many there were.
    ///
    /// # Errors
    /// As [`end_session`](Self::end_session).
    pub async fn end_all_sessions(&self, user: &str) -> Result<usize, Error> {
        self.end(user, Which::All).await
    }

    pub(crate) async fn list(
        &self,
        user: &str,
        current: Option<SessionRef>,
    ) -> Result<Vec<SessionInfo>, Error> {
        self.check_index()?;
        let mut plan = ListSessions::new(UserKey::of(user));
        let listed = self.drive(|answer, cx| plan.advance(answer, cx)).await;
        let records = listed.inspect_err(|error| log_error("list", error))?;
        let infos = records.iter().filter_map(Record::live);
        let mut infos: Vec<_> = infos
            .filter_map(|live| SessionInfo::of(live, current))
            .collect();
        infos.sort_by_key(|info| std::cmp::Reverse(info.last_active_at));
        Ok(infos)
    }

    pub(crate) async fn end(&self, user: &str, which: Which) -> Result<usize, Error> {
        self.check_index()?;
        let mut plan = EndSessions::new(UserKey::of(user), which);
        let ended = self.drive(|answer, cx| plan.advance(answer, cx)).await;
        let ended = ended.inspect_err(|error| log_error("end", error))?;
        if ended > 0 {
            tracing::info!(target: "session", ended, "a user's sessions were ended from elsewhere");
        }
        Ok(ended)
    }

    /// What a login makes of a session.
    pub(crate) fn binding(&self, login: Login) -> Binding {
        let lifetime = login
            .is_remembered()
            .then_some(self.0.config.checked().remembered);
        Binding {
            user: Arc::new(login.into_binding(self.now())),
            lifetime,
        }
    }

    fn check_index(&self) -> Result<(), Error> {
        match self.0.store().user_index() {
            Some(_) => Ok(()),
            None => Err(no_index()),
        }
    }

    /// The session of one request, not loaded yet, whatever is around the request: for tests, and where there
    /// are no paths. Middleware calls [`enter`](Self::enter).
    pub fn handle(&self) -> SessionHandle {
        SessionHandle::new(self.clone())
    }

    /// The configuration.
    pub fn config(&self) -> &SessionConfig {
        &self.0.config
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// The way to the session that a request's Cookie headers lead to: the ids whose signature holds, each once.
    pub(crate) fn opening<'h>(&self, cookie_headers: impl IntoIterator<Item = &'h [u8]>) -> Open {
        let checked = self.0.config.checked();
        let mut ids = Ids::new();
        for value in checked.cookie.scanner().values(cookie_headers) {
            match checked.keys.verify(value) {
                Ok(verified) => match ids.iter_mut().find(|earlier| earlier.key == verified.key) {
                    Some(same) => same.outdated &= verified.outdated,
                    None => ids.push(verified),
                },
                Err(reason) => {
                    tracing::debug!(target: "session", ?reason, "session cookie rejected");
                }
            }
        }
        Open::new(ids)
    }

    /// Finds that session, all loads under one deadline; says when that was.
    pub(crate) async fn open(
        &self,
        open: &mut Open,
    ) -> Result<(Found, OpenReport, Timestamp), Error> {
        let mut deadline = Deadline::new(&self.0);
        let mut now = self.now();
        while let Some(key) = open.next_key() {
            let Some(loaded) = deadline.bound(self.0.store().load(&key, now)).await else {
                let error = late();
                log_error("load", &error);
                return Err(error);
            };
            if deadline.has_waited() {
                now = self.now();
            }
            open.take(loaded, now, &self.0.config.checked().policy)
                .inspect_err(|error| log_error("load", error))?;
        }
        let (found, report) = open.decide();
        log_opened(&found, report);
        Ok((found, report, now))
    }

    /// Carries out what a request wants, and tells those who watch.
    pub(crate) async fn commit(
        &self,
        commit: &mut Commit,
        before: Option<SessionRef>,
    ) -> Result<Outcome, Error> {
        let committed = self.drive(|answer, cx| commit.advance(answer, cx)).await;
        match &committed {
            Ok(outcome) => {
                let session = before.or_else(|| handle_of(&outcome.found));
                log_deed(outcome.deed, session);
                if let Some(reason) = outcome.dropped {
                    self.report_dropped(reason, session);
                }
            }
            Err(error) => log_error("commit", error),
        }
        committed
    }

    /// The Set-Cookie value that gives the browser `id` until `expires_at`.
    pub(crate) fn set_cookie(&self, id: &SessionId, expires_at: Timestamp) -> String {
        let checked = self.0.config.checked();
        checked.cookie.set(
            &checked.keys.sign(id),
            expires_at.saturating_since(self.now()),
        )
    }

    fn report_dropped(&self, reason: DropReason, session: Option<SessionRef>) {
        tracing::warn!(target: "session", ?reason, session = %Shown(session), "session changes dropped");
        if let Some(hook) = &self.0.config.checked().on_dropped {
            hook(&DroppedChanges { reason, session });
        }
    }

    /// Carries out a plan's steps, all under one deadline.
    async fn drive<T>(
        &self,
        mut advance: impl FnMut(Answer, &Context<'_>) -> Step<T>,
    ) -> Result<T, Error> {
        let mut deadline = Deadline::new(&self.0);
        let mut cx = self.context();
        let mut answer = Answer::Ready;
        loop {
            let call = match advance(answer, &cx) {
                Step::Done(result) => return result,
                Step::Call(call) => call,
                Step::Pause(pause) => {
                    if deadline.bound(self.0.clock.sleep(pause)).await.is_none() {
                        return Err(kept_changing());
                    }
                    (answer, cx.now) = (Answer::Ready, self.now());
                    continue;
                }
            };
            answer = match deadline.bound(pin!(self.call(call, cx.now))).await {
                Some(Ok(answer)) => answer,
                Some(Err(error)) => Answer::Failed(error),
                None => return Err(late()),
            };
            if deadline.has_waited() {
                cx.now = self.now();
            }
        }
    }

    /// What a plan that starts now may look at.
    fn context(&self) -> Context<'_> {
        Context {
            now: self.now(),
            random: &*self.0.random,
            policy: &self.0.config.checked().policy,
            has_index: self.0.store().user_index().is_some(),
        }
    }

    /// The index of a store that has one: plans ask for it nowhere else.
    fn index(&self) -> Result<&dyn UserIndex, StoreError> {
        let index = self.0.store().user_index();
        index.ok_or_else(|| StoreError::not_applied("the store has no index of sessions by user"))
    }

    /// Not an `async fn`, which would keep the call twice: as its argument and as its variable.
    fn call(
        &self,
        call: Call,
        now: Timestamp,
    ) -> impl Future<Output = Result<Answer, StoreError>> + Send {
        let store = self.0.store();
        async move {
            Ok(match call {
                Call::Load(ref key) => Answer::Loaded(store.load(key, now).await?),
                Call::Save {
                    ref key,
                    record,
                    expect,
                } => Answer::Saved(store.save(key, record, expect, now).await?),
                Call::Touch { ref key, touch } => {
                    Answer::Saved(store.touch(key, touch, now).await?)
                }
                Call::Delete(ref key) => {
                    store.delete(key).await?;
                    Answer::Deleted
                }
                Call::List {
                    ref user,
                    entry,
                    cap,
                } => Answer::Listed(self.index()?.add(user, entry, cap, now).await?),
                Call::Unlist { ref user, ref key } => {
                    self.index()?.remove(user, key).await?;
                    Answer::Unlisted
                }
                Call::Entries(ref user) => Answer::Entries(self.index()?.list(user, now).await?),
            })
        }
    }
}

impl fmt::Debug for SessionManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManager")
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}

/// The time that all store calls of one load or one commit have together.
struct Deadline<'m> {
    parts: &'m Parts,
    /// Made when something has to be waited for; a store that answers at once costs no timer.
    sleep: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<'m> Deadline<'m> {
    fn new(parts: &'m Parts) -> Self {
        Self { parts, sleep: None }
    }

    /// Whether time has passed. Where nothing had to be waited for it hasn't, as far as plans are concerned:
    /// looking at the clock costs as much as a lookup in memory.
    fn has_waited(&self) -> bool {
        self.sleep.is_some()
    }

    /// The output of `work`, or `None` when the time is up.
    async fn bound<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(output) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            let Parts { clock, config, .. } = self.parts;
            let sleep = self
                .sleep
                .get_or_insert_with(|| clock.sleep(config.checked().store_timeout));
            sleep.as_mut().poll(cx).map(|()| None)
        })
        .await
    }
}

fn late() -> Error {
    StoreError::unknown("the store didn't answer in time").into()
}

fn kept_changing() -> Error {
    let message = "other requests kept changing the session until the time was up";
    Error::new(ErrorKind::Conflict, message)
}

pub(crate) fn handle_of(found: &Found) -> Option<SessionRef> {
    match found {
        Found::Live(live) => Some(live.record.handle),
        Found::Nothing | Found::Several(_) | Found::Dead(_) => None,
    }
}

#[expect(
    clippy::panic,
    reason = "a configuration that can't work must not start; `check` is there for those who want an error"
)]
fn refuse(error: &ConfigError) -> ! {
    panic!("{error}")
}

fn no_index() -> Error {
    Error::new(
        ErrorKind::NoUserIndex,
        "the store has no index of sessions by user",
    )
}

/// A session's public handle, as events show it; formatted only if somebody listens.
struct Shown(Option<SessionRef>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(handle) => handle.fmt(f),
            None => f.write_str("none"),
        }
    }
}

fn log_opened(found: &Found, report: OpenReport) {
    match found {
        Found::Live(live) => {
            tracing::debug!(target: "session", session = %live.record.handle, "session loaded");
        }
        Found::Dead(dead) if dead.in_grace => {
            tracing::debug!(target: "session", "an ended or rotated session id was used by a late request");
        }
        Found::Dead(_) | Found::Several(_) | Found::Nothing => {}
    }
    let OpenReport {
        ambiguous,
        used_after_grace,
        corrupt,
        outdated: _,
    } = report;
    if ambiguous {
        tracing::warn!(target: "session", "several live sessions came with one request; none is used");
    }
    if used_after_grace {
        tracing::warn!(target: "session", "an id was used that had been ended or rotated long before");
    }
    if corrupt {
        tracing::error!(target: "session", "a stored session can't be decoded; its visitor is anonymous");
    }
}

fn log_deed(deed: Deed, session: Option<SessionRef>) {
    let session = Shown(session);
    match deed {
        Deed::Nothing => {}
        Deed::Created => {
            tracing::info!(target: "session", %session, "session created");
        }
        Deed::Saved => {
            tracing::debug!(target: "session", %session, "session saved");
        }
        Deed::Touched => {
            tracing::debug!(target: "session", %session, "session touched");
        }
        Deed::FoundGone => {
            tracing::debug!(target: "session", %session, "session gone before its activity was noted");
        }
        Deed::Rotated => {
            tracing::info!(target: "session", %session, "session rotated");
        }
        Deed::Ended => {
            tracing::info!(target: "session", %session, "session ended");
        }
    }
}

/// The source's `Display` is the store's own; ours shows nothing.
fn log_error(during: &'static str, error: &Error) {
    let source = std::error::Error::source(error).and_then(std::error::Error::source);
    let source = source.map(ToString::to_string).unwrap_or_default();
    tracing::error!(target: "session", during, kind = ?error.kind(), source, "{error}");
}
