//! How sessions behave, seen from outside: one visitor or several, a store that is watched, and a clock that
//! the tests move.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers stop at what they don't expect"
)]

mod cancel;
mod commit;
mod cookies;
mod everyday;
mod failures;
mod floods;
mod log;
mod scene;
mod secrets;
mod state;
mod sweeper;
mod table;
mod time;
mod tokens;
