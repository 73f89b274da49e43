//! Surveying: which of a user's index entries lead to live sessions.

use super::{Answer, Call, Context, Step};
use crate::id::UserKey;
use crate::record::{Record, RecordState};
use crate::store::{IndexEntry, StoreErrorKind};

/// Loads what each entry stands for, and removes the entries of what is dead.
///
/// A tombstone is final, so that its entry goes at once. Where nothing lies, a login may be about to write its
/// record: such an entry goes only when it is older than any commit can take.
#[derive(Debug)]
pub(super) struct Survey {
    user: UserKey,
    /// What is still to be looked at, the next one last.
    entries: Vec<IndexEntry>,
    looking_at: Option<IndexEntry>,
    live: Vec<(IndexEntry, Record)>,
    removed: usize,
}

/// What a survey found.
#[derive(Debug)]
pub(super) struct Surveyed {
    /// In the order of the entries.
    pub(super) live: Vec<(IndexEntry, Record)>,
    /// How many entries are gone now.
    pub(super) removed: usize,
}

impl Survey {
    pub(super) fn new(user: UserKey, mut entries: Vec<IndexEntry>) -> Self {
        entries.reverse();
        Self {
            user,
            entries,
            looking_at: None,
            live: Vec::new(),
            removed: 0,
        }
    }

    pub(super) fn advance(&mut self, answer: Answer, cx: &Context<'_>) -> Step<Surveyed> {
        match (answer, self.looking_at.take()) {
            (Answer::Ready, _) => self.next(),
            (Answer::Unlisted, _) => {
                self.removed += 1;
                self.next()
            }
            (Answer::Loaded(record), Some(entry)) => self.judge(entry, record, cx),
            // What can't be read is no session to show, and none to count; it is left alone.
            (Answer::Failed(error), Some(_)) if error.kind() == StoreErrorKind::Corrupt => {
                self.next()
            }
            // An entry that couldn't be removed is removed another time.
            (Answer::Failed(_), None) => self.next(),
            (Answer::Failed(error), Some(_)) => Step::fail(error),
            _ => Step::fail(super::broken_contract()),
        }
    }

    fn judge(
        &mut self,
        entry: IndexEntry,
        record: Option<Record>,
        cx: &Context<'_>,
    ) -> Step<Surveyed> {
        let is_dead = match &record {
            None => cx.now.saturating_since(entry.added_at) >= cx.policy.entry_grace,
            Some(record) => !matches!(record.state, RecordState::Live(_)),
        };
        if is_dead {
            return Step::Call(Call::Unlist {
                user: self.user,
                key: entry.key,
            });
        }
        if let Some(record) = record
            && let Some(live) = record.live()
            && cx.now < record.expires_at.min(cx.policy.lifetime.expires_at(live))
        {
            self.live.push((entry, record));
        }
        self.next()
    }

    fn next(&mut self) -> Step<Surveyed> {
        match self.entries.pop() {
            Some(entry) => {
                self.looking_at = Some(entry);
                Step::Call(Call::Load(entry.key))
            }
            None => Step::Done(Ok(Surveyed {
                live: std::mem::take(&mut self.live),
                removed: self.removed,
            })),
        }
    }
}
