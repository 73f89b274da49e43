//! One visitor, one server: what the tests of a session's behaviour share.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on panics"
)]
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::borrow::Cow;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use session_core::adapter::{CookieHeaders, Finished, ResponseHeader, ResponseHeaders};
use session_core::store::{
    Expect, Record, SaveOptions, SaveOutcome, SessionStore, StoreError, StoreKey, Touch,
    async_trait,
};
use session_core::{
    Clock, Error, Session, SessionConfig, SessionConfigBuilder, SessionManager, Timestamp,
};

#[path = "../../docs/map_store.rs"]
#[expect(
    unreachable_pub,
    reason = "the example is public where people copy it to"
)]
mod map_store;
pub(crate) use map_store::MapStore;

pub(crate) const SECRET: &str = "a secret for tests of thirty-two bytes";

/// The configuration that tests start from: an hour idle, a day at most.
pub(crate) fn config() -> SessionConfigBuilder {
    SessionConfig::builder(SECRET)
}

/// A clock that stands still until a test moves it. Its sleeps never end.
#[derive(Clone)]
pub(crate) struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_700_000_000_000)))
    }

    pub(crate) fn advance(&self, time: Duration) {
        self.0
            .fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) fn set(&self, now: Timestamp) {
        self.0.store(now.as_unix_millis(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.0.load(Ordering::SeqCst))
    }

    fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::pending())
    }
}

/// A store that writes down what it is asked, and fails when it is told to.
#[derive(Clone, Default)]
pub(crate) struct SpyStore(Arc<Spy>);

#[derive(Default)]
struct Spy {
    inner: MapStore,
    calls: Mutex<Vec<&'static str>>,
    /// What the next calls fail with; `None` lets one through.
    failures: Mutex<VecDeque<Option<StoreError>>>,
}

impl SpyStore {
    /// The calls since this was last asked.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.calls.lock().unwrap())
    }

    pub(crate) fn fail_next(&self, error: StoreError) {
        self.0.failures.lock().unwrap().push_back(Some(error));
    }

    pub(crate) fn let_one_through(&self) {
        self.0.failures.lock().unwrap().push_back(None);
    }

    fn asked(&self, call: &'static str) -> Result<(), StoreError> {
        self.0.calls.lock().unwrap().push(call);
        match self.0.failures.lock().unwrap().pop_front().flatten() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl SessionStore for SpyStore {
    async fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Option<Record>, StoreError> {
        self.asked("load")?;
        self.0.inner.load(key, now).await
    }

    async fn save(
        &self,
        key: &StoreKey,
        record: Record,
        options: SaveOptions,
    ) -> Result<SaveOutcome, StoreError> {
        let SaveOptions { expect, now, .. } = options;
        self.asked(match (record.live().is_some(), expect) {
            (true, Expect::Absent) => "create",
            (true, Expect::Version(_)) => "save",
            (false, _) => "tombstone",
        })?;
        self.0
            .inner
            .save(key, record, SaveOptions::new(expect, now))
            .await
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.asked("delete")?;
        self.0.inner.delete(key).await
    }

    async fn touch(
        &self,
        key: &StoreKey,
        touch: Touch,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        self.asked("touch")?;
        self.0.inner.touch(key, touch, now).await
    }
}

/// Response headers in a list.
#[derive(Clone, Default, Debug)]
pub(crate) struct HeaderList(pub Vec<(String, String)>);

impl ResponseHeaders for HeaderList {
    fn values(&self, header: ResponseHeader<'_>) -> impl Iterator<Item = &[u8]> {
        self.0
            .iter()
            .filter(move |(other, _)| *other == header.name())
            .map(|(_, value)| value.as_bytes())
    }

    fn append(&mut self, header: ResponseHeader<'_>, value: Cow<'static, str>) {
        self.0.push((header.name().to_owned(), value.into_owned()));
    }

    fn replace(&mut self, header: ResponseHeader<'_>, value: Cow<'static, str>) {
        self.0.retain(|(other, _)| *other != header.name());
        self.append(header, value);
    }
}

/// A server, and a visitor with a cookie jar.
pub(crate) struct Scene {
    pub(crate) manager: SessionManager,
    pub(crate) store: SpyStore,
    pub(crate) clock: TestClock,
    pub(crate) jar: Option<String>,
}

/// What a request came to.
pub(crate) struct Response {
    pub(crate) headers: HeaderList,
    pub(crate) error: Option<Error>,
}

impl Scene {
    pub(crate) fn new(config: SessionConfigBuilder) -> Self {
        let (store, clock) = (SpyStore::default(), TestClock::new());
        let manager = SessionManager::builder(config.build().unwrap(), store.clone())
            .clock(clock.clone())
            .build()
            .unwrap();
        Self {
            manager,
            store,
            clock,
            jar: None,
        }
    }

    /// Another server on the same store and clock.
    pub(crate) fn reconfigure(&mut self, config: SessionConfigBuilder) {
        let (store, clock) = (self.store.clone(), self.clock.clone());
        self.manager = SessionManager::builder(config.build().unwrap(), store)
            .clock(clock)
            .build()
            .unwrap();
    }

    /// A visitor with a session in which `n` is 1, and no calls noted.
    pub(crate) async fn with_session(config: SessionConfigBuilder) -> Self {
        let mut scene = Self::new(config);
        scene.request(|session| session.set("n", 1).unwrap()).await;
        scene.store.calls();
        scene
    }

    /// A request whose handler does `act`; the jar takes the response's cookie.
    pub(crate) async fn request(&mut self, act: impl FnOnce(&Session)) -> Response {
        let cookie = self.jar.clone();
        let response = self.request_with(cookie, act).await;
        self.take_cookie(&response);
        response
    }

    /// A request with a cookie of the caller's; the jar stays as it is.
    pub(crate) async fn request_with(
        &self,
        cookie: Option<String>,
        act: impl FnOnce(&Session),
    ) -> Response {
        let header = cookie.map(|value| format!("session_id={value}"));
        let handle = self.manager.handle();
        let headers: Vec<_> = header.iter().map(String::as_bytes).collect();
        let work = async {
            if let Ok(session) = handle.load::<Error>(&CookieHeaders(&headers)).await {
                act(&session);
            }
        };
        let ((), finished) = handle.run(work).await;
        Response::new(&finished)
    }

    /// Two requests of this visitor that overlap: both load the session, the second one is over first, and then the first
    /// one is committed. Neither may fail; the jar stays as it is.
    pub(crate) async fn overlap(
        &self,
        first: impl FnOnce(&Session),
        second: impl FnOnce(&Session),
    ) {
        let handle = self.manager.handle();
        let header = self.jar.as_ref().map(|value| format!("session_id={value}"));
        let headers: Vec<_> = header.iter().map(String::as_bytes).collect();
        let work = async {
            let session: Session = handle.load(&CookieHeaders(&headers)).await.unwrap();
            first(&session);
            let response = self.request_with(self.jar.clone(), second).await;
            assert!(response.error.is_none(), "{:?}", response.error);
        };
        let ((), finished) = handle.run(work).await;
        assert!(finished.error().is_none(), "{:?}", finished.error());
    }

    pub(crate) fn take_cookie(&mut self, response: &Response) {
        if let Some(value) = response.cookie() {
            self.jar = Some(value).filter(|value| !value.is_empty());
        }
    }

    /// What a later request of this visitor reads under `n`.
    pub(crate) async fn read_n(&mut self) -> Option<i64> {
        let mut n = None;
        self.request(|session| n = session.get("n").unwrap()).await;
        n
    }
}

impl Response {
    pub(crate) fn new(finished: &Finished) -> Self {
        let mut headers = HeaderList::default();
        finished.apply(&mut headers);
        Self {
            headers,
            error: finished.error().cloned(),
        }
    }

    pub(crate) fn set_cookies(&self) -> Vec<&str> {
        let is_set_cookie = |header: &&(String, String)| header.0 == "set-cookie";
        self.headers
            .0
            .iter()
            .filter(is_set_cookie)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The cookie's new value; empty for a removal.
    pub(crate) fn cookie(&self) -> Option<String> {
        let cookies = self.set_cookies();
        assert!(cookies.len() <= 1, "{cookies:?}");
        let pair = cookies.first()?.split(';').next()?;
        pair.split_once('=').map(|(_, value)| value.to_owned())
    }
}
