//! Ending: a logout ends the session, whichever of its ids it came with.
//!
//! ```text
//! what lies there ──ended already, or somebody else's──▶ done, nothing was ended
//!  ▲  │  ╰──superseded──▶ go on with the successor
//!  │  │ alive, or nothing
//!  │  ▼
//!  │ write the tombstone ──saved──▶ leave the index ────▶ done
//!  ╰──┤ conflict, error
//! ```
//!
//! The way leads through the ids of one user's session. It doesn't go from a visitor's session to that of the user who
//! logged in there, nor from one user to another: who planted or copied a cookie from before a login can't sign its
//! owner out with it.

use super::found::Found;
use super::io::{Io, MAX_CONFLICTS, MAX_ERRORS, Wait, broken_contract, too_many_conflicts};
use crate::error::Error;
use crate::id::{SessionRef, StoreKey, UserKey};
use crate::store::{
    EndedBy, Expect, FormerSession, MoveCause, Record, RecordState, SaveOutcome, StoreError,
};

/// How many rotations an ending follows.
const MAX_CHAIN: u32 = 1_000;

/// Who ends what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    pub(super) by: EndedBy,
    /// Whose session it has to be; by default that of whoever has it now.
    pub(super) owner: Option<UserKey>,
    /// The session that asks, which goes on.
    pub(super) spared: Option<SessionRef>,
}

impl Ending {
    /// By a request that came with the session.
    pub(super) const OWN: Self = Self {
        by: EndedBy::OwnRequest,
        owner: None,
        spared: None,
    };
}

/// What an ending did.
#[derive(Default)]
pub(super) struct Ended {
    /// Whether there was a live session.
    pub(super) was_alive: bool,
    /// Whose entry was removed from the index.
    pub(super) unlisted: Option<StoreKey>,
}

/// Ends whatever came with a request. Says whether that was alive.
pub(super) async fn end_all(io: &mut Io<'_>, found: &Found) -> Result<bool, Error> {
    match found {
        Found::Nothing => Ok(false),
        Found::Live(session) => {
            let there = Ok(Some(session.to_record()));
            let ended = end(io, session.key, there, Ending::OWN).await?;
            Ok(ended.was_alive)
        }
        Found::SeveralLive(sessions) => {
            let mut has_ended = false;
            for session in sessions {
                let there = Ok(Some(session.to_record()));
                let ended = end(io, session.key, there, Ending::OWN).await?;
                has_ended |= ended.was_alive;
            }
            Ok(has_ended)
        }
        Found::Gone(gone) => {
            let there = match &gone.record {
                Some(record) => Ok(Some(record.clone())),
                None => io.load_earlier(&gone.key).await,
            };
            let ended = end(io, gone.key, there, Ending::OWN).await?;
            Ok(ended.was_alive)
        }
    }
}

/// Writes a tombstone over the session under `key`, where `there` was seen to lie, following rotations to where it
/// lives now.
///
/// It tries again without a pause: those who write the session pause after a conflict, so an ending gets through.
pub(super) async fn end(
    io: &mut Io<'_>,
    mut key: StoreKey,
    mut there: Result<Option<Record>, StoreError>,
    ending: Ending,
) -> Result<Ended, Error> {
    let (mut errors, mut conflicts, mut followed) = (0, 0, 0);
    let mut owner = ending.owner.map(Some);
    loop {
        let record = match there {
            Ok(record) => record,
            // Whether a write landed is seen by looking; writing the tombstone twice does no harm.
            Err(error) => {
                errors += 1;
                if errors == MAX_ERRORS {
                    return Err(error.into());
                }
                there = io.load_earlier(&key).await;
                continue;
            }
        };
        let former = record
            .as_ref()
            .map(|record| record.former(&io.policy().kind));
        if let Some(former) = former {
            let is_anothers = *owner.get_or_insert(former.user) != former.user;
            let is_spared = ending.spared.is_some() && former.reference == ending.spared;
            if is_anothers || is_spared {
                return Ok(Ended::default());
            }
        }
        match record.as_ref().map(|record| &record.state) {
            Some(RecordState::Ended { .. }) => return Ok(Ended::default()),
            // What a login left of a visitor's session leads to somebody else's, whether or not that is there.
            Some(RecordState::Superseded { cause, .. })
                if *cause != MoveCause::Rotation && owner == Some(None) =>
            {
                return Ok(Ended::default());
            }
            Some(RecordState::Superseded { successor, .. }) => {
                followed += 1;
                if followed > MAX_CHAIN {
                    return Err(broken_contract());
                }
                key = *successor;
                there = io.load_earlier(&key).await;
                continue;
            }
            Some(RecordState::Live(_)) | None => {}
        }
        let was_alive = record
            .as_ref()
            .is_some_and(|record| !record.is_expired(io.now()));
        let former = former.unwrap_or(FormerSession::new(None, ending.owner));
        let lay_there = record.is_some();
        let written = write_tombstone(io, &key, record, ending.by, former)?.await;
        there = match written {
            Ok(SaveOutcome::Saved) => {
                let mut ended = Ended {
                    was_alive,
                    unlisted: None,
                };
                if let Some(user) = former.user.filter(|_| io.has_index())
                    && io.remove_entry(&user, &key).await
                {
                    ended.unlisted = Some(key);
                }
                return Ok(ended);
            }
            // Where nothing lay, nothing can be missing.
            Ok(SaveOutcome::Missing) if !lay_there => return Err(broken_contract()),
            Ok(SaveOutcome::Missing) => Ok(None),
            Ok(SaveOutcome::Conflict(current)) => {
                conflicts += 1;
                match current {
                    _ if conflicts > MAX_CONFLICTS => return Err(too_many_conflicts()),
                    Some(record) => Ok(Some(*record)),
                    None => io.load_earlier(&key).await,
                }
            }
            Err(error) => Err(error),
        };
    }
}

/// Puts a tombstone where `record` lies, or where nothing does. A session that isn't there may have expired by this
/// server's clock alone, or its record may still be on its way; an ending holds by every clock.
fn write_tombstone<'c, 'e>(
    io: &'c mut Io<'e>,
    key: &'c StoreKey,
    record: Option<Record>,
    by: EndedBy,
    former: FormerSession,
) -> Result<Wait<'c, 'e, Result<SaveOutcome, StoreError>>, Error> {
    let expect = match &record {
        Some(record) => Expect::Version(record.version),
        None => Expect::Absent,
    };
    let state = RecordState::ended(io.now(), by, former);
    let tombstone = io.tombstone(record.as_ref(), state)?;
    Ok(io.save_earlier(key, tombstone, expect))
}
