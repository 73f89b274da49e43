//! The adapter suite over the three frameworks, each alone and all of them in one fleet.
#![allow(
    clippy::unwrap_used,
    reason = "without a server there is no test, and a panic says why"
)]

use std::future::pending;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};

use session_conformance::adapter::{AdapterHarness, SpyStore, TestClock};
use session_core::{SessionConfig, SessionManager};
use session_demo::{Framework, serve, serve_nested};

/// Serves the demo, each server by the next of some frameworks.
struct Demo {
    frameworks: &'static [Framework],
    rounds: usize,
    started: AtomicUsize,
}

impl Demo {
    const fn on(frameworks: &'static [Framework], rounds: usize) -> Self {
        Self {
            frameworks,
            rounds,
            started: AtomicUsize::new(0),
        }
    }

    /// The framework of the next server.
    fn next(&self) -> Framework {
        let started = self.started.fetch_add(1, Ordering::Relaxed);
        self.frameworks[started % self.frameworks.len()]
    }
}

/// A listener on a free port.
fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

impl AdapterHarness for Demo {
    async fn start(&self, store: SpyStore, config: SessionConfig, clock: TestClock) -> SocketAddr {
        let sessions = SessionManager::builder(config, store)
            .clock(clock)
            .build()
            .unwrap();
        let framework = self.next();
        let (listener, address) = listen();
        tokio::spawn(async move {
            let served = serve(framework, listener, sessions, pending());
            served.await.unwrap();
        });
        address
    }

    async fn start_nested(&self, outer: SessionManager, inner: SessionManager) -> SocketAddr {
        let framework = self.next();
        let (listener, address) = listen();
        tokio::spawn(async move {
            let served = serve_nested(framework, listener, outer, inner, pending());
            served.await.unwrap();
        });
        address
    }

    fn rounds(&self) -> usize {
        self.rounds
    }
}

mod axum {
    use super::{Demo, Framework};

    session_conformance::adapter_suite!(Demo::on(&[Framework::Axum], 100));
}

mod actix {
    use super::{Demo, Framework};

    session_conformance::adapter_suite!(Demo::on(&[Framework::Actix], 100));
}

mod poem {
    use super::{Demo, Framework};

    session_conformance::adapter_suite!(Demo::on(&[Framework::Poem], 100));
}

/// Each server of a check is another framework's.
mod mixed {
    use super::{Demo, Framework};

    const ALL: [Framework; 3] = [Framework::Axum, Framework::Actix, Framework::Poem];

    session_conformance::adapter_suite!(Demo::on(&ALL, 1_000));
}
