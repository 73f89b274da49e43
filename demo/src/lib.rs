//! A small app that shows the session library at work, and that black-box tests talk to. Its command line
//! and its HTTP interface are described in `docs/demo-api.md`.

pub mod cli;
pub mod on_axum;
mod rules;
