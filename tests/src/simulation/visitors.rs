//! The visitors' browsers, and what happens to their cookies.

use super::mix::Mix;
use super::requests::Kind;
use super::schedule::Simulation;

/// How many former cookies of a visitor are remembered by those who copied them.
const FORMER: usize = 3;

/// How long the values of our cookie are.
const COOKIE_LEN: usize = 92;
/// How many junk cookies come along at most, and how many that were sent by a server once: a server looks at more
/// than these.
const MAX_JUNK: usize = 40;
const MAX_REAL: usize = 5;

/// A browser.
pub(super) struct Visitor {
    /// The cookie that responses replace.
    pub(super) main: Option<String>,
    /// Cookies of the same name with another scope, which responses don't reach.
    beside: Vec<String>,
    /// Cookies of the same name that no server has sent.
    junk: Vec<String>,
    /// What `main` was before.
    former: Vec<String>,
    /// Which kind of sessions the visitor has.
    pub(super) session_kind: usize,
}

impl Visitor {
    pub(super) fn new(session_kind: usize) -> Self {
        Self {
            main: None,
            beside: Vec::new(),
            junk: Vec::new(),
            former: Vec::new(),
            session_kind,
        }
    }

    /// Whether the browser has no cookie that a server has sent.
    pub(super) fn is_new(&self) -> bool {
        self.main.is_none() && self.beside.is_empty()
    }

    /// Whether the browser has many cookies beside the main one that a server once sent.
    fn has_many(&self) -> bool {
        self.beside.len() >= MAX_REAL
    }

    /// What the browser sends; the other cookies come before or after the main one.
    pub(super) fn cookies(&self, rng: &mut fastrand::Rng) -> Vec<String> {
        let others = self.junk.iter().chain(&self.beside).cloned();
        let has_others = others.size_hint().0 > 0;
        match has_others && rng.bool() {
            true => others.chain(self.main.clone()).collect(),
            false => self.main.iter().cloned().chain(others).collect(),
        }
    }

    /// A response has come; `held` was the main cookie.
    pub(super) fn receives(&mut self, held: Option<String>, new: Option<String>) {
        if let Some(former) = held.filter(|held| Some(held) != new.as_ref()) {
            if self.former.len() == FORMER {
                self.former.remove(0);
            }
            self.former.push(former);
        }
        self.main = new;
    }
}

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
