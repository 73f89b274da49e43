//! Looking through a user's index: which entries lead to sessions of the user's.

use super::io::{Io, MAX_ERRORS};
use crate::error::Error;
use crate::id::UserKey;
use crate::store::{
    EndedBy, Expect, FormerSession, IndexEntry, LiveRecord, Record, RecordState, SaveOutcome,
    StoreError, StoreErrorKind,
};
use crate::time::Timestamp;

/// How many records are loaded, or sessions ended, at a time.
pub(super) const AT_ONCE: usize = 32;

/// What was found.
pub(super) struct LookedThrough {
    /// The sessions that aren't dead, in the order of the entries.
    pub(super) listed: Vec<Listed>,
    /// How many entries are gone now.
    pub(super) removed: usize,
    /// How many entries have no record, and may be those of logins that are about to write it.
    pub(super) under_way: usize,
    /// How many records can't be read.
    pub(super) unreadable: usize,
    /// What couldn't be looked at. It isn't counted as alive or as dead.
    pub(super) failure: Option<Error>,
}

/// An entry, and the session that it leads to.
pub(super) struct Listed {
    pub(super) entry: IndexEntry,
    pub(super) session: LiveRecord,
    /// It has expired by this server's clock, though perhaps not by another's.
    pub(super) has_expired: bool,
}

/// Loads what each entry stands for, and removes the entries of what is dead.
///
/// A tombstone is final, so that its entry goes at once. Where nothing lies, a login may be about to write its
/// record: such an entry goes only when it is older than any commit can take, and not before a tombstone lies there.
///
/// What can't be read, or fails, doesn't keep the others from being looked at; several failures of unknown outcome in a
/// row do.
pub(super) async fn look_through(
    io: &mut Io<'_>,
    user: &UserKey,
    entries: Vec<IndexEntry>,
) -> LookedThrough {
    let mut found = LookedThrough {
        listed: Vec::new(),
        removed: 0,
        under_way: 0,
        unreadable: 0,
        failure: None,
    };
    let mut failures_in_a_row = 0;
    for batch in entries.chunks(AT_ONCE) {
        let keys: Vec<_> = batch.iter().map(|entry| entry.key).collect();
        let records = io.load_earlier_many(&keys).await;
        for (entry, record) in batch.iter().zip(records) {
            let there = match what_it_leads_to(io, entry, record, user).await {
                Ok(there) => there,
                Err(error) => {
                    failures_in_a_row += u32::from(error.kind() == StoreErrorKind::Unknown);
                    match error.is_about_the_record() {
                        true => found.unreadable += 1,
                        false => found.failure = Some(error.into()),
                    }
                    if failures_in_a_row == MAX_ERRORS {
                        return found;
                    }
                    continue;
                }
            };
            failures_in_a_row = 0;
            match there {
                There::Dead => {
                    found.removed += usize::from(io.remove_entry(user, &entry.key).await);
                }
                There::NothingYet => found.under_way += 1,
                There::Session(session, expires_at) => {
                    let end = expires_at.min(session.ends_at(io.policy().lifetime));
                    found.listed.push(Listed {
                        entry: *entry,
                        session,
                        has_expired: end <= io.now(),
                    });
                }
            }
        }
    }
    found
}

/// What an entry leads to.
enum There {
    /// A session of the user's, and when it expires.
    Session(LiveRecord, Timestamp),
    /// Nothing, and a login may be about to write its record.
    NothingYet,
    /// What will never be a session of the user's again.
    Dead,
}

async fn what_it_leads_to(
    io: &mut Io<'_>,
    entry: &IndexEntry,
    record: Result<Option<Record>, StoreError>,
    user: &UserKey,
) -> Result<There, StoreError> {
    let mut record = record?;
    if record.is_none() {
        if !io.policy().is_left_behind(entry.added_at, io.now()) {
            return Ok(There::NothingYet);
        }
        record = match close(io, entry, user).await {
            Some(SaveOutcome::Saved) => return Ok(There::Dead),
            Some(SaveOutcome::Conflict(Some(record))) => Some(*record),
            Some(SaveOutcome::Conflict(None) | SaveOutcome::Missing) => {
                io.load_earlier(&entry.key).await?
            }
            None => None,
        };
    }
    let Some(record) = record else {
        return Ok(There::NothingYet);
    };
    match record.state {
        RecordState::Live(session) if is_of(&session, user, io) => {
            Ok(There::Session(session, record.expires_at))
        }
        _ => Ok(There::Dead),
    }
}

fn is_of(session: &LiveRecord, user: &UserKey, io: &Io<'_>) -> bool {
    let owner = session.user.as_deref();
    owner.is_some_and(|owner| owner.key(&io.policy().kind) == *user)
}

/// Puts a tombstone in the way of a write that lands late, where an entry has no record though it is older than any
/// commit can take. `None` if nobody knows whether it lies there now.
async fn close(io: &mut Io<'_>, entry: &IndexEntry, user: &UserKey) -> Option<SaveOutcome> {
    let former = FormerSession::new(Some(entry.reference), Some(*user));
    let state = RecordState::ended(io.now(), EndedBy::Expiry, former);
    let tombstone = io.tombstone(None, state).ok()?;
    let written = io.save_earlier(&entry.key, tombstone, Expect::Absent).await;
    written.ok()
}
