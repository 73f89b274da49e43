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
use session_core::{ErrorKind, Session, SessionConfig, SessionManager, Timestamp, WhenFull};

#[path = "common/scene.rs"]
mod scene;

use scene::Scene;

/// A store that finds nothing where a save expects nothing, and doesn't save.
struct SavesNothing(SpyStore);

#[async_trait]
impl SessionStore for SavesNothing {
    async fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Option<Record>, StoreError> {
        self.0.load(key, now).await
    }

    async fn save(
        &self,
        key: &StoreKey,
        record: Record,
        options: SaveOptions,
    ) -> Result<SaveOutcome, StoreError> {
        match (options.expect, record.live()) {
            (Expect::Absent, None) => Ok(SaveOutcome::Missing),
            _ => self.0.save(key, record, options).await,
        }
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.0.delete(key).await
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        self.0.user_index()
    }
}

/// CM-8: an ending that can't put its tombstone where nothing lies says so, and doesn't try for ever.
#[tokio::test]
async fn an_ending_ends_against_a_store_that_breaks_its_contract() {
    let scene = Scene::new(|config| config);
    scene.left_behind("ada").await;
    let config = SessionConfig::builder(SECRET).build().unwrap();
    let manager = SessionManager::builder(config, SavesNothing(scene.store.clone()))
        .clock(scene.clock.clone())
        .build()
        .unwrap();
    let error = manager.end_all_sessions("ada").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
    assert!(error.to_string().contains("and 1 could not be"), "{error}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("broke its contract"), "{cause}");
}

/// A store whose tombstones always meet a conflict.
struct RefusesTombstones(SpyStore);

#[async_trait]
impl SessionStore for RefusesTombstones {
    async fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Option<Record>, StoreError> {
        self.0.load(key, now).await
    }

    async fn save(
        &self,
        key: &StoreKey,
        record: Record,
        options: SaveOptions,
    ) -> Result<SaveOutcome, StoreError> {
        // So that the deadline can end what goes on for ever.
        tokio::task::yield_now().await;
        match record.live() {
            None => Ok(SaveOutcome::Conflict(None)),
            Some(_) => self.0.save(key, record, options).await,
        }
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.0.delete(key).await
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        self.0.user_index()
    }
}

/// CM-5: endings and rotations that meet one conflict after the other have a bound, and then fail visibly.
#[tokio::test]
async fn endings_and_rotations_do_not_try_for_ever() {
    let mut scene = Scene::new(|config| config);
    let cookie = scene.log_in("ada".into()).await.unwrap();
    let config = SessionConfig::builder(SECRET).build().unwrap();
    scene.manager = SessionManager::builder(config, RefusesTombstones(scene.store.clone()))
        .clock(scene.clock.clone())
        .build()
        .unwrap();
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

/// A store whose index keeps its entries.
struct KeepsEntries(SpyStore);

#[async_trait]
impl SessionStore for KeepsEntries {
    async fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Option<Record>, StoreError> {
        self.0.load(key, now).await
    }

    async fn save(
        &self,
        key: &StoreKey,
        record: Record,
        options: SaveOptions,
    ) -> Result<SaveOutcome, StoreError> {
        self.0.save(key, record, options).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.0.delete(key).await
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        Some(self)
    }
}

#[async_trait]
impl UserIndex for KeepsEntries {
    async fn add(
        &self,
        user: &UserKey,
        entry: IndexEntry,
        cap: Option<usize>,
        now: Timestamp,
    ) -> Result<AddOutcome, StoreError> {
        self.0.records().add(user, entry, cap, now).await
    }

    async fn remove(&self, _: &UserKey, _: &StoreKey) -> Result<(), StoreError> {
        Err(StoreError::not_applied("the index is read-only"))
    }

    async fn list(&self, user: &UserKey, now: Timestamp) -> Result<Vec<IndexEntry>, StoreError> {
        self.0.records().list(user, now).await
    }
}

/// US-3: a login at the cap that can't free a place says so.
#[tokio::test]
async fn a_place_that_cannot_be_freed_is_an_error() {
    let mut scene = Scene::new(|config| config);
    scene.log_in("ada".into()).await.unwrap();
    let config = SessionConfig::builder(SECRET).max_sessions_per_user(1, WhenFull::EndOldest);
    let store = KeepsEntries(scene.store.clone());
    scene.manager = SessionManager::builder(config.build().unwrap(), store)
        .clock(scene.clock.clone())
        .build()
        .unwrap();
    let error = scene.log_in("ada".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
    assert!(error.to_string().contains("can't be removed"), "{error}");
}

/// A store that can't read the record under one key.
struct CannotRead(SpyStore, StoreKey);

#[async_trait]
impl SessionStore for CannotRead {
    async fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Option<Record>, StoreError> {
        match *key == self.1 {
            true => Err(DecodeError::Corrupt.into()),
            false => self.0.load(key, now).await,
        }
    }

    async fn save(
        &self,
        key: &StoreKey,
        record: Record,
        options: SaveOptions,
    ) -> Result<SaveOutcome, StoreError> {
        self.0.save(key, record, options).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.0.delete(key).await
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        self.0.user_index()
    }
}

/// US-6: a session that can't be read takes no place at the cap, and keeps no other from being listed.
#[tokio::test]
async fn what_cannot_be_read_takes_no_place() {
    let mut scene = Scene::new(|config| config);
    scene.log_in("ada".into()).await.unwrap();
    scene.log_in("ada".into()).await.unwrap();
    let first = scene.entries("ada").await[0].key;
    let config = SessionConfig::builder(SECRET).max_sessions_per_user(2, WhenFull::Refuse);
    let store = CannotRead(scene.store.clone(), first);
    scene.manager = SessionManager::builder(config.build().unwrap(), store)
        .clock(scene.clock.clone())
        .build()
        .unwrap();
    scene.log_in("ada".into()).await.unwrap();
    assert_eq!(scene.manager.list_sessions("ada").await.unwrap().len(), 2);
    let error = scene.log_in("ada".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooManySessions, "{error}");
}
