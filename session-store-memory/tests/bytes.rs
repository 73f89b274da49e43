//! SR-9: what the memory store counts is what it takes, and its bound in bytes holds. One test, since the allocator
//! counts what all of a process allocates.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a store that fails fails the test"
)]

#[path = "memory/common.rs"]
mod common;

use std::alloc::System;
use std::sync::Arc;

use common::{HOUR, at, count, create, data, insert, key, live, record, rotate, version, visit};
use session_core::SessionUser;
use session_core::store::{
    Expect, IndexEntry, LiveRecord, SaveOptions, SaveOutcome, SessionStore, StoreErrorKind,
    UserIndex, UserKey,
};
use session_store_memory::{DEFAULT_MAX_BYTES, MemoryStore};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes that are allocated at the moment.
fn allocated() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// SR-9: what is counted is what is allocated, and a bound holds for new, growing and large sessions.
#[tokio::test]
async fn the_bound_in_bytes_is_what_the_process_takes() {
    what_is_counted_is_what_is_allocated().await;
    a_flood_of_large_sessions_stays_within_the_bound().await;
    growing_sessions_stay_within_the_bound().await;
    the_default_bound_holds().await;
    too_large_a_record_is_refused().await;
}

async fn what_is_counted_is_what_is_allocated() {
    type Make = fn(u64) -> LiveRecord;
    let kinds: [(&str, u64, Make); 5] = [
        ("empty", 5_000, |n| live(n, at(0), None)),
        ("300 bytes", 5_000, |n| with_data(live(n, at(0), None), 300)),
        ("64 KiB", 500, |n| {
            with_data(live(n, at(0), None), 64 * 1024)
        }),
        ("a user's", 5_000, |n| {
            let user = format!("user {n}");
            with_data(live(n, at(0), Some(&user)), 300)
        }),
        ("a user's, with all that is kept", 5_000, |n| {
            let mut session = with_data(live(n, at(0), None), 300);
            session.set_reserved(data(2_000)).unwrap();
            let user = SessionUser::new(format!("user {n:0900}"), at(0));
            session.user = Some(Arc::new(user.with_label(Some("x".repeat(500).into()))));
            session
        }),
    ];
    for (name, count, make) in kinds {
        let before = allocated();
        let store = MemoryStore::builder().unlimited_bytes().build();
        for n in 0..count {
            let session = make(n);
            if let Some(user) = &session.user {
                let user = UserKey::of("session_id", &user.name);
                let expires_at = at(0).saturating_add(HOUR);
                let entry = IndexEntry::new(key(n), session.reference, at(0), expires_at);
                store.add(&user, entry, None, at(0)).await.unwrap();
            }
            insert(&store, n, session, at(0)).await.unwrap();
        }
        let (taken, counted) = (allocated() - before, store.len_bytes());
        let ratio = taken as f64 / counted as f64;
        assert!(
            (0.7..=1.02).contains(&ratio),
            "{name}: {ratio:.3}, {counted} bytes are counted and {taken} allocated"
        );
    }
}

/// 3,000 visitors who store 65 KB each, and 1,500 with little who come back.
async fn a_flood_of_large_sessions_stays_within_the_bound() {
    const BOUND: usize = 32 << 20;
    let before = allocated();
    let store = MemoryStore::builder().max_bytes(BOUND).build();
    for n in 0..1_500 {
        visit(&store, n, at(n)).await;
    }
    let mut most = 0;
    for n in 10_000..13_000 {
        let session = with_data(live(n, at(n), None), 65_000);
        insert(&store, n, session, at(n)).await.unwrap();
        assert!(store.len_bytes() <= BOUND);
        most = most.max(allocated() - before);
    }
    assert!(most <= BOUND);
    assert!(most > BOUND / 2, "far less than the bound is used: {most}");
    assert_eq!(count(&store, 0..1_500, at(13_000)).await, 1_500);
}

/// A session that is written to again and again makes room for itself as a new one does.
async fn growing_sessions_stay_within_the_bound() {
    const BOUND: usize = 4 << 20;
    let before = allocated();
    let store = MemoryStore::builder().max_bytes(BOUND).build();
    for n in 0..500 {
        create(&store, n, at(n), None).await.unwrap();
    }
    let mut grown = 0;
    for n in 0..500 {
        let session = with_data(live(n, at(n), None), 64_000);
        let options = SaveOptions::new(Expect::Version(version(n)), at(2_000));
        match store.save(&key(n), record(n, session), options).await {
            Ok(SaveOutcome::Saved) => grown += 1,
            Ok(SaveOutcome::Missing) => {}
            other => panic!("{other:?}"),
        }
        assert!(store.len_bytes() <= BOUND);
        assert!(allocated() - before <= BOUND);
    }
    assert!(grown > 40, "{grown} sessions grew");
    // One that becomes a tombstone gives its bytes back.
    let mut rotated = 0;
    for n in (0..500).rev() {
        let len_bytes = store.len_bytes();
        if rotate(&store, n, 5_000 + n, at(3_000)).await == SaveOutcome::Saved {
            rotated += 1;
            assert!(store.len_bytes() <= len_bytes.max(BOUND * 15 / 16) + 1_000);
        }
    }
    assert!(rotated > 10, "{rotated} sessions were rotated");
    while store
        .delete_expired(at(3_000).saturating_add(HOUR), 100)
        .await
        .unwrap()
        > 0
    {}
    assert_eq!(store.len_bytes(), 0);
}

async fn the_default_bound_holds() {
    let before = allocated();
    let store = MemoryStore::new();
    let mut most = 0;
    for n in 0..4_500 {
        let session = with_data(live(n, at(n), None), 65_000);
        insert(&store, n, session, at(n)).await.unwrap();
        most = most.max(allocated() - before);
    }
    assert!(most <= DEFAULT_MAX_BYTES);
    assert!(most > DEFAULT_MAX_BYTES / 4 * 3);
}

async fn too_large_a_record_is_refused() {
    let store = MemoryStore::builder().max_bytes(50_000).build();
    let large = with_data(live(0, at(0), None), 60_000);
    let refused = insert(&store, 0, large, at(0)).await;
    assert_eq!(refused, Err(StoreErrorKind::NotApplied));
    insert(&store, 0, with_data(live(0, at(0), None), 30_000), at(0))
        .await
        .unwrap();
}

fn with_data(mut session: LiveRecord, json_len: usize) -> LiveRecord {
    session.data = data(json_len);
    session
}
