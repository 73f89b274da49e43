//! A server with users, whose store can be held, and whose clock stands still.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::time::Duration;

use session_conformance::adapter::{Call, Mood, SECRET, SpyStore, TestClock};
use session_core::adapter::CookieHeaders;
use session_core::store::{IndexEntry, UserIndex as _, UserKey};
use session_core::{
    Clock as _, Error, ErrorKind, Login, Session, SessionConfig, SessionConfigBuilder,
    SessionManager,
};

/// Some minutes: longer than a commit can take, shorter than a session lasts.
pub(crate) const LATER: Duration = Duration::from_secs(120);

pub(crate) struct Scene {
    pub(crate) store: SpyStore,
    pub(crate) clock: TestClock,
    pub(crate) manager: SessionManager,
}

impl Scene {
    pub(crate) fn new(
        configure: impl FnOnce(SessionConfigBuilder) -> SessionConfigBuilder,
    ) -> Self {
        let (store, clock) = (SpyStore::default(), TestClock::new());
        let config = configure(SessionConfig::builder(SECRET)).build().unwrap();
        let manager = SessionManager::builder(config, store.clone())
            .clock(clock.clone())
            .build()
            .unwrap();
        Self {
            store,
            clock,
            manager,
        }
    }

    /// Runs a request with this cookie; gives the cookie that the browser has afterwards.
    pub(crate) async fn request(
        &self,
        cookie: &str,
        work: impl AsyncFnOnce(&Session) -> Result<(), Error>,
    ) -> Result<String, Error> {
        let handle = self.manager.handle();
        let request = async {
            let session: Session = handle.load(&CookieHeaders(&[cookie.as_bytes()])).await?;
            work(&session).await
        };
        let (result, finished) = handle.run(request).await;
        result?;
        if let Some(error) = finished.error() {
            return Err(error.clone());
        }
        let mut headers = http::HeaderMap::new();
        finished.apply(&mut headers);
        let set = headers.get("set-cookie");
        let set = set.map(|value| {
            value
                .to_str()
                .unwrap()
                .split(';')
                .next()
                .unwrap()
                .to_owned()
        });
        Ok(set.unwrap_or_else(|| cookie.to_owned()))
    }

    /// A login that fails after its entry was added, and before its record was.
    pub(crate) async fn left_behind(&self, user: &str) {
        self.store.set(Call::Create, Mood::Fails);
        let error = self.log_in(user.into()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
        self.store.set(Call::Create, Mood::Works);
    }

    pub(crate) async fn log_in(&self, login: Login) -> Result<String, Error> {
        let cookie = self.request("", async |session| session.login(login));
        cookie.await
    }

    pub(crate) async fn entries(&self, user: &str) -> Vec<IndexEntry> {
        let index = self.store.records();
        let listed = index
            .list(&UserKey::of("session_id", user), self.clock.now())
            .await;
        listed.unwrap()
    }
}
