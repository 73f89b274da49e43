//! The index of sessions by user. A store without one skips these clauses.

use std::collections::HashSet;

use session_core::store::{AddOutcome, IndexEntry, Sample, SessionStore, UserIndex, UserKey};

use super::bench::{Bench, works};
use super::harness::{StoreHarness, skipped};
use super::overlap::{CONTENDERS, Call, Contender, Race};
use super::records::{after, altered, fresh_key, fresh_name, fresh_reference};

/// A bench whose store has an index, or a word about the clause that can't run.
macro_rules! bench_with_index {
    ($harness:expr, $clause:literal) => {{
        let bench = Bench::new($harness).await;
        if bench.store.user_index().is_none() {
            return skipped($clause, "an index of sessions by user");
        }
        bench
    }};
}

impl<S: SessionStore> Bench<S> {
    fn index(&self) -> &dyn UserIndex {
        let index = self.store.user_index();
        index.expect("the clause has made sure that there is one")
    }

    /// An entry of a session of its own, added `millis` milliseconds from now.
    fn entry(&self, millis: u64) -> IndexEntry {
        IndexEntry::new(
            fresh_key(),
            fresh_reference(),
            after(self.now, millis),
            self.minutes(30),
        )
    }

    async fn add(&self, user: &UserKey, entry: IndexEntry, cap: Option<usize>) -> AddOutcome {
        works("add", self.index().add(user, entry, cap, self.now).await)
    }

    async fn list(&self, user: &UserKey) -> Vec<IndexEntry> {
        works("list", self.index().list(user, self.now).await)
    }

    /// A user with as many sessions.
    async fn user_with(&self, count: u64) -> (UserKey, Vec<IndexEntry>) {
        let user = fresh_user();
        let entries: Vec<_> = (0..count).map(|at| self.entry(at)).collect();
        for (entry, there) in entries.iter().zip(1..) {
            let outcome = self.add(&user, *entry, None).await;
            assert_added(outcome, there);
        }
        (user, entries)
    }
}

/// The entry must have been added, and with it these have to be there.
#[track_caller]
fn assert_added(outcome: AddOutcome, there: usize) {
    let AddOutcome::Added(count) = outcome else {
        panic!("there was a place for entry {there}, and the answer was {outcome:?}");
    };
    let least = there.min(AddOutcome::COUNTED);
    assert!(
        (least..=there).contains(&count),
        "{count} entries were counted where there are {there}"
    );
}

fn fresh_user() -> UserKey {
    UserKey::of("session_id", &fresh_name())
}

/// Entries come back as they were added, in order of their addition, and each user has their own. US-2.
pub async fn index_entries_come_back(harness: &impl StoreHarness) {
    let bench = bench_with_index!(harness, "index_entries_come_back");
    let nobody = fresh_user();
    assert_eq!(bench.list(&nobody).await, [], "a user without sessions");
    let (ada, mut adas) = bench.user_with(3).await;
    let (bob, bobs) = bench.user_with(1).await;
    // The clocks of servers differ: what was added earlier may come later.
    let early = bench.entry(1);
    bench.add(&ada, early, None).await;
    adas.insert(2, early);
    let mut listed = bench.list(&ada).await;
    assert_eq!(listed.len(), 4);
    assert!(
        listed.is_sorted_by_key(|entry| entry.added_at),
        "in order of `added_at`: {listed:?}"
    );
    listed.sort_by_key(|entry| entry.key);
    adas.sort_by_key(|entry| entry.key);
    assert_eq!(listed, adas, "every field of every entry");
    assert_eq!(bench.list(&bob).await, bobs, "another user's entries");
}

/// Adding an entry whose key is there replaces it.
pub async fn an_index_entry_is_replaced_by_its_key(harness: &impl StoreHarness) {
    let bench = bench_with_index!(harness, "an_index_entry_is_replaced_by_its_key");
    let (user, entries) = bench.user_with(1).await;
    let renewed = altered(entries[0], |entry| {
        entry.added_at = after(bench.now, 7);
        entry.expires_at = bench.minutes(60);
    });
    let outcome = bench.add(&user, renewed, None).await;
    assert_eq!(outcome, AddOutcome::Added(1), "the key counts once");
    assert_eq!(bench.list(&user).await, [renewed]);
}

/// A removed entry is gone, and no other; removing what isn't there is fine. SR-6.
pub async fn removed_index_entries_are_gone(harness: &impl StoreHarness) {
    let bench = bench_with_index!(harness, "removed_index_entries_are_gone");
    let (user, entries) = bench.user_with(3).await;
    for key in [entries[1].key, entries[1].key, fresh_key()] {
        works("remove", bench.index().remove(&user, &key).await);
        assert_eq!(bench.list(&user).await, [entries[0], entries[2]]);
    }
    let nobody = fresh_user();
    works("remove", bench.index().remove(&nobody, &fresh_key()).await);
}

/// At its expiry an entry is missing: it is neither listed nor counted. TM-2.
pub async fn an_index_entry_is_missing_from_its_expiry_on(harness: &impl StoreHarness) {
    let bench = bench_with_index!(harness, "an_index_entry_is_missing_from_its_expiry_on");
    let (user, entries) = bench.user_with(2).await;
    let expiry = entries[0].expires_at;
    let just_before = after(bench.now, 30 * 60_000 - 1);
    let listed = works("list", bench.index().list(&user, just_before).await);
    assert_eq!(listed, entries, "one millisecond before the expiry");
    let listed = works("list", bench.index().list(&user, expiry).await);
    assert_eq!(listed, [], "at the expiry");

    let late = altered(bench.entry(9), |entry| entry.expires_at = bench.minutes(90));
    let outcome = works("add", bench.index().add(&user, late, Some(1), expiry).await);
    assert!(
        matches!(outcome, AddOutcome::Added(_)),
        "expired entries hold no place: {outcome:?}"
    );
}

/// With a cap, an entry is added if fewer other sessions are there: a session counts once, whatever ids it
/// has, and never against itself. When the cap is reached, nothing changes. US-3.
pub async fn the_index_counts_sessions_against_the_cap(harness: &impl StoreHarness) {
    let bench = bench_with_index!(harness, "the_index_counts_sessions_against_the_cap");
    let (user, mut entries) = bench.user_with(2).await;
    // The first session is being rotated: it has two ids for a moment.
    let second_id = altered(bench.entry(5), |entry| {
        entry.reference = entries[0].reference
    });
    let outcome = bench.add(&user, second_id, Some(2)).await;
    assert_eq!(
        outcome,
        AddOutcome::Added(3),
        "one other session, a cap of 2"
    );
    entries.push(second_id);

    let newcomer = bench.entry(9);
    for cap in [1, 2] {
        let outcome = bench.add(&user, newcomer, Some(cap)).await;
        assert_eq!(
            outcome,
            AddOutcome::Full,
            "two other sessions, a cap of {cap}"
        );
        assert_eq!(bench.list(&user).await, entries, "then nothing changes");
    }
    let outcome = bench.add(&user, newcomer, Some(3)).await;
    assert_eq!(
        outcome,
        AddOutcome::Added(4),
        "two other sessions, a cap of 3"
    );
}

/// A user may have more entries than a store counts when one is added. US-3.
pub async fn a_large_index_takes_another_entry(harness: &impl StoreHarness) {
    let bench = bench_with_index!(harness, "a_large_index_takes_another_entry");
    let user = fresh_user();
    let few = AddOutcome::COUNTED + 8;
    for at in 0..few {
        let outcome = bench.add(&user, bench.entry(at as u64), Some(few)).await;
        assert_added(outcome, at + 1);
    }
    let outcome = bench.add(&user, bench.entry(99), Some(few)).await;
    assert_eq!(outcome, AddOutcome::Full, "all {few} places are taken");
    assert_eq!(bench.list(&user).await.len(), few);
}

/// A sample has those that were added first and some of the others: the user's own, that haven't expired, each once.
/// US-3.
pub async fn a_sample_is_of_the_users_entries(harness: &impl StoreHarness) {
    let bench = bench_with_index!(harness, "a_sample_is_of_the_users_entries");
    let (user, entries) = bench.user_with(40).await;
    let (other, _) = bench.user_with(3).await;
    let expired = altered(bench.entry(0), |entry| entry.expires_at = bench.minutes(1));
    bench.add(&user, expired, None).await;
    let now = bench.minutes(1);
    let sample = async |user: &UserKey, oldest, random, seed| {
        let sample = Sample::new(oldest, random, seed);
        let mut sampled = works("sample", bench.index().sample(user, sample, now).await);
        sampled.sort_by_key(|entry| entry.added_at);
        sampled
    };
    for seed in [0, 1, u64::MAX / 2, u64::MAX] {
        let sampled = sample(&user, 5, 7, seed).await;
        assert_eq!(
            sampled.len(),
            12,
            "5 of the oldest and 7 others: {sampled:?}"
        );
        assert_eq!(sampled[..5], entries[..5], "the oldest");
        let distinct: HashSet<_> = sampled.iter().map(|entry| entry.key).collect();
        assert_eq!(distinct.len(), 12, "none comes twice: {sampled:?}");
        assert!(sampled.iter().all(|entry| entries.contains(entry)));

        assert_eq!(sample(&user, 50, 50, seed).await, entries, "all there are");
        assert_eq!(sample(&user, 0, 60, seed).await, entries, "all there are");
        assert_eq!(sample(&user, 3, 0, seed).await, entries[..3]);
        assert_eq!(sample(&user, 0, 0, seed).await, []);
        assert_eq!(sample(&other, 0, 2, seed).await.len(), 2);
        assert_eq!(sample(&fresh_user(), 16, 16, seed).await, [], "nobody's");
    }
}

/// Whatever the order in which entries were added, and whatever their keys: a sample may find each of them. US-3.
pub async fn a_sample_reaches_every_entry(harness: &impl StoreHarness) {
    const SEEDS: u64 = 400;
    let bench = bench_with_index!(harness, "a_sample_reaches_every_entry");
    let (user, entries) = bench.user_with(12).await;
    let mut reached = HashSet::new();
    for at in 0..SEEDS {
        let seed = (u64::MAX / SEEDS).wrapping_mul(at);
        let sample = Sample::new(2, 3, seed);
        let sampled = works(
            "sample",
            bench.index().sample(&user, sample, bench.now).await,
        );
        reached.extend(sampled.iter().map(|entry| entry.key));
    }
    let missed = entries.iter().filter(|entry| !reached.contains(&entry.key));
    assert_eq!(missed.count(), 0, "entries that no sample of {SEEDS} has");
}

/// The cap holds however many are added at once. US-3.
pub async fn the_cap_holds_in_a_race(harness: &impl StoreHarness) {
    const CAP: usize = 5;
    let bench = bench_with_index!(harness, "the_cap_holds_in_a_race");
    let mut race = Race::new(&bench, [Call::Add, Call::Add]).await;
    while race.goes_on() {
        let user = fresh_user();
        let adds = (0..CONTENDERS).map(|at| -> Contender<AddOutcome> {
            let (client, entry, now) = (race.client(at), bench.entry(0), bench.now);
            Box::pin(async move { works("add", client.add(&user, entry, Some(CAP), now).await) })
        });
        let outcomes = race.round(adds.collect()).await;
        let added = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, AddOutcome::Added(_)));
        assert_eq!(added.count(), CAP, "answered `Added`, with a cap of {CAP}");
        assert_eq!(bench.list(&user).await.len(), CAP, "listed afterwards");
    }
}

/// A call whose engine fails is an error; the index isn't empty then, and nothing is full. SR-4.
pub async fn a_failed_index_call_is_an_error(harness: &impl StoreHarness) {
    let bench = bench_with_index!(harness, "a_failed_index_call_is_an_error");
    let (user, entries) = bench.user_with(1).await;
    if !harness.fail_next(&bench.store).await {
        return skipped("a_failed_index_call_is_an_error", "`fail_next`");
    }
    let listed = bench.index().list(&user, bench.now).await;
    assert!(listed.is_err(), "a list whose engine failed: {listed:?}");
    harness.fail_next(&bench.store).await;
    let added = bench.index().add(&user, bench.entry(1), Some(9), bench.now);
    let added = added.await;
    assert!(added.is_err(), "an add whose engine failed: {added:?}");
    harness.fail_next(&bench.store).await;
    let removed = bench.index().remove(&user, &fresh_key()).await;
    assert!(removed.is_err(), "a remove whose engine failed");
    let listed = bench.list(&user).await;
    assert!(listed.contains(&entries[0]), "once the engine works again");
}

/// A sweep removes the entries that have expired, and counts them. TM-6.
pub async fn a_sweep_removes_expired_index_entries(harness: &impl StoreHarness) {
    let bench = bench_with_index!(harness, "a_sweep_removes_expired_index_entries");
    if !harness.sweeps() {
        return skipped("a_sweep_removes_expired_index_entries", "`sweeps`");
    }
    let (ada, _) = bench.user_with(3).await;
    let (bob, _) = bench.user_with(2).await;
    let lasting = altered(bench.entry(9), |entry| entry.expires_at = bench.minutes(90));
    bench.add(&bob, lasting, None).await;
    let later = bench.minutes(30);
    assert_eq!(bench.sweep(later, 2).await, 2, "up to the limit");
    assert_eq!(bench.sweep(later, 100).await, 3, "the rest");
    assert_eq!(bench.sweep(later, 100).await, 0, "nothing is left");
    assert_eq!(bench.list(&ada).await, []);
    assert_eq!(bench.list(&bob).await, [lasting]);
}
