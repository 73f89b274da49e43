//! The servers: the product itself, on the simulation's store, clocks and generator.

use session_core::{SessionConfig, SessionManager};

use super::mix::Terms;
use super::store::ScheduledStore;
use super::world::{SERVERS, SeededRandom, ServerClock, World};

/// The servers of one kind of sessions.
pub(super) fn servers(world: &World, kind: usize) -> Vec<SessionManager> {
    (0..SERVERS)
        .map(|server| start(world, kind, server))
        .collect()
}

fn start(world: &World, kind: usize, server: usize) -> SessionManager {
    let watcher = world.clone();
    let terms: Terms = world.state().terms;
    let mut config = SessionConfig::builder("a secret for the simulation, 32 bytes or more")
        .max_age(terms.idle)
        .absolute_timeout(terms.absolute)
        .remember_max_age(terms.remembered)
        .remember_absolute_timeout(terms.absolute.max(terms.remembered))
        .grace(terms.grace)
        .clock_tolerance(terms.tolerance)
        .store_timeout(terms.store_timeout)
        .on_dropped(move |_| {
            let mut state = watcher.state();
            let request = state.current;
            state.oracle.dropped(request);
        });
    if kind > 0 {
        config = config.cookie_name(format!("session_of_kind_{kind}"));
    }
    config = match terms.cap {
        Some((max, when_full)) => config.max_sessions_per_user(max, when_full),
        None => config.unlimited_sessions_per_user(),
    };
    let config = config
        .build()
        .expect("the simulation's configuration is valid");
    let clock = ServerClock {
        world: world.clone(),
        server,
    };
    let random = SeededRandom(world.clone());
    SessionManager::builder(config, ScheduledStore(world.clone()))
        .clock(clock)
        .insecure_random(random)
        .build()
        .expect("the store has an index of users")
}
