//! Users and their sessions, through the core alone: what is stored in which order, and what is looked after.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that meets the unexpected fails by panicking"
)]

use std::time::Duration;

use session_conformance::adapter::{Call, Mood, SECRET, SpyStore, TestClock};
use session_core::adapter::CookieHeaders;
use session_core::store::{
    IndexEntry, Record, SaveOptions, SaveOutcome, SessionStore, StoreError, StoreKey,
    UserIndex as _, UserKey, async_trait,
};
use session_core::{
    Clock as _, Error, ErrorKind, Login, Session, SessionConfig, SessionConfigBuilder,
    SessionManager, SessionRef, Timestamp, WhenFull,
};

/// Some minutes: longer than a commit can take, shorter than a session lasts.
const LATER: Duration = Duration::from_secs(120);

struct Scene {
    store: SpyStore,
    clock: TestClock,
    manager: SessionManager,
}

impl Scene {
    fn new(configure: impl FnOnce(SessionConfigBuilder) -> SessionConfigBuilder) -> Self {
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
    async fn request(
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

    async fn log_in(&self, login: Login) -> Result<String, Error> {
        let cookie = self.request("", async |session| {
            session.login(login);
            Ok(())
        });
        cookie.await
    }

    async fn entries(&self, user: &str) -> Vec<IndexEntry> {
        let index = self.store.records();
        let listed = index.list(&UserKey::of(user), self.clock.now()).await;
        listed.unwrap()
    }
}

/// US-1, US-2: the binding moves with a rotation and ends with the session, and so does its entry in the index,
/// which is never without the session's current id.
#[tokio::test]
async fn the_binding_and_its_entry_follow_the_session() {
    let scene = Scene::new(|config| config);
    let cookie = scene.log_in("ada".into()).await.unwrap();
    assert_eq!(scene.store.take_calls(), [Call::Create]);
    let first = scene.entries("ada").await;
    assert_eq!(first.len(), 1);

    let cookie = scene.request(&cookie, async |session| {
        session.regenerate();
        Ok(())
    });
    let cookie = cookie.await.unwrap();
    let second = scene.entries("ada").await;
    assert_eq!(second.len(), 1);
    assert_ne!(second[0].key, first[0].key);
    assert_eq!(second[0].reference, first[0].reference);

    let check = scene.request(&cookie, async |session| {
        assert_eq!(&*session.user().unwrap().name, "ada");
        session.logout();
        assert_eq!(session.user(), None);
        Ok(())
    });
    check.await.unwrap();
    assert_eq!(scene.entries("ada").await, []);
}

/// US-1: what another user stored isn't the next one's, also where it was stored in the same request.
#[tokio::test]
async fn another_user_finds_nothing() {
    let scene = Scene::new(|config| config);
    let cookie = scene.log_in("ada".into()).await.unwrap();
    let cookie = scene.request(&cookie, async |session| {
        session.set("cart", 1)?;
        session.login("bob");
        assert!(session.is_empty());
        session.set("theme", "dark")?;
        Ok(())
    });
    let cookie = cookie.await.unwrap();
    let check = scene.request(&cookie, async |session| {
        assert_eq!(session.keys(), ["theme"]);
        assert_eq!(&*session.user().unwrap().name, "bob");
        Ok(())
    });
    check.await.unwrap();
    assert_eq!(scene.entries("ada").await, []);
    assert_eq!(scene.entries("bob").await.len(), 1);
}

/// US-2, US-4: a list says when each session began, when its user logged in, and what the application said
/// about it; an administrator has the same list without a session, and ends what is in it.
#[tokio::test]
async fn a_list_has_what_is_known_about_each_session() {
    let scene = Scene::new(|config| config);
    let login = Login::new("ada").label("a phone");
    let phone = scene.log_in(login).await.unwrap();
    let began = scene.clock.now();
    scene.clock.advance(LATER);
    scene.log_in("ada".into()).await.unwrap();
    scene.clock.advance(LATER);
    let again = scene.clock.now();
    let phone = scene.request(&phone, async |session| {
        session.login(Login::new("ada").label("my phone"));
        Ok(())
    });
    let phone = phone.await.unwrap();

    let seen = scene.manager.list_sessions("ada").await.unwrap();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].label.as_deref(), Some("my phone"));
    assert_eq!(
        (seen[0].created_at, seen[0].authenticated_at),
        (began, again)
    );
    assert_eq!(
        (seen[1].label.as_deref(), seen[1].is_current),
        (None, false)
    );
    let check = scene.request(&phone, async |session| {
        let own = session.list_sessions().await?;
        let current: Vec<_> = own.iter().map(|info| info.is_current).collect();
        assert_eq!(current, [true, false]);
        Ok(())
    });
    check.await.unwrap();

    assert!(
        scene
            .manager
            .end_session("ada", seen[1].reference)
            .await
            .unwrap()
    );
    assert!(
        !scene
            .manager
            .end_session("ada", seen[1].reference)
            .await
            .unwrap()
    );
    assert!(
        !scene
            .manager
            .end_session("bob", seen[0].reference)
            .await
            .unwrap()
    );
    assert_eq!(scene.manager.end_all_sessions("ada").await.unwrap(), 1);
    assert_eq!(scene.manager.list_sessions("ada").await.unwrap(), []);
    assert_eq!(scene.entries("ada").await, []);
}

/// US-1: an entry that a crash left without a record is looked past, and removed when no commit can be about
/// to write the record any more.
#[tokio::test]
async fn an_entry_without_a_record_goes_when_it_is_old() {
    let scene = Scene::new(|config| config);
    scene.store.set(Call::Create, Mood::Fails);
    let error = scene.log_in("ada".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    scene.store.set(Call::Create, Mood::Works);
    for (after, left) in [(Duration::ZERO, 1), (Duration::from_secs(20), 0)] {
        scene.clock.advance(after);
        assert_eq!(scene.manager.list_sessions("ada").await.unwrap(), []);
        assert_eq!(scene.manager.end_all_sessions("ada").await.unwrap(), 0);
        assert_eq!(scene.entries("ada").await.len(), left, "after {after:?}");
    }
}

/// US-3: entries of the dead don't count for ever where a cap refuses.
#[tokio::test]
async fn a_cap_counts_the_living() {
    let scene = Scene::new(|config| config.max_sessions_per_user(1, WhenFull::Refuse));
    let cookie = scene.log_in("ada".into()).await.unwrap();
    let error = scene.log_in("ada".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooManySessions);
    // The session is idle for too long, and its record is swept; the entry is still there.
    scene.clock.advance(Duration::from_secs(3600));
    let now = scene.clock.now();
    assert_eq!(
        scene.store.records().delete_expired(now, 9).await.unwrap(),
        1
    );
    assert_eq!(scene.entries("ada").await.len(), 1);
    let other = scene.log_in("ada".into()).await.unwrap();
    assert_ne!(other, cookie);
    assert_eq!(scene.entries("ada").await.len(), 1);
}

/// US-3: logins that end each other before they are there try again: each goes through, and one session is
/// left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_that_evict_each_other_all_go_through() {
    const LOGINS: u32 = 50;
    let scene = Scene::new(|config| config.max_sessions_per_user(1, WhenFull::EndOldest));
    let gate = scene.store.hold(Call::Create);
    let mut logins = tokio::task::JoinSet::new();
    for _ in 0..LOGINS {
        let manager = scene.manager.clone();
        logins.spawn(async move {
            let handle = manager.handle();
            let request = async {
                let session: Session = handle.load(&CookieHeaders(&[])).await.unwrap();
                session.login("ada");
            };
            let ((), finished) = handle.run(request).await;
            (finished.error().cloned(), finished.changes_client())
        });
    }
    // All have an entry, or have lost it again, and none has a record yet.
    gate.wait_for(LOGINS).await;
    gate.open();
    for (error, has_cookie) in logins.join_all().await {
        assert!(error.is_none() && has_cookie, "{error:?}");
    }
    assert_eq!(scene.manager.list_sessions("ada").await.unwrap().len(), 1);
    assert_eq!(scene.entries("ada").await.len(), 1);
}

/// US-1: a user who logs in again and again, and never out, doesn't have more and more entries: each login
/// looks after some old ones.
#[tokio::test]
async fn the_index_of_one_user_stays_small() {
    let scene = Scene::new(|config| {
        config
            .max_age(Duration::from_secs(60))
            .absolute_timeout(Duration::from_secs(1_000_000))
    });
    for _ in 0..200 {
        scene.log_in("ada".into()).await.unwrap();
        scene.clock.advance(LATER);
        let now = scene.clock.now();
        scene.store.records().delete_expired(now, 99).await.unwrap();
    }
    let left = scene.entries("ada").await.len();
    assert!(left <= 20, "{left} entries");
}

/// US-1, US-2: a hundred thousand sessions that began and expired leave nothing, neither records nor entries.
#[tokio::test]
async fn nothing_is_left_of_sessions_that_expired() {
    let scene = Scene::new(|config| config);
    for n in 0..100_000 {
        let user = format!("user {}", n % 1_000);
        scene.log_in(user.into()).await.unwrap();
    }
    let store = scene.store.records();
    assert!(store.len() == 100_000 && store.index_len() == 100_000);
    scene.clock.advance(Duration::from_secs(24 * 3600));
    let now = scene.clock.now();
    while store.delete_expired(now, 1_000).await.unwrap() == 1_000 {}
    assert_eq!((store.len(), store.index_len()), (0, 0));
}

/// A store without an index of sessions by user.
struct Plain(SpyStore);

#[async_trait]
impl SessionStore for Plain {
    async fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Option<Record>, StoreError> {
        self.0.load(key, now).await
    }

    async fn save(
        &self,
        key: &StoreKey,
        record: Record,
        options: SaveOptions,
    ) -> Result<SaveOutcome, StoreError> {
        let SaveOptions { expect, now, .. } = options;
        self.0
            .save(key, record, SaveOptions::new(expect, now))
            .await
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.0.delete(key).await
    }
}

/// US-2, US-3: a store without an index can't hold users to a number of sessions, and says so when the
/// program starts; asked for a list, it is a clear error. Logging in and out works.
#[tokio::test]
async fn a_store_without_an_index_says_so() {
    let config = || SessionConfig::builder(SECRET);
    let plain = || Plain(SpyStore::default());
    let capped = config().max_sessions_per_user(5, WhenFull::EndOldest);
    let capped = capped.build().unwrap();
    let error = SessionManager::try_new(capped.clone(), plain()).unwrap_err();
    assert!(error.to_string().contains("use another store"), "{error}");
    let started = std::thread::spawn(move || SessionManager::new(capped, plain())).join();
    assert!(started.is_err());

    let manager = SessionManager::new(config().build().unwrap(), plain());
    let error = manager.list_sessions("ada").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoUserIndex);
    let handle = manager.handle();
    let request = async {
        let session: Session = handle.load(&CookieHeaders(&[])).await.unwrap();
        session.login("ada");
        session.commit().await.unwrap();
        let error = session.end_other_sessions().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoUserIndex);
        assert_eq!(&*session.user().unwrap().name, "ada");
    };
    let ((), finished) = handle.run(request).await;
    assert!(finished.error().is_none() && finished.changes_client());
}

/// A reference is read as it is shown, and nothing else is one.
#[test]
fn references_are_read_as_they_are_shown() {
    let reference = SessionRef::from_bytes([0xA5; 16]);
    assert_eq!(reference.to_string().parse(), Ok(reference));
    for wrong in [
        "",
        "x",
        "AAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAA==",
        "é",
    ] {
        assert!(wrong.parse::<SessionRef>().is_err(), "{wrong}");
    }
}
