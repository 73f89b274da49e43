//! A small app that shows the session library at work, and that black-box tests talk to. Its command line
//! and its HTTP interface are described in `docs/demo-api.md`; what its routes do is written once, in
//! [`session_conformance::app`], and bound to each framework here.

pub mod cli;
#[cfg(feature = "actix")]
mod on_actix;
mod on_axum;
#[cfg(feature = "poem")]
mod on_poem;
pub mod store;

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use session_core::SessionManager;

/// How long requests that are under way may take to end when the server stops.
pub const SHUTDOWN_TIME: Duration = Duration::from_secs(4);

/// What the demo can be served by, in this build.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framework {
    /// axum.
    Axum,
    /// actix-web.
    #[cfg(feature = "actix")]
    Actix,
    /// poem.
    #[cfg(feature = "poem")]
    Poem,
}

/// Serves the demo on a listener that doesn't block, until `stop` completes; then waits for the requests
/// that are under way.
pub async fn serve(
    framework: Framework,
    listener: TcpListener,
    sessions: SessionManager,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    serve_with(framework, listener, sessions, None, stop).await
}

/// As [`serve`], with a second session middleware directly inside the first, which has the manager `inner`: for tests of
/// what an adapter makes of that.
pub async fn serve_nested(
    framework: Framework,
    listener: TcpListener,
    sessions: SessionManager,
    inner: SessionManager,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    serve_with(framework, listener, sessions, Some(inner), stop).await
}

async fn serve_with(
    framework: Framework,
    listener: TcpListener,
    sessions: SessionManager,
    inner: Option<SessionManager>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    match framework {
        Framework::Axum => on_axum::serve(listener, sessions, inner, stop).await,
        #[cfg(feature = "actix")]
        Framework::Actix => on_actix::serve(listener, sessions, inner, stop).await,
        #[cfg(feature = "poem")]
        Framework::Poem => on_poem::serve(listener, sessions, inner, stop).await,
    }
}

/// The line about a choice on the command line that needs a feature of this crate which the build leaves out.
fn not_in_this_build(choice: &str, feature: &str) -> String {
    format!(
        "{choice} isn't in this build: build it with --features {feature}, or with --all-features"
    )
}

/// Compiles the quick starts that stand in the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
