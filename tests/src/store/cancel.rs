//! Futures may be dropped at any time: the call then took effect or it didn't, and the store goes on.
//!
//! Each clause drops a call after its first poll, after its second, and so on until it is answered
//! before that; once while what it waits for is under way, and once when it could go on.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use session_core::store::{Expect, Record, SaveOptions, SaveOutcome, SessionStore, StoreKey};

use super::bench::{Bench, works};
use super::harness::{StoreHarness, skipped};
use super::records::{after, altered, fresh_key, just_before, touched};
use super::verdict::{assert_one_of, assert_same, assert_saved};

/// After how many polls a call is no longer dropped.
const MOST_POLLS: usize = 64;

/// When a call is dropped.
#[derive(Clone, Copy)]
struct Cut {
    /// After how many polls.
    polls: usize,
    /// Whether only once it could go on.
    woken: bool,
}

/// A dropped create leaves nothing or the whole record, and the key usable. CM-4.
pub async fn a_dropped_create_happened_or_did_not(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    for_every_cut(async |cut| {
        let (key, new) = (fresh_key(), bench.live());
        let call = bench.store.save(
            &key,
            new.clone(),
            SaveOptions::new(Expect::Absent, bench.now),
        );
        let answer = cut.after(call).await;
        assert_settles(&bench, key, None, &new).await;
        answer.is_some()
    })
    .await;
}

/// A dropped save leaves the old record or the new one, and the key usable. CM-4.
pub async fn a_dropped_save_happened_or_did_not(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    for_every_cut(async |cut| {
        let (old, new) = (bench.live(), bench.plain());
        let key = bench.stored(&old).await;
        let expect = Expect::Version(old.version);
        let call = bench
            .store
            .save(&key, new.clone(), SaveOptions::new(expect, bench.now));
        let answer = cut.after(call).await;
        assert_settles(&bench, key, Some(&old), &new).await;
        answer.is_some()
    })
    .await;
}

/// A dropped touch leaves the record as it was or as the touch makes it, and the key usable. CM-4.
pub async fn a_dropped_touch_happened_or_did_not(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    for_every_cut(async |cut| {
        let old = bench.live();
        let key = bench.stored(&old).await;
        let touch = bench.touch_of(&old);
        let answer = cut.after(bench.store.touch(&key, touch, bench.now)).await;
        assert_settles(&bench, key, Some(&old), &touched(&old, touch)).await;
        answer.is_some()
    })
    .await;
}

/// A dropped delete leaves the record or nothing, and the store usable. CM-4.
pub async fn a_dropped_delete_happened_or_did_not(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    for_every_cut(async |cut| {
        let old = bench.live();
        let key = bench.stored(&old).await;
        let answer = cut.after(bench.store.delete(&key)).await;
        let found = bench.load(key).await;
        assert_one_of(
            found.as_ref(),
            &[Some(&old), None],
            "after a dropped delete",
        );
        bench.delete(key).await;
        bench
            .assert_empty(key, "after a dropped delete and a whole one")
            .await;
        answer.is_some()
    })
    .await;
}

/// A dropped sweep has removed nothing but expired records, and the next one removes the rest. CM-4,
/// SR-6.
pub async fn a_dropped_sweep_takes_nothing_alive(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    if !harness.sweeps() {
        return skipped("a_dropped_sweep_takes_nothing_alive", "a store that sweeps");
    }
    let now = bench.minutes(15);
    let kept = bench.ended();
    let kept_key = bench.stored(&kept).await;
    for_every_cut(async |cut| {
        let mut keys = Vec::new();
        for expires_at in [bench.minutes(10), just_before(now), now] {
            let expired = altered(bench.live(), |record| record.expires_at = expires_at);
            keys.push(bench.stored(&expired).await);
        }
        let answer = cut.after(bench.store.delete_expired(now, 10)).await;
        let found = bench.load_at(kept_key, now).await;
        assert_same(
            found.as_ref(),
            Some(&kept),
            "after a dropped sweep before its expiry",
        );
        bench.sweep(now, 10).await;
        for key in keys {
            bench
                .assert_empty(
                    key,
                    "at an earlier time, after a dropped sweep and a whole one",
                )
                .await;
        }
        answer.is_some()
    })
    .await;
}

/// Calls `attempt` with one cut after the other, until it says that its call was answered before.
async fn for_every_cut(mut attempt: impl AsyncFnMut(Cut) -> bool) {
    for woken in [false, true] {
        for polls in 0..=MOST_POLLS {
            if attempt(Cut { polls, woken }).await {
                break;
            }
        }
    }
}

impl Cut {
    /// Polls `call` as often as this says and then drops it. Its answer, if it came by then.
    async fn after<T>(self, call: impl Future<Output = T>) -> Option<T> {
        let mut call = pin!(call);
        let mut left = self.polls;
        poll_fn(|cx| {
            if left == 0 {
                return Poll::Ready(None);
            }
            left -= 1;
            match call.as_mut().poll(cx) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending if left == 0 && !self.woken => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}

/// What lies under `key` is `old` or `new`, whole, and the next conditional save takes its place for
/// good. What an engine was asked before the drop may reach it a moment later, but only once.
async fn assert_settles<S: SessionStore>(
    bench: &Bench<S>,
    key: StoreKey,
    old: Option<&Record>,
    new: &Record,
) {
    let next = altered(bench.live(), |record| {
        record.expires_at = after(new.expires_at, 1)
    });
    let found = bench.load(key).await;
    assert_one_of(found.as_ref(), &[old, Some(new)], "after a dropped call");
    let outcome = save_over(bench, key, found.as_ref(), &next).await;
    if found.as_ref() == old && outcome != SaveOutcome::Saved {
        bench
            .assert_holds(key, new, "after a dropped call that came late")
            .await;
        let outcome = save_over(bench, key, Some(new), &next).await;
        assert_saved(&outcome, "a save over what a dropped call had saved");
    } else {
        assert_saved(&outcome, "a save over what a dropped call had left");
    }
    bench
        .assert_holds(key, &next, "after a dropped call and a save")
        .await;
}

async fn save_over<S: SessionStore>(
    bench: &Bench<S>,
    key: StoreKey,
    current: Option<&Record>,
    next: &Record,
) -> SaveOutcome {
    let expect = current.map_or(Expect::Absent, |record| Expect::Version(record.version));
    let answer = bench
        .store
        .save(&key, next.clone(), SaveOptions::new(expect, bench.now))
        .await;
    works("save", answer)
}
