//! The scheduler: decides, by its seed, what happens next.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use session_core::store::StoreError;
use session_core::{SessionConfig, SessionManager};

use super::oracle::Promise;
use super::requests::{Answer, Kind, serve};
use super::world::{
    MAX_SKEW_MILLIS, STORE_TIMEOUT, ScheduledStore, SeededRandom, ServerClock, State, StoreCall,
    Waiting, What, World,
};
use super::{Mix, Violation};

pub(super) const IDLE: Duration = Duration::from_millis(4_000);
pub(super) const ABSOLUTE: Duration = Duration::from_millis(9_000);
pub(super) const GRACE: Duration = Duration::from_millis(600);
/// How far the servers' clocks are ahead, in milliseconds.
const SKEWS: [u64; 3] = [0, 7, MAX_SKEW_MILLIS];
/// Far more steps than any schedule takes; a core that never comes to rest is a violation too.
const MAX_STEPS: usize = 50_000;

/// Runs one schedule to its end. Returns the number of steps.
pub fn simulate(mix: Mix, seed: u64) -> Result<usize, Box<Violation>> {
    let mut simulation = Simulation::new(mix, seed);
    let mut steps = 0;
    while simulation.step() {
        steps += 1;
        let mut state = simulation.world.state();
        if steps == MAX_STEPS {
            state.oracle.report(
                Promise::EverythingComesToRest,
                format!("the requests go on after {steps} steps"),
            );
        }
        if state.oracle.broken.is_some() {
            break;
        }
    }
    let mut state = simulation.world.state();
    let oracle = &mut state.oracle;
    oracle.finish(&simulation.jars);
    match oracle.broken.take() {
        None => Ok(steps),
        Some(what) => Err(Box::new(Violation {
            mix,
            seed,
            what,
            trace: std::mem::take(&mut oracle.trace),
        })),
    }
}

struct Simulation {
    mix: Mix,
    world: World,
    servers: Vec<SessionManager>,
    /// The visitors' cookies.
    jars: Vec<Option<String>>,
    running: Vec<Running>,
    /// Responses on their way: visitor and request.
    responses: Vec<(usize, usize)>,
    /// Writes that will land though their answer was an error, and the request of each.
    late_writes: Vec<(usize, StoreCall)>,
    /// Requests that are still to be made.
    to_start: usize,
    /// How likely a store call goes wrong.
    fault_rate: f64,
}

struct Running {
    request: usize,
    visitor: usize,
    kind: Kind,
    future: Pin<Box<dyn Future<Output = Answer>>>,
}

/// How a store call goes wrong.
#[derive(Clone, Copy)]
enum Fault {
    /// An error that says that nothing was done.
    NotApplied,
    ErrorBefore,
    ErrorAfter,
    /// An error now, the effect later.
    ErrorThenEffect,
    /// No answer until the deadline; the effect may have happened.
    Timeout,
    CrashBefore,
    CrashAfter,
}

const FAULTS: [Fault; 7] = [
    Fault::NotApplied,
    Fault::ErrorBefore,
    Fault::ErrorAfter,
    Fault::ErrorThenEffect,
    Fault::Timeout,
    Fault::CrashBefore,
    Fault::CrashAfter,
];

impl Simulation {
    fn new(mix: Mix, seed: u64) -> Self {
        let world = World::new(seed);
        let servers = SKEWS.iter().map(|skew| server(&world, *skew)).collect();
        let mut state = world.state();
        let visitors = state.rng.usize(1..=2);
        let to_start = state.rng.usize(6..=26);
        let fault_rate = state.rng.choice([0.0, 0.0, 0.02, 0.08]).unwrap_or(0.0);
        drop(state);
        let jars = vec![None; visitors];
        let (running, responses, late_writes) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            mix,
            world,
            servers,
            jars,
            running,
            responses,
            late_writes,
            to_start,
            fault_rate,
        }
    }

    /// Does one thing; `false` when there is nothing left to do.
    fn step(&mut self) -> bool {
        let mut state = self.world.state();
        state.now += state.rng.choice([0, 0, 1, 2]).unwrap_or(0);
        let roll = state.rng.f64();
        drop(state);
        if !self.late_writes.is_empty() && (roll < 0.05 || self.is_quiet()) {
            let at = self.world.state().rng.usize(..self.late_writes.len());
            let (request, call) = self.late_writes.swap_remove(at);
            self.world.execute(request, &call);
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

    fn start(&mut self) {
        let mut state = self.world.state();
        let visitor = state.rng.usize(..self.jars.len());
        let server = self.servers[state.rng.usize(..self.servers.len())].clone();
        let is_first_visit = self.jars[visitor].is_none();
        // Parallel first visits get a session each, as the documentation says. Not simulated.
        let busy = self
            .running
            .iter()
            .any(|running| running.visitor == visitor)
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
        let cookie = self.jars[visitor].clone();
        let request = state.oracle.starts(visitor, kind, cookie.clone());
        drop(state);
        let future = Box::pin(serve(server, self.world.clone(), request, kind, cookie));
        self.running.push(Running {
            request,
            visitor,
            kind,
            future,
        });
        self.poll(self.running.len() - 1);
    }

    /// Lets one request's wait end.
    fn resume(&mut self) {
        let mut state = self.world.state();
        let at = state.rng.usize(..self.running.len());
        let request = self.running[at].request;
        let waits = |waiting: &&Waiting| {
            waiting.request == request && !matches!(waiting.what, What::Deadline)
        };
        let Some(waiting) = state.waiting.iter().find(waits).cloned() else {
            state.oracle.report(
                Promise::EverythingComesToRest,
                format!("#{request} waits for nothing"),
            );
            return;
        };
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
                self.world.state().answer(&waiting, Ok(reply));
                self.poll(at);
            }
            What::Pause | What::Deadline => {
                self.pass_time(&mut state);
                state.answer(&waiting, Ok(super::world::Reply::Done));
                drop(state);
                self.poll(at);
            }
        }
    }

    /// Time passes while a handler waits; sometimes a lot of it, and sometimes the clock is set back. Not
    /// while a store call is under way: its deadline would have cut it off.
    fn pass_time(&self, state: &mut State) {
        state.now += state.rng.u64(0..=15);
        let calm = !state
            .waiting
            .iter()
            .any(|waiting| matches!(waiting.what, What::Store(_)));
        let jumps: &[u64] = match self.mix {
            Mix::Time if calm => &[0, 0, 0, 300, 900, 700, 3_700, 4_000],
            Mix::SlowLogout if calm => &[0, 0, 0, 650],
            _ => &[0],
        };
        state.now += state.rng.choice(jumps).copied().unwrap_or(0);
        if self.mix == Mix::Time && calm && state.rng.u8(..) < 8 {
            state.now -= 150;
        }
    }

    fn fail(&mut self, at: usize, waiting: &Waiting, call: &StoreCall, fault: Fault) {
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
            self.world.execute(request, call);
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
                if matches!(call, StoreCall::Save(..)) {
                    self.late_writes.push((request, call.clone()));
                }
                self.world
                    .state()
                    .answer(waiting, Err(StoreError::unknown("injected")));
            }
            Fault::Timeout => {
                let mut state = self.world.state();
                let is_deadline = |other: &&Waiting| {
                    other.request == request && matches!(other.what, What::Deadline)
                };
                match state.waiting.iter().find(is_deadline).cloned() {
                    Some(deadline) => state.answer(&deadline, Ok(super::world::Reply::Done)),
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

    /// Runs a request until it waits again or ends.
    fn poll(&mut self, at: usize) {
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
        if has_response {
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
            self.jars[visitor] = state.oracle.delivered(request, self.jars[visitor].take());
        }
    }
}

fn server(world: &World, ahead_millis: u64) -> SessionManager {
    let watcher = world.clone();
    let config = SessionConfig::builder("a secret for the simulation, 32 bytes or more")
        .max_age(IDLE)
        .absolute_timeout(ABSOLUTE)
        .grace(GRACE)
        .store_timeout(STORE_TIMEOUT)
        .on_dropped(move |_| {
            let mut state = watcher.state();
            let request = state.current;
            state.oracle.dropped(request);
        })
        .build()
        .expect("the simulation's configuration is valid");
    let clock = ServerClock {
        world: world.clone(),
        ahead_millis,
    };
    let random = SeededRandom(world.clone());
    SessionManager::builder(config, ScheduledStore(world.clone()))
        .clock(clock)
        .insecure_random(random)
        .build()
        .unwrap()
}
