//! A user's sessions: listing them, and ending some of them.

use std::collections::BTreeSet;

use super::end::End;
use super::survey::Survey;
use super::{Answer, Call, Context, Step};
use crate::id::{SessionRef, StoreKey, UserKey};
use crate::record::Record;
use crate::store::IndexEntry;

/// Finds a user's live sessions.
#[derive(Debug)]
pub(crate) struct ListSessions {
    user: UserKey,
    survey: Option<Survey>,
}

impl ListSessions {
    pub(crate) fn new(user: UserKey) -> Self {
        Self { user, survey: None }
    }

    pub(crate) fn advance(&mut self, answer: Answer, cx: &Context<'_>) -> Step<Vec<Record>> {
        let step = match (&mut self.survey, answer) {
            (None, Answer::Ready) => return Step::Call(Call::Entries(self.user)),
            (None, Answer::Entries(entries)) => {
                let survey = self.survey.insert(Survey::new(self.user, entries));
                survey.advance(Answer::Ready, cx)
            }
            (None, Answer::Failed(error)) => return Step::fail(error),
            (Some(survey), answer) => survey.advance(answer, cx),
            (None, _) => return Step::fail(super::broken_contract()),
        };
        step.map(|surveyed| {
            let records = surveyed.live.into_iter();
            records.map(|(_, record)| record).collect()
        })
    }
}

/// Which of a user's sessions have to end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    All,
    AllBut(SessionRef),
    Only(SessionRef),
}

impl Which {
    /// By the public handle: a key changes with every rotation, also while the others are being ended.
    fn includes(self, entry: &IndexEntry) -> bool {
        match self {
            Self::All => true,
            Self::AllBut(handle) => entry.handle != handle,
            Self::Only(handle) => entry.handle == handle,
        }
    }
}

/// Ends a user's sessions. One snapshot of the index is enough: each entry is followed to where its session
/// lives by then, and what begins later isn't meant.
#[derive(Debug)]
pub(crate) struct EndSessions {
    user: UserKey,
    which: Which,
    /// What is still to be ended, the next one last.
    entries: Vec<IndexEntry>,
    state: State,
    /// A session that was being rotated has two ids, and counts once.
    ended: BTreeSet<SessionRef>,
}

#[derive(Debug)]
enum State {
    Listing,
    Looking(IndexEntry),
    Ending(End, IndexEntry),
    Unlisting,
}

impl EndSessions {
    pub(crate) fn new(user: UserKey, which: Which) -> Self {
        Self {
            user,
            which,
            entries: Vec::new(),
            state: State::Listing,
            ended: BTreeSet::new(),
        }
    }

    /// The result is how many live sessions were ended.
    pub(crate) fn advance(&mut self, answer: Answer, cx: &Context<'_>) -> Step<usize> {
        match (std::mem::replace(&mut self.state, State::Listing), answer) {
            (State::Listing, Answer::Ready) => Step::Call(Call::Entries(self.user)),
            (State::Listing, Answer::Entries(mut entries)) => {
                entries.retain(|entry| self.which.includes(entry));
                entries.reverse();
                self.entries = entries;
                self.next()
            }
            (State::Looking(entry), Answer::Loaded(Some(record))) => {
                let mut end = End::new(entry.key, Vec::new());
                let step = end.start(Some(record), cx);
                self.ending(end, entry, step)
            }
            // A login may be about to write the record; it began later than this.
            (State::Looking(entry), Answer::Loaded(None)) => {
                match cx.now.saturating_since(entry.added_at) >= cx.policy.entry_grace {
                    true => self.unlist(entry.key),
                    false => self.next(),
                }
            }
            (State::Ending(mut end, entry), answer) => {
                let step = end.advance(answer, cx);
                self.ending(end, entry, step)
            }
            // The session has ended; its entry is removed another time.
            (State::Unlisting, Answer::Unlisted | Answer::Failed(_)) => self.next(),
            (_, Answer::Failed(error)) => Step::fail(error),
            _ => Step::fail(super::broken_contract()),
        }
    }

    fn ending(&mut self, end: End, entry: IndexEntry, step: Step<()>) -> Step<usize> {
        match step {
            Step::Done(Ok(())) => {
                if end.has_ended_one() {
                    self.ended.insert(entry.handle);
                }
                self.unlist(entry.key)
            }
            Step::Done(Err(error)) => Step::Done(Err(error)),
            Step::Call(call) => {
                self.state = State::Ending(end, entry);
                Step::Call(call)
            }
            Step::Pause(pause) => Step::Pause(pause),
        }
    }

    fn unlist(&mut self, key: StoreKey) -> Step<usize> {
        self.state = State::Unlisting;
        Step::Call(Call::Unlist {
            user: self.user,
            key,
        })
    }

    fn next(&mut self) -> Step<usize> {
        match self.entries.pop() {
            Some(entry) => {
                self.state = State::Looking(entry);
                Step::Call(Call::Load(entry.key))
            }
            None => Step::Done(Ok(self.ended.len())),
        }
    }
}
