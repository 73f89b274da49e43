//! What reading and writing one key costs in small and in large sessions.

use std::time::Instant;

use serde_json::{Value, json};
use session_bench_common::{COUNTER, Rounds, Table, ratio};
use session_core::SessionManager;
use session_store_memory::MemoryStore;
use session_store_redis::RedisStore;
use session_store_sqlx::PostgresStore;
use session_test_servers::{Postgres, Redis};
use sqlx::postgres::PgPoolOptions;

use crate::Result;
use crate::sessions::{create, manager, read, write};

/// Bytes of JSON. The largest is a little below the limit that applications have by default.
const SIZES: [usize; 4] = [100, 1_000, 10_000, 60_000];

const ROUNDS: usize = 9;

/// The longest value besides the counter.
const LONGEST_VALUE: usize = 100;

/// What an entry takes besides its value: `,"k0000":""`.
const AROUND_VALUE: usize = 11;

/// The numbers that are written all have the same length, so that no session changes its size.
const FIRST_NUMBER: u64 = 1_000_000_000;

/// How fine a table is.
struct Scale {
    unit: &'static str,
    per_second: f64,
    requests: u32,
}

const FINE: Scale = Scale {
    unit: "ns",
    per_second: 1e9,
    requests: 5_000,
};

const COARSE: Scale = Scale {
    unit: "µs",
    per_second: 1e6,
    requests: 300,
};

pub(crate) async fn report() -> Result<()> {
    let memory = manager(MemoryStore::new())?;
    println!("{}", table("in memory", &FINE, &memory).await?);
    let redis = Redis::start(&[]);
    let store = manager(RedisStore::connect(&redis.url()).await?)?;
    println!("{}", table("in Redis", &COARSE, &store).await?);
    let postgres = Postgres::start(&[]);
    let pool = PgPoolOptions::new()
        .test_before_acquire(false)
        .connect(&postgres.url())
        .await?;
    let store = PostgresStore::new(pool);
    store.migrate().await?;
    let title = "in PostgreSQL (fsync off)";
    println!("{}", table(title, &COARSE, &manager(store)?).await?);
    Ok(())
}

/// Requests of one visitor for each size, the sizes in turn in each round.
async fn table(place: &str, scale: &Scale, manager: &SessionManager) -> Result<Table> {
    let mut cookies = Vec::new();
    for size in SIZES {
        cookies.push(create(manager, &entries_of(size)).await?);
    }
    let mut figures = vec![(Rounds::default(), Rounds::default()); SIZES.len()];
    let mut number = FIRST_NUMBER;
    for _ in 0..ROUNDS {
        for (cookie, (reads, writes)) in cookies.iter().zip(&mut figures) {
            let started = Instant::now();
            for _ in 0..scale.requests {
                read(manager, cookie).await?;
            }
            reads.push(scale.of(started));
            let started = Instant::now();
            for _ in 0..scale.requests {
                number += 1;
                write(manager, cookie, number).await?;
            }
            writes.push(scale.of(started));
        }
    }
    let unit = scale.unit;
    let title = format!("One key of sessions of several sizes, {place}");
    let (reading, writing) = (format!("read, {unit}"), format!("write, {unit}"));
    let columns = [
        "bytes of JSON",
        &reading,
        "× smallest",
        &writing,
        "× smallest",
    ];
    let mut table = Table::new(&title, &columns);
    let medians: Vec<_> = figures
        .iter()
        .map(|(reads, writes)| (reads.median(), writes.median()))
        .collect();
    let (smallest_read, smallest_write) = medians[0];
    for (size, (read, write)) in SIZES.iter().zip(medians) {
        table.row([
            size.to_string(),
            format!("{read:.0}"),
            ratio(read, smallest_read, None),
            format!("{write:.0}"),
            ratio(write, smallest_write, None),
        ]);
    }
    Ok(table)
}

impl Scale {
    /// The time of one request.
    fn of(&self, started: Instant) -> f64 {
        started.elapsed().as_secs_f64() * self.per_second / f64::from(self.requests)
    }
}

/// A session of exactly this many bytes of JSON: the counter, and values that don't compress better than real ones.
fn entries_of(size: usize) -> Vec<(String, Value)> {
    let counter = json!({COUNTER: FIRST_NUMBER}).to_string();
    let left = size - counter.len();
    let count = left.div_ceil(AROUND_VALUE + LONGEST_VALUE);
    let mut random = fastrand::Rng::with_seed(7);
    let values = (0..count).map(|at| {
        let len = left / count + usize::from(at < left % count) - AROUND_VALUE;
        let text: String = (0..len).map(|_| random.alphanumeric()).collect();
        (format!("k{at:04}"), json!(text))
    });
    std::iter::once((COUNTER.to_owned(), json!(FIRST_NUMBER)))
        .chain(values)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_have_the_sizes_that_are_told() {
        for size in SIZES {
            let object: serde_json::Map<_, _> = entries_of(size).into_iter().collect();
            assert_eq!(Value::from(object).to_string().len(), size);
        }
    }
}
