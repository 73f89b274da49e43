//! SR-9: nobody uses up the bound of the memory store at the expense of others.

use std::sync::Arc;
use std::thread;

use super::common::{
    HOUR, at, count, create, data, insert, is_there, key, live, record, rotate, version, visit,
};
use session_core::store::{
    EndedBy, Expect, FormerSession, Record, RecordState, SaveOptions, SaveOutcome, SessionStore,
    StoreErrorKind, UserKey,
};
use session_store_memory::MemoryStore;

const VISITORS: u64 = 1_500;

/// Where the numbers of others' keys begin.
const OTHERS: u64 = 1 << 30;

/// A store for 2,000 sessions, of which 1,500 are visitors who came back.
async fn store_with_visitors() -> MemoryStore {
    let store = MemoryStore::builder().max_sessions(2_000).build();
    for n in 0..VISITORS {
        visit(&store, n, at(n)).await;
    }
    store
}

/// SR-9: one account that rotates its session time and again leaves a tombstone each time. They push out none of those
/// who have come back, and the session itself lives.
#[tokio::test]
async fn rotations_of_one_account_push_nobody_out() {
    let store = store_with_visitors().await;
    create(&store, OTHERS, at(2_000), Some("mallory"))
        .await
        .unwrap();
    for n in OTHERS..OTHERS + 20_000 {
        let now = at(2_001 + n - OTHERS);
        assert_eq!(rotate(&store, n, n + 1, now).await, SaveOutcome::Saved);
    }
    let now = at(30_000);
    assert_eq!(count(&store, 0..VISITORS, now).await, 1_500);
    assert!(is_there(&store, OTHERS + 20_000, now).await);
    assert!(store.len() <= 2_000);
}

/// SR-9: the same holds for a session without a user.
#[tokio::test]
async fn rotations_of_one_visitor_push_nobody_out() {
    let store = store_with_visitors().await;
    visit(&store, OTHERS, at(2_000)).await;
    for n in OTHERS..OTHERS + 20_000 {
        let now = at(2_001 + n - OTHERS);
        assert_eq!(rotate(&store, n, n + 1, now).await, SaveOutcome::Saved);
    }
    let now = at(30_000);
    assert_eq!(count(&store, 0..VISITORS, now).await, 1_500);
    assert!(is_there(&store, OTHERS + 20_000, now).await);
}

/// SR-9: one account that logs in time and again pushes out none of those who have come back, and everybody else can
/// still log in.
#[tokio::test]
async fn logins_of_one_account_push_nobody_out_and_refuse_nobody() {
    let store = store_with_visitors().await;
    for n in OTHERS..OTHERS + 20_000 {
        create(&store, n, at(2_000 + n - OTHERS), Some("mallory"))
            .await
            .unwrap();
    }
    let now = at(30_000);
    assert_eq!(count(&store, 0..VISITORS, now).await, 1_500);
    assert!(is_there(&store, OTHERS + 19_999, now).await);
    let others = OTHERS + 20_000..OTHERS + 20_300;
    for n in others.clone() {
        create(&store, n, now, Some(&format!("user {n}")))
            .await
            .unwrap();
    }
    assert_eq!(count(&store, others, now).await, 300);
    assert_eq!(count(&store, 0..VISITORS, now).await, 1_500);
}

/// SR-9: where nobody else wants the room, one account may have all of it. It loses it again to whoever comes.
#[tokio::test]
async fn whoever_comes_gets_room_from_the_account_that_filled_the_store() {
    let store = MemoryStore::builder().max_sessions(2_000).build();
    for n in OTHERS..OTHERS + 20_000 {
        create(&store, n, at(n - OTHERS), Some("mallory"))
            .await
            .unwrap();
    }
    let now = at(30_000);
    for n in 0..VISITORS {
        create(&store, n, now, Some(&format!("user {n}")))
            .await
            .unwrap();
    }
    assert_eq!(count(&store, 0..VISITORS, now).await, 1_500);
}

/// SR-9: forty accounts with a hundred sessions each are each within their share, and fill the store. A login of
/// somebody else isn't refused: whoever has most gives room. Nobody's only session goes.
#[tokio::test]
async fn many_accounts_with_many_sessions_refuse_nobody() {
    let store = MemoryStore::builder().max_sessions(2_000).build();
    for n in 0..500 {
        create(&store, n, at(n), Some(&format!("user {n}")))
            .await
            .unwrap();
    }
    for n in OTHERS..OTHERS + 4_000 {
        let user = format!("mallory {}", n % 40);
        create(&store, n, at(n - OTHERS), Some(&user))
            .await
            .unwrap();
    }
    for n in 500..1_200 {
        create(&store, n, at(5_000), Some(&format!("user {n}")))
            .await
            .unwrap();
    }
    assert_eq!(count(&store, 0..1_200, at(5_000)).await, 1_200);
}

/// SR-9: a rotation in a full store doesn't give up the session that it moves, though it is what its account has used
/// least.
#[tokio::test]
async fn a_rotation_spares_its_own_session() {
    let store = MemoryStore::builder().max_sessions(20).build();
    for n in 0..20 {
        create(&store, n, at(n), Some("anna")).await.unwrap();
    }
    assert_eq!(rotate(&store, 0, 100, at(50)).await, SaveOutcome::Saved);
    assert!(is_there(&store, 100, at(50)).await);
}

/// SR-9: visitors without a user, who may be anybody any number of times, push out no session of a user: in a store
/// that is full of those they are refused.
#[tokio::test]
async fn visitors_push_out_no_second_session_of_a_user() {
    let store = MemoryStore::builder().max_sessions(100).build();
    for n in 0..100 {
        create(&store, n, at(n), Some(&format!("user {}", n / 2)))
            .await
            .unwrap();
    }
    for n in 100..1_100 {
        let refused = create(&store, n, at(100), None).await;
        assert_eq!(refused, Err(StoreErrorKind::NotApplied));
    }
    assert_eq!(count(&store, 0..100, at(100)).await, 100);
    // A user's login isn't: somebody's second session makes room.
    create(&store, 2_000, at(100), Some("anna")).await.unwrap();
    // What a logout leaves makes room: after a second, since the store has just looked.
    let user = UserKey::of("session_id", "user 49");
    let former = FormerSession::new(None, Some(user));
    let state = RecordState::ended(at(100), EndedBy::OwnRequest, former);
    let tombstone = Record::new(version(5_000), at(100).saturating_add(HOUR), state);
    let options = SaveOptions::new(Expect::Version(version(99)), at(100));
    let saved = store.save(&key(99), tombstone, options).await.unwrap();
    assert_eq!(saved, SaveOutcome::Saved);
    create(&store, 2_001, at(100), None).await.unwrap_err();
    create(&store, 2_002, at(1_100), None).await.unwrap();
}

/// SR-9: a store that is full of users isn't looked through for each visitor of a flood. Those to whom it gave the room
/// of others keep it for a second.
#[tokio::test]
async fn a_store_full_of_users_looks_once_a_second() {
    let store = MemoryStore::builder().max_sessions(200).build();
    for n in 0..195 {
        create(&store, n, at(n), Some(&format!("user {n}")))
            .await
            .unwrap();
    }
    for n in 1_000..1_005 {
        create(&store, n, at(200), None).await.unwrap();
    }
    let mut created = 0;
    for n in 2_000..12_000 {
        // Ten seconds.
        let now = at(1_000 + n - 2_000);
        created += usize::from(create(&store, n, now, None).await.is_ok());
    }
    assert!((40..=60).contains(&created), "{created} visitors of 10,000");
    assert_eq!(count(&store, 0..195, at(12_000)).await, 195);
}

/// SR-9: visitors without a user who rotate and end their sessions push out none of those who have come back.
#[tokio::test]
async fn tombstones_of_visitors_push_nobody_out() {
    let store = store_with_visitors().await;
    for n in (OTHERS..OTHERS + 20_000).step_by(2) {
        let now = at(2_001 + n - OTHERS);
        visit(&store, n, now).await;
        assert_eq!(rotate(&store, n, n + 1, now).await, SaveOutcome::Saved);
        store.delete(&key(n + 1)).await.unwrap();
    }
    assert_eq!(count(&store, 0..VISITORS, at(30_000)).await, 1_500);
}

/// SR-9: what was ended stays ended, also where the tombstone had to go: no save that knew the session brings it back.
#[tokio::test]
async fn an_ended_session_stays_ended_without_its_tombstone() {
    let store = MemoryStore::builder().max_sessions(20).build();
    create(&store, 0, at(0), Some("anna")).await.unwrap();
    let state = RecordState::ended(at(1), EndedBy::OwnRequest, FormerSession::default());
    let tombstone = Record::new(version(1_000), at(1).saturating_add(HOUR), state);
    let options = SaveOptions::new(Expect::Version(version(0)), at(1));
    store.save(&key(0), tombstone, options).await.unwrap();
    for n in 1..100 {
        create(&store, n, at(n), None).await.unwrap();
    }
    assert!(!is_there(&store, 0, at(100)).await);
    for expected in [version(0), version(1_000)] {
        let late = record(0, live(0, at(2), Some("anna")));
        let options = SaveOptions::new(Expect::Version(expected), at(100));
        let saved = store.save(&key(0), late, options).await.unwrap();
        assert_eq!(saved, SaveOutcome::Missing);
    }
    assert!(!is_there(&store, 0, at(100)).await);
}

/// SR-9: large sessions of visitors who come back don't push out small ones at the same pace: each is counted by its
/// bytes.
#[tokio::test]
async fn large_sessions_go_sooner_than_small_ones() {
    let store = MemoryStore::builder().max_bytes(16 << 20).build();
    let data = data(64 * 1024);
    for n in 0..VISITORS {
        visit(&store, n, at(n)).await;
    }
    for n in OTHERS..OTHERS + 3_000 {
        let now = at(2_000 + (n - OTHERS) * 10);
        let mut large = live(n, now, None);
        large.data = data.clone();
        insert(&store, n, large, now).await.unwrap();
        assert!(is_there(&store, n, now).await);
    }
    let left = count(&store, 0..VISITORS, at(32_000)).await;
    assert_eq!(left, 1_500);
}

/// SR-9: the bounds hold at each moment, however many threads fill the store.
#[test]
fn bounds_hold_under_threads() {
    const MAX_BYTES: usize = 8 << 20;
    let store = MemoryStore::builder()
        .max_sessions(5_000)
        .max_bytes(MAX_BYTES)
        .build();
    let runtime = || {
        let builder = &mut tokio::runtime::Builder::new_current_thread();
        builder.build().unwrap()
    };
    let start = Arc::new(std::sync::Barrier::new(5));
    let threads: Vec<_> = (0..4_u64)
        .map(|thread| {
            let (store, start) = (store.clone(), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                runtime().block_on(async {
                    let first = OTHERS * (thread + 1);
                    create(&store, first, at(0), Some("mallory")).await.unwrap();
                    let sizes: Vec<_> = (0..10).map(|size| data(100 + size * 1_000)).collect();
                    for (n, data) in (0..10_000).zip(sizes.iter().cycle()) {
                        let now = at(n);
                        rotate(&store, first + n, first + n + 1, now).await;
                        let n = first + (1 << 29) + n;
                        let mut visitor = live(n, now, None);
                        visitor.data = data.clone();
                        insert(&store, n, visitor, now).await.unwrap();
                        if n.is_multiple_of(3) {
                            is_there(&store, n, now).await;
                        }
                    }
                });
            })
        })
        .collect();
    start.wait();
    let mut looks = 0;
    while !threads.iter().all(thread::JoinHandle::is_finished) {
        assert!(store.len() <= 5_000);
        assert!(store.len_bytes() <= MAX_BYTES);
        looks += 1;
    }
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(looks > 10, "nobody looked while the threads were at work");
    assert!(store.evicted() > 10_000);
    // What is counted is what is there.
    runtime().block_on(async {
        let now = at(10_000).saturating_add(HOUR);
        while store.delete_expired(now, 1_000).await.unwrap() > 0 {}
    });
    assert_eq!((store.len(), store.len_bytes()), (0, 0));
}
