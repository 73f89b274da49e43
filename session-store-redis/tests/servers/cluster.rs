//! What a cluster can do to the store.

use std::time::{Duration, Instant};

use session_core::store::{
    Expect, SaveOptions, SaveOutcome, SessionStore as _, StoreKey, Touch, Version,
};
use session_store_redis::RedisStore;
use session_test_servers::{Redis, RedisCluster};

use crate::common::{calls_of, fresh_key, greet_as_newer, live, load_soon, now, relay};

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

/// A cluster may have servers of both kinds, such as during an upgrade: each is asked in the way that its own greeting
/// says. Where the first one is no newer one, it greets as if it were, and refuses what it is asked then.
#[tokio::test]
async fn each_master_is_asked_in_its_own_way() {
    let cluster = RedisCluster::start(3, 0);
    let masters = cluster.masters();
    let compares = |node: &Redis| {
        let compare = |key: u32| node.command(&["SET", &key.to_string(), "new", "IFEQ", "old"]);
        let mut answers = (0..).map(compare);
        let of_a_key_that_is_here = answers.find(|answer| !answer.starts_with("-MOVED"));
        !of_a_key_that_is_here.unwrap().contains("syntax error")
    };
    let is_forged = !compares(&masters[0]);
    if is_forged {
        greet_as_a_newer_one(&masters[0], &masters[1..]).await;
    }
    let url = format!("redis-cluster://127.0.0.1:{}", masters[1].port());
    let store = RedisStore::connect(&url).await.unwrap();
    let counts = |node: &Redis| {
        let keys: u64 = node.command(&["DBSIZE"]).parse().unwrap();
        (keys, calls_of(node, "evalsha"), refused_sets(node))
    };
    let before: Vec<_> = masters.iter().map(counts).collect();
    for _ in 0..60 {
        let (key, first, second) = (fresh_key(), live(), live());
        let create = SaveOptions::new(Expect::Absent, now());
        let created = store.save(&key, first.clone(), create).await;
        assert_eq!(created.unwrap(), SaveOutcome::Saved);
        let replaced = store.replace(&key, second.clone(), first, now()).await;
        assert_eq!(replaced.unwrap(), SaveOutcome::Saved);
        assert_eq!(store.load(&key, now()).await.unwrap(), Some(second));
    }
    for (at, (node, before)) in masters.iter().zip(before).enumerate() {
        let after = counts(node);
        let keys = after.0 - before.0;
        assert!(keys > 0, "so many keys are everywhere");
        let scripts = if compares(node) { 0 } else { keys };
        let refused = if is_forged && at == 0 { keys } else { 0 };
        assert_eq!(after.1 - before.1, scripts, "{} {at}", node.version());
        assert_eq!(after.2 - before.2, refused, "{} {at}", node.version());
    }
}

/// Has the other nodes name a way to this one on which it greets as a newer server.
async fn greet_as_a_newer_one(node: &Redis, others: &[Redis]) {
    let bus = (node.port() + 10_000).to_string();
    let port = relay(node.port(), greet_as_newer).to_string();
    for (option, value) in [("bus-port", &bus), ("port", &port)] {
        let option = format!("cluster-announce-{option}");
        assert_eq!(node.command(&["CONFIG", "SET", &option, value]), "OK");
    }
    let started = Instant::now();
    let know = |other: &Redis| other.command(&["CLUSTER", "SLOTS"]).contains(&port);
    while !others.iter().all(know) {
        assert!(started.elapsed() < FAILOVER, "the nodes tell one another");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// How many of its `SET`s a server has refused.
fn refused_sets(node: &Redis) -> u64 {
    let stats = node.command(&["INFO", "commandstats"]);
    let mut lines = stats.lines();
    let sets = lines.find(|line| line.starts_with("cmdstat_set:"));
    let refused = sets.and_then(|sets| sets.rsplit_once("failed_calls="));
    refused.map_or(0, |(_, count)| count.parse().unwrap())
}
