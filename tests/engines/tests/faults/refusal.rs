//! Servers that don't let us in.

use std::error::Error;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::matrix::Cell;

/// The password that a server knows of the user `stranger`, and the one that is tried.
pub(crate) const RIGHT_PASSWORD: &str = "right";
pub(crate) const WRONG_PASSWORD: &str = "mistaken";

/// How long it may take to be refused. Connecting has a time limit of one second in every store, and where TLS meets
/// a server that doesn't know it, each side may wait for the other until then.
const REFUSED_WITHIN: Duration = Duration::from_secs(3);

/// Tries to connect with something that isn't right. The error has to come in time, and to name the reason.
pub(crate) async fn refused<T, E: Error>(
    what: &str,
    reason: &str,
    connect: impl Future<Output = Result<T, E>>,
) -> Cell {
    let began = Instant::now();
    let problem = match timeout(REFUSED_WITHIN, connect).await {
        Err(_) => Some(format!("{what}: no error within {REFUSED_WITHIN:?}")),
        Ok(Ok(_)) => Some(format!("{what}: the server has let us in")),
        Ok(Err(error)) => {
            let told = with_causes(&error);
            let is_clear = told.contains(reason) && !told.contains(WRONG_PASSWORD);
            (!is_clear).then(|| format!("{what}: the error says {told:?}"))
        }
    };
    Cell {
        text: format!("{what} after {:.1} s", began.elapsed().as_secs_f64()),
        problems: problem.into_iter().collect(),
    }
}

/// What a program prints that ends with this error.
fn with_causes(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}
