//! What the benchmarks share: the session that is measured, statistics over rounds, and tables.

mod rounds;
mod session;
mod table;

pub use rounds::{Rounds, ratio};
pub use session::{COUNTER, JSON_LEN, entries};
pub use table::Table;
