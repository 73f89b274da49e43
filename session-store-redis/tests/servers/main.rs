//! What the store promises beyond the contract: what becomes of it when servers fail, move keys about or run out of
//! memory, and that it leaves nothing behind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that meets the unexpected fails by panicking"
)]

mod cluster;
mod common;
mod lost;
mod server;
mod start;
