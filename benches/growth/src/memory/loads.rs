//! Resident memory and loads of one store, in a process of its own.

use std::fs;
use std::panic::resume_unwind;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use session_bench_common::Rounds;

use super::chain::Chain;
use super::contenders::{Contender, OURS, Ours, POEM, Poem, TOWER, Tower};
use super::waiting::block_on;
use crate::Result;

const ROUNDS: usize = 9;

/// How many loads a thread makes in a round.
const LOADS: usize = 200_000;

/// Prints the store's figures: resident bytes for each session, nanoseconds of a load, how much more two threads get
/// done than one, and the last two for lines of a chain in as much memory.
pub(crate) fn measure(contender: &str, count: u64) -> Result<()> {
    match contender {
        OURS => block_on(run::<Ours>(count)),
        TOWER => block_on(run::<Tower>(count)),
        POEM => block_on(run::<Poem>(count)),
        unknown => Err(format!("no store is called {unknown:?}").into()),
    }
}

async fn run<C: Contender>(count: u64) -> Result<()> {
    let before = resident()?;
    let store = C::fill(count).await?;
    let bytes = resident()? - before;

    let mut random = fastrand::Rng::with_seed(count);
    // Other keys in each round, so that no round finds in the caches what the last one left there.
    let mut draw = || -> Vec<C::Key> {
        let numbers = (0..ROUNDS * LOADS).map(|_| random.u64(..count));
        numbers.map(C::key).collect()
    };
    let keys = [draw(), draw()];
    let mut loads = Rounds::default();
    for keys in keys[0].chunks_exact(LOADS) {
        let started = Instant::now();
        let found = found(&store, keys).await;
        loads.push(nanos_each(started.elapsed()));
        if found != LOADS {
            return Err("a session can't be found again".into());
        }
    }
    let load_scaling = scaling(|thread, turn| {
        let first = turn % ROUNDS * LOADS;
        block_on(found(&store, &keys[thread][first..][..LOADS]));
    });

    // The first time over the lines is for those that fit into a cache, as the loads' was.
    let chain = Chain::new(bytes as usize);
    chain.follow(0, LOADS);
    let mut lines = Rounds::default();
    for round in 0..ROUNDS {
        let started = Instant::now();
        chain.follow(round, LOADS);
        lines.push(nanos_each(started.elapsed()));
    }
    let line_scaling = scaling(|thread, turn| chain.follow(2 * turn + thread, LOADS));

    println!(
        "{} {} {load_scaling} {} {line_scaling}",
        bytes / count as f64,
        loads.median(),
        lines.median(),
    );
    Ok(())
}

async fn found<C: Contender>(store: &C, keys: &[C::Key]) -> usize {
    let mut found = 0;
    for key in keys {
        found += usize::from(store.load(key).await);
    }
    found
}

/// How many times as much two threads get done in the same time as one. `work` does what a thread has to do in a
/// turn, which is another one each time.
fn scaling(work: impl Fn(usize, usize) + Sync) -> f64 {
    let mut ratios = Rounds::default();
    for round in 0..ROUNDS {
        let one = time_of(1, &|thread| work(thread, 2 * round));
        let two = time_of(2, &|thread| work(thread, 2 * round + 1));
        ratios.push(2.0 * one.as_secs_f64() / two.as_secs_f64());
    }
    ratios.median()
}

/// From when the first of the threads begins its work until the last has done it.
fn time_of(threads: usize, work: &(impl Fn(usize) + Sync)) -> Duration {
    let barrier = Barrier::new(threads);
    let barrier = &barrier;
    let times: Vec<(Instant, Instant)> = thread::scope(|scope| {
        let at_work = |thread| {
            scope.spawn(move || {
                barrier.wait();
                let started = Instant::now();
                work(thread);
                (started, Instant::now())
            })
        };
        let threads: Vec<_> = (0..threads).map(at_work).collect();
        let threads = threads.into_iter();
        threads
            .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    let started = times.iter().map(|(started, _)| *started).min();
    let ended = times.iter().map(|(_, ended)| *ended).max();
    started
        .zip(ended)
        .map(|(started, ended)| ended - started)
        .unwrap_or_default()
}

fn nanos_each(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9 / LOADS as f64
}

/// How many bytes of this process lie in memory.
fn resident() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let mut lines = status.lines();
    let kilobytes = lines.find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB"));
    let kilobytes: f64 = kilobytes
        .ok_or("the system doesn't say what is resident")?
        .trim()
        .parse()?;
    Ok(kilobytes * 1024.0)
}
