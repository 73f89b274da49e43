//! Opening: what the ids that a request brought lead to.

use std::sync::Arc;

use smallvec::SmallVec;

use super::found::{Found, GoneSession, LiveSession};
use super::io::{Environment, Io, in_time};
use crate::config::Policy;
use crate::error::Error;
use crate::events;
use crate::id::{SessionId, StoreKey};
use crate::store::{Record, RecordState, StoreErrorKind, Timestamp};
use crate::transport::{Ids, Verified};

/// A session as a request found it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) found: Found,
    /// The id that counts was signed under a previous secret.
    pub(crate) sign_anew: bool,
    /// When that was.
    pub(crate) at: Timestamp,
}

/// Finds the session that the ids lead to, all loads under one deadline, and tells those who watch.
pub(crate) async fn open(env: &Environment, ids: &mut Ids) -> Result<Opened, Error> {
    let mut io = Io::new(env);
    let opened = in_time(env, look_up(&mut io, ids)).await;
    let opened = opened.unwrap_or_else(|| Err(io.late()));
    match &opened {
        Ok(opened) => tell(&opened.found),
        Err(error) => events::failed("load", error),
    }
    opened
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
        let record = match io.load(&key).await {
            Ok(Some(record)) => record,
            Ok(None) => continue,
            Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                events::unreadable_record();
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        match examine(id, key, record, io.now(), io.policy()) {
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
        at: io.now(),
    })
}

/// What `record` says about the session under `id`.
///
/// Both timeouts are computed anew, so that a shorter one in the configuration holds at once. A session that
/// has expired by this server's reckoning only is kept in mind: a logout still ends it for the others.
fn examine(id: SessionId, key: StoreKey, record: Record, now: Timestamp, policy: &Policy) -> Found {
    let is_straggler = match record.state {
        RecordState::Live(live) if now < record.expires_at.min(live.ends_at(policy.lifetime)) => {
            return Found::Live(Arc::new(LiveSession {
                id,
                key,
                version: record.version,
                expires_at: record.expires_at,
                record: live,
            }));
        }
        RecordState::Live(_) => false,
        RecordState::Superseded { at, .. } | RecordState::Ended { at, .. } => {
            now < at.saturating_add(policy.grace)
        }
    };
    Found::Gone(Arc::new(GoneSession {
        key,
        record: Some(record),
        is_straggler,
    }))
}

fn tell(found: &Found) {
    match found {
        Found::Nothing => {}
        Found::Live(live) => events::loaded(live.record.reference),
        Found::SeveralLive(_) => events::several_live_sessions(),
        Found::Gone(gone) if gone.is_straggler => events::late_request(),
        Found::Gone(gone) => {
            let is_tombstone = gone
                .record
                .as_ref()
                .is_some_and(|record| record.live().is_none());
            if is_tombstone {
                events::former_id_used();
            }
        }
    }
}
