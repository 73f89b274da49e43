//! What a server can do to the store, and what the store leaves there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use session_core::store::{
    AddOutcome, Expect, Sample, SaveOptions, SaveOutcome, SessionStore as _, StoreError,
    StoreErrorKind, UserIndex as _, UserKey, Version,
};
use session_core::{SessionConfig, SessionManager, Timestamp};
use session_store_redis::RedisStore;
use session_store_redis::redis::Client;
use session_test_servers::Redis;

use crate::common::{
    ended, entry, fresh_key, fresh_prefix, greet_as_newer, live, load_soon, now, relay, store_at,
    touch_of, writes,
};

/// What the documentation says that a user needs is enough.
#[tokio::test]
async fn a_user_needs_the_commands_that_are_documented() {
    const NEEDED: &str =
        "get getrange set setrange pexpire pttl del zadd zrem zcard zrangebylex evalsha eval";
    let documentation = include_str!("../../src/lib.rs");
    let (_, list) = documentation.split_once("access control needs").unwrap();
    let (list, _) = list.split_once("on keys that begin").unwrap();
    let documented: Vec<_> = list.split('`').skip(1).step_by(2).collect();
    assert_eq!(documented.join(" "), NEEDED);

    let redis = Redis::start(&[]);
    let mut words = vec!["ACL", "SETUSER", "web", "on", ">word", "~shop:*", "-@all"];
    let allowed: Vec<_> = NEEDED.split(' ').map(|name| format!("+{name}")).collect();
    words.extend(allowed.iter().map(String::as_str));
    assert_eq!(redis.command(&words), "OK");
    let url = format!("redis://web:word@127.0.0.1:{}", redis.port());
    let store = store_at(&url, "shop:").await;
    let (key, first) = (fresh_key(), live());
    for record in [&first, &ended()] {
        let expect = match record.version == first.version {
            true => Expect::Absent,
            false => Expect::Version(first.version),
        };
        let saved = store
            .save(&key, record.clone(), SaveOptions::new(expect, now()))
            .await;
        assert_eq!(saved.unwrap(), SaveOutcome::Saved);
        let touched = store
            .touch(&key, touch_of(Version::from_bytes([7; 16])), now())
            .await;
        assert!(touched.is_ok(), "{touched:?}");
    }
    assert!(store.load(&key, now()).await.unwrap().is_some());
    store.delete(&key).await.unwrap();
    let (user, entry) = (UserKey::of("session_id", "anna"), entry());
    store.add(&user, entry, Some(9), now()).await.unwrap();
    let sample = Sample::new(1, 1, 0);
    let sampled = store.sample(&user, sample, now()).await.unwrap();
    assert_eq!(sampled, store.list(&user, now()).await.unwrap());
    store.remove(&user, &entry.key).await.unwrap();
}

/// A server may be taken for one that compares values by itself: here its greeting is forged; in a cluster a key may have
/// moved to an older node. It refuses the command, and a script does what it was to do.
#[tokio::test]
async fn a_server_that_cannot_compare_values_is_asked_another_way() {
    let redis = Redis::start(&[]);
    let port = relay(redis.port(), greet_as_newer);
    let store = store_at(&format!("redis://127.0.0.1:{port}"), "session:").await;
    let before = writes(&redis);
    let (key, first, second) = (fresh_key(), live(), live());
    let created = store
        .save(&key, first.clone(), SaveOptions::new(Expect::Absent, now()))
        .await;
    assert_eq!(created.unwrap(), SaveOutcome::Saved);
    let replaced = store.replace(&key, second.clone(), first.clone(), now());
    assert_eq!(replaced.await.unwrap(), SaveOutcome::Saved);
    let late = store.replace(&key, live(), first, now()).await.unwrap();
    assert_eq!(late, SaveOutcome::Conflict(Some(Box::new(second))));
    let stats = redis.command(&["INFO", "commandstats"]);
    let sets = stats
        .lines()
        .find(|line| line.starts_with("cmdstat_set:calls="));
    let was_refused = sets.unwrap().contains("failed_calls=2");
    let compares = writes(&redis) == before;
    assert!(was_refused || compares, "it was asked to compare: {sets:?}");
}

/// A connection that is lost while nothing is under way costs no call.
#[tokio::test]
async fn a_connection_that_is_lost_while_idle_is_made_again() {
    let redis = Redis::start(&[]);
    let store = store_at(&redis.url(), "session:").await;
    for _ in 0..20 {
        assert_eq!(redis.command(&["CLIENT", "KILL", "TYPE", "normal"]), "1");
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(store.load(&fresh_key(), now()).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_unix_socket_is_a_server_too() {
    let socket = std::env::temp_dir().join(format!("session-store-redis-{}", fresh_prefix()));
    let path = socket.display().to_string();
    let _redis = Redis::start(&["--unixsocket", &path, "--requirepass", "secret"]);
    let store = store_at(&format!("unix://{path}?pass=secret&db=1"), "session:").await;
    assert_eq!(store.load(&fresh_key(), now()).await.unwrap(), None);
    let wrong = RedisStore::connect(&format!("unix://{path}?pass=wrong")).await;
    assert!(wrong.is_err_and(|error| !error.is_config()));
}

/// Somebody else's client says where the server is, and how to get in.
#[tokio::test]
async fn a_client_is_a_description() {
    let redis = Redis::start(&["--requirepass", "secret"]);
    let client = Client::open(format!("redis://:secret@127.0.0.1:{}/3", redis.port()));
    let store = RedisStore::builder().client(client.unwrap()).await.unwrap();
    let created = store
        .save(
            &fresh_key(),
            live(),
            SaveOptions::new(Expect::Absent, now()),
        )
        .await;
    assert_eq!(created.unwrap(), SaveOutcome::Saved);
    assert!(redis.command(&["INFO", "keyspace"]).contains("db3:keys=1"));
}

/// Where another server has become the master, the new connection leads there.
#[tokio::test]
async fn the_master_is_asked_for_before_each_connection() {
    let servers = [Redis::start(&[]), Redis::start(&[])];
    let clients = servers.each_ref().map(|server| Client::open(server.url()));
    let clients = clients.map(Result::unwrap);
    let is_second = Arc::new(AtomicBool::new(false));
    let turn = is_second.clone();
    let resolve = move || {
        let client = clients[usize::from(turn.load(Ordering::SeqCst))].clone();
        async move { Ok(client) }
    };
    let store = RedisStore::builder().resolver(resolve).await.unwrap();
    let created = store
        .save(
            &fresh_key(),
            live(),
            SaveOptions::new(Expect::Absent, now()),
        )
        .await;
    assert_eq!(created.unwrap(), SaveOutcome::Saved);
    is_second.store(true, Ordering::SeqCst);
    servers[0].kill();
    assert_eq!(
        load_soon(&store, &fresh_key(), Duration::from_secs(2)).await,
        None
    );
    let [_, second] = &servers;
    let connections = second.command(&["CLIENT", "LIST", "TYPE", "normal"]);
    assert_eq!(connections.lines().count(), 2, "the store's, and this one");
}

#[tokio::test]
async fn a_server_that_has_lost_the_scripts_is_told_them_again() {
    let redis = Redis::start(&[]);
    let store = store_at(&redis.url(), "session:").await;
    for _ in 0..2 {
        assert_eq!(redis.command(&["SCRIPT", "FLUSH"]), "OK");
        let (key, record) = (fresh_key(), live());
        let created = store
            .save(
                &key,
                record.clone(),
                SaveOptions::new(Expect::Absent, now()),
            )
            .await;
        assert_eq!(created.unwrap(), SaveOutcome::Saved);
        let touched = store.touch(&key, touch_of(record.version), now()).await;
        assert_eq!(touched.unwrap(), SaveOutcome::Saved);
    }
}

/// A server without memory refuses sessions, and lets them end.
#[tokio::test]
async fn sessions_end_where_memory_is_used_up() {
    let redis = Redis::start(&[]);
    let store = store_at(&redis.url(), "session:").await;
    let (key, first) = (fresh_key(), live());
    let created = store
        .save(&key, first.clone(), SaveOptions::new(Expect::Absent, now()))
        .await;
    assert_eq!(created.unwrap(), SaveOutcome::Saved);
    assert_eq!(redis.command(&["CONFIG", "SET", "maxmemory", "1"]), "OK");

    let expect = Expect::Version(first.version);
    let saved = store
        .save(&key, live(), SaveOptions::new(expect, now()))
        .await;
    assert_eq!(saved.unwrap_err().kind(), StoreErrorKind::NotApplied);
    let touched = store.touch(&key, touch_of(first.version), now()).await;
    assert_eq!(touched.unwrap_err().kind(), StoreErrorKind::NotApplied);
    let added = store
        .add(&UserKey::of("session_id", "anna"), entry(), None, now())
        .await;
    assert_eq!(added.unwrap_err().kind(), StoreErrorKind::NotApplied);
    let unchanged = store.load(&key, now()).await;
    assert_eq!(unchanged.unwrap().as_ref(), Some(&first));

    let refused = store.replace(&key, live(), first.clone(), now()).await;
    assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::NotApplied);
    let tombstone = ended();
    let saved = store.replace(&key, tombstone.clone(), first, now()).await;
    assert_eq!(saved.unwrap(), SaveOutcome::Saved);
    assert_eq!(store.load(&key, now()).await.unwrap(), Some(tombstone));
    let created = store
        .save(
            &fresh_key(),
            ended(),
            SaveOptions::new(Expect::Absent, now()),
        )
        .await;
    assert_eq!(created.unwrap(), SaveOutcome::Saved);
}

#[tokio::test]
async fn something_else_under_a_key_is_an_error() {
    let redis = Redis::shared();
    let prefix = fresh_prefix();
    let store = store_at(&redis.url(), &prefix).await;
    let (key, record) = (fresh_key(), live());
    redis.command(&["LPUSH", &format!("{prefix}{key}"), "element"]);
    let kind = |error: StoreError| error.kind();
    let loaded = store.load(&key, now()).await;
    assert_eq!(loaded.map_err(kind), Err(StoreErrorKind::NotApplied));
    for expect in [Expect::Absent, Expect::Version(record.version)] {
        let saved = store
            .save(&key, record.clone(), SaveOptions::new(expect, now()))
            .await;
        assert_eq!(saved.map_err(kind), Err(StoreErrorKind::NotApplied));
    }
    let touched = store.touch(&key, touch_of(record.version), now()).await;
    assert_eq!(touched.map_err(kind), Err(StoreErrorKind::NotApplied));

    let user = UserKey::of("session_id", "anna");
    redis.command(&["SET", &format!("{prefix}user:{user}"), "text"]);
    assert!(store.list(&user, now()).await.is_err());
    assert!(store.add(&user, entry(), None, now()).await.is_err());
    assert!(store.remove(&user, &fresh_key()).await.is_err());
    redis.command(&["DEL", &format!("{prefix}user:{user}")]);
    redis.command(&["ZADD", &format!("{prefix}user:{user}"), "0", "a: no entry"]);
    assert!(store.list(&user, now()).await.is_err());
}

/// TM-6: nothing stays for ever.
#[tokio::test]
async fn everything_has_a_time_to_live() {
    let redis = Redis::shared();
    let prefix = fresh_prefix();
    let store = store_at(&redis.url(), &prefix).await;
    let lives_for = |name: String, seconds: std::ops::RangeInclusive<u64>| {
        let millis: u64 = redis.command(&["PTTL", &name]).parse().unwrap();
        assert!(seconds.contains(&(millis / 1_000)), "{millis} ms");
    };
    let (key, record) = (fresh_key(), live());
    let created = store
        .save(
            &key,
            record.clone(),
            SaveOptions::new(Expect::Absent, now()),
        )
        .await;
    assert_eq!(created.unwrap(), SaveOutcome::Saved);
    lives_for(format!("{prefix}{key}"), 655..=665);
    let touched = store.touch(&key, touch_of(record.version), now()).await;
    assert_eq!(touched.unwrap(), SaveOutcome::Saved);
    lives_for(format!("{prefix}{key}"), 1_255..=1_265);

    let user = UserKey::of("session_id", "anna");
    let index = format!("{prefix}user:{user}");
    let mut late = entry();
    late.expires_at = now().saturating_add(Duration::from_secs(1_800));
    for (added, count) in [(late, 1), (entry(), 2)] {
        let outcome = store.add(&user, added, None, now()).await;
        assert_eq!(outcome.unwrap(), AddOutcome::Added(count));
        lives_for(index.clone(), 1_855..=1_865);
    }
    // What has expired goes when something is added.
    let mut latest = entry();
    latest.expires_at = late.expires_at.saturating_add(Duration::from_secs(600));
    let outcome = store.add(&user, latest, None, late.expires_at).await;
    assert_eq!(outcome.unwrap(), AddOutcome::Added(1));
    assert_eq!(redis.command(&["ZCARD", &index]), "3");
}

/// TM-6: what has expired by one server's clock is still there for whoever asks with an earlier time, as far as the
/// configuration says, and gone after that. Of two configurations on one store the longer one counts.
#[tokio::test]
async fn expired_records_stay_as_long_as_the_configuration_says() {
    let redis = Redis::shared();
    let prefix = fresh_prefix();
    let store = store_at(&redis.url(), &prefix).await;
    let (tolerance, timeout) = (Duration::from_millis(1_500), Duration::from_millis(500));
    let margin = tolerance + timeout;
    for timeout in [timeout, timeout / 2] {
        let config = SessionConfig::builder("a secret for tests, of at least 32 bytes")
            .clock_tolerance(tolerance)
            .store_timeout(timeout);
        SessionManager::new(config.build().unwrap(), Arc::new(store.clone()));
    }
    let (began, user) = (now(), UserKey::of("session_id", "anna"));
    let expiry = began.saturating_add(Duration::from_secs(1));
    let (key, mut record, mut entry) = (fresh_key(), live(), entry());
    (record.expires_at, entry.expires_at) = (expiry, expiry);
    let created = SaveOptions::new(Expect::Absent, began);
    let created = store.save(&key, record.clone(), created).await;
    assert_eq!(created.unwrap(), SaveOutcome::Saved);
    store.add(&user, entry, None, began).await.unwrap();

    let until = async |time: Timestamp| {
        tokio::time::sleep(time.saturating_since(now())).await;
    };
    // As late as a busy machine allows, while the margin isn't over.
    until(expiry.saturating_add(margin - Duration::from_millis(600))).await;
    assert_eq!(store.load(&key, now()).await.unwrap(), None);
    let earlier = || now().saturating_sub(margin);
    assert_eq!(store.load(&key, earlier()).await.unwrap(), Some(record));
    assert_eq!(store.list(&user, earlier()).await.unwrap(), [entry]);
    until(expiry.saturating_add(margin + Duration::from_millis(600))).await;
    assert_eq!(store.load(&key, began).await.unwrap(), None);
    assert_eq!(store.list(&user, began).await.unwrap(), []);
}

/// While the server is away calls fail at once, and two seconds after its return they succeed.
#[tokio::test]
async fn a_server_that_is_back_is_used_at_once() {
    let redis = Redis::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let store = store_at(&redis.url(), "session:").await;
    let (key, record) = (fresh_key(), live());
    let created = store
        .save(
            &key,
            record.clone(),
            SaveOptions::new(Expect::Absent, now()),
        )
        .await;
    assert_eq!(created.unwrap(), SaveOutcome::Saved);

    redis.kill();
    let killed = Instant::now();
    assert!(store.load(&key, now()).await.is_err());
    // By now the client has found out.
    tokio::time::sleep(Duration::from_millis(500).saturating_sub(killed.elapsed())).await;
    let asked = Instant::now();
    let saved = store
        .save(
            &fresh_key(),
            live(),
            SaveOptions::new(Expect::Absent, now()),
        )
        .await;
    assert_eq!(saved.unwrap_err().kind(), StoreErrorKind::NotApplied);
    assert!(asked.elapsed() < Duration::from_millis(500));

    tokio::time::sleep(Duration::from_secs(3)).await;
    redis.restart();
    let found = load_soon(&store, &key, Duration::from_secs(2)).await;
    assert_eq!(found, Some(record));
}

/// A server that doesn't answer is an error in time, and what it was asked is not known.
#[tokio::test]
async fn a_server_that_does_not_answer_is_not_waited_for() {
    let redis = Redis::start(&[]);
    let builder = RedisStore::builder().timeout(Duration::from_millis(300));
    let store = builder.connect(&redis.url()).await.unwrap();
    redis.pause();
    let asked = Instant::now();
    let saved = store
        .save(
            &fresh_key(),
            live(),
            SaveOptions::new(Expect::Absent, now()),
        )
        .await;
    assert_eq!(saved.unwrap_err().kind(), StoreErrorKind::Unknown);
    assert!(asked.elapsed() < Duration::from_secs(2));
    redis.resume();
    let found = load_soon(&store, &fresh_key(), Duration::from_secs(2)).await;
    assert_eq!(found, None);
}

#[tokio::test]
async fn who_is_not_let_in_is_told_at_once() {
    let redis = Redis::start(&["--requirepass", "right"]);
    let wrong = format!("redis://:wrong@127.0.0.1:{}", redis.port());
    let error = RedisStore::connect(&wrong).await.unwrap_err();
    assert!(!error.is_config() && !format!("{error:?}").contains("wrong@"));
    RedisStore::connect(&redis.url()).await.unwrap();
}
