//! Ending: a logout ends the session, whichever of its ids it came with.

use std::sync::Arc;

use super::{Answer, Call, Context, LiveSession, MAX_CHAIN, MAX_CONFLICTS, MAX_ERRORS, Step};
use crate::error::Error;
use crate::id::{StoreKey, UserKey};
use crate::record::{Record, RecordState};
use crate::store::{Expect, SaveOutcome};

/// Buries the session under `key`, following rotations to where it lives now. Tries again without a
/// pause: those who write the session pause after a conflict, so an ending gets through.
#[derive(Debug)]
pub(super) struct End {
    key: StoreKey,
    /// Sessions that have to end after this one.
    others: Vec<Arc<LiveSession>>,
    errors: u32,
    conflicts: u32,
    followed: u32,
    /// The user whose index has the session that is being buried.
    listed: Option<UserKey>,
    is_unlisting: bool,
    /// What is being buried was alive.
    was_alive: bool,
    has_ended_one: bool,
}

impl End {
    pub(super) fn new(key: StoreKey, others: Vec<Arc<LiveSession>>) -> Self {
        Self {
            key,
            others,
            errors: 0,
            conflicts: 0,
            followed: 0,
            listed: None,
            is_unlisting: false,
            was_alive: false,
            has_ended_one: false,
        }
    }

    /// Whether what has ended was alive until then.
    pub(super) fn has_ended_one(&self) -> bool {
        self.has_ended_one
    }

    /// Starts with the record under the key, if it is known already.
    pub(super) fn start(&mut self, known: Option<Record>, cx: &Context<'_>) -> Step<()> {
        match known {
            Some(record) => self.bury(record, cx).into(),
            None => Step::Call(Call::Load(self.key)),
        }
    }

    pub(super) fn advance(&mut self, answer: Answer, cx: &Context<'_>) -> Step<()> {
        if std::mem::take(&mut self.is_unlisting) {
            // The session has ended; an entry that couldn't be removed is removed another time.
            return self.next(cx);
        }
        match answer {
            Answer::Ready => Step::Call(Call::Load(self.key)),
            Answer::Loaded(Some(record)) => self.bury(record, cx).into(),
            Answer::Loaded(None) | Answer::Saved(SaveOutcome::Missing) => {
                self.bury_nothing(cx).into()
            }
            Answer::Saved(SaveOutcome::Saved) => self.buried(cx),
            Answer::Saved(SaveOutcome::Conflict(current)) => {
                self.conflicts += 1;
                match current {
                    _ if self.conflicts > MAX_CONFLICTS => Step::fail(super::too_many_conflicts()),
                    Some(record) => self.bury(*record, cx).into(),
                    None => Step::Call(Call::Load(self.key)),
                }
            }
            Answer::Deleted | Answer::Listed(_) | Answer::Unlisted | Answer::Entries(_) => {
                Step::fail(super::broken_contract())
            }
            // Whether the write landed is seen by looking; writing the tombstone twice does no harm.
            Answer::Failed(error) => {
                self.errors += 1;
                if self.errors < MAX_ERRORS {
                    Step::Call(Call::Load(self.key))
                } else {
                    Step::fail(error)
                }
            }
        }
    }

    /// It has expired by this server's clock. Another server's may be behind, or this one may be set back; a
    /// logout holds by every clock.
    fn bury_nothing(&mut self, cx: &Context<'_>) -> Result<Step<()>, Error> {
        (self.was_alive, self.listed) = (false, None);
        let state = RecordState::Ended { at: cx.now };
        let (version, expires_at) = (cx.new_version()?, cx.now.saturating_add(cx.policy.grace));
        let record = Record {
            version,
            expires_at,
            state,
        };
        Ok(Step::Call(Call::Save {
            key: self.key,
            record,
            expect: Expect::Absent,
        }))
    }

    /// The session is dead; its entry in the index goes after it.
    fn buried(&mut self, cx: &Context<'_>) -> Step<()> {
        self.has_ended_one |= self.was_alive;
        match self.listed.take() {
            Some(user) => {
                self.is_unlisting = true;
                Step::Call(Call::Unlist {
                    user,
                    key: self.key,
                })
            }
            None => self.next(cx),
        }
    }

    /// Goes on with the next session that has to end.
    fn next(&mut self, cx: &Context<'_>) -> Step<()> {
        match self.others.pop() {
            Some(session) => {
                self.key = session.key;
                self.bury(session.to_record(), cx).into()
            }
            None => Step::Done(Ok(())),
        }
    }

    fn bury(&mut self, record: Record, cx: &Context<'_>) -> Result<Step<()>, Error> {
        match record.state {
            RecordState::Ended { .. } => Ok(self.next(cx)),
            RecordState::Superseded { successor, .. } => {
                self.followed += 1;
                if self.followed > MAX_CHAIN {
                    return Err(super::broken_contract());
                }
                self.key = successor;
                Ok(Step::Call(Call::Load(successor)))
            }
            RecordState::Live(ref live) => {
                self.was_alive = true;
                self.listed = None;
                if let (true, Some(user)) = (cx.has_index, &live.user) {
                    self.listed = Some(user.key());
                }
                let tombstone = cx.tombstone(&record, RecordState::Ended { at: cx.now })?;
                let expect = Expect::Version(record.version);
                Ok(Step::Call(Call::Save {
                    key: self.key,
                    record: tombstone,
                    expect,
                }))
            }
        }
    }
}
