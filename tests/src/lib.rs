#![doc = include_str!("../README.md")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a conformance suite reports what it finds by panicking, as every Rust test does"
)]

#[cfg(feature = "suites")]
pub mod adapter;
pub mod app;
#[cfg(feature = "suites")]
pub mod simulation;
#[cfg(feature = "suites")]
pub mod store;
