//! The scheduler: decides, by its seed, what happens next.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use session_core::SessionManager;
use session_core::store::StoreError;

use super::calls::Reply;
use super::faults::{FAULTS, Fault, LateWrite};
use super::kinds::{Answer, Kind};
use super::oracle::{Promise, Promises};
use super::requests::Request;
use super::servers::servers;
use super::visitors::Visitor;
use super::world::{Waiting, What, World};
use super::{Mix, Violation};

/// Far more steps than any schedule takes; a core that never comes to rest is a violation too.
const MAX_STEPS: usize = 50_000;
/// Far more polls than it takes until each request that waits for another one has been asked.
const MAX_IN_VAIN: usize = 1_000;

/// Runs one schedule to its end, and checks every promise. Returns the number of steps.
///
/// # Errors
/// The first promise that was broken.
pub fn simulate(mix: Mix, seed: u64) -> Result<usize, Box<Violation>> {
    simulate_checking(mix, seed, Promises::all())
}

/// Runs one schedule to its end, and checks those promises that are `checked`.
///
/// # Errors
/// The first promise that was broken.
pub fn simulate_checking(mix: Mix, seed: u64, checked: Promises) -> Result<usize, Box<Violation>> {
    let mut simulation = Simulation::new(mix, seed, checked);
    let mut steps = 0;
    while simulation.step() {
        steps += 1;
        let mut state = simulation.world.state();
        if steps == MAX_STEPS {
            state.oracle.report(
                Promise::EverythingComesToRest,
                format!("the requests go on after {steps} steps"),
            );
            break;
        }
        if state.oracle.broken.is_some() {
            break;
        }
    }
    let mut state = simulation.world.state();
    let oracle = &mut state.oracle;
    let visitors = simulation.visitors.iter().enumerate();
    oracle.finish(visitors.filter_map(|(id, visitor)| Some((id, visitor.main.as_deref()?))));
    match oracle.broken.take() {
        None => Ok(steps),
        Some((promise, what)) => Err(Box::new(Violation {
            mix,
            seed,
            promise,
            what,
            trace: std::mem::take(&mut oracle.trace),
        })),
    }
}

pub(super) struct Simulation {
    pub(super) mix: Mix,
    pub(super) world: World,
    /// The servers of each kind of sessions.
    servers: Vec<Vec<SessionManager>>,
    pub(super) visitors: Vec<Visitor>,
    pub(super) running: Vec<Running>,
    /// Responses on their way: visitor and request.
    pub(super) responses: Vec<(usize, usize)>,
    /// Writes that will land though their answer was an error.
    pub(super) late_writes: Vec<LateWrite>,
    /// Requests that are still to be made.
    to_start: usize,
    /// How likely a store call goes wrong.
    fault_rate: f64,
    /// How often requests have been polled since one last waited for something that the scheduler decides.
    asked_in_vain: usize,
}

pub(super) struct Running {
    pub(super) request: usize,
    /// Who waits for the response; nobody if somebody else made the request in the visitor's name.
    pub(super) visitor: Option<usize>,
    kind: Kind,
    future: Pin<Box<dyn Future<Output = Answer>>>,
}

impl Simulation {
    fn new(mix: Mix, seed: u64, checked: Promises) -> Self {
        let world = World::new(mix, seed, checked);
        let kinds = world.state().terms.kinds;
        let servers = (0..kinds).map(|kind| servers(&world, kind)).collect();
        let mut state = world.state();
        let (visitors, to_start) = match mix.has_users() {
            false => (state.rng.usize(1..=2), state.rng.usize(6..=26)),
            true => (state.rng.usize(2..=5), state.rng.usize(10..=40)),
        };
        let mut fault_rate = state.rng.choice([0.0, 0.0, 0.02, 0.08]).unwrap_or(0.0);
        if mix == Mix::Unreadable {
            fault_rate = 0.0;
        }
        drop(state);
        let visitors = (0..visitors).map(|at| Visitor::new(at % kinds)).collect();
        let (running, responses, late_writes) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            mix,
            world,
            servers,
            visitors,
            running,
            responses,
            late_writes,
            to_start,
            fault_rate,
            asked_in_vain: 0,
        }
    }

    /// Does one thing; `false` when there is nothing left to do.
    fn step(&mut self) -> bool {
        let mut state = self.world.state();
        state.now += state.rng.choice([0, 0, 1, 2]).unwrap_or(0);
        let roll = state.rng.f64();
        drop(state);
        if let Some(late) = self.landing(roll) {
            let _ = self.world.execute(late.request, &late.call);
        } else if self.to_start > 0 && (self.running.is_empty() || roll < 0.35) {
            self.start();
        } else if !self.responses.is_empty() && (self.running.is_empty() || roll < 0.55) {
            self.deliver();
        } else if !self.running.is_empty() {
            self.resume();
        } else {
            return false;
        }
        true
    }

    fn is_quiet(&self) -> bool {
        self.running.is_empty() && self.responses.is_empty() && self.to_start == 0
    }

    /// A late write that lands now.
    fn landing(&mut self, roll: f64) -> Option<LateWrite> {
        if self.late_writes.is_empty() {
            return None;
        }
        let is_quiet = self.is_quiet();
        let mut state = self.world.state();
        let lands = match self.mix.has_users() {
            true => {
                let dues = self.late_writes.iter().enumerate();
                let (at, due) = dues
                    .map(|(at, late)| (at, late.due))
                    .min_by_key(|it| it.1)?;
                (due <= state.now || is_quiet).then_some(at)?
            }
            false if roll < 0.05 || is_quiet => state.rng.usize(..self.late_writes.len()),
            false => return None,
        };
        let late = self.late_writes.swap_remove(lands);
        state.now = state.now.max(late.due);
        Some(late)
    }

    fn start(&mut self) {
        let mut state = self.world.state();
        let visitor = state.rng.usize(..self.visitors.len());
        let session_kind = self.visitors[visitor].session_kind;
        let servers = &self.servers[session_kind];
        let server = servers[state.rng.usize(..servers.len())].clone();
        let is_first_visit = self.visitors[visitor].is_new();
        // Parallel first visits get a session each, as the documentation says. Not simulated.
        let busy = self
            .running
            .iter()
            .any(|running| running.visitor == Some(visitor))
            || self.responses.iter().any(|(other, _)| *other == visitor);
        if is_first_visit && busy {
            drop(state);
            if self.responses.is_empty() {
                self.resume();
            } else {
                self.deliver();
            }
            return;
        }
        self.to_start -= 1;
        let kind = self.mix.choose(&mut state.rng);
        drop(state);
        if self.mix.has_users() {
            return self.start_among_users(visitor, kind, server);
        }
        let cookies = self.visitors[visitor].main.clone().into_iter().collect();
        self.run(Some(visitor), session_kind, kind, server, cookies);
    }

    fn start_among_users(&mut self, visitor: usize, kind: Kind, server: SessionManager) {
        let session_kind = self.visitors[visitor].session_kind;
        self.meddle(visitor);
        if kind.administrates().is_some() {
            return self.run(None, session_kind, kind, server, Vec::new());
        }
        if let Some(cookie) = self.former_cookie(visitor, kind) {
            return self.run(None, session_kind, kind, server, vec![cookie]);
        }
        let cookies = self.visitors[visitor].cookies(&mut self.world.state().rng);
        let is_sent_twice = self.is_sent_twice(kind) && !cookies.is_empty();
        self.run(Some(visitor), session_kind, kind, server, cookies.clone());
        if is_sent_twice {
            let servers = &self.servers[session_kind];
            let other = self.world.state().rng.usize(..servers.len());
            let server = servers[other].clone();
            self.run(Some(visitor), session_kind, kind, server, cookies);
        }
    }

    /// Whether a visitor presses the button of a login form twice.
    fn is_sent_twice(&self, kind: Kind) -> bool {
        let often = match self.mix {
            Mix::Logins => 128,
            _ => 20,
        };
        kind.login().is_some() && self.world.state().rng.u8(..) < often
    }

    fn run(
        &mut self,
        visitor: Option<usize>,
        session_kind: usize,
        kind: Kind,
        server: SessionManager,
        cookies: Vec<String>,
    ) {
        let mut state = self.world.state();
        let request = state
            .oracle
            .starts(visitor, session_kind, kind, cookies.clone());
        drop(state);
        let world = self.world.clone();
        let served = Request {
            server,
            world,
            id: request,
            kind,
            cookies,
        };
        self.running.push(Running {
            request,
            visitor,
            kind,
            future: Box::pin(served.serve()),
        });
        self.poll(self.running.len() - 1);
    }

    /// Lets one request's wait end.
    fn resume(&mut self) {
        let mut state = self.world.state();
        let at = state.rng.usize(..self.running.len());
        let request = self.running[at].request;
        let waits = |waiting: &&Waiting| {
            waiting.request == request && !matches!(waiting.what, What::Deadline(_))
        };
        let Some(waiting) = state.waiting.iter().find(waits).cloned() else {
            drop(state);
            return self.ask_again(at);
        };
        self.asked_in_vain = 0;
        let faulty = state.rng.f64() < self.fault_rate;
        match waiting.what.clone() {
            What::Store(call) if faulty => {
                let fault = state.rng.choice(FAULTS).unwrap_or(Fault::ErrorBefore);
                drop(state);
                self.fail(at, &waiting, &call, fault);
            }
            What::Store(call) => {
                drop(state);
                let reply = self.world.execute(request, &call);
                self.answer(&waiting, reply);
                self.poll(at);
            }
            What::Pause | What::Deadline(_) => {
                self.pass_time(&mut state);
                drop(state);
                self.answer(&waiting, Ok(Reply::Done));
                self.poll(at);
            }
        }
    }

    /// Polls a request that waits for another request of its own server, or is stuck.
    fn ask_again(&mut self, at: usize) {
        let request = self.running[at].request;
        self.asked_in_vain += 1;
        if self.asked_in_vain > MAX_IN_VAIN {
            let mut state = self.world.state();
            state.oracle.report(
                Promise::EverythingComesToRest,
                format!("#{request} waits for nothing"),
            );
            return;
        }
        self.poll(at);
    }

    fn answer(&self, waiting: &Waiting, answer: Result<Reply, StoreError>) {
        self.world.state().answer(waiting, answer);
    }

    /// Runs a request until it waits again or ends.
    pub(super) fn poll(&mut self, at: usize) {
        let Running {
            request,
            visitor,
            kind,
            ..
        } = self.running[at];
        self.world.state().current = request;
        let future = &mut self.running[at].future;
        let mut cx = Context::from_waker(Waker::noop());
        let answer = match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx))) {
            Ok(Poll::Pending) => return,
            Ok(Poll::Ready(answer)) => Some(answer),
            Err(panic) if kind.panics() => {
                drop(panic);
                None
            }
            Err(panic) => std::panic::resume_unwind(panic),
        };
        self.running.remove(at);
        let mut state = self.world.state();
        let has_response = answer.is_some();
        state.oracle.answered(request, answer);
        drop(state);
        if let Some(visitor) = visitor.filter(|_| has_response) {
            self.responses.push((visitor, request));
        }
    }

    /// A response reaches its visitor, in any order, or gets lost.
    fn deliver(&mut self) {
        let mut state = self.world.state();
        let at = state.rng.usize(..self.responses.len());
        let (visitor, request) = self.responses.swap_remove(at);
        if state.rng.f64() < self.fault_rate {
            state.oracle.lost(request);
        } else {
            let held = self.visitors[visitor].main.take();
            let new = state.oracle.delivered(request, held.clone());
            self.visitors[visitor].receives(held, new);
        }
    }
}
