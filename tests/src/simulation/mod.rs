//! The whole core under a seeded scheduler: several servers over one store, visitors with cookie jars,
//! store errors before, after and long after their effect, crashes, lost and reordered responses, clock
//! jumps.
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

mod oracle;
mod requests;
mod schedule;
mod world;

use std::fmt;

pub use requests::Mix;
pub use schedule::simulate;

/// A promise that was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which requests were mixed.
    pub mix: Mix,
    /// What to replay.
    pub seed: u64,
    /// Which promise, and how.
    pub what: String,
    /// What happened, in order.
    pub trace: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            mix,
            seed,
            what,
            trace,
        } = self;
        writeln!(f, "{what}")?;
        writeln!(
            f,
            "replay: cargo run --release -p session-conformance --example simulate -- {mix:?} {seed}"
        )?;
        trace.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}
