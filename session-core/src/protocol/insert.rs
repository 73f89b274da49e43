//! Inserting: a session under a fresh id, whether it begins there or moves there.

use std::sync::Arc;

use super::found::{LiveSession, StoredSession};
use super::index;
use super::io::{Io, MAX_CONFLICTS, broken_contract, too_many_conflicts};
use super::outcome::{ClientChange, Outcome};
use super::wishes::Wishes;
use crate::config::Cap;
use crate::data::SessionData;
use crate::error::{Error, ErrorKind};
use crate::events::Done;
use crate::store::{EndedBy, Expect, LiveRecord, Record, RecordState, SaveOutcome};

/// How many ids are drawn when the one before was taken. A second is already a broken generator.
const MAX_DRAWS: u32 = 4;

/// Begins a session where there was none.
pub(super) async fn create(
    io: &mut Io<'_>,
    data: SessionData,
    wishes: &Wishes,
) -> Result<Outcome, Error> {
    let mut record = LiveRecord::new(data, io.now(), io.new_reference()?);
    wishes.apply_to_reserved(&mut record, io.now())?;
    if let Some(login) = &wishes.login {
        login.apply(&mut record);
    }
    record.begin_absolute(io.now(), io.policy().lifetime);
    match insert(io, &record, io.policy().cap).await? {
        Inserted::Saved(created) => Ok(Outcome::stored(created, ClientChange::Send, Done::Created)),
        Inserted::EndedMeanwhile => Err(ended_meanwhile()),
    }
}

/// What became of a record under a fresh id.
pub(super) enum Inserted {
    Saved(Arc<LiveSession>),
    /// Somebody ended all sessions of the user on purpose, and met its entry before the record was there.
    EndedMeanwhile,
}

/// Saves `record` under a fresh id, and returns where it lives now. The id is in the index of the record's user before
/// the record is there, so that a live session is always listed.
///
/// If something lies under the id, it is left alone and another id drawn. Chance never does that to 256 bits. Another
/// login at its cap does, when it ends the session of our entry before our record is there. Whoever ended all of the
/// user's sessions at that moment meant this one too: then no other is drawn.
pub(super) async fn insert(
    io: &mut Io<'_>,
    record: &LiveRecord,
    cap: Option<Cap>,
) -> Result<Inserted, Error> {
    let (mut taken, mut evicted) = (0, 0);
    loop {
        let id = io.new_id()?;
        let session = Arc::new(LiveSession {
            stored: StoredSession {
                key: id.store_key(),
                version: io.new_version()?,
                expires_at: record.ends_at(io.policy().lifetime),
                record: record.clone(),
            },
            id,
        });
        let user = session.listed_user(io.has_index(), io.policy());
        if let Some(user) = &user {
            // In a box, as in `commit`: only logins come here.
            Box::pin(index::add(io, user, session.entry(io.now()), cap)).await?;
        }
        let saved = io.save(&session.key, session.to_record(), Expect::Absent);
        let current = match saved.await? {
            SaveOutcome::Saved => return Ok(Inserted::Saved(session)),
            SaveOutcome::Conflict(current) => current,
            SaveOutcome::Missing => return Err(broken_contract()),
        };
        if let Some(user) = &user {
            io.remove_entry(user, &session.key).await;
        }
        match ended_by(current.as_deref()) {
            Some(EndedBy::Cap | EndedBy::Expiry) => evicted += 1,
            Some(_) => return Ok(Inserted::EndedMeanwhile),
            None => taken += 1,
        }
        if taken == MAX_DRAWS {
            let message = "every id that the random generator gave was taken";
            return Err(Error::new(ErrorKind::Random, message));
        }
        if evicted > MAX_CONFLICTS {
            return Err(too_many_conflicts());
        }
    }
}

/// The error of a login whose session was ended on purpose before the login was over: whoever ended all sessions of the
/// user meant this one too.
pub(super) fn ended_meanwhile() -> Error {
    let message = "the user's sessions were ended while this one began";
    Error::new(ErrorKind::Conflict, message)
}

/// Who ended the session before its login was over, if somebody did.
pub(super) fn ended_by(current: Option<&Record>) -> Option<EndedBy> {
    match &current?.state {
        RecordState::Ended { by, .. } => Some(*by),
        RecordState::Live(_) | RecordState::Superseded { .. } => None,
    }
}
