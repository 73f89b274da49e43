//! Adding a session to the index of its user, and making room for it.

use std::cmp::Reverse;

use super::end::{Ending, end};
use super::io::{Io, MAX_CONFLICTS, broken_contract, too_many_conflicts};
use super::look_through::{LookedThrough, look_through};
use crate::config::{Cap, WhenFull};
use crate::error::{Error, ErrorKind};
use crate::id::UserKey;
use crate::store::{AddOutcome, EndedBy, IndexEntry, StoreError};

/// With more entries than this, a login looks after some that may be dead: those of sessions that expired
/// for want of activity stay behind until their absolute timeout.
const TIDY_ABOVE: usize = 16;
/// How many it looks after. A login adds one entry, so that two would be enough to keep up.
const TIDIED: usize = 4;
/// How often a login waits for others that are under way before it ends a session that lives.
const PATIENCE: u32 = 3;
/// How many entries a login looks at where the cap is reached: half of them those that were added first, half chosen at
/// random. So its cost doesn't grow with the number of sessions, and dead ones are found wherever they stand.
const LOOKED_AT: usize = 32;

/// Adds an entry. Where the user's cap is reached, it makes room or refuses, as configured.
pub(super) async fn add(
    io: &mut Io<'_>,
    user: &UserKey,
    entry: IndexEntry,
    cap: Option<Cap>,
) -> Result<(), Error> {
    let mut allowed = cap.map(|cap| cap.max);
    for tries in 1..=MAX_CONFLICTS {
        if let AddOutcome::Added(count) = io.add_entry(user, entry, allowed).await? {
            if count > TIDY_ABOVE {
                tidy(io, user, &entry).await;
            }
            return Ok(());
        }
        let Some(Cap { max, when_full }) = cap else {
            return Err(broken_contract());
        };
        let mut others = io.some_entries(user, LOOKED_AT / 2, LOOKED_AT / 2).await?;
        others.retain(|other| other.reference != entry.reference);
        let found = look_through(io, user, others).await;
        if found.removed > 0 {
            continue;
        }
        // What can't be read can't be used or ended by this server either. It keeps its entry, and takes no place.
        let before = allowed.replace(max + found.unreadable);
        if before < allowed {
            continue;
        }
        match when_full {
            WhenFull::Refuse => {
                let message = "the user has as many sessions as one may have";
                return Err(Error::new(ErrorKind::TooManySessions, message));
            }
            // Logins that are under way will live, or fail and leave their places.
            WhenFull::EndOldest if found.under_way > 0 && tries <= PATIENCE => {
                io.back_off(tries).await?;
            }
            WhenFull::EndOldest if found.listed.is_empty() => match found.failure {
                Some(error) => return Err(error),
                None => io.back_off(tries).await?,
            },
            WhenFull::EndOldest => end_oldest(io, user, &found).await?,
        }
    }
    Err(too_many_conflicts())
}

/// Ends one of these sessions: one that has expired by this server's clock, or else the one that was added first.
async fn end_oldest(io: &mut Io<'_>, user: &UserKey, found: &LookedThrough) -> Result<(), Error> {
    let mut candidates: Vec<_> = found.listed.iter().collect();
    candidates.sort_by_key(|listed| (Reverse(listed.has_expired), listed.entry.added_at));
    let Some(oldest) = candidates.first() else {
        return Ok(());
    };
    let key = oldest.entry.key;
    let there = io.load_earlier(&key).await;
    let ending = Ending {
        by: EndedBy::Cap,
        owner: Some(*user),
        spared: None,
    };
    let ended = match end(io, key, there, ending).await {
        Ok(ended) => ended,
        Err(error) => {
            // The session can't be read, or what it moved to. Looking again shows which places are left.
            let is_unreadable = error
                .store_error()
                .is_some_and(StoreError::is_about_the_record);
            return if is_unreadable { Ok(()) } else { Err(error) };
        }
    };
    match ended.unlisted == Some(key) || io.remove_entry(user, &key).await {
        true => Ok(()),
        false => {
            let message =
                "the session of a user at the cap has ended, and its entry can't be removed";
            Err(Error::new(ErrorKind::StoreUnavailable, message))
        }
    }
}

/// Removes entries of the dead. It doesn't matter if that fails: another login tries again.
async fn tidy(io: &mut Io<'_>, user: &UserKey, added: &IndexEntry) {
    if let Ok(mut entries) = io.some_entries(user, 0, TIDIED).await {
        entries.retain(|entry| entry.reference != added.reference);
        look_through(io, user, entries).await;
    }
}
