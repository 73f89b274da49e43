//! Looking again at a session that a request goes on using after its response: what others have made of it since.

use std::sync::Arc;

use super::found::{LiveSession, StoredSession};
use super::io::{Environment, Io, in_time};
use super::open::{self, is_usable};
use crate::error::Error;
use crate::id::StoreKey;
use crate::store::{MoveCause, RecordState, StoreErrorKind};

/// How many rotations are followed. A session that is rotated more often between two looks is taken for over.
const MAX_ROTATIONS: u32 = 16;

/// The session as it lies in the store now, under whichever key a mere rotation has moved it to; `None` if it is over.
///
/// A login isn't followed. Whoever held the id from before it, and perhaps planted it, mustn't see what the user does
/// after it.
pub(crate) async fn refresh(
    env: &Environment,
    session: &LiveSession,
) -> Result<Option<StoredSession>, Error> {
    let mut io = Io::new(env);
    let followed = in_time(env, follow_rotations(&mut io, session.key)).await;
    followed
        .unwrap_or_else(|| Err(io.late()))
        .inspect_err(|error| env.events.failed("refresh", error))
}

/// The session that lives under this key, or under the one to which mere rotations have moved it.
pub(super) async fn follow_rotations(
    io: &mut Io<'_>,
    mut key: StoreKey,
) -> Result<Option<StoredSession>, Error> {
    for _ in 0..=MAX_ROTATIONS {
        let record = match io.load(&key).await {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(None),
            Err(error) if error.kind() == StoreErrorKind::Corrupt => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let is_usable = is_usable(io, &record);
        key = match StoredSession::of(key, record) {
            Ok(stored) => return Ok(is_usable.then_some(stored)),
            Err(tombstone) => match tombstone.state {
                RecordState::Superseded {
                    successor,
                    cause: MoveCause::Rotation,
                    ..
                } => successor,
                _ => return Ok(None),
            },
        };
    }
    Ok(None)
}

/// Notes that the session is used, if that is due. Gives the session as it is then, unless it wasn't due or somebody else
/// was quicker.
pub(crate) async fn note_activity(
    env: &Environment,
    session: &LiveSession,
) -> Result<Option<Arc<LiveSession>>, Error> {
    let mut io = Io::new(env);
    if !session.is_touch_due(false, true, io.now(), io.policy()) {
        return Ok(None);
    }
    let noted = in_time(env, open::note_activity(&mut io, session)).await;
    let noted = noted
        .unwrap_or_else(|| Err(io.late()))
        .inspect_err(|error| env.events.failed("note of activity", error))?;
    Ok(noted.map(Arc::new))
}
