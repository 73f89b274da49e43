//! Users and their sessions, through the core alone: what is stored in which order, and what is looked after.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that meets the unexpected fails by panicking"
)]

use std::time::Duration;

use session_conformance::adapter::{Call, SECRET, SpyStore, TestClock};
use session_core::adapter::CookieHeaders;
use session_core::store::{
    Record, SaveOptions, SaveOutcome, SessionStore, StoreError, StoreKey, async_trait,
};
use session_core::{
    Clock as _, ErrorKind, Login, MAX_LABEL_LEN, MAX_USER_NAME_LEN, Session, SessionConfig,
    SessionManager, Timestamp, WhenFull,
};

#[path = "common/scene.rs"]
mod scene;

use scene::{LATER, Scene};

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
        session.login("bob")?;
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

/// ST-9: a user name and a label have a limit each, in bytes; a login beyond it changes nothing.
#[tokio::test]
async fn names_and_labels_have_a_limit() {
    let scene = Scene::new(|config| config);
    let words = |len: usize| "é".repeat(len / 2) + &"x".repeat(len % 2);
    let cookie = scene.log_in("ada".into()).await.unwrap();
    for login in [
        Login::new(words(MAX_USER_NAME_LEN + 1)),
        Login::new("bob").label(words(MAX_LABEL_LEN + 1)),
    ] {
        let refused = scene.request(&cookie, async |session| {
            session.set("cart", 1)?;
            let error = session.login(login).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
            assert!(!error.to_string().contains('é'), "{error}");
            assert_eq!(&*session.user().unwrap().name, "ada");
            assert_eq!(session.get("cart")?, Some(1));
            Ok(())
        });
        assert_eq!(refused.await.unwrap(), cookie);
    }
    assert_eq!(scene.manager.list_sessions("bob").await.unwrap(), []);

    let (user, label) = (words(MAX_USER_NAME_LEN), words(MAX_LABEL_LEN));
    let longest = Login::new(user.clone()).label(label.clone());
    scene.log_in(longest).await.unwrap();
    let listed = scene.manager.list_sessions(&user).await.unwrap();
    assert_eq!(listed[0].label.as_deref(), Some(&*label));
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
        session.login(Login::new("ada").label("my phone"))
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

/// US-2: a request that logs out and then ends the user's other sessions, or lists them, means the user who had
/// just logged out. No session is left, and a login that follows is none of them.
#[tokio::test]
async fn a_request_that_logs_out_can_end_the_others_too() {
    let scene = Scene::new(|config| config);
    let [phone, laptop, _tablet] = [
        scene.log_in("ada".into()).await.unwrap(),
        scene.log_in("ada".into()).await.unwrap(),
        scene.log_in("ada".into()).await.unwrap(),
    ];
    let leaves = scene.request(&phone, async |session| {
        let own = session.reference().unwrap();
        session.logout();
        assert_eq!(session.user(), None);
        let listed = session.list_sessions().await?;
        assert_eq!(listed.len(), 3);
        let current: Vec<_> = listed.iter().filter(|info| info.is_current).collect();
        assert!(current.len() == 1 && current[0].reference == own);
        let other = listed.iter().find(|info| !info.is_current).unwrap();
        assert!(session.end_session(other.reference).await?);
        assert_eq!(session.end_other_sessions().await?, 1);
        assert!(session.end_session(own).await?);
        Ok(())
    });
    assert_eq!(leaves.await.unwrap(), "session_id=");
    assert_eq!(scene.manager.list_sessions("ada").await.unwrap(), []);
    assert_eq!(scene.entries("ada").await, []);
    let check = scene.request(&laptop, async |session| {
        assert_eq!(session.user(), None);
        Ok(())
    });
    check.await.unwrap();

    // The same where the logout has been committed, and where a visitor's session was begun in its place.
    for begins in [false, true] {
        let [ada, _other] = [
            scene.log_in("ada".into()).await.unwrap(),
            scene.log_in("ada".into()).await.unwrap(),
        ];
        let leaves = scene.request(&ada, async |session| {
            session.logout();
            if begins {
                session.set("n", 1)?;
            }
            session.commit().await?;
            assert_eq!(session.end_other_sessions().await?, 1);
            Ok(())
        });
        leaves.await.unwrap();
        assert_eq!(scene.manager.list_sessions("ada").await.unwrap(), []);
    }

    // Another user's login in between: it is about their sessions, and goes through.
    let ada = scene.log_in("ada".into()).await.unwrap();
    scene.log_in("bob".into()).await.unwrap();
    let changes = scene.request(&ada, async |session| {
        let adas = session.reference().unwrap();
        session.login("bob")?;
        assert!(!session.end_session(adas).await?, "it isn't one of Bob's");
        assert_eq!(session.end_other_sessions().await?, 1);
        Ok(())
    });
    changes.await.unwrap();
    assert_eq!(scene.manager.list_sessions("ada").await.unwrap(), []);
    assert_eq!(scene.manager.list_sessions("bob").await.unwrap().len(), 1);

    // The same user's login in the place of the session that is ended: it isn't that session.
    let ada = scene.log_in("ada".into()).await.unwrap();
    let again = scene.request(&ada, async |session| {
        let own = session.reference().unwrap();
        session.logout();
        session.login("ada")?;
        assert!(session.end_session(own).await?);
        Ok(())
    });
    again.await.unwrap();
    let left = scene.manager.list_sessions("ada").await.unwrap();
    assert_eq!(left.len(), 1);
}

/// US-1: an entry that a crash left without a record is looked past, and removed when no commit can be about
/// to write the record any more. By then a tombstone lies there, in the way of a write that lands late.
#[tokio::test]
async fn an_entry_without_a_record_goes_when_it_is_old() {
    let scene = Scene::new(|config| config);
    scene.left_behind("ada").await;
    for (after, left) in [(Duration::ZERO, 1), (Duration::from_secs(70), 0)] {
        scene.clock.advance(after);
        let key = scene.entries("ada").await.first().unwrap().key;
        assert_eq!(scene.manager.list_sessions("ada").await.unwrap(), []);
        assert_eq!(scene.entries("ada").await.len(), left, "after {after:?}");
        let record = scene.store.records().load(&key, scene.clock.now()).await;
        assert_eq!(record.unwrap().is_some(), left == 0, "after {after:?}");
    }
}

/// TM-7: a server whose clock is ahead leaves out of a list what has expired for it alone, and leaves it alive.
#[tokio::test]
async fn a_clock_that_is_ahead_ends_nothing() {
    let scene = Scene::new(|config| config);
    let cookie = scene.log_in("ada".into()).await.unwrap();
    let ahead = TestClock::new();
    ahead.advance(Duration::from_secs(3600 + 30));
    let config = SessionConfig::builder(SECRET).build().unwrap();
    let other = SessionManager::builder(config, scene.store.clone()).clock(ahead);
    let listed = other.build().unwrap().list_sessions("ada").await;
    assert_eq!(listed.unwrap(), []);
    let check = scene.request(&cookie, async |session| {
        assert_eq!(session.list_sessions().await?.len(), 1);
        Ok(())
    });
    check.await.unwrap();
}

/// US-2: whoever ends all sessions means one that is about to begin, too: its record meets a tombstone.
#[tokio::test]
async fn a_session_without_a_record_is_ended_at_once() {
    let scene = Scene::new(|config| config);
    scene.left_behind("ada").await;
    let key = scene.entries("ada").await[0].key;
    assert_eq!(scene.manager.end_all_sessions("ada").await.unwrap(), 0);
    assert_eq!(scene.entries("ada").await, []);
    let record = scene.store.records().load(&key, scene.clock.now()).await;
    assert!(
        record
            .unwrap()
            .is_some_and(|record| record.live().is_none())
    );
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

/// US-3: logins that need each other's place wait until its session is there: each goes through, and one session is
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
                session.login("ada").unwrap();
            };
            let ((), finished) = handle.run(request).await;
            (finished.error().cloned(), finished.changes_client())
        });
    }
    // One has an entry and no record yet. The others wait for it, and for each other.
    gate.wait_for(1).await;
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
        session.login("ada").unwrap();
        session.commit().await.unwrap();
        let error = session.end_other_sessions().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoUserIndex);
        assert_eq!(&*session.user().unwrap().name, "ada");
    };
    let ((), finished) = handle.run(request).await;
    assert!(finished.error().is_none() && finished.changes_client());
}
