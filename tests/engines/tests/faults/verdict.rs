//! What the visitors' histories say.

use std::error::Error as _;
use std::time::{Duration, Instant};

use session_core::store::{StoreError, StoreErrorKind};
use session_core::{Error, ErrorKind};

use crate::load::{DEADLINE, History, Request};
use crate::matrix::Cell;
use crate::strike::Expected;

/// A load and a commit have a deadline each; the rest is for a machine that is busy.
const LONGEST_REQUEST: Duration = DEADLINE
    .saturating_mul(2)
    .saturating_add(Duration::from_secs(1));

/// How soon after its return the server has to be used again.
const BACK_WITHIN: Duration = Duration::from_secs(2);

/// All that a client may learn.
const PUBLIC_MESSAGE: &str = "session store unavailable";

/// A load with a fault in its midst, when both are over.
pub(crate) struct Trial {
    pub(crate) struck: Instant,
    /// When the server answered again.
    pub(crate) back: Instant,
    pub(crate) histories: Vec<History>,
}

impl Trial {
    pub(crate) fn cell(&self, expected: Expected, how: &str) -> Cell {
        let audit = self.audit();
        let recovery = self.recovery();
        let mut parts = vec![match self.failed().count() {
            0 => "none failed".to_owned(),
            count => format!("{count} failed"),
        }];
        parts.push(match recovery {
            Some(time) => format!("back after {:.1} s", time.as_secs_f64()),
            None => "not back".to_owned(),
        });
        if audit.lost > 0 || expected == Expected::FailuresAndLosses {
            parts.push(format!("{} acknowledged visits lost", audit.lost));
        }
        let how = if how.is_empty() {
            String::new()
        } else {
            format!("{how}: ")
        };
        Cell {
            text: how + &parts.join(", "),
            problems: self.problems(expected, recovery, &audit),
        }
    }

    fn problems(
        &self,
        expected: Expected,
        recovery: Option<Duration>,
        audit: &Audit,
    ) -> Vec<String> {
        let panics = self.histories.iter();
        let panics = panics.filter(|history| history.has_panicked).count();
        let early = self
            .failed()
            .filter(|(request, _)| request.ended < self.struck);
        let slow = self
            .requests()
            .filter(|request| request.took > LONGEST_REQUEST);
        let others = self.requests();
        let others = others.filter(|request| request.outcome.is_ok() && request.has_cookie);
        let cookies = self.failed().filter(|(request, _)| request.has_cookie);
        let found = [
            complaint(panics, "tasks panicked"),
            complaint(early.count(), "requests failed before the fault"),
            complaint(
                slow.count(),
                &format!("requests took more than {LONGEST_REQUEST:?}"),
            ),
            complaint(
                others.count(),
                "requests were given another session, or another cookie",
            ),
            complaint(cookies.count(), "failed requests had a Set-Cookie"),
            self.wrong_errors(),
            self.wrong_effect(expected),
            is_late(recovery)
                .then(|| format!("back after {recovery:?} instead of {BACK_WITHIN:?}")),
            complaint(audit.invented, "visits are stored that can't have been"),
            (audit.lost > 0 && expected != Expected::FailuresAndLosses)
                .then(|| format!("{} acknowledged visits are lost", audit.lost)),
            audit.unreadable.clone(),
        ];
        found.into_iter().flatten().collect()
    }

    /// Every failure is the store's, and tells the client nothing else.
    fn wrong_errors(&self) -> Option<String> {
        let is_wrong = |error: &Error| {
            !matches!(
                error.kind(),
                ErrorKind::StoreUnavailable | ErrorKind::Conflict
            ) || error.status() != 503
                || error.public_message() != PUBLIC_MESSAGE
        };
        let mut wrong = self.failed().filter(|(_, error)| is_wrong(error));
        let (_, error) = wrong.next()?;
        Some(format!(
            "{} errors of a wrong kind, such as {error:?}",
            wrong.count() + 1
        ))
    }

    /// Without a failure nobody knows whether the fault has happened.
    fn wrong_effect(&self, expected: Expected) -> Option<String> {
        let count = self.failed().count();
        match expected {
            Expected::Nothing => complaint(count, "requests failed, and none should"),
            Expected::Failures | Expected::FailuresAndLosses => {
                (count == 0).then(|| "nothing failed, so that there was no fault".to_owned())
            }
        }
    }

    /// How long it took from the server's return until each visitor had been served; `None` if one never was.
    fn recovery(&self) -> Option<Duration> {
        let served = |history: &History| {
            let requests = history.requests.iter();
            let mut served = requests.filter(|request| request.outcome.is_ok());
            let first = served.find(|request| request.ended >= self.back)?;
            Some(first.ended - self.back)
        };
        let times: Option<Vec<_>> = self.histories.iter().map(served).collect();
        times?.into_iter().max()
    }

    fn audit(&self) -> Audit {
        let mut total = Audit::default();
        for history in &self.histories {
            match &history.stored {
                Ok(stored) => {
                    let answers = history.requests.iter().map(Answer::of);
                    let audit = Audit::of(answers, *stored);
                    total.lost += audit.lost;
                    total.invented += audit.invented;
                }
                Err(error) => {
                    let problem = format!("what is stored can't be read: {error:?}");
                    total.unreadable.get_or_insert(problem);
                }
            }
        }
        total
    }

    fn requests(&self) -> impl Iterator<Item = &Request> {
        self.histories.iter().flat_map(|history| &history.requests)
    }

    fn failed(&self) -> impl Iterator<Item = (&Request, &Error)> {
        let requests = self.requests();
        requests.filter_map(|request| Some((request, request.outcome.as_ref().err()?)))
    }
}

fn complaint(count: usize, what: &str) -> Option<String> {
    (count > 0).then(|| format!("{count} {what}"))
}

fn is_late(recovery: Option<Duration>) -> bool {
    recovery.is_none_or(|time| time > BACK_WITHIN)
}

/// What a visitor knows of a visit that was to be counted.
#[derive(Clone, Copy)]
enum Answer {
    /// It is counted, and has this number.
    Counted(u64),
    /// Nobody knows whether it is.
    Unknown,
    /// It isn't, as the store says for certain.
    NotCounted,
}

impl Answer {
    fn of(request: &Request) -> Self {
        match &request.outcome {
            Ok(visits) => Self::Counted(*visits),
            Err(error) if error.kind() == ErrorKind::Conflict => Self::NotCounted,
            Err(error) => {
                let source = error.source();
                let source = source.and_then(|source| source.downcast_ref::<StoreError>());
                match source.map(StoreError::kind) {
                    Some(StoreErrorKind::NotApplied) => Self::NotCounted,
                    _ => Self::Unknown,
                }
            }
        }
    }
}

/// Whether the numbers add up.
#[derive(Default)]
struct Audit {
    /// Visits that were acknowledged and are not stored.
    lost: usize,
    /// Visits that are stored although nobody can have made them.
    invented: usize,
    unreadable: Option<String>,
}

impl Audit {
    /// Follows one visitor from the first visit on, which began the session. An unknown visit may have been counted,
    /// but no more than once, and none that the store has denied. It may also land late, between what a later
    /// visit sees and what that one stores; so it stays in the account until the end.
    fn of(answers: impl Iterator<Item = Answer>, stored: u64) -> Self {
        let mut audit = Self::default();
        let (mut least, mut most) = (1, 1);
        for answer in answers {
            match answer {
                Answer::Counted(visits) => {
                    audit.compare(visits, least + 1, most + 1);
                    (least, most) = (visits, visits.max(most + 1));
                }
                Answer::Unknown => most += 1,
                Answer::NotCounted => {}
            }
        }
        audit.compare(stored, least, most);
        audit
    }

    fn compare(&mut self, visits: u64, least: u64, most: u64) {
        let count = |visits: u64| usize::try_from(visits).unwrap_or(usize::MAX);
        self.lost += count(least.saturating_sub(visits));
        self.invented += count(visits.saturating_sub(most));
    }
}

#[test]
fn lost_and_invented_visits_are_found() {
    use Answer::{Counted, NotCounted, Unknown};
    let cases: [(&[Answer], u64, (usize, usize)); 10] = [
        (&[Unknown, Counted(2)], 3, (0, 0)),
        (&[Unknown, Counted(2)], 4, (0, 1)),
        (&[], 1, (0, 0)),
        (&[Counted(2), Counted(3)], 3, (0, 0)),
        (&[Counted(2), Unknown, Unknown], 4, (0, 0)),
        (&[Unknown, Unknown, Counted(3)], 3, (0, 0)),
        (&[Counted(2), NotCounted], 3, (0, 1)),
        (&[Unknown, Counted(4), NotCounted, Counted(6)], 6, (0, 2)),
        (&[Counted(2), Counted(3)], 2, (1, 0)),
        (&[Counted(2), Counted(3), Unknown, Counted(2)], 2, (2, 0)),
    ];
    for (number, (answers, stored, expected)) in cases.into_iter().enumerate() {
        let audit = Audit::of(answers.iter().copied(), stored);
        assert_eq!((audit.lost, audit.invented), expected, "case {number}");
    }
}
