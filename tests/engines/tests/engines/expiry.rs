//! What is left of a hundred thousand sessions when their time is up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use session_core::store::SessionStore;
use session_core::{Clock as _, SessionManager, SystemClock, Timestamp};
use session_store_redis::RedisStore;
use session_test_servers::{Redis, RedisCluster};
use tokio::task::JoinSet;

use crate::dump::cells;
use crate::{PATIENCE, Place, config, request};

const SESSIONS: usize = 100_000;

/// So many that each has only a few sessions: with more than sixteen, logins would look after the old ones.
const USERS: usize = 10_000;

/// How many tasks log in at once.
const AT_ONCE: usize = 64;

/// How many records and entries one call may remove.
const BATCH: usize = 1_000;

/// The lifetime of sessions that are not to expire before they are all there.
const LONG: Duration = Duration::from_secs(60 * 60);

/// The lifetime of sessions that Redis removes in real time.
const SHORT: Duration = Duration::from_secs(1);

/// How much longer than a session lives Redis keeps it: the clock tolerance and the store timeout.
const MARGIN: Duration = Duration::from_secs(60);

/// What is left of that beside the store timeout.
const TOLERANCE: Duration = MARGIN.saturating_sub(PATIENCE);

/// When nothing may be left in Redis: that margin, and what it takes to get round to a hundred thousand keys.
const GONE_WITHIN: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_leaves_nothing_in_postgres() {
    a_sweep_leaves_nothing(&Place::postgres()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_leaves_nothing_in_mariadb() {
    a_sweep_leaves_nothing(&Place::mariadb()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_leaves_nothing_in_sqlite() {
    a_sweep_leaves_nothing(&Place::sqlite()).await;
}

/// TM-6, US-1: bounded batches remove all records that have expired, and all entries of the index, and not one before
/// its time.
async fn a_sweep_leaves_nothing(place: &Place) {
    let store = place.open().await;
    begin_sessions(store.clone(), LONG).await;
    let now = SystemClock.now();
    assert_eq!(sweep(&store, now).await, 0, "nothing has expired yet");
    let removed = sweep(&store, now.saturating_add(LONG)).await;
    assert_eq!(removed, 2 * SESSIONS, "each has a record and an entry");
    for table in ["", "_users"] {
        assert!(cells(place, table).await.is_empty(), "rows in {table:?}");
    }
}

/// Removes what has expired at this time, batch after batch, and says how much that was.
async fn sweep(store: &Arc<dyn SessionStore>, now: Timestamp) -> usize {
    let started = Instant::now();
    let (mut removed, mut was_full) = (0, true);
    loop {
        let batch = store.delete_expired(now, BATCH).await;
        let batch = batch.expect("a batch is removed");
        if batch == 0 {
            println!("{removed} removed in {:?}", started.elapsed());
            return removed;
        }
        assert!(batch <= BATCH, "a batch of {batch}");
        assert!(was_full, "fewer than the limit means that none are left");
        was_full = batch == BATCH;
        removed += batch;
    }
}

/// TM-6, US-1: Redis removes records and indexes by itself, on a server and on a cluster, and none has been stored
/// without a time to live. Nobody sweeps here. Both are waited for at once, as it takes more than a minute.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_removes_by_itself_what_has_expired() {
    // Servers of their own, in which no other test stores anything.
    let redis = Redis::start(&[]);
    let cluster = RedisCluster::start(3, 0);
    for master in cluster.masters() {
        // The machine is about to be so busy that the nodes must not take one another for dead.
        let set = ["CONFIG", "SET", "cluster-node-timeout", "30000"];
        assert_eq!(master.command(&set), "OK");
    }
    let (server_url, cluster_url) = (redis.url(), cluster.url());
    tokio::join!(
        nothing_is_left("a server", &server_url, std::slice::from_ref(&redis)),
        nothing_is_left("a cluster", &cluster_url, cluster.masters()),
    );
}

async fn nothing_is_left(name: &str, url: &str, nodes: &[Redis]) {
    let store = RedisStore::builder().timeout(PATIENCE).connect(url).await;
    begin_sessions(Arc::new(store.expect("the server is there")), SHORT).await;
    let longest = nodes.iter().map(longest_time_to_live).max();
    let longest = longest.expect("there is a node");
    println!("on {name}: {} keys, for {longest:?} at most", size(nodes));
    assert!(!longest.is_zero(), "on {name}: some are still there");
    assert!(longest <= SHORT + MARGIN, "on {name}: for {longest:?}");

    let started = Instant::now();
    while size(nodes) > 0 {
        let elapsed = started.elapsed();
        let left = size(nodes);
        assert!(elapsed < GONE_WITHIN, "on {name}: {left} after {elapsed:?}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    println!("on {name}: none after {:?}", started.elapsed());
    let expired: usize = nodes.iter().map(expired_keys).sum();
    assert!(expired >= SESSIONS + USERS, "on {name}: {expired} expired");
}

/// For how long Redis keeps the key on this node that it keeps the longest. Looks at all of them.
fn longest_time_to_live(node: &Redis) -> Duration {
    const LONGEST: &str = "\
        local longest = 0 \
        for _, key in ipairs(redis.call('KEYS', '*')) do \
            local left = redis.call('PTTL', key) \
            if left == -1 then return 'for ever: ' .. key end \
            longest = math.max(longest, left) \
        end \
        return longest";
    let reply = node.command(&["EVAL", LONGEST, "0"]);
    Duration::from_millis(reply.parse().expect(&reply))
}

/// How many keys there are, those that have expired and not been removed included.
fn size(nodes: &[Redis]) -> usize {
    let sizes = nodes.iter().map(|node| node.command(&["DBSIZE"]));
    sizes.map(|size| size.parse::<usize>().expect(&size)).sum()
}

/// How many keys Redis has removed because their time was up.
fn expired_keys(node: &Redis) -> usize {
    let info = node.command(&["INFO", "stats"]);
    let mut lines = info.lines();
    let count = lines.find_map(|line| line.strip_prefix("expired_keys:"));
    let count = count.expect("Redis counts them");
    count.parse().expect("it is a number")
}

/// Logs visitors in, many at once, through all that a request goes through.
async fn begin_sessions(store: Arc<dyn SessionStore>, lifetime: Duration) {
    let config = config().max_age(lifetime).absolute_timeout(lifetime);
    let config = config.clock_tolerance(TOLERANCE);
    let manager = SessionManager::new(config.build().unwrap(), store);
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for first in 0..AT_ONCE {
        let manager = manager.clone();
        tasks.spawn(async move {
            for n in (first..SESSIONS).step_by(AT_ONCE) {
                log_in(&manager, n).await;
            }
        });
    }
    tasks.join_all().await;
    println!("{SESSIONS} sessions in {:?}", started.elapsed());
}

async fn log_in(manager: &SessionManager, n: usize) {
    let login = request(manager, "", |session| async move {
        session.login(format!("user {}", n % USERS))?;
        session.set("n", n)
    });
    let ((), cookie) = login.await.expect("a login");
    assert!(!cookie.is_empty(), "a login gives a cookie");
}
