//! A small app that shows the session library at work, and that black-box tests talk to. Its command line
//! and its HTTP interface are described in `docs/demo-api.md`; what its routes do is written once, in
//! [`session_conformance::app`], and bound to each framework here.

pub mod cli;
mod on_actix;
mod on_axum;
mod on_poem;
pub mod store;

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use session_core::SessionManager;

/// How long requests that are under way may take to end when the server stops.
pub const SHUTDOWN_TIME: Duration = Duration::from_secs(4);

/// What the demo can be served by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framework {
    /// axum.
    Axum,
    /// actix-web.
    Actix,
    /// poem.
    Poem,
}

impl Framework {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Axum, Self::Actix, Self::Poem];
}

/// Serves the demo on a listener that doesn't block, until `stop` completes; then waits for the requests
/// that are under way.
pub async fn serve(
    framework: Framework,
    listener: TcpListener,
    sessions: SessionManager,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    match framework {
        Framework::Axum => on_axum::serve(listener, sessions, stop).await,
        Framework::Actix => on_actix::serve(listener, sessions, stop).await,
        Framework::Poem => on_poem::serve(listener, sessions, stop).await,
    }
}

/// Compiles the quick starts that stand in the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
