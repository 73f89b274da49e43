//! Every route of `docs/demo-api.md`, in process: status, JSON and headers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that meets the unexpected fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;
mod failing;
mod headers;
mod refusals;
mod session;
mod values;
