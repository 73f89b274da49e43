//! A fault in the midst of the load.

use std::time::{Duration, Instant};

use session_core::store::SessionStore;
use tokio::time::sleep;

use crate::load::{DEADLINE, Load};
use crate::matrix::Cell;
use crate::verdict::Trial;

/// How many connections a pool has, and how long a call waits for one: as an application would have it.
pub(crate) const CONNECTIONS: u32 = 8;
pub(crate) const ACQUIRE_TIMEOUT: Duration = DEADLINE;

/// How long a server is away that answers nothing meanwhile. It is longer than the deadline, so that whatever is asked
/// when it goes fails.
pub(crate) const OUTAGE: Duration = Duration::from_millis(1_500);

/// How long a server refuses what it is asked, which it does at once.
pub(crate) const REFUSAL: Duration = Duration::from_millis(500);

/// How often something is done that is over at once, and how long that is apart, so that it meets requests at all
/// stages.
pub(crate) const BLOWS: usize = 10;
pub(crate) const BETWEEN_BLOWS: Duration = Duration::from_millis(60);

/// How long all goes well, before and after.
const CALM: Duration = Duration::from_millis(200);

/// How long a server may take for something that it was told to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a fault has to do to the requests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Some fail; what was acknowledged is kept.
    Failures,
    /// Some fail, and what was acknowledged last may be lost.
    FailuresAndLosses,
    /// None fails.
    Nothing,
}

/// Runs the load on the store, and the fault in its midst. `fault` is over when the server answers again; `how` says
/// what it does, where that isn't obvious.
pub(crate) async fn strike(
    store: impl SessionStore,
    expected: Expected,
    how: &str,
    fault: impl Future<Output = ()>,
) -> Cell {
    strike_with(store, expected, how, async |_: &Load| fault.await).await
}

/// Like [`strike`], for a fault that has to do with the load.
pub(crate) async fn strike_with(
    store: impl SessionStore,
    expected: Expected,
    how: &str,
    fault: impl AsyncFnOnce(&Load),
) -> Cell {
    let load = Load::begin(store).await;
    sleep(CALM).await;
    let struck = Instant::now();
    fault(&load).await;
    let back = Instant::now();
    load.wait_until_served(back).await;
    sleep(CALM).await;
    let trial = Trial {
        struck,
        back,
        histories: load.end().await,
    };
    trial.cell(expected, how)
}

/// Asks again and again, at short intervals, until it is so.
pub(crate) async fn wait_until(what: &str, is_so: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "{what}: not in {PATIENCE:?}");
        sleep(Duration::from_millis(20)).await;
    }
}
