//! Resident memory and loads of one store, in a process of its own.

use std::fs;
use std::panic::resume_unwind;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use session_bench_common::Rounds;
use tokio::runtime::Runtime;

use super::chain::Chain;
use super::contenders::{Contender, OURS, Ours, POEM, Poem, TOWER, Tower};
use super::waiting::block_on;
use crate::Result;

const ROUNDS: usize = 9;

/// How many loads a thread makes in a round.
const LOADS: usize = 100_000;

/// Prints the store's figures: resident bytes for each session, nanoseconds of a load, how much more two threads get
/// done than one, and the last two for lines of a chain in as much memory.
pub(crate) fn measure(contender: &str, count: u64) -> Result<()> {
    let two_threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    // One contender's store spawns a task when it is made.
    let _context = two_threads.enter();
    match contender {
        OURS => run::<Ours>(count, &two_threads),
        TOWER => run::<Tower>(count, &two_threads),
        POEM => run::<Poem>(count, &two_threads),
        unknown => Err(format!("no store is called {unknown:?}").into()),
    }
}

fn run<C: Contender>(count: u64, two_threads: &Runtime) -> Result<()> {
    let before = resident()?;
    let store = Arc::new(block_on(C::fill(count))?);
    let bytes = resident()? - before;

    let mut random = fastrand::Rng::with_seed(count);
    // Other keys in each round, so that no round finds in the caches what the last one left there.
    let mut draw = || -> Vec<Arc<[C::Key]>> {
        let mut round = || (0..LOADS).map(|_| C::key(random.u64(..count))).collect();
        (0..ROUNDS).map(|_| round()).collect()
    };
    let keys = [draw(), draw()];
    let mut loads = Rounds::default();
    for keys in &keys[0] {
        let started = Instant::now();
        let found = block_on(found(&*store, keys));
        loads.push(nanos_each(started.elapsed()));
        if found != LOADS {
            return Err("a session can't be found again".into());
        }
    }
    let load_scaling = scaling(two_threads, |thread, turn| {
        let (store, keys) = (store.clone(), keys[thread][turn % ROUNDS].clone());
        async move {
            found(&*store, &keys).await;
        }
    });

    // The first time over the lines is for those that fit into a cache, as the loads' was.
    let chain = Arc::new(Chain::new(bytes as usize));
    chain.follow(0, LOADS);
    let mut lines = Rounds::default();
    for round in 0..ROUNDS {
        let started = Instant::now();
        chain.follow(round, LOADS);
        lines.push(nanos_each(started.elapsed()));
    }
    let line_scaling = scaling(two_threads, |thread, turn| {
        let chain = chain.clone();
        async move { chain.follow(2 * turn + thread, LOADS) }
    });

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

/// How many times as much two threads get done in the same time as one. `work` is what a task has to do in a turn,
/// which is another one each time.
fn scaling<F>(two_threads: &Runtime, work: impl Fn(usize, usize) -> F) -> f64
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut ratios = Rounds::default();
    for round in 0..ROUNDS {
        let one = time_of(two_threads, vec![work(0, 2 * round)]);
        let two = time_of(
            two_threads,
            vec![work(0, 2 * round + 1), work(1, 2 * round + 1)],
        );
        ratios.push(2.0 * one.as_secs_f64() / two.as_secs_f64());
    }
    ratios.median()
}

/// From when the first of the tasks begins its work until the last has done it.
fn time_of<F>(two_threads: &Runtime, tasks: Vec<F>) -> Duration
where
    F: Future<Output = ()> + Send + 'static,
{
    let barrier = Arc::new(Barrier::new(tasks.len()));
    let at_work = |work: F| {
        let barrier = barrier.clone();
        two_threads.spawn(async move {
            // It holds the thread until the other one has come, so that each task has a thread of its own.
            barrier.wait();
            let started = Instant::now();
            work.await;
            (started, Instant::now())
        })
    };
    let tasks: Vec<_> = tasks.into_iter().map(at_work).collect();
    let times = tasks
        .into_iter()
        .map(|task| match two_threads.block_on(task) {
            Ok(times) => times,
            Err(error) => resume_unwind(error.into_panic()),
        });
    let times: Vec<(Instant, Instant)> = times.collect();
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
