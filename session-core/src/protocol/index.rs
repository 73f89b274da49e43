//! Adding a session to the index of its user, and making room for it.

use super::end::end;
use super::io::{Io, MAX_CONFLICTS, broken_contract, too_many_conflicts};
use super::look_through::look_through;
use crate::config::{Cap, WhenFull};
use crate::error::{Error, ErrorKind};
use crate::id::UserKey;
use crate::store::{AddOutcome, EndedBy, IndexEntry};

/// With more entries than this, a login looks after some that may be dead: those of sessions that expired
/// for want of activity stay behind until their absolute timeout.
const TIDY_ABOVE: usize = 16;
/// How many it looks after. A login adds one entry, so that two would be enough to keep up.
const TIDIED: usize = 4;

/// Adds an entry. Where the user's cap is reached, it makes room or refuses, as configured.
pub(super) async fn add(
    io: &mut Io<'_>,
    user: &UserKey,
    entry: IndexEntry,
    cap: Option<Cap>,
) -> Result<(), Error> {
    for _ in 0..=MAX_CONFLICTS {
        let added = io.add_entry(user, entry, cap.map(|cap| cap.max)).await?;
        let mut others = match added {
            AddOutcome::Added(count) => {
                if count > TIDY_ABOVE {
                    tidy(io, user, &entry).await;
                }
                return Ok(());
            }
            AddOutcome::Full(entries) => entries,
        };
        others.retain(|other| other.reference != entry.reference);
        let has_room = match cap.map(|cap| cap.when_full) {
            Some(WhenFull::EndOldest) => end_oldest(io, user, &others).await?,
            Some(WhenFull::Refuse) => look_through(io, user, others).await?.removed > 0,
            None => return Err(broken_contract()),
        };
        if !has_room {
            let message = "the user has as many sessions as one may have";
            return Err(Error::new(ErrorKind::TooManySessions, message));
        }
    }
    Err(too_many_conflicts())
}

/// Ends the session that was added first.
async fn end_oldest(io: &mut Io<'_>, user: &UserKey, others: &[IndexEntry]) -> Result<bool, Error> {
    let oldest = others.first().ok_or_else(broken_contract)?;
    let there = io.load(&oldest.key).await;
    end(io, oldest.key, there, EndedBy::Cap).await?;
    Ok(io.remove_entry(user, &oldest.key).await)
}

/// Removes entries of the dead. It doesn't matter if that fails: another login tries again.
async fn tidy(io: &mut Io<'_>, user: &UserKey, added: &IndexEntry) {
    if let Ok(mut entries) = io.entries(user).await {
        entries.retain(|entry| entry.reference != added.reference);
        entries.truncate(TIDIED);
        let _ = look_through(io, user, entries).await;
    }
}
