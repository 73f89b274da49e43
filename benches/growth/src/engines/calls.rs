//! The times of single calls to a store.

use std::future::Future;
use std::time::{Duration, Instant};

use session_bench_common::Rounds;
use session_core::store::{
    AddOutcome, Expect, Record, SaveOptions, SaveOutcome, SessionStore, StoreError, Touch, Version,
};
use session_core::{Clock as _, SystemClock};

use super::fill::{MANY_SESSIONS, alive_until, entry, index, user, user_with_many};
use crate::Result;
use crate::sessions::key;

const SAMPLES: u64 = 2_000;

/// The first number of entries that are added for measuring alone, beyond those of all sessions.
const FIRST_EXTRA: u64 = 1 << 41;

/// What something costs, or takes.
pub(super) struct Call {
    pub(super) name: &'static str,
    pub(super) figure: f64,
}

/// The medians in microseconds, over random ones of this many sessions.
pub(super) async fn measure(store: &impl SessionStore, sessions: u64) -> Result<Vec<Call>> {
    let mut random = fastrand::Rng::with_seed(sessions);
    let index = index(store)?;
    let many = user_with_many();
    let [mut load, mut save, mut touch] = [(); 3].map(|()| Timing::default());
    let [mut list, mut list_many, mut add] = [(); 3].map(|()| Timing::default());
    for extra in (FIRST_EXTRA..).take(SAMPLES as usize) {
        let now = SystemClock.now();
        // As in a request: what is saved has been loaded just before.
        let key_of_one = key(random.u64(..sessions));
        let record = found(load.of(store.load(&key_of_one, now)).await?)?;
        let expect = Expect::Version(record.version);
        let mut changed = record;
        changed.version = version(&mut random);
        let saved = save
            .of(store.save(&key_of_one, changed, SaveOptions::new(expect, now)))
            .await?;
        check(&saved)?;

        let key_of_another = key(random.u64(..sessions));
        let record = found(store.load(&key_of_another, now).await?)?;
        let change = Touch::new(
            record.version,
            version(&mut random),
            now,
            record.expires_at.saturating_add(Duration::from_secs(1)),
        );
        let touched = touch.of(store.touch(&key_of_another, change, now)).await?;
        check(&touched)?;

        let user = user(random.u64(..sessions));
        let one = list.of(index.list(&user, now)).await?.len();
        let all = list_many.of(index.list(&many, now)).await?.len();
        let added = entry(extra, now, alive_until());
        let outcome = add.of(index.add(&user, added, None, now)).await?;
        if one != 1 || all as u64 != MANY_SESSIONS || outcome != AddOutcome::Added(2) {
            return Err(format!("the index has {one} and {all} entries, then {outcome:?}").into());
        }
        index.remove(&user, &added.key).await?;
    }
    Ok(vec![
        load.named("load"),
        save.named("save, if unchanged since"),
        touch.named("touch"),
        list.named("list a user's one session"),
        list_many.named("list a user's 50 sessions"),
        add.named("add an entry for a user"),
    ])
}

/// Makes existing sessions with these numbers expire at once, with their entries.
pub(super) async fn expire(
    store: &impl SessionStore,
    numbers: impl Iterator<Item = u64>,
) -> Result<()> {
    for n in numbers {
        let key = key(n);
        let now = SystemClock.now();
        let expires_at = now.saturating_add(Duration::from_millis(1));
        let record = found(store.load(&key, now).await?)?;
        let expect = Expect::Version(record.version);
        let version = Version::from_bytes((!u128::from(n)).to_le_bytes());
        let mut changed = record;
        changed.version = version;
        changed.expires_at = expires_at;
        check(
            &store
                .save(&key, changed, SaveOptions::new(expect, now))
                .await?,
        )?;
        let entry = entry(n, now, expires_at);
        index(store)?.add(&user(n), entry, None, now).await?;
    }
    Ok(())
}

/// The times of one kind of call.
#[derive(Default)]
struct Timing(Rounds);

impl Timing {
    async fn of<T>(
        &mut self,
        call: impl Future<Output = std::result::Result<T, StoreError>>,
    ) -> Result<T> {
        let started = Instant::now();
        let answer = call.await;
        self.0.push(micros(started));
        Ok(answer?)
    }

    fn named(self, name: &'static str) -> Call {
        let figure = self.0.median();
        Call { name, figure }
    }
}

pub(super) fn micros(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1e6
}

fn version(random: &mut fastrand::Rng) -> Version {
    Version::from_bytes(random.u128(..).to_le_bytes())
}

fn found(record: Option<Record>) -> Result<Record> {
    Ok(record.ok_or("a session can't be found again")?)
}

fn check(outcome: &SaveOutcome) -> Result<()> {
    match outcome {
        SaveOutcome::Saved => Ok(()),
        other => Err(format!("a session can't be changed: {other:?}").into()),
    }
}
