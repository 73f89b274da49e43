//! Admitting: a session's new id enters the index of its user before its record exists.

use super::end::End;
use super::survey::{Survey, Surveyed};
use super::{Answer, Call, Cap, Context, MAX_CONFLICTS, Step, WhenFull};
use crate::error::{Error, ErrorKind};
use crate::id::{StoreKey, UserKey};
use crate::store::{AddOutcome, IndexEntry};

/// With more entries than this, a login looks after some that may be dead: those of sessions that expired
/// for want of activity stay behind until their absolute timeout.
const TIDY_ABOVE: usize = 16;
/// How many it looks after. A login adds one entry, so that two would be enough to keep up.
const TIDIED: usize = 4;

/// Adds an entry. Where the user's cap is reached, it makes room or refuses, as configured.
#[derive(Debug)]
pub(super) struct Admit {
    user: UserKey,
    entry: IndexEntry,
    cap: Option<Cap>,
    state: State,
    tries: u32,
}

#[derive(Debug)]
enum State {
    Adding,
    /// Ending the session that has to make room.
    Ending(End, StoreKey),
    Unlisting,
    /// Looking whether the cap is really reached.
    Counting(Survey),
    Listing,
    /// Removing entries of the dead; it doesn't matter if that fails.
    Tidying(Survey),
}

impl Admit {
    pub(super) fn new(user: UserKey, entry: IndexEntry, cap: Option<Cap>) -> Self {
        Self {
            user,
            entry,
            cap,
            state: State::Adding,
            tries: 0,
        }
    }

    pub(super) fn start(&mut self) -> Step<()> {
        self.state = State::Adding;
        Step::Call(Call::List {
            user: self.user,
            entry: self.entry,
            cap: self.cap.map(|cap| cap.max),
        })
    }

    pub(super) fn advance(&mut self, answer: Answer, cx: &Context<'_>) -> Step<()> {
        match (std::mem::replace(&mut self.state, State::Adding), answer) {
            (State::Adding, Answer::Listed(AddOutcome::Added(count))) => self.tidy(count),
            (State::Adding, Answer::Listed(AddOutcome::Full(entries))) => {
                self.make_room(entries, cx)
            }
            (State::Ending(mut end, key), answer) => {
                let step = end.advance(answer, cx);
                self.ending(end, key, step)
            }
            (State::Unlisting, Answer::Unlisted) => self.start(),
            (State::Counting(mut survey), answer) => {
                let step = survey.advance(answer, cx);
                self.counting(survey, step)
            }
            (State::Listing, Answer::Entries(mut entries)) => {
                entries.retain(|entry| entry.handle != self.entry.handle);
                entries.truncate(TIDIED);
                let mut survey = Survey::new(self.user, entries);
                let step = survey.advance(Answer::Ready, cx);
                self.tidying(survey, step)
            }
            (State::Listing, Answer::Failed(_)) => Step::Done(Ok(())),
            (State::Tidying(mut survey), answer) => {
                let step = survey.advance(answer, cx);
                self.tidying(survey, step)
            }
            (State::Adding | State::Unlisting, Answer::Failed(error)) => Step::fail(error),
            _ => Step::fail(super::broken_contract()),
        }
    }

    fn make_room(&mut self, entries: Vec<IndexEntry>, cx: &Context<'_>) -> Step<()> {
        self.tries += 1;
        if self.tries > MAX_CONFLICTS {
            return Step::fail(super::too_many_conflicts());
        }
        let mut others = entries;
        others.retain(|entry| entry.handle != self.entry.handle);
        match self.cap.map(|cap| cap.when_full) {
            Some(WhenFull::EndOldest) if !others.is_empty() => {
                let oldest = others.swap_remove(0);
                let mut end = End::new(oldest.key, Vec::new());
                let step = end.advance(Answer::Ready, cx);
                self.ending(end, oldest.key, step)
            }
            Some(WhenFull::Refuse) => {
                let mut survey = Survey::new(self.user, others);
                let step = survey.advance(Answer::Ready, cx);
                self.counting(survey, step)
            }
            _ => Step::fail(super::broken_contract()),
        }
    }

    fn ending(&mut self, end: End, key: StoreKey, step: Step<()>) -> Step<()> {
        match step {
            Step::Done(Ok(())) => {
                self.state = State::Unlisting;
                Step::Call(Call::Unlist {
                    user: self.user,
                    key,
                })
            }
            step => {
                self.state = State::Ending(end, key);
                step
            }
        }
    }

    fn counting(&mut self, survey: Survey, step: Step<Surveyed>) -> Step<()> {
        match step {
            Step::Done(Ok(surveyed)) if surveyed.removed > 0 => self.start(),
            Step::Done(Ok(_)) => Step::Done(Err(Error::new(
                ErrorKind::TooManySessions,
                "the user has as many sessions as one may have",
            ))),
            Step::Done(Err(error)) => Step::Done(Err(error)),
            Step::Call(call) => {
                self.state = State::Counting(survey);
                Step::Call(call)
            }
            Step::Pause(pause) => Step::Pause(pause),
        }
    }

    fn tidy(&mut self, count: usize) -> Step<()> {
        if count <= TIDY_ABOVE {
            return Step::Done(Ok(()));
        }
        self.state = State::Listing;
        Step::Call(Call::Entries(self.user))
    }

    fn tidying(&mut self, survey: Survey, step: Step<Surveyed>) -> Step<()> {
        match step {
            Step::Done(_) => Step::Done(Ok(())),
            Step::Call(call) => {
                self.state = State::Tidying(survey);
                Step::Call(call)
            }
            Step::Pause(pause) => Step::Pause(pause),
        }
    }
}
