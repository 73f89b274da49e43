//! The longest pause of a load while half of a million sessions expire at once.

use std::hint::black_box;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use session_bench_common::{Rounds, Table};
use session_core::store::{Expect, SaveOptions, SaveOutcome, SessionStore as _, StoreKey};
use session_core::{Clock as _, SystemClock, Timestamp};
use session_store_memory::MemoryStore;

use super::waiting::block_on;
use crate::Result;
use crate::sessions::{LIFETIME, Template, key};

/// Of these, those with an odd number expire.
const SESSIONS: u64 = 1_000_000;
const EXPIRING: usize = 500_000;

/// So many that every part of the store comes to look for what has expired: it does so after half as many new ones as
/// it has, and may have done so just before.
const CREATED: u64 = 1_250_000;

/// Different sessions that the probe loads.
const PROBED: usize = 200_000;

/// About as long as the removal takes.
const QUIET: Duration = Duration::from_secs(2);

/// A batch of `session_core::Sweeper`, and its pause between two of them.
const BATCH: usize = 1_000;
const PAUSE: Duration = Duration::from_millis(1);

/// The longest that a load may take, in milliseconds.
const LONGEST: f64 = 5.0;

/// How fine the times of loads are told apart, and up to which one.
const STEP: Duration = Duration::from_nanos(100);
const STEPS: usize = 100_000;

const CASES: [&str; 4] = [
    "nothing (the machine's noise)",
    "computing, without the store (the machine's noise)",
    "a sweeper's batches",
    "1,250,000 new sessions",
];

/// Prints for each case the longest load and the 99.99th percentile, in microseconds, the number of loads, and the
/// seconds that they took together.
pub(crate) fn measure() -> Result<()> {
    let store = MemoryStore::builder().unlimited_bytes().build();
    let template = block_on(Template::new())?;
    let created_at = SystemClock.now();
    let expires_at = created_at.saturating_add(Duration::from_secs(3600));
    let late = created_at.saturating_add(LIFETIME);
    let create = |n: u64, expires_at, now| -> Result<()> {
        let record = template.record(n, expires_at)?;
        match block_on(store.save(&key(n), record, SaveOptions::new(Expect::Absent, now)))? {
            SaveOutcome::Saved => Ok(()),
            other => Err(format!("a session can't be created: {other:?}").into()),
        }
    };
    for n in 0..SESSIONS {
        let expires_at = if n % 2 == 0 { late } else { expires_at };
        create(n, expires_at, created_at)?;
    }
    let mut random = fastrand::Rng::with_seed(5);
    let keys = (0..PROBED).map(|_| key(2 * random.u64(..SESSIONS / 2)));
    let probe = Probe {
        store: &store,
        keys: keys.collect(),
        now: expires_at.saturating_add(Duration::from_millis(1)),
    };
    probe.run(&store_is_left_alone)?;
    probe.run(&compute)?;
    probe.run(&|| sweep(&store, probe.now))?;

    for n in (1..SESSIONS).step_by(2) {
        create(n, expires_at, created_at)?;
    }
    probe.run(&|| (SESSIONS..SESSIONS + CREATED).try_for_each(|n| create(n, late, probe.now)))?;
    let alive = SESSIONS - EXPIRING as u64 + CREATED;
    if store.len() as u64 != alive {
        return Err(format!("{} sessions of {alive} are left", store.len()).into());
    }
    Ok(())
}

/// What [`measure`] printed in each run.
pub(super) fn table(runs: &[Vec<f64>]) -> Result<Table> {
    let mut table = Table::new(
        "Loads in memory while 500,000 of 1,000,000 sessions expire at once",
        &[
            "what the other thread does",
            "longest load, ms: least of all runs",
            "most of all runs",
            "99.99th percentile, µs, median",
            "loads in a run",
        ],
    );
    for (at, case) in CASES.into_iter().enumerate() {
        let [mut longest, mut percentile, mut loads] = [const { Rounds::new() }; 3];
        for run in runs {
            let [case_longest, case_percentile, case_loads, _] = run
                .chunks_exact(4)
                .nth(at)
                .and_then(|row| row.try_into().ok())
                .ok_or("a child's figures are not those that were expected")?;
            longest.push(case_longest / 1e3);
            percentile.push(case_percentile);
            loads.push(case_loads);
        }
        let least = longest.min();
        table.row([
            case.to_owned(),
            match at {
                0 | 1 => format!("{least:.3}"),
                _ if least <= LONGEST => format!("{least:.3} (≤ {LONGEST})"),
                _ => format!("**{least:.3}** (missed: ≤ {LONGEST})"),
            },
            format!("{:.3}", longest.max()),
            format!("{:.1}", percentile.median()),
            format!("{:.0}", loads.median()),
        ]);
    }
    Ok(table)
}

fn store_is_left_alone() -> Result<()> {
    thread::sleep(QUIET);
    Ok(())
}

fn compute() -> Result<()> {
    let (started, mut number) = (Instant::now(), 1_u64);
    while started.elapsed() < QUIET {
        for _ in 0..1_000 {
            number = black_box(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ number >> 31);
        }
    }
    Ok(())
}

/// What `session_core::Sweeper` does, which goes on for ever, until there is nothing left.
fn sweep(store: &MemoryStore, now: Timestamp) -> Result<()> {
    let mut all = 0;
    loop {
        let removed = block_on(store.delete_expired(now, BATCH))?;
        all += removed;
        if removed < BATCH {
            break;
        }
        thread::sleep(PAUSE);
    }
    match all {
        EXPIRING => Ok(()),
        other => Err(format!("{other} sessions had expired").into()),
    }
}

/// Loads sessions that are alive, one after the other.
struct Probe<'s> {
    store: &'s MemoryStore,
    keys: Vec<StoreKey>,
    now: Timestamp,
}

impl Probe<'_> {
    /// Loads for as long as the other thread, which is this one, is at work, and prints the figures.
    fn run(&self, other: &dyn Fn() -> Result<()>) -> Result<()> {
        let done = AtomicBool::new(false);
        let times = thread::scope(|scope| {
            let probing = scope.spawn(|| block_on(self.load_until(&done)));
            // The probe is to be at work before there is anything to be seen.
            thread::sleep(Duration::from_millis(50));
            let outcome = other();
            done.store(true, Ordering::Relaxed);
            let times = probing.join().unwrap_or_else(|panic| resume_unwind(panic));
            outcome.and(times)
        })?;
        println!(
            "{} {} {} {}",
            times.longest.as_secs_f64() * 1e6,
            times.percentile(99.99).as_secs_f64() * 1e6,
            times.count,
            times.all.as_secs_f64(),
        );
        Ok(())
    }

    async fn load_until(&self, done: &AtomicBool) -> Result<Times> {
        let mut times = Times::new();
        let begun = Instant::now();
        for key in self.keys.iter().cycle() {
            if done.load(Ordering::Relaxed) {
                break;
            }
            let started = Instant::now();
            let loaded = self.store.load(key, self.now).await;
            times.note(started.elapsed());
            loaded?.ok_or("a session that is alive can't be found")?;
        }
        times.all = begun.elapsed();
        Ok(times)
    }
}

/// The times of many loads: how many took how many steps, and in the last place those that took even longer.
struct Times {
    steps: Vec<u32>,
    count: u64,
    longest: Duration,
    all: Duration,
}

impl Times {
    fn new() -> Self {
        Self {
            steps: vec![0; STEPS],
            count: 0,
            longest: Duration::ZERO,
            all: Duration::ZERO,
        }
    }

    fn note(&mut self, time: Duration) {
        let step = (time.as_nanos() / STEP.as_nanos()) as usize;
        self.steps[step.min(STEPS - 1)] += 1;
        self.count += 1;
        self.longest = self.longest.max(time);
    }

    /// No more than a step above the time that so many in a hundred don't exceed.
    fn percentile(&self, percent: f64) -> Duration {
        let wanted = self.count as f64 * percent / 100.0;
        let mut seen = 0;
        let up_to = self.steps.iter().position(|count| {
            seen += u64::from(*count);
            seen as f64 >= wanted
        });
        let steps = up_to.map_or(STEPS, |step| step + 1);
        (STEP * u32::try_from(steps).unwrap_or(u32::MAX)).min(self.longest)
    }
}
