//! Endings, rotations and logins on stores that break their contract, or can't do what is asked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that meets the unexpected fails by panicking"
)]

use session_conformance::adapter::{SECRET, SpyStore};
use session_core::store::{
    AddOutcome, DecodeError, Expect, IndexEntry, Record, SaveOptions, SaveOutcome, SessionStore,
    StoreError, StoreKey, UserIndex, UserKey, async_trait,
};
use session_core::{
    ErrorKind, Session, SessionConfig, SessionConfigBuilder, SessionManager, Timestamp, WhenFull,
};

#[path = "common/scene.rs"]
mod scene;

use scene::Scene;

/// A store that gets one thing wrong, or can't do it.
struct Broken {
    store: SpyStore,
    fault: Fault,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// A save finds nothing where it expects nothing, and doesn't save.
    SavesNothing,
    /// A tombstone always meets a conflict.
    RefusesTombstones,
    /// The index keeps its entries.
    KeepsEntries,
    /// The record under this key can't be read.
    CannotRead(StoreKey),
}

impl Broken {
    /// A manager of the scene's, on its store with this fault.
    fn manager(scene: &Scene, fault: Fault, config: SessionConfigBuilder) -> SessionManager {
        let store = Self {
            store: scene.store.clone(),
            fault,
        };
        let manager = SessionManager::builder(config.build().unwrap(), store);
        manager.clock(scene.clock.clone()).build().unwrap()
    }
}

#[async_trait]
impl SessionStore for Broken {
    async fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Option<Record>, StoreError> {
        match self.fault == Fault::CannotRead(*key) {
            true => Err(DecodeError::Corrupt.into()),
            false => self.store.load(key, now).await,
        }
    }

    async fn save(
        &self,
        key: &StoreKey,
        record: Record,
        options: SaveOptions,
    ) -> Result<SaveOutcome, StoreError> {
        match (self.fault, record.live(), options.expect) {
            (Fault::SavesNothing, None, Expect::Absent) => Ok(SaveOutcome::Missing),
            (Fault::RefusesTombstones, None, _) => {
                // So that the deadline can end what goes on for ever.
                tokio::task::yield_now().await;
                Ok(SaveOutcome::Conflict(None))
            }
            _ => self.store.save(key, record, options).await,
        }
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.store.delete(key).await
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        match self.fault {
            Fault::KeepsEntries => Some(self),
            _ => self.store.user_index(),
        }
    }
}

#[async_trait]
impl UserIndex for Broken {
    async fn add(
        &self,
        user: &UserKey,
        entry: IndexEntry,
        cap: Option<usize>,
        now: Timestamp,
    ) -> Result<AddOutcome, StoreError> {
        self.store.records().add(user, entry, cap, now).await
    }

    async fn remove(&self, _: &UserKey, _: &StoreKey) -> Result<(), StoreError> {
        Err(StoreError::not_applied("the index is read-only"))
    }

    async fn list(&self, user: &UserKey, now: Timestamp) -> Result<Vec<IndexEntry>, StoreError> {
        self.store.records().list(user, now).await
    }
}

/// CM-8: an ending that can't put its tombstone where nothing lies says so, and doesn't try for ever.
#[tokio::test]
async fn an_ending_ends_against_a_store_that_breaks_its_contract() {
    let scene = Scene::new(|config| config);
    scene.left_behind("ada").await;
    let config = SessionConfig::builder(SECRET);
    let manager = Broken::manager(&scene, Fault::SavesNothing, config);
    let error = manager.end_all_sessions("ada").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
    assert!(error.to_string().contains("and 1 could not be"), "{error}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("broke its contract"), "{cause}");
}

/// CM-5: endings and rotations that meet one conflict after the other have a bound, and then fail visibly.
#[tokio::test]
async fn endings_and_rotations_do_not_try_for_ever() {
    let mut scene = Scene::new(|config| config);
    let cookie = scene.log_in("ada".into()).await.unwrap();
    let config = SessionConfig::builder(SECRET);
    scene.manager = Broken::manager(&scene, Fault::RefusesTombstones, config);
    let acts: [fn(&Session); 2] = [Session::logout, Session::regenerate];
    for act in acts {
        let request = scene.request(&cookie, async |session| {
            act(session);
            Ok(())
        });
        let error = request.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    }
}

/// US-3: a login at the cap that can't free a place says so.
#[tokio::test]
async fn a_place_that_cannot_be_freed_is_an_error() {
    let mut scene = Scene::new(|config| config);
    scene.log_in("ada".into()).await.unwrap();
    let config = SessionConfig::builder(SECRET).max_sessions_per_user(1, WhenFull::EndOldest);
    scene.manager = Broken::manager(&scene, Fault::KeepsEntries, config);
    let error = scene.log_in("ada".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
    assert!(error.to_string().contains("can't be removed"), "{error}");
}

/// US-6: a session that can't be read takes no place at the cap, and keeps no other from being listed.
#[tokio::test]
async fn what_cannot_be_read_takes_no_place() {
    let mut scene = Scene::new(|config| config);
    scene.log_in("ada".into()).await.unwrap();
    scene.log_in("ada".into()).await.unwrap();
    let first = scene.entries("ada").await[0].key;
    let config = SessionConfig::builder(SECRET).max_sessions_per_user(2, WhenFull::Refuse);
    scene.manager = Broken::manager(&scene, Fault::CannotRead(first), config);
    scene.log_in("ada".into()).await.unwrap();
    assert_eq!(scene.manager.list_sessions("ada").await.unwrap().len(), 2);
    let error = scene.log_in("ada".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooManySessions, "{error}");
}
