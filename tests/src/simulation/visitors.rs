//! The visitors' browsers, and what happens to their cookies.

/// How many former cookies of a visitor are remembered by those who copied them.
const FORMER: usize = 3;

/// How many cookies come along at most that were sent by a server once. A server looks at more than these.
const MAX_REAL: usize = 5;

/// A browser.
pub(super) struct Visitor {
    /// The cookie that responses replace.
    pub(super) main: Option<String>,
    /// Cookies of the same name with another scope, which responses don't reach.
    pub(super) beside: Vec<String>,
    /// Cookies of the same name that no server has sent.
    pub(super) junk: Vec<String>,
    /// What `main` was before.
    pub(super) former: Vec<String>,
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
    pub(super) fn has_many(&self) -> bool {
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
