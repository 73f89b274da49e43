//! Rotating: the session moves to a fresh id, and at no moment is it under none or under two.
//!
//! ```text
//! insert new ──saved──▶ tombstone over old ──saved─────────────────────▶ done, send the new id
//!                        ▲  │ conflict, error
//!                        │  ▼
//!                        │ what lies under old ──our tombstone─────────▶ done, send the new id
//!                        │  │       ╰────────────another one, nothing──▶ take new back, we lost
//!                        │  │ alive, changed by somebody
//!                        │  ▼
//!                        ╰─ merge it into new
//! ```
//!
//! The new record exists before the old id dies, so that a crash between the two leaves a session. It is
//! taken back only after a definite answer that the old id didn't die in its favour: after an error whose
//! outcome is unknown it may be the only one left.

use std::sync::Arc;

use super::found::{LiveSession, StoredSession};
use super::insert::{Inserted, ended_by, ended_meanwhile, insert};
use super::io::{Io, MAX_CONFLICTS, MAX_ERRORS, Wait, too_many_conflicts};
use super::outcome::{ClientChange, Outcome};
use super::wishes::Wishes;
use crate::data::View;
use crate::error::{Error, ErrorKind};
use crate::events::Done;
use crate::store::{
    EndedBy, LiveRecord, MoveCause, Record, RecordState, SaveOutcome, StoreError, StoreErrorKind,
};

/// How a rotation ended.
pub(super) enum Rotated {
    Moved(Arc<LiveSession>),
    /// The old id died in somebody else's favour. This is what lies there, if it has been seen.
    Lost(Option<Record>),
}

impl Rotated {
    pub(super) fn outcome(self, old: &StoredSession) -> Outcome {
        match self {
            Self::Moved(new) => Outcome::stored(new, ClientChange::Send, Done::Rotated),
            Self::Lost(record) => Outcome::lost(old.key, record),
        }
    }
}

/// What a rotation does when it finds that somebody changed the session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OnChange {
    /// It moves the changed session.
    Merge,
    /// It leaves the session where it is.
    GiveUp,
}

/// Moves the session to a fresh id, with what the request wants done to it. The payload limit doesn't stand in the way.
pub(super) async fn rotate(
    io: &mut Io<'_>,
    old: &mut StoredSession,
    wishes: &Wishes,
    view: &mut View,
    on_change: OnChange,
) -> Result<Rotated, Error> {
    // Only a login is one session more.
    let cap = io.policy().cap.filter(|_| wishes.login.is_some());
    let mut record = moved(io, old, view, wishes)?;
    if let Some(login) = &wishes.login
        && !login.is_of(old.user())
    {
        // Who had the browser before the login doesn't know the user's reference.
        record.reference = io.new_reference()?;
    }
    if record.ends_at(io.policy().lifetime) <= io.now() {
        return Ok(Rotated::Lost(None));
    }
    let mut new = match insert(io, &record, cap).await? {
        Inserted::Saved(new) => new,
        Inserted::EndedMeanwhile => return ended_by_others(wishes),
    };
    let (mut errors, mut conflicts) = (0, 0);
    // Saving our tombstone failed with an unknown outcome: the store may have written it, or may still do so.
    let mut may_land = false;
    loop {
        let cause = match (&wishes.login, view.is_changed()) {
            (None, _) => MoveCause::Rotation,
            (Some(_), false) => MoveCause::LoginAlone,
            (Some(_), true) => MoveCause::LoginAndMore,
        };
        let written = write_tombstone(io, old, &new, cause)?.await;
        let there = match written {
            Ok(SaveOutcome::Saved) => return Ok(moved_to(io, old, new).await),
            Ok(SaveOutcome::Conflict(Some(record))) => Ok(Some(*record)),
            Ok(SaveOutcome::Conflict(None)) => io.load(&old.key).await,
            Ok(SaveOutcome::Missing) => Ok(None),
            Err(error) => {
                may_land |= error.kind() != StoreErrorKind::NotApplied;
                errors += 1;
                match errors < MAX_ERRORS {
                    true => io.load(&old.key).await,
                    false => Err(error),
                }
            }
        };
        conflicts += 1;
        match decide(old, &new, there, may_land, conflicts) {
            Next::Succeed => return Ok(moved_to(io, old, new).await),
            Next::LeaveNew(error) => return Err(error),
            Next::TakeNewBack(result) => {
                take_back(io, &new).await;
                return result;
            }
            Next::TryAgain => {}
            Next::Merge(_) if on_change == OnChange::GiveUp => {
                take_back(io, &new).await;
                return Ok(Rotated::Lost(None));
            }
            Next::Merge(fresh) => {
                // The version has moved on, so that no earlier tombstone of ours can land any more.
                may_land = false;
                *view = match wishes.log.replay(fresh.record.data.clone()) {
                    Ok(view) => view,
                    Err(error) => {
                        take_back(io, &new).await;
                        return Err(error);
                    }
                };
                let mut record = match moved(io, &fresh, view, wishes) {
                    Ok(record) => record,
                    Err(error) => {
                        take_back(io, &new).await;
                        return Err(error);
                    }
                };
                // As in the index, where the entry ends with the session.
                record.reference = new.record.reference;
                record.absolute_from = new.record.absolute_from;
                record.absolute_end = new.record.absolute_end;
                let merged = Arc::new(LiveSession {
                    id: new.id.clone(),
                    stored: new.rewritten(io.new_version()?, record, io.policy()),
                });
                match io.replace(&new, merged.to_record()).await? {
                    SaveOutcome::Saved => (*old, new) = (fresh, merged),
                    SaveOutcome::Missing => return Ok(Rotated::Lost(None)),
                    // Somebody found the new id by way of the user, and ended it.
                    SaveOutcome::Conflict(ended) => {
                        let ended = match ended {
                            Some(record) => Some(*record),
                            None => io.load_earlier(&new.key).await?,
                        };
                        let by = ended_by(ended.as_ref());
                        return match by {
                            Some(EndedBy::Cap | EndedBy::Expiry) | None => Ok(Rotated::Lost(None)),
                            Some(_) => ended_by_others(wishes),
                        };
                    }
                }
            }
        }
    }
}

/// What it comes to that all sessions of the user were ended on purpose before the new id was the session's. A login
/// fails visibly. A mere rotation has lost, as any other commit has that meets the end of its session.
fn ended_by_others(wishes: &Wishes) -> Result<Rotated, Error> {
    match wishes.login {
        Some(_) => Err(ended_meanwhile()),
        None => Ok(Rotated::Lost(None)),
    }
}

/// What has to be done after a tombstone over the old id was refused, or nobody knows whether it landed.
enum Next {
    /// It landed.
    Succeed,
    /// It may have landed, or may still: the new record may be the only one left.
    LeaveNew(Error),
    /// It certainly didn't land, and won't. Nobody knows the new record.
    TakeNewBack(Result<Rotated, Error>),
    TryAgain,
    /// Somebody changed the session, which is this now.
    Merge(StoredSession),
}

/// Decides by what lies under the old id.
fn decide(
    old: &StoredSession,
    new: &LiveSession,
    there: Result<Option<Record>, StoreError>,
    may_land: bool,
    conflicts: u32,
) -> Next {
    let record = match there {
        Ok(Some(record)) => record,
        Ok(None) if may_land => return Next::LeaveNew(unknown_outcome()),
        Ok(None) => return Next::TakeNewBack(Ok(Rotated::Lost(None))),
        Err(error) if may_land => return Next::LeaveNew(error.into()),
        Err(error) => return Next::TakeNewBack(Err(error.into())),
    };
    let is_out_of_tries = conflicts > MAX_CONFLICTS;
    match StoredSession::of(old.key, record) {
        Ok(session) if session.version == old.version => match is_out_of_tries {
            true => Next::LeaveNew(too_many_conflicts()),
            false => Next::TryAgain,
        },
        Ok(_) if is_out_of_tries => Next::TakeNewBack(Err(too_many_conflicts())),
        Ok(session) => Next::Merge(session),
        Err(tombstone) => match tombstone.state {
            RecordState::Superseded { successor, .. } if successor == new.key => Next::Succeed,
            _ => Next::TakeNewBack(Ok(Rotated::Lost(Some(*tombstone)))),
        },
    }
}

/// `source` with the request's changes, active now.
fn moved(
    io: &Io<'_>,
    source: &StoredSession,
    view: &View,
    wishes: &Wishes,
) -> Result<LiveRecord, Error> {
    let mut record = source.record.clone();
    record.data = view.encode();
    wishes.apply_to_reserved(&mut record, io.now())?;
    if let Some(login) = &wishes.login {
        login.apply(&mut record);
        record.begin_absolute(io.now(), io.policy().lifetime);
    }
    record.last_active_at = record.last_active_at.max(io.now());
    Ok(record)
}

/// Puts a tombstone that names `new` where `old` lies.
fn write_tombstone<'c, 'e>(
    io: &'c mut Io<'e>,
    old: &'c StoredSession,
    new: &LiveSession,
    cause: MoveCause,
) -> Result<Wait<'c, 'e, Result<SaveOutcome, StoreError>>, Error> {
    let record = old.to_record();
    let former = record.former(&io.policy().kind);
    let state = RecordState::superseded(new.key, new.version, cause, io.now(), former);
    let tombstone = io.tombstone(Some(&record), state)?;
    Ok(io.replace(old, tombstone))
}

/// The session lives under its new id: the old one leaves the index.
async fn moved_to(io: &mut Io<'_>, old: &StoredSession, new: Arc<LiveSession>) -> Rotated {
    remove_from_index(io, old).await;
    Rotated::Moved(new)
}

/// Removes the new record, which nobody knows, and its entry. Where that fails, both expire.
async fn take_back(io: &mut Io<'_>, new: &LiveSession) {
    if io.delete(&new.key).await.is_ok() {
        remove_from_index(io, new).await;
    }
}

async fn remove_from_index(io: &mut Io<'_>, session: &StoredSession) {
    if let Some(user) = session.listed_user(io.has_index(), io.policy()) {
        io.remove_entry(&user, &session.key).await;
    }
}

fn unknown_outcome() -> Error {
    let message = "the session store failed, and what became of the rotation can't be learned";
    Error::new(ErrorKind::StoreUnavailable, message)
}
