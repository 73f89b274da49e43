//! Races in which a session ends: by a tombstone, by a delete, or by a sweep.

use std::sync::Arc;

use session_core::Timestamp;
use session_core::store::{
    Expect, Record, SaveOptions, SaveOutcome, SessionStore, StoreKey, Touch,
};

use super::bench::{Bench, works};
use super::harness::{StoreHarness, skipped};
use super::overlap::{CONTENDERS, Call, Contender, Race, Watched, saving, touching};
use super::records::{after, just_before, touched};
use super::verdict::{assert_missing, assert_same, assert_saved};

/// How often each contender tries to keep a session alive that is being ended.
const WRITES_OF_THE_LIVING: usize = 4;

/// Once a tombstone is stored nothing takes its place, however many saves and touches were under way.
/// CM-6, CM-7.
pub async fn the_dead_stay_dead_in_a_race(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let mut race = Race::new(&bench, [Call::Save, Call::Save]).await;
    while race.goes_on() {
        let key = bench.stored(&bench.live()).await;
        let tombstone = bench.ended();
        let contender = |at: usize| -> Contender<()> {
            let client = race.client(at / 2);
            if at == CONTENDERS / 2 {
                return Box::pin(end(client, key, tombstone.clone(), bench.now));
            }
            let writes = (0..WRITES_OF_THE_LIVING).map(|_| bench.live()).collect();
            Box::pin(keep_alive(client, key, writes, bench.now))
        };
        race.round((0..CONTENDERS).map(contender).collect()).await;
        let when = "after a tombstone was stored in a race with saves and touches";
        bench.assert_holds(key, &tombstone, when).await;
    }
}

/// Ends a session against everybody who still writes.
async fn end<S: SessionStore>(
    client: Arc<Watched<S>>,
    key: StoreKey,
    tombstone: Record,
    now: Timestamp,
) {
    for _ in 0..=CONTENDERS * WRITES_OF_THE_LIVING {
        let current = works("load", client.load(&key, now).await)
            .expect("`load` lost a record while others saved it");
        let expect = Expect::Version(current.version);
        let outcome = works(
            "save",
            client
                .save(&key, tombstone.clone(), SaveOptions::new(expect, now))
                .await,
        );
        if outcome == SaveOutcome::Saved {
            return;
        }
    }
    panic!("a tombstone met more conflicts than there were writes: some had no cause");
}

/// Saves and touches a session, in turns, until it is found dead.
async fn keep_alive<S: SessionStore>(
    client: Arc<Watched<S>>,
    key: StoreKey,
    writes: Vec<Record>,
    now: Timestamp,
) {
    for (at, next) in writes.into_iter().enumerate() {
        let current = works("load", client.load(&key, now).await)
            .expect("`load` lost a record while others saved it");
        if current.live().is_none() {
            return;
        }
        if at.is_multiple_of(2) {
            let expect = Expect::Version(current.version);
            works(
                "save",
                client.save(&key, next, SaveOptions::new(expect, now)).await,
            );
        } else {
            let touch = Touch::new(
                current.version,
                next.version,
                now,
                after(next.expires_at, 1),
            );
            works("touch", client.touch(&key, touch, now).await);
        }
    }
}

/// A save or a touch that races a delete comes before it or finds nothing; nothing is inserted after it.
/// CM-6.
pub async fn nothing_is_written_after_a_delete(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let mut race = Race::new(&bench, [Call::Save, Call::Delete]).await;
    while race.goes_on() {
        let first = bench.live();
        let key = bench.stored(&first).await;
        let now = bench.now;
        let contender = |at: usize| -> Contender<SaveOutcome> {
            let client = race.client(at / 4);
            let (next, touch) = (bench.live(), bench.touch_of(&first));
            let expect = Expect::Version(first.version);
            match at % 4 {
                0 | 2 => saving(client, key, next, expect, now),
                1 => touching(client, key, touch, now),
                _ => Box::pin(async move {
                    works("delete", client.delete(&key).await);
                    SaveOutcome::Missing
                }),
            }
        };
        let outcomes = race.round((0..CONTENDERS).map(contender).collect()).await;
        let saved = |outcome: &&SaveOutcome| **outcome == SaveOutcome::Saved;
        let stored = outcomes.iter().filter(saved).count();
        assert!(
            stored <= 1,
            "{stored} saves and touches over one version were all answered Saved"
        );
        bench
            .assert_empty(key, "after deletes that raced saves and touches")
            .await;
    }
}

/// A sweep never removes a record that was touched before it expired, or created anew, while the sweep
/// was under way; a touch that came too late is missing. SR-6, TM-6.
pub async fn a_sweep_takes_nothing_that_was_extended(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    if !harness.sweeps() {
        return skipped(
            "a_sweep_takes_nothing_that_was_extended",
            "a store that sweeps",
        );
    }
    let mut race = Race::new(&bench, [Call::Touch, Call::Sweep]).await;
    while race.goes_on() {
        let mut contenders: Vec<Contender<SaveOutcome>> = Vec::new();
        let mut extended = Vec::new();
        for at in 0..CONTENDERS {
            let client = race.client(at / 4);
            let record = bench.live();
            let key = bench.stored(&record).await;
            let expiry = record.expires_at;
            match at % 4 {
                0 | 2 => {
                    let touch = bench.touch_of(&record);
                    contenders.push(touching(client, key, touch, just_before(expiry)));
                    extended.push((key, expiry, Some(touched(&record, touch))));
                }
                1 => {
                    let mut next = bench.live();
                    next.expires_at = after(expiry, 60_000);
                    contenders.push(saving(client, key, next.clone(), Expect::Absent, expiry));
                    extended.push((key, expiry, Some(next)));
                }
                _ => {
                    contenders.push(Box::pin(async move {
                        works(
                            "delete_expired",
                            client.delete_expired(expiry, CONTENDERS).await,
                        );
                        SaveOutcome::Missing
                    }));
                    extended.push((key, expiry, None));
                }
            }
        }
        let outcomes = race.round(contenders).await;
        for ((at, outcome), (key, expiry, next)) in outcomes.iter().enumerate().zip(&extended) {
            let found = bench.load_at(*key, *expiry).await;
            if at % 4 == 1 {
                assert_saved(
                    outcome,
                    "a create over an expired record that was being swept",
                );
            }
            if *outcome == SaveOutcome::Saved {
                let when = "after a touch or a create that raced a sweep and was answered Saved";
                assert_same(found.as_ref(), next.as_ref(), when);
            } else {
                assert_missing(outcome, "a touch that raced a sweep and lost");
                assert_same(
                    found.as_ref(),
                    None,
                    "after a touch that raced a sweep and lost",
                );
            }
        }
    }
}
