//! Filling a store, many sessions at a time.

use std::ops::Range;
use std::sync::Arc;

use session_core::store::{
    Expect, IndexEntry, RecordState, SaveOptions, SaveOutcome, SessionStore, UserIndex, UserKey,
};
use session_core::{Clock as _, SessionUser, SystemClock, Timestamp};
use tokio::task::JoinSet;

use crate::Result;
use crate::sessions::{LIFETIME, Template, key, reference};

const TASKS: u64 = 64;

/// The user who has many sessions, and how many.
const MANY: &str = "the user with many sessions";
pub(super) const MANY_SESSIONS: u64 = 50;

/// The first number of the sessions of that user, beyond all others.
const FIRST_OF_MANY: u64 = 1 << 40;

/// The key of the user whose session has this number.
pub(super) fn user(n: u64) -> UserKey {
    UserKey::of("session_id", &user_name(n))
}

/// The key of the user with many sessions.
pub(super) fn user_with_many() -> UserKey {
    UserKey::of("session_id", MANY)
}

/// Creates the sessions with these numbers, each of a user of its own, with their entries in the index.
pub(super) async fn fill<S: SessionStore + Clone>(
    store: &S,
    template: &Arc<Template>,
    numbers: Range<u64>,
    expires_at: Timestamp,
) -> Result<()> {
    fill_with(store, template, numbers, user_name, expires_at).await
}

/// Creates the sessions with these numbers, all of one user.
pub(crate) async fn fill_for<S: SessionStore + Clone>(
    store: &S,
    template: &Arc<Template>,
    numbers: Range<u64>,
    user: &str,
    expires_at: Timestamp,
) -> Result<()> {
    let user = user.to_owned();
    fill_with(store, template, numbers, move |_| user.clone(), expires_at).await
}

async fn fill_with<S: SessionStore + Clone>(
    store: &S,
    template: &Arc<Template>,
    numbers: Range<u64>,
    user_of: impl Fn(u64) -> String + Clone + Send + 'static,
    expires_at: Timestamp,
) -> Result<()> {
    let mut tasks = JoinSet::new();
    for first in numbers.clone().take(TASKS as usize) {
        let (store, template, end) = (store.clone(), template.clone(), numbers.end);
        let user_of = user_of.clone();
        tasks.spawn(async move {
            for n in (first..end).step_by(TASKS as usize) {
                create(&store, &template, n, &user_of(n), expires_at).await?;
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// Creates the sessions of the user who has many.
pub(super) async fn fill_many(store: &impl SessionStore, template: &Template) -> Result<()> {
    let expires_at = alive_until();
    for n in FIRST_OF_MANY..FIRST_OF_MANY + MANY_SESSIONS {
        create(store, template, n, MANY, expires_at).await?;
    }
    Ok(())
}

/// An expiry beyond the end of the run.
pub(crate) fn alive_until() -> Timestamp {
    SystemClock.now().saturating_add(LIFETIME)
}

pub(super) fn index(store: &impl SessionStore) -> Result<&dyn UserIndex> {
    let index = store.user_index();
    Ok(index.ok_or("the store has no index of sessions by user")?)
}

/// The index's entry for the session with this number.
pub(super) fn entry(n: u64, added_at: Timestamp, expires_at: Timestamp) -> IndexEntry {
    IndexEntry::new(key(n), reference(n), added_at, expires_at)
}

/// What a login does: first the entry, then the record.
async fn create(
    store: &impl SessionStore,
    template: &Template,
    n: u64,
    user: &str,
    expires_at: Timestamp,
) -> Result<()> {
    let now = SystemClock.now();
    let mut record = template.record(n, expires_at)?;
    if let RecordState::Live(live) = &mut record.state {
        live.user = Some(SessionUser::new(user, now).into());
    }
    let entry = entry(n, now, expires_at);
    index(store)?
        .add(&UserKey::of("session_id", user), entry, None, now)
        .await?;
    match store
        .save(&key(n), record, SaveOptions::new(Expect::Absent, now))
        .await?
    {
        SaveOutcome::Saved => Ok(()),
        other => Err(format!("a session can't be created: {other:?}").into()),
    }
}

fn user_name(n: u64) -> String {
    format!("user-{n}")
}
