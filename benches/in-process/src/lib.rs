//! What a request with a session costs, in process and on one thread: three frameworks, each with a middleware that
//! does nothing, with ours, and with the sessions that most people use there.
//!
//! Two programs go through the same cases: `in-process` takes the time, and `allocations` counts allocations, in an
//! allocator of its own that would slow the other one down.

mod actix;
mod actix_map_store;
mod axum;
mod case;
pub mod floor;
pub mod parts;
mod poem;

pub use case::{Case, Sample};

/// A framework with one kind of sessions, or with none.
pub trait Serve {
    /// Answers `sample` `count` times, on this thread.
    fn serve(&self, sample: &Sample, count: u32);

    /// Makes a session with all keys, and gives the name and value of its cookie; nothing without sessions.
    fn fill(&self) -> Option<String>;
}

/// What a contender is in its framework's comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// A middleware that does nothing: what wrapping alone costs.
    Nothing,
    Ours,
    Peer,
}

/// One of those that are compared.
pub struct Contender {
    pub framework: &'static str,
    pub name: &'static str,
    pub role: Role,
    pub app: Box<dyn Serve>,
}

impl Contender {
    /// One sample a case, in the order of [`Case::ALL`].
    pub fn samples(&self) -> Vec<Sample> {
        let cookie = self.app.fill();
        let cases = Case::ALL.into_iter();
        cases
            .map(|case| Sample::new(case, cookie.as_deref()))
            .collect()
    }
}

/// All contenders, those of one framework next to each other.
pub fn contenders() -> Vec<Contender> {
    let mut all = axum::contenders();
    all.extend(actix::contenders());
    all.extend(poem::contenders());
    all
}
