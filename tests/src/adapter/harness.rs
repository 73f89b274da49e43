//! What an adapter's author provides, and what a check makes of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use session_core::{SessionConfig, SessionConfigBuilder, SessionManager};

use super::visitor::Visitor;
use super::{SpyStore, TestClock};
use crate::app;

/// The secret of the suite's sessions.
pub const SECRET: &str = "a secret for tests, of at least 32 bytes";

/// Serves the [application](crate::app) with the adapter that is tested.
pub trait AdapterHarness: Send + Sync {
    /// Starts a server of the application on a free port of this machine, and says where it listens. Its
    /// sessions are those of `SessionManager::builder(config, store).clock(clock).build().unwrap()`, and nothing is outside of the
    /// session middleware.
    ///
    /// It is called from a tokio runtime with two workers, which goes away with the check, and with it what
    /// was spawned there.
    fn start(
        &self,
        store: SpyStore,
        config: SessionConfig,
        clock: TestClock,
    ) -> impl Future<Output = SocketAddr> + Send;

    /// Starts a server as [`start`](Self::start) does, with two session middlewares of one name: that of `outer`, and
    /// directly inside it that of `inner`. Both have the application's error hook.
    fn start_nested(
        &self,
        outer: SessionManager,
        inner: SessionManager,
    ) -> impl Future<Output = SocketAddr> + Send;

    /// How often each race is run; every overlap is forced, so that a few rounds find what many find.
    /// Default: 100.
    fn rounds(&self) -> usize {
        100
    }
}

/// How many servers share one store where several requests meet.
const FLEET: usize = 3;

/// Servers of the application, with all that a check can look at.
pub(super) struct Scene {
    pub(super) store: SpyStore,
    pub(super) clock: TestClock,
    pub(super) servers: Vec<SocketAddr>,
    dropped: Arc<AtomicUsize>,
}

impl Scene {
    /// One server, with the demo's defaults.
    pub(super) async fn start(harness: &impl AdapterHarness) -> Self {
        Self::with(harness, config()).await
    }

    /// One server.
    pub(super) async fn with(harness: &impl AdapterHarness, config: SessionConfigBuilder) -> Self {
        Self::servers(harness, config, 1).await
    }

    /// Several servers with one store and one clock.
    pub(super) async fn fleet(harness: &impl AdapterHarness, config: SessionConfigBuilder) -> Self {
        Self::servers(harness, config, FLEET).await
    }

    async fn servers(
        harness: &impl AdapterHarness,
        config: SessionConfigBuilder,
        count: usize,
    ) -> Self {
        let (store, clock) = (SpyStore::default(), TestClock::new());
        let dropped = Arc::new(AtomicUsize::new(0));
        let counter = dropped.clone();
        let config = config.on_dropped(move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        let config = config
            .build()
            .expect("the suite's configurations are right");
        let mut servers = Vec::new();
        for _ in 0..count {
            let server = harness.start(store.clone(), config.clone(), clock.clone());
            servers.push(server.await);
        }
        Self {
            store,
            clock,
            servers,
            dropped,
        }
    }

    /// A browser without cookies.
    pub(super) fn visitor(&self) -> Visitor {
        Visitor::new(self.servers[0])
    }

    /// A browser with a session, in which `name` is `"Ada"`. The store's notes are empty.
    pub(super) async fn ada(&self) -> Visitor {
        let mut ada = self.visitor();
        let reply = ada.send("PUT /api/values/name", r#""Ada""#).await;
        assert!(
            reply.status == 200 && reply.session_cookie().is_some(),
            "storing a value has to begin a session, and the answer to bring its cookie: {reply:?}"
        );
        self.store.take_calls();
        ada
    }

    /// Sends `line` and expects that the connection closes without an answer, or that it is a 500.
    pub(super) async fn send_to_panic(&self, visitor: &Visitor, line: &str) {
        let request = visitor.request(line, "1");
        if let Ok(reply) = visitor.try_exchange(request).await {
            assert_eq!(reply.status, 500, "the answer to a panic: {reply:?}");
        }
    }

    /// How often changes were reported as dropped.
    pub(super) fn dropped(&self) -> usize {
        self.dropped.load(Ordering::SeqCst)
    }
}

/// The configuration that checks vary.
pub(super) fn config() -> SessionConfigBuilder {
    SessionConfig::builder(SECRET).exclude_path(app::EXCLUDED)
}
