//! Store calls go wrong.

use session_core::store::StoreError;

use super::calls::{Reply, StoreCall};
use super::faults::{Fault, LateWrite};
use super::schedule::Simulation;
use super::world::{Waiting, What};

/// When a write lands whose caller gave up, in milliseconds after that.
const DELAYS: [u64; 4] = [50, 400, 2_000, 9_000];

impl Simulation {
    pub(super) fn fail(&mut self, at: usize, waiting: &Waiting, call: &StoreCall, fault: Fault) {
        let request = waiting.request;
        let name = match fault {
            Fault::NotApplied => "refused",
            Fault::ErrorBefore => "error before the effect",
            Fault::ErrorAfter => "error after the effect",
            Fault::ErrorThenEffect => "error, effect later",
            Fault::Timeout => "no answer",
            Fault::CrashBefore => "crash before the effect",
            Fault::CrashAfter => "crash after the effect",
        };
        let mut state = self.world.state();
        state.oracle.fault(request, name);
        let takes_effect = matches!(fault, Fault::ErrorAfter | Fault::CrashAfter)
            || (matches!(fault, Fault::Timeout) && state.rng.bool());
        drop(state);
        if takes_effect {
            let _ = self.world.execute(request, call);
        }
        match fault {
            Fault::NotApplied => {
                self.world
                    .state()
                    .answer(waiting, Err(StoreError::not_applied("injected")));
            }
            Fault::ErrorBefore | Fault::ErrorAfter => {
                self.world
                    .state()
                    .answer(waiting, Err(StoreError::unknown("injected")));
            }
            Fault::ErrorThenEffect => {
                self.lands_later(request, call);
                self.world
                    .state()
                    .answer(waiting, Err(StoreError::unknown("injected")));
            }
            Fault::Timeout => {
                if !takes_effect && self.mix.has_users() {
                    self.lands_later(request, call);
                }
                let mut state = self.world.state();
                let is_deadline = |other: &&Waiting| {
                    other.request == request && matches!(other.what, What::Deadline(_))
                };
                match state.waiting.iter().find(is_deadline).cloned() {
                    Some(deadline) => state.answer(&deadline, Ok(Reply::Done)),
                    None => state.answer(waiting, Err(StoreError::unknown("injected"))),
                }
            }
            Fault::CrashBefore | Fault::CrashAfter => {
                self.running.remove(at);
                self.world.state().oracle.answered(request, None);
                return;
            }
        }
        self.poll(at);
    }

    /// A write lands later than its caller knows.
    fn lands_later(&mut self, request: usize, call: &StoreCall) {
        let is_write = match call {
            StoreCall::Save(..) => true,
            StoreCall::Load(..) | StoreCall::Entries(..) => false,
            StoreCall::Touch(..)
            | StoreCall::Delete(..)
            | StoreCall::AddEntry(..)
            | StoreCall::RemoveEntry(..) => self.mix.has_users(),
        };
        if !is_write {
            return;
        }
        let mut state = self.world.state();
        let due = match self.mix.has_users() {
            true => {
                let delay = state.rng.choice(DELAYS).unwrap_or(0);
                state.now + state.rng.u64(..=delay)
            }
            false => 0,
        };
        drop(state);
        let call = call.clone();
        self.late_writes.push(LateWrite { request, call, due });
    }
}
