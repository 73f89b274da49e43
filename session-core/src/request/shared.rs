//! What all clones of a request's session share: its state, and the commits.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use super::finished::Finished;
use super::state::{ForClient, Refreshed, RequestState};
use crate::error::{Error, ErrorKind};
use crate::events::{DroppedChanges, Events};
use crate::manager::SessionManager;
use crate::protocol::{Commit, commit, in_time, note_activity, open, refresh};
use crate::spawn::Outlive;
use crate::store::Timestamp;
use crate::transport::Ids;

/// How an explicit [`commit`](crate::Session::commit) ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CommitStatus {
    /// Everything that was wanted is stored, or nothing was wanted.
    Done,
    /// The session was ended or rotated by another request, or several came with this one. What was wanted is dropped.
    Dropped,
}

/// What all clones of a request's session share.
pub(crate) struct Shared {
    manager: SessionManager,
    opened: OnceCell<Result<(), Error>>,
    /// Somebody has asked for the session who doesn't merely peek, so that the request counts as activity.
    is_use: AtomicBool,
    state: Mutex<RequestState>,
    /// Commits of one request take turns. Nothing else waits for them.
    commit_turn: tokio::sync::Mutex<()>,
}

impl Shared {
    pub(super) fn new(manager: SessionManager) -> Self {
        Self {
            manager,
            opened: OnceCell::new(),
            is_use: AtomicBool::new(false),
            state: Mutex::new(RequestState::new()),
            commit_turn: tokio::sync::Mutex::new(()),
        }
    }

    pub(crate) fn manager(&self) -> &SessionManager {
        &self.manager
    }

    pub(crate) fn events(&self) -> &Events {
        &self.manager.environment().events
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, RequestState> {
        // The state is consistent between any two statements; a panic can't have left it half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.manager.environment().clock.now()
    }

    /// From now on the request counts as activity; says whether it did before.
    pub(super) fn mark_use(&self) -> bool {
        self.is_use.swap(true, Ordering::Relaxed)
    }

    fn is_use(&self) -> bool {
        self.is_use.load(Ordering::Relaxed)
    }

    /// Notes activity that is urgent, for a session that was merely peeked at when it was opened.
    pub(super) async fn note_if_urgent(&self) {
        let policy = self.manager.config().policy();
        let live = self.state().live_session();
        if live.is_some_and(|live| live.is_note_urgent(self.now(), policy)) {
            // The failure has been logged, and no request depends on it.
            let _ = self.note_activity().await;
        }
    }

    /// Whether the session has been opened, or that has failed.
    pub(super) fn is_opened(&self) -> bool {
        self.opened.initialized()
    }

    /// # Errors
    /// Why there is no session.
    pub(super) fn check_loaded(&self) -> Result<(), Error> {
        self.opened.get().cloned().unwrap_or_else(|| {
            let message = "the session hasn't been loaded yet";
            Err(Error::new(ErrorKind::NotLoaded, message))
        })
    }

    /// Opens the session of a request without an id, unless another task has opened it.
    pub(super) fn open_without_id(&self) -> bool {
        self.opened.set(Ok(())).is_ok()
    }

    /// Opens the session that these ids lead to, unless another task has opened it.
    pub(super) async fn open(&self, ids: &mut Ids) {
        let opened = self.opened.get_or_init(async || {
            let opened = open(self.manager.environment(), ids, self.is_use()).await?;
            self.state().opened(opened);
            Ok(())
        });
        opened.await;
    }

    /// Commits what has been wanted so far, also if nobody waits for it any more.
    pub(crate) fn commit(self: &Arc<Self>) -> Outlive<Result<CommitStatus, Error>> {
        let shared = self.clone();
        self.outlive(async move {
            let _turn = shared.turn_to_commit().await?;
            let dropped = shared.commit_in_turn(Some).await?;
            Ok(match dropped {
                Some(_) => CommitStatus::Dropped,
                None => CommitStatus::Done,
            })
        })
    }

    /// Looks what others have made of the session. A commit that is under way ends first.
    pub(crate) async fn refresh(&self) -> Result<Refreshed, Error> {
        let _turn = self.turn_to_commit().await?;
        let live = self.state().live_session();
        let Some(session) = live else {
            return Ok(Refreshed::Ended);
        };
        let fresh = refresh(self.manager.environment(), &session).await?;
        Ok(self.state().refreshed(fresh))
    }

    /// Notes that the session is used, if that is due; says whether it was written down.
    pub(crate) async fn note_activity(&self) -> Result<bool, Error> {
        let _turn = self.turn_to_commit().await?;
        let live = self.state().live_session();
        let Some(session) = live else {
            return Ok(false);
        };
        let noted = note_activity(self.manager.environment(), &session).await?;
        let is_noted = noted.is_some();
        if let Some(noted) = noted {
            self.state().activity_noted(noted);
        }
        Ok(is_noted)
    }

    /// Waits for the commit before this one. One that nobody polls any more, in a task set that was put aside, say,
    /// doesn't keep the request for ever.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] if the other one hasn't ended in time.
    async fn turn_to_commit(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, Error> {
        if let Ok(turn) = self.commit_turn.try_lock() {
            return Ok(turn);
        }
        let environment = self.manager.environment();
        let turn = in_time(environment, self.commit_turn.lock()).await;
        turn.ok_or_else(|| {
            let message = "another commit of this request has begun, and hasn't ended in time";
            let error = Error::new(ErrorKind::Conflict, message);
            environment.events.failed("commit", &error);
            error
        })
    }

    fn outlive<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Outlive<T> {
        Outlive::new(&self.manager.environment().outliving, work)
    }

    /// Commits what `choose` leaves of what was wanted, and says what was dropped of it. The caller has the turn.
    async fn commit_in_turn(
        &self,
        choose: impl FnOnce(Commit) -> Option<Commit>,
    ) -> Result<Option<Box<DroppedChanges>>, Error> {
        let Some(mut wanted) = self.begin_commit(choose)? else {
            return Ok(None);
        };
        let mut dropped = None;
        let result = commit(self.manager.environment(), &mut wanted, &mut dropped).await;
        self.state().end_commit(result)?;
        Ok(dropped)
    }

    fn begin_commit(
        &self,
        choose: impl FnOnce(Commit) -> Option<Commit>,
    ) -> Result<Option<Commit>, Error> {
        let begun = self.state().begin_commit(self.is_use());
        let wanted = begun.map_err(|(error, refused)| {
            drop(refused);
            error
        })?;
        let is_ending_only = self.state().is_ending_only();
        let chosen = choose(wanted);
        Ok(match is_ending_only {
            true => chosen.and_then(Commit::only_the_end),
            false => chosen,
        })
    }

    /// Finishes a request that has nothing to write, which is most of them. Whether there is something to write, and
    /// what the client is told, are decided under one lock; otherwise a task that goes on could commit between the
    /// two. A read costs a tenth less than by [`finish`](Self::finish).
    ///
    /// A handler that hasn't waited for anything took no time: the session is as old as when it was loaded, which spares
    /// a look at the clock.
    pub(super) fn finish_at_once(&self, has_waited: bool) -> Option<Finished> {
        let is_used = self.is_opened();
        let now = (is_used && has_waited).then(|| self.now());
        let mut state = self.state();
        let for_client = match self.opened.get() {
            None => {
                state.response_sent = true;
                return Some(Finished::unused());
            }
            Some(Err(_)) => return None,
            Some(Ok(())) => {
                let policy = self.manager.config().policy();
                state.settle_if_nothing_to_write(now, self.is_use(), policy)?
            }
        };
        drop(state);
        Some(self.committed(for_client, None))
    }

    /// Commits what was wanted, and says what this means for the response. It goes on if the request is dropped.
    pub(super) fn finish(self: &Arc<Self>) -> Outlive<Finished> {
        let shared = self.clone();
        self.outlive(async move { shared.commit_the_rest().await })
    }

    async fn commit_the_rest(&self) -> Finished {
        // Nobody commits between the last commit and the moment at which it is settled what the client is told.
        let turn = self.turn_to_commit().await;
        if let Err(error) = turn {
            self.state().response_sent = true;
            return self.failed(error);
        }
        let result = match self.opened.get() {
            None => {
                self.state().response_sent = true;
                return Finished::unused();
            }
            Some(Err(error)) => Err(error.clone()),
            Some(Ok(())) => self.commit_in_turn(Some).await,
        };
        let for_client = self.state().settle_response();
        match result {
            Ok(dropped) => self.committed(for_client, dropped),
            Err(error) => self.failed(error),
        }
    }

    /// A panic can't deliver an id, so that nothing but an ending is committed. It goes on if the request is dropped.
    pub(super) fn finish_after_panic(self: &Arc<Self>) -> Outlive<()> {
        let shared = self.clone();
        self.outlive(async move { shared.commit_the_end().await })
    }

    /// The request is gone, and nobody gets an id any more: an ending that it asked for is carried out all the same.
    /// Whatever else was wanted is forgotten.
    pub(super) fn finish_after_drop(self: &Arc<Self>) {
        if self.state().wishes.end {
            let shared = self.clone();
            let outliving = &self.manager.environment().outliving;
            outliving.spawn(async move {
                shared.commit_the_end().await;
                shared.forget();
            });
        } else {
            self.forget();
        }
    }

    /// Forgets what is wanted: a closure that holds a clone of the session would otherwise keep itself alive.
    pub(super) fn forget(&self) {
        let mut state = self.state();
        if !state.response_sent {
            let wanted = state.cancel();
            drop(state);
            drop(wanted);
        }
    }

    async fn commit_the_end(&self) {
        if matches!(self.opened.get(), Some(Ok(()))) {
            let Ok(_turn) = self.turn_to_commit().await else {
                return;
            };
            // The failure has been logged, and there is no response to show it in.
            let _ = self.commit_in_turn(Commit::only_the_end).await;
        }
    }

    fn committed(&self, for_client: ForClient, dropped: Option<Box<DroppedChanges>>) -> Finished {
        let transport = self.manager.config().transport();
        let for_client = match for_client {
            ForClient::Nothing => None,
            ForClient::Id(session) => {
                let lifetime = session.expires_at.saturating_since(self.now());
                Some(transport.send(&session.id, lifetime, session.record.persistent))
            }
            ForClient::Removal => Some(transport.remove()),
        };
        Finished::committed(transport.vary(), for_client, dropped)
    }

    fn failed(&self, error: Error) -> Finished {
        Finished::failed(self.manager.config().transport().vary(), error)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.response_sent && !state.wishes.is_empty() {
            self.events().changes_never_committed();
        }
    }
}
