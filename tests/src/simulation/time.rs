//! How time passes.

use super::mix::Mix;
use super::schedule::Simulation;
use super::world::{SERVERS, State, What};

/// How far time leaps while nothing but handlers is under way, in milliseconds.
const LEAPS: [u64; 8] = [0, 0, 50, 1_500, 6_000, 70_000, 300_000, 620_000];
/// How far it leaps while store calls are under way, which have a deadline.
const STEPS: [u64; 6] = [0, 0, 0, 400, 1_500, 4_000];

impl Simulation {
    /// Time passes while a handler waits; sometimes a lot of it, and sometimes the clock is set back. Not
    /// while a store call is under way: its deadline would have cut it off.
    pub(super) fn pass_time(&self, state: &mut State) {
        state.now += state.rng.u64(0..=15);
        if self.mix.has_users() {
            return self.leap(state);
        }
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

    /// Lets time pass, but not beyond a deadline and not beyond a write that is about to land.
    fn leap(&self, state: &mut State) {
        let calls = state.waiting.iter();
        let deadlines = calls.filter_map(|waiting| match waiting.what {
            What::Deadline(due) => Some(due - 1),
            _ => None,
        });
        let landings = self.late_writes.iter().map(|late| late.due);
        let bound = deadlines.chain(landings).min().unwrap_or(u64::MAX);
        let leaps = match (bound == u64::MAX, self.mix) {
            (false, _) => &STEPS[..],
            // Here nothing is to expire.
            (true, Mix::Users | Mix::Logins | Mix::Cookies | Mix::Unreadable) => &LEAPS[..5],
            (true, _) => &LEAPS[..],
        };
        let mut target = state.now + state.rng.choice(leaps).copied().unwrap_or(0);
        if leaps.len() == LEAPS.len() && state.rng.u8(..) < 50 {
            target = just_before_an_expiry(state).unwrap_or(target);
        }
        state.now = target.min(bound).max(state.now);
        if self.mix == Mix::Clocks && state.rng.u8(..) < 40 {
            let skew = state.terms.skew_millis();
            let server = state.rng.usize(..SERVERS);
            state.ahead[server] = state.rng.u64(..=skew);
        }
    }
}

/// Where everything that depends on expiry is decided.
fn just_before_an_expiry(state: &mut State) -> Option<u64> {
    let expiries = state.oracle.expiries();
    let expiries = expiries.filter(|expiry| *expiry > state.now + 2_000);
    let expiries: Vec<_> = expiries.collect();
    let expiry = state.rng.choice(expiries)?;
    Some(expiry - state.rng.u64(..2_000))
}
