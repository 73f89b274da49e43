//! A user's sessions: listing them, and ending some of them from elsewhere.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::end::end;
use super::io::{Environment, Io, in_time};
use super::look_through::{is_left_behind, look_through};
use crate::error::Error;
use crate::events;
use crate::id::{SessionRef, UserKey};
use crate::store::{EndedBy, IndexEntry, LiveRecord, Timestamp};

/// One of a user's sessions, as a list of devices shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Names the session. It is no credential, and stays the same over rotation.
    pub reference: SessionRef,
    /// Whether it is the session that asks.
    pub is_current: bool,
    /// When the session began, which may have been before the login.
    pub created_at: Timestamp,
    /// The last activity that was written down: up to a tenth of `max_age` older than the last use.
    pub last_active_at: Timestamp,
    /// When the user logged in.
    pub authenticated_at: Timestamp,
    /// What the application said about it at login.
    pub label: Option<Arc<str>>,
}

impl SessionInfo {
    /// What is known about a live session; none if it belongs to nobody.
    fn of(live: &LiveRecord, current: Option<SessionRef>) -> Option<Self> {
        let user = live.user.as_ref()?;
        Some(Self {
            reference: live.reference,
            is_current: current == Some(live.reference),
            created_at: live.created_at,
            last_active_at: live.last_active_at,
            authenticated_at: user.authenticated_at,
            label: user.label.clone(),
        })
    }
}

/// Which of a user's sessions have to end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    All,
    AllBut(SessionRef),
    Only(SessionRef),
}

impl Which {
    /// By the public reference: a key changes with every rotation, also while the others are being ended.
    fn includes(self, entry: &IndexEntry) -> bool {
        match self {
            Self::All => true,
            Self::AllBut(reference) => entry.reference != reference,
            Self::Only(reference) => entry.reference == reference,
        }
    }
}

/// A user's live sessions, the one used last first; `current` is the one that asks.
pub(crate) async fn list_sessions(
    env: &Environment,
    user: &UserKey,
    current: Option<SessionRef>,
) -> Result<Vec<SessionInfo>, Error> {
    env.index()?;
    let mut io = Io::new(env);
    let listed = in_time(env, async {
        let entries = io.entries(user).await?;
        Ok(look_through(&mut io, user, entries).await?.live)
    });
    let listed = listed.await.unwrap_or_else(|| Err(io.late()));
    let live = listed.inspect_err(|error| events::failed("list", error))?;
    let infos = live
        .iter()
        .filter_map(|live| SessionInfo::of(live, current));
    let mut infos: Vec<_> = infos.collect();
    infos.sort_by_key(|info| Reverse(info.last_active_at));
    Ok(infos)
}

/// Ends a user's sessions, and says how many live ones there were.
pub(crate) async fn end_sessions(
    env: &Environment,
    user: &UserKey,
    which: Which,
    by: EndedBy,
) -> Result<usize, Error> {
    env.index()?;
    let mut io = Io::new(env);
    let ended = in_time(env, end_each(&mut io, user, which, by)).await;
    let ended = ended.unwrap_or_else(|| Err(io.late()));
    match &ended {
        Ok(0) => {}
        Ok(ended) => events::sessions_ended(*ended),
        Err(error) => events::failed("end", error),
    }
    ended
}

/// One snapshot of the index is enough: each entry is followed to where its session lives by then, and what begins
/// later isn't meant.
async fn end_each(
    io: &mut Io<'_>,
    user: &UserKey,
    which: Which,
    by: EndedBy,
) -> Result<usize, Error> {
    let mut entries = io.entries(user).await?;
    entries.retain(|entry| which.includes(entry));
    // A session that was being rotated has two ids, and counts once.
    let mut ended = BTreeSet::new();
    for entry in entries {
        match io.load(&entry.key).await? {
            Some(record) => {
                let was_alive = end(io, entry.key, Ok(Some(record)), by).await?;
                ended.extend(was_alive.then_some(entry.reference));
            }
            // A login may be about to write the record; it began later than this.
            None if !is_left_behind(io, &entry) => continue,
            None => {}
        }
        io.remove_entry(user, &entry.key).await;
    }
    Ok(ended.len())
}
