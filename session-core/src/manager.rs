//! What all requests share, and the calls of administrators.

use std::fmt;
use std::sync::Arc;

use crate::config::SessionConfig;
use crate::error::{ConfigError, Error};
use crate::events::Events;
use crate::id::{SessionRef, UserKey};
use crate::protocol::{Environment, Queues, SessionInfo, Which, end_sessions, list_sessions};
use crate::random::{OsRandom, Random};
use crate::spawn::{Outliving, Spawner, TokioSpawner};
use crate::store::{EndedBy, SessionStore};
use crate::time::{Clock, SystemClock};

/// Configuration, store, clock and generator: what all requests share. Cloning is cheap, and clones are
/// the same manager.
#[derive(Clone)]
pub struct SessionManager(Arc<Environment>);

impl SessionManager {
    /// A manager on the system's clock and generator.
    ///
    /// # Panics
    /// If the configuration asks for something that the store can't do: a program that started so would fail at its
    /// first login. [`try_new`](Self::try_new) gives the error instead.
    pub fn new(config: SessionConfig, store: impl SessionStore) -> Self {
        match Self::try_new(config, store) {
            Ok(manager) => manager,
            Err(error) => refuse(&error),
        }
    }

    /// A manager on the system's clock and generator.
    ///
    /// # Errors
    /// If the configuration asks for something that the store can't do: a number of sessions per user needs an index
    /// of sessions by user. The error says what to change.
    pub fn try_new(config: SessionConfig, store: impl SessionStore) -> Result<Self, ConfigError> {
        Self::builder(config, store).build()
    }

    /// A manager on a clock, a generator or a spawner of the caller's, for tests.
    pub fn builder(config: SessionConfig, store: impl SessionStore) -> SessionManagerBuilder {
        SessionManagerBuilder {
            config,
            store: Arc::new(store),
            clock: Arc::new(SystemClock),
            random: Arc::new(OsRandom),
            spawner: Arc::new(TokioSpawner),
        }
    }

    /// The live sessions of the user with this name, the one used last first: for administrators.
    /// [`Session::list_sessions`](crate::Session::list_sessions) is for the user.
    ///
    /// # Errors
    /// [`ErrorKind::NoUserIndex`](crate::ErrorKind::NoUserIndex) if the store has no lists of sessions, and
    /// [`ErrorKind::StoreUnavailable`](crate::ErrorKind::StoreUnavailable) if it fails.
    pub async fn list_sessions(&self, user: &str) -> Result<Vec<SessionInfo>, Error> {
        self.list(user, None).await
    }

    /// Ends one of the sessions of the user with this name; says whether there was one of that reference.
    ///
    /// # Errors
    /// As [`list_sessions`](Self::list_sessions), and [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if the
    /// session kept changing.
    pub async fn end_session(&self, user: &str, session: SessionRef) -> Result<bool, Error> {
        let ended = self.end(user, Which::Only(session), EndedBy::Administrator);
        Ok(ended.await? > 0)
    }

    /// Ends all sessions of the user with this name; says how many there were.
    ///
    /// # Errors
    /// As [`end_session`](Self::end_session). One session that can't be ended doesn't shield the others: the error says
    /// at the end how many were ended and how many weren't. It is safe to ask again.
    pub async fn end_all_sessions(&self, user: &str) -> Result<usize, Error> {
        self.end(user, Which::All, EndedBy::Administrator).await
    }

    /// Waits for the commits that have outlived their requests, whose visitors had left meanwhile. Call it at shutdown,
    /// after the server has stopped and while the runtime runs: each takes the store timeout at most. Without it the
    /// runtime cuts them off, and each leaves the old state or the new.
    pub async fn drain(&self) {
        self.0.outliving.drain().await;
    }

    /// The configuration.
    pub fn config(&self) -> &SessionConfig {
        &self.0.config
    }

    pub(crate) async fn list(
        &self,
        user: &str,
        current: Option<SessionRef>,
    ) -> Result<Vec<SessionInfo>, Error> {
        let user = UserKey::of(self.kind(), user);
        list_sessions(&self.0, &user, current).await
    }

    pub(crate) async fn end(&self, user: &str, which: Which, by: EndedBy) -> Result<usize, Error> {
        let user = UserKey::of(self.kind(), user);
        end_sessions(&self.0, &user, which, by).await
    }

    fn kind(&self) -> &str {
        &self.0.config.policy().kind
    }

    /// Whether the other one is a clone of this one.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.0
    }
}

impl fmt::Debug for SessionManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManager")
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}

/// Puts a clock, a generator and a spawner of the caller's into a [`SessionManager`].
#[must_use = "call build() to get the manager"]
pub struct SessionManagerBuilder {
    config: SessionConfig,
    store: Arc<dyn SessionStore>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    spawner: Arc<dyn Spawner>,
}

impl SessionManagerBuilder {
    /// The clock. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The random generator, for tests alone: whoever can guess what it gives can enter every session. Default:
    /// [`OsRandom`].
    pub fn insecure_random(mut self, random: impl Random) -> Self {
        self.random = Arc::new(random);
        self
    }

    /// What runs a commit whose request was dropped. Default: [`TokioSpawner`].
    pub fn spawner(mut self, spawner: impl Spawner) -> Self {
        self.spawner = Arc::new(spawner);
        self
    }

    /// The manager.
    ///
    /// # Errors
    /// As [`SessionManager::try_new`].
    pub fn build(self) -> Result<SessionManager, ConfigError> {
        let Self {
            config,
            store,
            clock,
            random,
            spawner,
        } = self;
        if config.policy().needs_index && store.user_index().is_none() {
            return Err(ConfigError::new(
                "max_sessions_per_user needs a store with an index of sessions by user, which this one doesn't \
                 have: leave the number out, or use another store",
            ));
        }
        store.keep_expired_for(config.policy().margin);
        let events = Arc::new(Events::new(clock.clone()));
        Ok(SessionManager(Arc::new(Environment {
            config,
            store,
            clock,
            random,
            outliving: Outliving::new(spawner, events.clone()),
            events,
            queues: Queues::default(),
        })))
    }
}

impl fmt::Debug for SessionManagerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManagerBuilder")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

#[expect(
    clippy::panic,
    reason = "a configuration that can't work must not start; `try_new` is there for those who want an error"
)]
fn refuse(error: &ConfigError) -> ! {
    panic!("{error}")
}
