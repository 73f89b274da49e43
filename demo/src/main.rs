//! The demo's program: reads the command line, opens the store, serves until it is told to stop.
#![allow(
    clippy::print_stdout,
    reason = "the line that says where it listens is part of the interface"
)]

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;

use session_core::{SessionManager, Sweeper};
use session_demo::cli::{Options, USAGE};
use session_demo::{SHUTDOWN_TIME, serve};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(io::stderr)
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            eprintln!("session-demo: {line}");
            ExitCode::from(2)
        }
    }
}

async fn run() -> Result<(), String> {
    let Some(options) = Options::from_args(lexopt::Parser::from_env())? else {
        println!("{USAGE}");
        return Ok(());
    };
    let Options {
        framework,
        store,
        store_timeout,
        listen,
        config,
        secret_is_random,
    } = options;
    let store = store.open(store_timeout).await?;
    tokio::spawn(Sweeper::new(store.clone()).run());
    let (listener, address) =
        bind(&listen).map_err(|error| format!("can't listen on {listen}: {error}"))?;
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    if secret_is_random {
        eprintln!(
            "session-demo: no --secret and no SESSION_SECRET: using a random secret; \
             sessions won't outlive this process"
        );
    }
    println!("listening on http://{address}");
    let sessions = SessionManager::new(config, store);
    let server = serve(framework, listener, sessions, async {
        let _ = stopped.await;
    });
    let deadline = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        let _ = stop.send(());
        tokio::time::sleep(SHUTDOWN_TIME).await;
    };
    tokio::select! {
        result = server => result.map_err(|error| format!("the server failed: {error}")),
        () = deadline => Ok(()),
    }
}

/// Connections are taken from here on, and wait until the server is there.
fn bind(address: &str) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
