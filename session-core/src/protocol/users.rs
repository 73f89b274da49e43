//! A user's sessions: listing them, and ending some of them from elsewhere.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use super::end::{Ending, end};
use super::io::{Environment, Io, MAX_ERRORS, in_time, not_in_time};
use super::look_through::{AT_ONCE, look_through};
use crate::error::Error;
use crate::events;
use crate::id::{SessionRef, UserKey};
use crate::store::{
    EndedBy, IndexEntry, LiveRecord, Record, StoreError, StoreErrorKind, Timestamp,
};

/// One of a user's sessions, as a list of devices shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Names the session. It is no credential, and stays the same over rotation.
    pub reference: SessionRef,
    /// Whether it is the session that asks.
    pub is_current: bool,
    /// When the session began, which may have been before the login.
    pub created_at: Timestamp,
    /// The last activity that was written down: up to a tenth of `max_age` older than the last use.
    pub last_active_at: Timestamp,
    /// When the user logged in.
    pub authenticated_at: Timestamp,
    /// What the application said about it at login.
    pub label: Option<Arc<str>>,
}

impl SessionInfo {
    /// What is known about a live session; none if it belongs to nobody.
    fn of(live: &LiveRecord, current: Option<SessionRef>) -> Option<Self> {
        let user = live.user.as_ref()?;
        Some(Self {
            reference: live.reference,
            is_current: current == Some(live.reference),
            created_at: live.created_at,
            last_active_at: live.last_active_at,
            authenticated_at: user.authenticated_at,
            label: user.label.clone(),
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
    /// By the public reference: a key changes with every rotation, also while the others are being ended.
    fn includes(self, entry: &IndexEntry) -> bool {
        match self {
            Self::All => true,
            Self::AllBut(reference) => entry.reference != reference,
            Self::Only(reference) => entry.reference == reference,
        }
    }

    fn spared(self) -> Option<SessionRef> {
        match self {
            Self::AllBut(reference) => Some(reference),
            Self::All | Self::Only(_) => None,
        }
    }
}

/// A user's live sessions, the one used last first; `current` is the one that asks.
pub(crate) async fn list_sessions(
    env: &Environment,
    user: &UserKey,
    current: Option<SessionRef>,
) -> Result<Vec<SessionInfo>, Error> {
    env.index()?;
    let mut io = Io::new(env);
    let listed = in_time(env, async {
        let entries = io.entries(user).await?;
        let found = look_through(&mut io, user, entries).await;
        found.failure.map_or(Ok(found.listed), Err)
    });
    let listed = listed.await.unwrap_or_else(|| Err(io.late()));
    let listed = listed.inspect_err(|error| env.events.failed("list", error))?;
    let shown = listed.iter().filter(|listed| !listed.has_expired);
    let infos = shown.filter_map(|listed| SessionInfo::of(&listed.session, current));
    // A session that was being rotated has two ids, and is shown once.
    let mut seen = BTreeSet::new();
    let mut infos: Vec<_> = infos.filter(|info| seen.insert(info.reference)).collect();
    infos.sort_by_key(|info| Reverse(info.last_active_at));
    Ok(infos)
}

/// Ends a user's sessions, and says how many live ones there were.
///
/// One snapshot of the index is enough: each entry is followed to where its session lives by then, and what begins
/// later isn't meant. Each ending has a deadline of its own, and one that fails doesn't shield the others; several
/// failures of unknown outcome in a row end the attempt.
pub(crate) async fn end_sessions(
    env: &Environment,
    user: &UserKey,
    which: Which,
    by: EndedBy,
) -> Result<usize, Error> {
    env.index()?;
    let mut io = Io::new(env);
    let entries = in_time(env, io.entries(user)).await;
    let entries = entries.unwrap_or_else(|| Err(io.late()));
    let mut entries = entries.inspect_err(|error| env.events.failed("end", error))?;
    entries.retain(|entry| which.includes(entry));
    let ending = Ending {
        by,
        owner: Some(*user),
        spared: which.spared(),
    };
    // A session that was being rotated has two ids, and counts once.
    let mut ended = BTreeSet::new();
    let (mut failed, mut failures_in_a_row) = (0, 0);
    let mut last_failure = None;
    let mut entries = entries.into_iter();
    loop {
        let batch: Vec<_> = entries.by_ref().take(AT_ONCE).collect();
        if batch.is_empty() || failures_in_a_row >= MAX_ERRORS {
            break;
        }
        let keys: Vec<_> = batch.iter().map(|entry| entry.key).collect();
        let mut io = Io::new(env);
        let records = in_time(env, io.load_earlier_many(&keys)).await;
        let late = || keys.iter().map(|_| Err(not_in_time())).collect();
        let records = records.unwrap_or_else(late);
        let entries = batch.iter().zip(records);
        let endings = entries.map(|(entry, there)| end_one(env, user, entry, there, ending));
        let results = all_at_once(endings.map(Box::pin).collect()).await;
        for (entry, result) in batch.iter().zip(results) {
            match result {
                Ok(was_alive) => {
                    failures_in_a_row = 0;
                    ended.extend(was_alive.then_some(entry.reference));
                }
                Err(error) => {
                    failed += 1;
                    failures_in_a_row += u32::from(
                        error
                            .store_error()
                            .is_some_and(|error| error.kind() == StoreErrorKind::Unknown),
                    );
                    last_failure = Some(error);
                }
            }
        }
    }
    if !ended.is_empty() {
        events::sessions_ended(ended.len());
    }
    let failed = failed + entries.len();
    match last_failure {
        None => Ok(ended.len()),
        Some(error) => {
            let kind = error.kind();
            let message = format!(
                "{} of the user's sessions were ended, and {failed} could not be",
                ended.len()
            );
            let error = Error::with_source(kind, message, error);
            env.events.failed("end", &error);
            Err(error)
        }
    }
}

async fn end_one(
    env: &Environment,
    user: &UserKey,
    entry: &IndexEntry,
    there: Result<Option<Record>, StoreError>,
    ending: Ending,
) -> Result<bool, Error> {
    let mut io = Io::new(env);
    let ended = in_time(env, async {
        // A login may be about to write the record. It began before this, so that it is meant too.
        let ended = end(&mut io, entry.key, there, ending).await?;
        if ended.unlisted != Some(entry.key) {
            io.remove_entry(user, &entry.key).await;
        }
        Ok(ended.was_alive)
    });
    ended.await.unwrap_or_else(|| Err(io.late()))
}

/// The outputs of futures that run beside each other, in the same order.
async fn all_at_once<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    poll_fn(move |cx| {
        let mut is_pending = false;
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none() {
                match Pin::new(future).poll(cx) {
                    Poll::Ready(ready) => *output = Some(ready),
                    Poll::Pending => is_pending = true,
                }
            }
        }
        match is_pending {
            true => Poll::Pending,
            false => Poll::Ready(outputs.drain(..).flatten().collect()),
        }
    })
    .await
}
