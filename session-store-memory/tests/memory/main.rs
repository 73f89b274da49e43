//! What the memory store promises beyond the contract: its bound, and that it gives memory back.

mod common;
mod fairness;

use std::time::Duration;

use common::{HOUR, at, create, insert, is_there, key, live, record, version};
use session_core::Sweeper;
use session_core::store::{Expect, SaveOptions, SaveOutcome, SessionStore, StoreErrorKind};
use session_store_memory::MemoryStore;

/// SR-7: a flood of visitors who never return costs neither those who are signed in nor those who do.
#[tokio::test]
async fn a_flood_evicts_those_who_never_returned() {
    let store = MemoryStore::builder().max_sessions(10_000).build();
    for n in 0..500 {
        create(&store, n, at(n), Some(&format!("user {n}")))
            .await
            .unwrap();
    }
    for n in 500..1_000 {
        create(&store, n, at(n), None).await.unwrap();
        assert!(is_there(&store, n, at(n)).await);
    }
    for n in 1_000..101_000 {
        create(&store, n, at(n), None).await.unwrap();
    }
    assert!(store.len() <= 10_000, "{} records", store.len());
    assert!(
        store.len() > 8_000,
        "{} records: far more than needed was evicted",
        store.len()
    );
    for n in 0..1_000 {
        assert!(
            is_there(&store, n, at(101_000)).await,
            "session {n} was evicted"
        );
    }
    let evicted = |n| {
        let store = &store;
        async move { !is_there(store, n, at(101_000)).await }
    };
    assert!(
        evicted(1_000).await,
        "the oldest visitor should have gone first"
    );
    assert!(
        !evicted(100_999).await,
        "the newest visitor should have stayed"
    );
}

/// SR-7: nobody's only session is given up; a store that is full of users refuses visitors, and other users too.
#[tokio::test]
async fn a_store_full_of_users_refuses() {
    let store = MemoryStore::builder().max_sessions(100).build();
    for n in 0..100 {
        create(&store, n, at(n), Some(&format!("user {n}")))
            .await
            .unwrap();
    }
    for user in [None, Some("somebody else")] {
        assert_eq!(
            create(&store, 100, at(100), user).await,
            Err(StoreErrorKind::NotApplied)
        );
    }
    for n in 0..100 {
        assert!(is_there(&store, n, at(100)).await);
    }
    // Existing sessions can still be saved, and room comes back with time.
    let options = SaveOptions::new(Expect::Version(version(7)), at(100));
    let changed = record(8, live(7, at(7), Some("user 7")));
    let saved = store.save(&key(7), changed, options).await;
    assert_eq!(saved.unwrap(), SaveOutcome::Saved);
    create(&store, 100, at(100).saturating_add(HOUR), None)
        .await
        .unwrap();
}

/// SR-7: a rotated session has come back before, whatever its new key says.
#[tokio::test]
async fn a_rotated_session_counts_as_returned() {
    let store = MemoryStore::builder().max_sessions(100).build();
    let mut rotated = live(0, at(0), None);
    rotated.last_active_at = at(1);
    insert(&store, 0, rotated, at(1)).await.unwrap();
    for n in 1..1_000 {
        create(&store, n, at(n), None).await.unwrap();
    }
    assert!(is_there(&store, 0, at(1_000)).await);
}

/// SR-7: the smallest bounds hold too.
#[tokio::test]
async fn tiny_bounds_hold() {
    for bound in [1, 2, 300, 600] {
        let store = MemoryStore::builder().max_sessions(bound).build();
        for n in 0..3_000 {
            create(&store, n, at(n), None).await.unwrap();
            assert!(store.len() <= bound);
        }
    }
    let none = MemoryStore::builder().max_sessions(0).build();
    assert_eq!(
        create(&none, 0, at(0), None).await,
        Err(StoreErrorKind::NotApplied)
    );
}

/// SR-7: without a bound and without a sweeper, what has expired goes when new sessions come.
#[tokio::test]
async fn creations_remove_what_has_expired() {
    let store = MemoryStore::new();
    let mut most = 0;
    for n in 0..200_000 {
        // An hour passes every 20,000 sessions, so that no more than that many are ever alive.
        create(&store, n, at(n * 180), None).await.unwrap();
        if n % 10_000 == 0 {
            most = most.max(store.len());
        }
    }
    assert!(
        most < 60_000,
        "{most} records at once, of which 20,000 were alive"
    );
}

/// SR-6, SR-7: a sweep removes everything that has expired and nothing that is alive, batch after batch.
#[tokio::test]
async fn sweeps_go_on_where_they_stopped() {
    let store = MemoryStore::new();
    for n in 0..10_000 {
        create(&store, n, at(n), None).await.unwrap();
    }
    let now = at(5_000).saturating_add(HOUR);
    let mut batches = 0;
    while store.delete_expired(now, 100).await.unwrap() == 100 {
        batches += 1;
    }
    assert!(
        (50..=52).contains(&batches),
        "{batches} full batches for 5,001 records"
    );
    assert_eq!(store.len(), 4_999);
    assert_eq!(store.delete_expired(now, 0).await.unwrap(), 0);
}

/// The sweeper is a future that the application spawns; nothing runs without it.
#[tokio::test]
async fn the_sweeper_empties_the_store() {
    let store = MemoryStore::new();
    for n in 0..3_000 {
        create(&store, n, at(n), None).await.unwrap();
    }
    let sweeper = tokio::spawn(
        Sweeper::new(store.clone())
            .interval(Duration::from_millis(1))
            .run(),
    );
    while !store.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    sweeper.abort();
}
