//! What a cluster can do to the store.

use std::time::Duration;

use session_core::store::{
    Expect, SaveOptions, SaveOutcome, SessionStore as _, StoreKey, Touch, Version,
};
use session_store_redis::RedisStore;
use session_test_servers::{Redis, RedisCluster};

use crate::common::{fresh_key, live, load_soon, now};

/// A failover takes two or three seconds; a busy machine may need many.
const FAILOVER: Duration = Duration::from_secs(60);

fn name(key: &StoreKey) -> String {
    format!("session:{key}")
}

fn slot(cluster: &RedisCluster, key: &StoreKey) -> u16 {
    let node = cluster.node(0);
    let slot = node.command(&["CLUSTER", "KEYSLOT", &name(key)]);
    slot.parse().unwrap()
}

/// While a slot is being moved some of its keys are here and some there; then all are there. The store follows.
#[tokio::test]
async fn keys_are_found_while_they_move() {
    let cluster = RedisCluster::start(3, 0);
    let store = RedisStore::connect(&cluster.url()).await.unwrap();
    let (key, record) = (fresh_key(), live());
    let created = store
        .save(
            &key,
            record.clone(),
            SaveOptions::new(Expect::Absent, now()),
        )
        .await;
    assert_eq!(created.unwrap(), SaveOutcome::Saved);

    let has_key = |node: &&Redis| node.command(&["EXISTS", &name(&key)]) == "1";
    let from = cluster.masters().iter().find(has_key).unwrap();
    let to = cluster
        .masters()
        .iter()
        .find(|node| !has_key(node))
        .unwrap();
    let [from_id, to_id] = [from, to].map(|node| node.command(&["CLUSTER", "MYID"]));
    let slot = slot(&cluster, &key).to_string();
    let set_slot = |node: &Redis, state: &str, other: &str| {
        let reply = node.command(&["CLUSTER", "SETSLOT", &slot, state, other]);
        assert_eq!(reply, "OK", "{state}");
    };
    set_slot(to, "IMPORTING", &from_id);
    set_slot(from, "MIGRATING", &to_id);
    let port = to.port().to_string();
    let moved = from.command(&["MIGRATE", "127.0.0.1", &port, &name(&key), "0", "5000"]);
    assert_eq!(moved, "OK");

    // The old owner says that it may be there.
    let found = store.load(&key, now()).await;
    assert_eq!(found.unwrap(), Some(record.clone()));
    let second = live();
    let expect = Expect::Version(record.version);
    let saved = store
        .save(&key, second.clone(), SaveOptions::new(expect, now()))
        .await;
    assert_eq!(saved.unwrap(), SaveOutcome::Saved);

    // It says that all of the slot is there.
    set_slot(to, "NODE", &to_id);
    set_slot(from, "NODE", &to_id);
    let touch = Touch::new(
        second.version,
        Version::from_bytes([1; 16]),
        now(),
        second.expires_at,
    );
    let touched = store.touch(&key, touch, now()).await;
    assert_eq!(touched.unwrap(), SaveOutcome::Saved);
    let found = store.load(&key, now()).await.unwrap();
    assert_eq!(found.map(|record| record.version), Some(touch.version));
    store.delete(&key).await.unwrap();
    assert_eq!(store.load(&key, now()).await.unwrap(), None);
}

/// When a master dies, its replica takes its place, and the store finds it.
#[tokio::test]
async fn a_replica_that_takes_over_is_found() {
    let cluster = RedisCluster::start(3, 1);
    let store = RedisStore::connect(&cluster.url()).await.unwrap();
    // The first master has the first third of the slots.
    let mut keys = std::iter::repeat_with(fresh_key);
    let key = keys.find(|key| slot(&cluster, key) < 5_000).unwrap();
    assert_eq!(store.load(&key, now()).await.unwrap(), None);
    cluster.node(0).kill();
    assert_eq!(load_soon(&store, &key, FAILOVER).await, None);
    let created = store
        .save(&key, live(), SaveOptions::new(Expect::Absent, now()))
        .await;
    assert_eq!(created.unwrap(), SaveOutcome::Saved);
}

/// The nodes that the URL names need not all be there, and those that it doesn't name are found.
#[tokio::test]
async fn one_node_leads_to_the_others() {
    let cluster = RedisCluster::shared();
    let port = cluster.node(1).port();
    let url = format!("redis-cluster://127.0.0.1:1,127.0.0.1:{port}");
    let store = RedisStore::connect(&url).await.unwrap();
    for _ in 0..30 {
        let (key, record) = (fresh_key(), live());
        let created = store
            .save(
                &key,
                record.clone(),
                SaveOptions::new(Expect::Absent, now()),
            )
            .await;
        assert_eq!(created.unwrap(), SaveOutcome::Saved);
        assert_eq!(store.load(&key, now()).await.unwrap(), Some(record));
    }
}

/// A server that is no cluster is told from one when the store is set up.
#[tokio::test]
async fn a_single_server_is_no_cluster() {
    let port = Redis::shared().port();
    let url = format!("redis-cluster://127.0.0.1:{port}");
    assert!(!RedisStore::connect(&url).await.unwrap_err().is_config());
}
