//! Opening: what the ids that a request brought lead to.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{DeadSession, Found, LiveSession, Policy};
use crate::error::Error;
use crate::id::{SessionId, StoreKey};
use crate::record::{Record, RecordState};
use crate::sign::Verified;
use crate::store::{StoreError, StoreErrorKind};
use crate::time::Timestamp;

/// Verified ids, each once, in the order of the request. Nearly every request has one.
pub(crate) type Ids = SmallVec<[Verified; 1]>;

/// Asks for the record of each of the request's ids and decides which one counts.
#[derive(Debug)]
pub(crate) struct Open {
    /// The ids whose records haven't been seen yet, the next one last.
    ids: Ids,
    /// Live sessions, in the order of the request.
    live: SmallVec<[Arc<LiveSession>; 1]>,
    dead: Option<Arc<DeadSession>>,
    report: OpenReport,
}

/// What opening came upon that somebody may want to know.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct OpenReport {
    /// The id counts, and its cookie was signed under a previous secret.
    pub(crate) outdated: bool,
    /// Several live sessions came with one request; none is used.
    pub(crate) ambiguous: bool,
    /// An id was used that had been rotated away or ended longer ago than the grace time.
    pub(crate) used_after_grace: bool,
    /// A record couldn't be decoded.
    pub(crate) corrupt: bool,
}

impl Open {
    pub(crate) fn new(mut ids: Ids) -> Self {
        ids.reverse();
        Self {
            ids,
            live: SmallVec::new(),
            dead: None,
            report: OpenReport::default(),
        }
    }

    /// The key whose record has to be loaded next, if there is one.
    pub(crate) fn next_key(&self) -> Option<StoreKey> {
        self.ids.last().map(|next| next.key)
    }

    /// Takes what the store says about [`next_key`](Self::next_key).
    pub(crate) fn take(
        &mut self,
        loaded: Result<Option<Record>, StoreError>,
        now: Timestamp,
        policy: &Policy,
    ) -> Result<(), Error> {
        let Some(Verified { id, key, outdated }) = self.ids.pop() else {
            return Err(super::broken_contract());
        };
        let record = match loaded {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(()),
            Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                self.report.corrupt = true;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        match examine(id, key, record, now, policy) {
            Found::Live(live) => {
                self.live.push(live);
                self.report.outdated = outdated;
            }
            Found::Dead(dead) if self.dead.as_ref().is_none_or(|other| !other.in_grace) => {
                self.dead = Some(dead);
            }
            Found::Dead(_) | Found::Nothing | Found::Several(_) => {}
        }
        Ok(())
    }

    /// One live session is used; of several, none. A dead one counts only where nothing lives.
    pub(crate) fn decide(&mut self) -> (Found, OpenReport) {
        self.report.ambiguous = self.live.len() > 1;
        let found = match (self.live.pop(), self.dead.take()) {
            (Some(last), _) if self.report.ambiguous => {
                self.report.outdated = false;
                Found::Several(self.live.drain(..).chain([last]).collect())
            }
            (Some(live), _) => Found::Live(live),
            (None, Some(dead)) => {
                let is_tombstone = dead
                    .record
                    .as_ref()
                    .is_some_and(|record| record.live().is_none());
                self.report.used_after_grace = is_tombstone && !dead.in_grace;
                Found::Dead(dead)
            }
            (None, None) => Found::Nothing,
        };
        (found, self.report)
    }
}

/// What `record` says about the session under `id`.
///
/// Both timeouts are computed anew, so that a shorter one in the configuration holds at once. A session that
/// has expired by this server's reckoning only is kept in mind: a logout still ends it for the others.
fn examine(id: SessionId, key: StoreKey, record: Record, now: Timestamp, policy: &Policy) -> Found {
    let in_grace = match record.state {
        RecordState::Live(live)
            if now < record.expires_at.min(policy.lifetime.expires_at(&live)) =>
        {
            return Found::Live(Arc::new(LiveSession {
                id,
                key,
                version: record.version,
                expires_at: record.expires_at,
                record: live,
            }));
        }
        RecordState::Live(_) => false,
        RecordState::Superseded { at, .. } | RecordState::Ended { at } => {
            now < at.saturating_add(policy.grace)
        }
    };
    Found::Dead(Arc::new(DeadSession {
        key,
        record: Some(record),
        in_grace,
    }))
}
