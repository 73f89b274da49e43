//! Calls on one key are linearizable: each takes effect at one moment between its start and its answer,
//! across all clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use session_core::Timestamp;
use session_core::store::{
    Expect, LiveRecord, Record, RecordState, SaveOptions, SaveOutcome, SessionStore, StoreKey,
};

use super::bench::{Bench, works};
use super::harness::StoreHarness;
use super::overlap::{CONTENDERS, Call, Contender, Race, Watched, saving, touching};
use super::records::{fresh_key, fresh_version, touched};
use super::verdict::{assert_conflict, assert_saved};

/// Of many creates of one key exactly one is stored, and it is the one that was told so. ID-3.
pub async fn one_of_many_creators_wins(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let mut race = Race::new(&bench, [Call::Save, Call::Save]).await;
    while race.goes_on() {
        let key = fresh_key();
        let records: Vec<_> = (0..CONTENDERS).map(|_| bench.live()).collect();
        let creates = records.iter().enumerate().map(|(at, record)| {
            saving(
                race.client(at),
                key,
                record.clone(),
                Expect::Absent,
                bench.now,
            )
        });
        let outcomes = race.round(creates.collect()).await;
        assert_one_winner(&bench, key, &outcomes, &records, "creates of one key").await;
    }
}

/// Of many saves that expect the same version exactly one is stored, and it is the one that was told so.
/// CM-5.
pub async fn one_of_many_saves_wins(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let mut race = Race::new(&bench, [Call::Save, Call::Save]).await;
    while race.goes_on() {
        let first = bench.live();
        let key = bench.stored(&first).await;
        let expect = Expect::Version(first.version);
        let records: Vec<_> = (0..CONTENDERS).map(|_| bench.live()).collect();
        let saves = records
            .iter()
            .enumerate()
            .map(|(at, record)| saving(race.client(at), key, record.clone(), expect, bench.now));
        let outcomes = race.round(saves.collect()).await;
        assert_one_winner(&bench, key, &outcomes, &records, "saves over one version").await;
    }
}

/// Replacements are saves like any other: of those that read the same record, and of saves that expect its version,
/// exactly one is stored. CM-5.
pub async fn one_of_many_replacements_wins(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let mut race = Race::new(&bench, [Call::Save, Call::Save]).await;
    while race.goes_on() {
        let first = bench.live();
        let key = bench.stored(&first).await;
        let records: Vec<_> = (0..CONTENDERS).map(|_| bench.live()).collect();
        let saves = records.iter().enumerate().map(|(at, record)| {
            let (client, record) = (race.client(at), record.clone());
            if at.is_multiple_of(4) {
                let expect = Expect::Version(first.version);
                return saving(client, key, record, expect, bench.now);
            }
            let (replaced, now) = (first.clone(), bench.now);
            Box::pin(
                async move { works("replace", client.replace(&key, record, replaced, now).await) },
            )
        });
        let outcomes = race.round(saves.collect()).await;
        assert_one_winner(
            &bench,
            key,
            &outcomes,
            &records,
            "replacements of one record",
        )
        .await;
    }
}

/// A touch is a conditional write like any other: of saves and touches that expect the same version
/// exactly one is stored. CM-5.
pub async fn one_of_many_saves_and_touches_wins(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let mut race = Race::new(&bench, [Call::Save, Call::Touch]).await;
    while race.goes_on() {
        let first = bench.live();
        let key = bench.stored(&first).await;
        let (mut contenders, mut records) = (Vec::new(), Vec::new());
        for at in 0..CONTENDERS {
            let client = race.client(at / 2);
            if at.is_multiple_of(2) {
                let expect = Expect::Version(first.version);
                let next = bench.live();
                contenders.push(saving(client, key, next.clone(), expect, bench.now));
                records.push(next);
            } else {
                let touch = bench.touch_of(&first);
                contenders.push(touching(client, key, touch, bench.now));
                records.push(touched(&first, touch));
            }
        }
        let outcomes = race.round(contenders).await;
        let what = "saves and touches over one version";
        assert_one_winner(&bench, key, &outcomes, &records, what).await;
    }
}

/// Whoever repeats after each conflict what it wanted loses nothing to the others, whether it starts from
/// the record that the conflict carries or loads again. And a conflict means that somebody else was
/// stored, so that as many attempts as there are writers are enough for each. CM-5.
pub async fn no_increment_is_lost(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let mut race = Race::new(&bench, [Call::Save, Call::Save]).await;
    while race.goes_on() {
        let mut first = bench.live();
        set_count(&mut first, 0);
        let key = bench.stored(&first).await;
        let increments = (0..CONTENDERS)
            .map(|at| -> Contender<()> { Box::pin(increment(race.client(at), key, bench.now)) });
        race.round(increments.collect()).await;
        let count = bench.load(key).await.as_ref().map(count);
        assert!(
            count == Some(CONTENDERS),
            "{CONTENDERS} increments, each one answered Saved, led to {count:?}: saves overwrite each other"
        );
    }
}

async fn increment<S: SessionStore>(client: Arc<Watched<S>>, key: StoreKey, now: Timestamp) {
    let mut carried: Option<Box<Record>> = None;
    for _ in 0..CONTENDERS {
        let current = match carried.take() {
            Some(record) => *record,
            None => works("load", client.load(&key, now).await)
                .expect("`load` lost a record while others saved it"),
        };
        let mut next = current.clone();
        next.version = fresh_version();
        set_count(&mut next, count(&current) + 1);
        let expect = Expect::Version(current.version);
        match works(
            "save",
            client.save(&key, next, SaveOptions::new(expect, now)).await,
        ) {
            SaveOutcome::Saved => return,
            SaveOutcome::Conflict(record) => carried = record,
            _ => panic!("`save` lost a record while others saved it"),
        }
    }
    panic!(
        "{CONTENDERS} writers of one record each were stored once, and yet one of them met {CONTENDERS} \
         conflicts: some had no cause, or carried a record that was no longer current"
    );
}

/// The tests' counter lies in the user's name.
fn set_count(record: &mut Record, count: usize) {
    if let RecordState::Live(LiveRecord {
        user: Some(user), ..
    }) = &mut record.state
    {
        Arc::make_mut(user).name = count.to_string().into();
    }
}

fn count(record: &Record) -> usize {
    let user = record.live().and_then(|live| live.user.as_ref());
    user.and_then(|user| user.name.parse().ok())
        .expect("`load` returned a record that nobody saved")
}

/// A load returns a record that was saved, whole, and never an older one than was stored when it began
/// or than any load before it has returned.
pub async fn a_load_is_never_torn_or_stale(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let mut race = Race::new(&bench, [Call::Save, Call::Load]).await;
    while race.goes_on() {
        let history: Vec<_> = (0..8).flat_map(|_| [bench.live(), bench.plain()]).collect();
        let key = bench.stored(&history[0]).await;
        let history = Arc::new(History {
            records: history,
            begun: AtomicUsize::new(0),
            seen: AtomicUsize::new(0),
        });
        let contender = |at: usize| -> Contender<()> {
            let (client, history) = (race.client(at / 2), history.clone());
            match at {
                0 => Box::pin(history.write(client, key, bench.now)),
                _ => Box::pin(history.read(client, key, bench.now)),
            }
        };
        race.round((0..CONTENDERS).map(contender).collect()).await;
    }
}

/// The records that one writer saves one after the other, and how far it has come.
struct History {
    records: Vec<Record>,
    /// The last record whose save has begun.
    begun: AtomicUsize,
    /// The last record that is known to be stored: its save was answered, or a load returned it.
    seen: AtomicUsize,
}

impl History {
    async fn write<S: SessionStore>(
        self: Arc<Self>,
        client: Arc<Watched<S>>,
        key: StoreKey,
        now: Timestamp,
    ) {
        for (at, pair) in (1..).zip(self.records.windows(2)) {
            self.begun.store(at, Ordering::SeqCst);
            let expect = Expect::Version(pair[0].version);
            let outcome = works(
                "save",
                client
                    .save(&key, pair[1].clone(), SaveOptions::new(expect, now))
                    .await,
            );
            assert_saved(&outcome, "a save by the only writer");
            self.seen.fetch_max(at, Ordering::SeqCst);
        }
    }

    async fn read<S: SessionStore>(
        self: Arc<Self>,
        client: Arc<Watched<S>>,
        key: StoreKey,
        now: Timestamp,
    ) {
        for _ in &self.records {
            let oldest = self.seen.load(Ordering::SeqCst);
            let found = works("load", client.load(&key, now).await)
                .expect("`load` lost a record while it was saved");
            let newest = self.begun.load(Ordering::SeqCst);
            let at = self.records.iter().position(|record| *record == found);
            let at =
                at.expect("`load` returned a record that was never saved: a part of it is older");
            assert!(
                (oldest..=newest).contains(&at),
                "`load` returned record number {at} of those saved, where number {oldest} was stored before \
                 it began and number {newest} was the last to be saved"
            );
            self.seen.fetch_max(at, Ordering::SeqCst);
        }
    }
}

/// Exactly one of the contenders was told that its record is stored, the others met a conflict with it,
/// and it is what lies there.
async fn assert_one_winner<S: SessionStore>(
    bench: &Bench<S>,
    key: StoreKey,
    outcomes: &[SaveOutcome],
    records: &[Record],
    what: &str,
) {
    let saved = |at: &usize| outcomes[*at] == SaveOutcome::Saved;
    let winners: Vec<_> = (0..outcomes.len()).filter(saved).collect();
    assert!(
        winners.len() == 1,
        "of {} simultaneous {what} {} were answered Saved; exactly one has to be: look and write in one \
         atomic step",
        outcomes.len(),
        winners.len()
    );
    let winner = &records[winners[0]];
    let when = format!("after simultaneous {what}, of which one was answered Saved");
    bench.assert_holds(key, winner, &when).await;
    for outcome in outcomes
        .iter()
        .filter(|outcome| **outcome != SaveOutcome::Saved)
    {
        assert_conflict(
            outcome,
            winner,
            &format!("one of several simultaneous {what}"),
        );
    }
}
