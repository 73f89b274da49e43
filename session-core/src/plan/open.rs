//! Opening: what the ids that a request brought lead to.

use super::{Answer, Call, Context, DeadSession, Found, LiveSession, Step};
use crate::id::SessionId;
use crate::record::{Record, RecordState};
use crate::sign::Verified;
use crate::store::StoreErrorKind;

/// Loads each of the request's ids and decides which one counts.
#[derive(Debug)]
pub(crate) struct Open {
    /// Verified ids, each once, in the order of the request.
    ids: Vec<Verified>,
    /// How many of them have been loaded.
    asked: usize,
    live: Vec<(LiveSession, bool)>,
    dead: Option<DeadSession>,
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
    pub(crate) fn new(ids: Vec<Verified>) -> Self {
        Self {
            ids,
            asked: 0,
            live: Vec::new(),
            dead: None,
            report: OpenReport::default(),
        }
    }

    pub(crate) fn advance(
        &mut self,
        answer: Answer,
        cx: &Context<'_>,
    ) -> Step<(Found, OpenReport)> {
        match answer {
            Answer::Ready => {}
            Answer::Loaded(None) => self.asked += 1,
            Answer::Loaded(Some(record)) => self.take(record, cx),
            Answer::Failed(error) if error.kind() == StoreErrorKind::Corrupt => {
                self.report.corrupt = true;
                self.asked += 1;
            }
            Answer::Failed(error) => return Step::fail(error),
            Answer::Saved(_)
            | Answer::Deleted
            | Answer::Listed(_)
            | Answer::Unlisted
            | Answer::Entries(_) => return Step::fail(super::broken_contract()),
        }
        match self.ids.get(self.asked) {
            Some(next) => Step::Call(Call::Load(next.id.store_key())),
            None => Step::Done(Ok(self.decide())),
        }
    }

    fn take(&mut self, record: Record, cx: &Context<'_>) {
        let Verified { id, outdated } = self.ids[self.asked].clone();
        self.asked += 1;
        match examine(id, record, cx) {
            Found::Live(live) => self.live.push((live, outdated)),
            Found::Dead(dead) if self.dead.as_ref().is_none_or(|other| !other.in_grace) => {
                self.dead = Some(dead);
            }
            Found::Dead(_) | Found::Nothing | Found::Several(_) => {}
        }
    }

    /// One live session is used; of several, none. A dead one counts only where nothing lives.
    fn decide(&mut self) -> (Found, OpenReport) {
        self.report.ambiguous = self.live.len() > 1;
        let found = match (self.live.pop(), self.dead.take()) {
            (Some((last, _)), _) if self.report.ambiguous => {
                let others = self.live.drain(..).map(|(live, _)| live);
                Found::Several(others.chain([last]).collect())
            }
            (Some((live, outdated)), _) => {
                self.report.outdated = outdated;
                Found::Live(live)
            }
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
fn examine(id: SessionId, record: Record, cx: &Context<'_>) -> Found {
    let key = id.store_key();
    let in_grace = match &record.state {
        RecordState::Live(live) => {
            let Record {
                version,
                expires_at,
                ..
            } = record;
            if cx.now < expires_at.min(cx.policy.lifetime.expires_at(live)) {
                let record = live.clone();
                return Found::Live(LiveSession {
                    id,
                    key,
                    version,
                    expires_at,
                    record,
                });
            }
            false
        }
        RecordState::Superseded { at, .. } | RecordState::Ended { at } => {
            cx.now < at.saturating_add(cx.policy.grace)
        }
    };
    Found::Dead(DeadSession {
        key,
        record: Some(record),
        in_grace,
    })
}
