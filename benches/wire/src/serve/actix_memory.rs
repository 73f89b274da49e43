//! actix-session in memory, for which it brings no store: the smallest that its interface allows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_session::storage::{
    LoadError, SaveError, SessionKey, SessionStore, UpdateError, generate_session_key,
};
use actix_web::cookie::time::Duration;

/// The entries of a session, each encoded as JSON by actix-session.
type Entries = HashMap<String, String>;

/// Sessions in a map, which never expire: less work than any store can do.
#[derive(Clone, Default)]
pub(super) struct MemoryStore(Arc<Mutex<HashMap<String, Entries>>>);

impl MemoryStore {
    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Entries>> {
        // Whoever panicked while holding the lock had at most failed to put something in.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionStore for MemoryStore {
    async fn load(&self, key: &SessionKey) -> Result<Option<Entries>, LoadError> {
        Ok(self.sessions().get(key.as_ref()).cloned())
    }

    async fn save(&self, entries: Entries, _: &Duration) -> Result<SessionKey, SaveError> {
        let key = generate_session_key();
        self.sessions().insert(key.as_ref().to_owned(), entries);
        Ok(key)
    }

    async fn update(
        &self,
        key: SessionKey,
        entries: Entries,
        _: &Duration,
    ) -> Result<SessionKey, UpdateError> {
        if let Some(session) = self.sessions().get_mut(key.as_ref()) {
            *session = entries;
        }
        Ok(key)
    }

    async fn update_ttl(&self, _: &SessionKey, _: &Duration) -> anyhow::Result<()> {
        Ok(())
    }

    async fn delete(&self, key: &SessionKey) -> anyhow::Result<()> {
        self.sessions().remove(key.as_ref());
        Ok(())
    }
}
