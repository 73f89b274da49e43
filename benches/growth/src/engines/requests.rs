//! How often a request asks its engine.

use session_bench_common::entries;
use session_core::store::SessionStore;

use super::calls::Call;
use crate::Result;
use crate::sessions::{create, manager, read, write};

const REQUESTS: u64 = 1_000;

/// Requests before anything is counted, in which scripts and statements are sent that the server then knows.
const WARM_UP: u64 = 20;

/// What a reading and a writing request add to `count`, which says how often the server has been asked by now. What
/// it adds to the count itself is taken off again.
pub(super) async fn count(
    store: impl SessionStore,
    names: [&'static str; 2],
    count: impl AsyncFn() -> Result<f64>,
) -> Result<[Call; 2]> {
    let manager = manager(store)?;
    let cookie = create(&manager, &entries()).await?;
    for number in 0..WARM_UP {
        read(&manager, &cookie).await?;
        write(&manager, &cookie, number).await?;
    }
    let mut counts = Vec::new();
    counts.push(count().await?);
    counts.push(count().await?);
    for _ in 0..REQUESTS {
        read(&manager, &cookie).await?;
    }
    counts.push(count().await?);
    for number in 0..REQUESTS {
        write(&manager, &cookie, WARM_UP + number).await?;
    }
    counts.push(count().await?);
    let added: Vec<f64> = counts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let by = |at: usize| (added[at] - added[0]) / REQUESTS as f64;
    let [reading, writing] = names;
    Ok([
        Call {
            name: reading,
            figure: by(1),
        },
        Call {
            name: writing,
            figure: by(2),
        },
    ])
}
