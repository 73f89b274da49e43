//! Opening: what the ids that a request brought lead to.

use std::sync::Arc;

use smallvec::SmallVec;

use super::found::{Found, GoneSession, LiveSession, StoredSession};
use super::io::{Environment, Io, in_time};
use super::outcome::ClientChange;
use crate::config::Policy;
use crate::error::Error;
use crate::events;
use crate::events::metrics::{self, Timing};
use crate::id::{SessionId, StoreKey};
use crate::store::{EndedBy, Record, RecordState, SaveOutcome, StoreErrorKind, Timestamp, Touch};
use crate::transport::{Ids, Verified};

/// A session as a request found it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) found: Found,
    /// The id that is used was signed under a previous secret.
    pub(crate) sign_anew: bool,
    /// What opening did means this for the client, unless a commit changes it.
    pub(crate) client: ClientChange,
    /// When that was.
    pub(crate) at: Timestamp,
}

/// Finds the session that the ids lead to, all loads under one deadline, and tells those who watch. Activity is noted only
/// for a request that counts as such.
pub(crate) async fn open(env: &Environment, ids: &mut Ids, is_use: bool) -> Result<Opened, Error> {
    let stopwatch = metrics::start(Timing::Open);
    let mut io = Io::new(env);
    let opened = in_time(env, look_up(&mut io, ids)).await;
    stopwatch.stop();
    let mut opened = opened
        .unwrap_or_else(|| Err(io.late()))
        .inspect_err(|error| env.events.failed("load", error))?;
    tell(env, &opened.found);
    if is_use
        && let Found::Live(session) = &opened.found
        && session.is_note_urgent(opened.at, env.config.policy())
    {
        // Under a deadline of its own: what is optional never fails a request.
        let noted = in_time(env, note_activity(&mut io, session)).await;
        match noted.unwrap_or_else(|| Err(io.late())) {
            Ok(Some(noted)) => {
                opened.found = Found::Live(Arc::new(noted));
                opened.client = ClientChange::Send;
            }
            Ok(None) => {}
            Err(error) => env.events.optional_write_failed(&error),
        }
    }
    Ok(opened)
}

/// One live session is used; of several, none. One that is gone counts only where nothing lives.
///
/// The ids are taken out where they lie, so that futures don't hold them twice.
async fn look_up(io: &mut Io<'_>, ids: &mut Ids) -> Result<Opened, Error> {
    let mut live = SmallVec::<[_; 1]>::new();
    let mut gone: Option<Arc<GoneSession>> = None;
    let mut sign_anew = false;
    ids.reverse();
    while let Some(Verified { id, key, outdated }) = ids.pop() {
        let record = match io.load_earlier(&key).await {
            Ok(Some(record)) => record,
            Ok(None) => continue,
            Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                io.events().unreadable_record();
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        match examine(io, id, key, record) {
            Found::Live(session) => {
                live.push(session);
                sign_anew = outdated;
            }
            Found::Gone(other) if gone.as_ref().is_none_or(|gone| !gone.is_straggler) => {
                gone = Some(other);
            }
            Found::Gone(_) | Found::Nothing | Found::SeveralLive(_) => {}
        }
    }
    let found = match (live.len(), live.pop(), gone) {
        (1, Some(session), _) => Found::Live(session),
        (0, _, Some(gone)) => Found::Gone(gone),
        (0, _, None) => Found::Nothing,
        (_, last, _) => Found::SeveralLive(live.into_iter().chain(last).collect()),
    };
    Ok(Opened {
        sign_anew: sign_anew && matches!(found, Found::Live(_)),
        found,
        client: ClientChange::Keep,
        at: io.now(),
    })
}

/// What `record` says about the session under `id`.
///
/// Both timeouts are computed anew, so that a shorter one in the configuration holds at once. A session that
/// has expired by this server's reckoning only is kept in mind: a logout still ends it for the others.
fn examine(io: &Io<'_>, id: SessionId, key: StoreKey, record: Record) -> Found {
    let (now, policy) = (io.now(), io.policy());
    let is_usable = is_usable(io, &record);
    match record {
        Record {
            version,
            expires_at,
            state: RecordState::Live(record),
        } if is_usable => Found::Live(Arc::new(LiveSession {
            id,
            stored: StoredSession {
                key,
                version,
                expires_at,
                record,
            },
        })),
        record => Found::Gone(Arc::new(GoneSession {
            key,
            is_straggler: is_straggler(&record, now, policy),
            record: Some(record),
        })),
    }
}

/// Whether the record is a live session's that its visitor may use now.
pub(super) fn is_usable(io: &Io<'_>, record: &Record) -> bool {
    let (now, policy) = (io.now(), io.policy());
    record.live().is_some_and(|live| {
        let ends_at = record.expires_at.min(live.ends_at(policy.lifetime));
        let is_dated_ahead = live.last_active_at > now.saturating_add(policy.clock_tolerance);
        if is_dated_ahead {
            io.events().dated_ahead(live.reference);
        }
        now < ends_at && !is_dated_ahead
    })
}

/// Whether a request that meets this tombstone may have been under way when its own browser ended or rotated the
/// session. Whoever was ended from elsewhere is an ordinary visitor at once.
fn is_straggler(tombstone: &Record, now: Timestamp, policy: &Policy) -> bool {
    match tombstone.state {
        RecordState::Superseded { at, .. }
        | RecordState::Ended {
            at,
            by: EndedBy::OwnRequest,
            ..
        } => now < at.saturating_add(policy.window),
        RecordState::Ended { .. } | RecordState::Live(_) => false,
    }
}

/// Notes at once that the session is used, for a handler that may take longer than the session has left. Gives the
/// session as it is then, unless somebody else was quicker.
pub(super) async fn note_activity(
    io: &mut Io<'_>,
    session: &LiveSession,
) -> Result<Option<LiveSession>, Error> {
    let mut noted = session.clone();
    noted.stored.version = io.new_version()?;
    noted.stored.note_activity(io.now(), io.policy());
    noted.stored.expires_at = noted.expires_at.max(session.expires_at);
    let touch = Touch::new(
        session.version,
        noted.version,
        noted.record.last_active_at,
        noted.expires_at,
    );
    let outcome = io.touch(&session.key, touch).await?;
    Ok((outcome == SaveOutcome::Saved).then_some(noted))
}

fn tell(env: &Environment, found: &Found) {
    let events = &env.events;
    match found {
        Found::Nothing => {}
        Found::Live(live) => events::loaded(live.record.reference),
        Found::SeveralLive(_) => events.several_live_sessions(),
        Found::Gone(gone) if gone.is_straggler => events.late_request(),
        Found::Gone(gone) => {
            let state = gone.record.as_ref().map(|record| &record.state);
            if matches!(
                state,
                Some(RecordState::Superseded { .. } | RecordState::Ended { .. })
            ) {
                events.former_id_used();
            }
        }
    }
}
