//! The whole core under a seeded scheduler: several servers over one store, visitors with cookie jars,
//! store errors before, after and long after their effect, crashes, lost and reordered responses, clocks that
//! differ and jump; users who log in, list and end their sessions; cookies that were planted or copied.
//!
//! What runs is the code that applications run: [`SessionManager`](session_core::SessionManager) and
//! everything behind it, over [`MemoryStore`](session_store_memory::MemoryStore). Each store call and each
//! pause of a handler is a point where the scheduler decides what happens next. An oracle watches every
//! write and says what must hold after it; a [`Violation`] names the seed, which replays.
//!
//! ```
//! use session_conformance::simulation::{Mix, simulate};
//!
//! let steps = simulate(Mix::Rotation, 42).expect("the promises hold");
//! assert!(steps > 0);
//! ```

mod calls;
mod failing;
mod faults;
mod kinds;
mod meddling;
mod mix;
mod oracle;
mod requests;
mod schedule;
mod servers;
mod store;
mod time;
mod visitors;
mod world;

use std::fmt;

pub use mix::Mix;
pub use oracle::{Promise, Promises};
pub use schedule::{simulate, simulate_checking};

/// A promise that was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which requests were mixed.
    pub mix: Mix,
    /// What to replay.
    pub seed: u64,
    /// Which promise it was.
    pub promise: Promise,
    /// How it was broken.
    pub what: String,
    /// What happened, in order.
    pub trace: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            mix,
            seed,
            promise,
            what,
            trace,
        } = self;
        writeln!(f, "{what}. The promise ({promise:?}): {promise}.")?;
        writeln!(
            f,
            "replay: cargo run --release -p session-conformance --example simulate -- {mix:?} {seed}"
        )?;
        trace.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}
