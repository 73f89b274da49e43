//! What happens to the cookies of browsers between their requests, and to records.

use super::kinds::Kind;
use super::mix::Mix;
use super::schedule::Simulation;

/// How long the values of our cookie are.
const COOKIE_LEN: usize = 92;
/// How many junk cookies come along at most. A server looks at more than these.
const MAX_JUNK: usize = 40;

impl Simulation {
    /// Something happens to the cookies of a browser before its next request, or to a record.
    pub(super) fn meddle(&mut self, visitor: usize) {
        match self.mix {
            Mix::Cookies => self.meddle_with_cookies(visitor),
            Mix::Unreadable => self.spoil_a_record(),
            _ => {}
        }
    }

    fn meddle_with_cookies(&mut self, visitor: usize) {
        let mut state = self.world.state();
        let visitors = self.visitors.len();
        match state.rng.u8(..) {
            // Junk of our name.
            0..12 if self.visitors[visitor].junk.len() < MAX_JUNK => {
                for _ in 0..state.rng.usize(1..=9) {
                    let random: String =
                        (0..COOKIE_LEN).map(|_| state.rng.alphanumeric()).collect();
                    self.visitors[visitor].junk.push(random);
                }
            }
            // The cookie's domain changes: no response reaches the old cookie any more.
            12..40 if !self.visitors[visitor].has_many() => {
                let old = self.visitors[visitor].main.take();
                self.visitors[visitor].beside.extend(old);
            }
            // Somebody plants a cookie of their own, and goes away.
            40..76 if !self.visitors[visitor].has_many() => {
                let other = state.rng.usize(..visitors);
                let planted = self.visitors[other].main.take();
                if other != visitor {
                    self.visitors[visitor].beside.extend(planted);
                }
            }
            76..96 => {
                self.visitors[visitor].beside.clear();
                self.visitors[visitor].junk.clear();
            }
            _ => {}
        }
    }

    /// A record of a user's can't be read any more.
    fn spoil_a_record(&mut self) {
        let mut state = self.world.state();
        if state.rng.u8(..) < 20 {
            let versions = state.oracle.versions_of_users();
            if let Some(version) = state.rng.choice(versions) {
                state.unreadable.insert(version);
                state.oracle.spoiled(version);
            }
        }
    }

    /// A cookie from before, where somebody who copied it makes the request.
    pub(super) fn former_cookie(&mut self, visitor: usize, kind: Kind) -> Option<String> {
        let mut state = self.world.state();
        let is_tried = kind == Kind::Destroy || kind.login().is_some();
        if !is_tried || self.mix == Mix::Unreadable || state.rng.u8(..) >= 40 {
            return None;
        }
        let former = self.visitors[visitor].former.clone();
        state.rng.choice(former)
    }
}
