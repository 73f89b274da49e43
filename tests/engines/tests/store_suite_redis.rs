//! The Redis store keeps the contract, on a server and on a cluster.
#![allow(
    clippy::expect_used,
    reason = "a test that meets the unexpected fails by panicking"
)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use session_conformance::store::StoreHarness;
use session_core::Timestamp;
use session_core::store::{
    AddOutcome, IndexEntry, Record, Replacing, Sample, SaveOptions, SaveOutcome, SessionStore,
    StoreError, StoreKey, Touch, UserIndex, UserKey, async_trait,
};
use session_engine_tests::{fresh_name, hex};
use session_store_redis::RedisStore;
use session_test_servers::{Redis, RedisCluster};

mod on_a_server {
    session_conformance::store_suite!(super::server());
}

mod on_a_cluster {
    session_conformance::store_suite!(super::cluster());
}

fn server() -> Harness {
    let redis = Redis::shared();
    Harness {
        url: redis.url(),
        masters: std::slice::from_ref(redis),
    }
}

fn cluster() -> Harness {
    let cluster = RedisCluster::shared();
    Harness {
        url: cluster.url(),
        masters: cluster.masters(),
    }
}

/// How long a store may take to be itself again. It is a matter of half a second, unless the machine is busy.
const RECOVERY: Duration = Duration::from_secs(20);

/// So many keys that there are some on each node.
const PROBES: u8 = 48;

const PASSWORD: &str = "word";

/// Puts bytes, given in hexadecimal, where a record lies.
const PLANT: &str = "\
    local function byte(hex) return string.char(tonumber(hex, 16)) end \
    local bytes = string.gsub(ARGV[1], '%x%x', byte) \
    return redis.call('SET', KEYS[1], bytes, 'PX', 86400000)";

/// Stores that share the servers, each with a key prefix of its own, and a user of its own who can be locked out
/// without disturbing the others.
struct Harness {
    url: String,
    masters: &'static [Redis],
}

impl StoreHarness for Harness {
    type Store = Fragile;

    async fn store(&self) -> Fragile {
        let user = format!("suite-{}", fresh_name());
        for master in self.masters {
            let password = format!(">{PASSWORD}");
            let words = ["ACL", "SETUSER", &user, "on", &password, "~*", "+@all"];
            assert_eq!(master.command(&words), "OK");
        }
        self.connect(user, format!("{}:", fresh_name())).await
    }

    async fn second_client(&self, store: &Fragile) -> Option<Fragile> {
        let client = self.connect(store.user.clone(), store.key_prefix.clone());
        Some(client.await)
    }

    async fn fail_next(&self, store: &Fragile) -> bool {
        store.breaks_next.store(true, Ordering::SeqCst);
        true
    }

    async fn plant(&self, store: &Fragile, key: &StoreKey, bytes: &[u8]) -> bool {
        let (key, bytes) = (format!("{}{key}", store.key_prefix), hex(bytes));
        let words = ["EVAL", PLANT, "1", &key, &bytes];
        // Of the nodes of a cluster the one that owns the key takes it; the others say where it belongs.
        let replies: Vec<_> = self
            .masters
            .iter()
            .map(|node| node.command(&words))
            .collect();
        assert!(replies.iter().any(|reply| reply == "OK"), "{replies:?}");
        true
    }

    fn sweeps(&self) -> bool {
        false
    }
}

impl Harness {
    async fn connect(&self, user: String, key_prefix: String) -> Fragile {
        let login = format!("://{user}:{PASSWORD}@");
        let url = self.url.replacen("://", &login, 1);
        let builder = RedisStore::builder().key_prefix(key_prefix.clone());
        Fragile {
            store: builder.connect(&url).await.expect("the server is there"),
            masters: self.masters,
            user,
            key_prefix,
            breaks_next: AtomicBool::new(false),
            times_broken: AtomicUsize::new(0),
        }
    }
}

/// A store whose next call meets servers that want nothing of it. They are well again, and the store connected, when
/// that call is answered: the client behind the store may reconnect whenever it likes, so that nothing that is done
/// to the servers before the call makes this one call fail, and no other.
struct Fragile {
    store: RedisStore,
    masters: &'static [Redis],
    user: String,
    key_prefix: String,
    breaks_next: AtomicBool,
    times_broken: AtomicUsize,
}

impl Fragile {
    /// Answers a call, which has not begun yet.
    async fn answer<T>(&self, call: impl Future<Output = T>) -> T {
        let is_broken = self.breaks_next.swap(false, Ordering::SeqCst);
        if is_broken {
            self.lock_out();
        }
        let answer = call.await;
        if is_broken {
            self.let_in().await;
        }
        answer
    }

    /// In turns, the user may do nothing any more, or is thrown out as well.
    fn lock_out(&self) {
        let is_thrown_out = self.times_broken.fetch_add(1, Ordering::SeqCst) % 2 == 1;
        for master in self.masters {
            if is_thrown_out {
                self.set(master, "off");
                master.command(&["CLIENT", "KILL", "USER", &self.user]);
            } else {
                self.set(master, "-@all");
            }
        }
    }

    async fn let_in(&self) {
        for master in self.masters {
            self.set(master, "on");
            self.set(master, "+@all");
        }
        let started = Instant::now();
        while !self.is_well().await {
            assert!(started.elapsed() < RECOVERY, "the store has not recovered");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn set(&self, master: &Redis, rule: &str) {
        let words = ["ACL", "SETUSER", &self.user, rule];
        assert_eq!(master.command(&words), "OK");
    }

    async fn is_well(&self) -> bool {
        for probe in 0..PROBES {
            let key = StoreKey::from_bytes([probe; 32]);
            if self.store.load(&key, Timestamp::default()).await.is_err() {
                return false;
            }
        }
        true
    }
}

#[async_trait]
impl SessionStore for Fragile {
    async fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Option<Record>, StoreError> {
        self.answer(self.store.load(key, now)).await
    }

    async fn load_many(
        &self,
        keys: &[StoreKey],
        now: Timestamp,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        self.answer(self.store.load_many(keys, now)).await
    }

    async fn save(
        &self,
        key: &StoreKey,
        record: Record,
        options: SaveOptions,
    ) -> Result<SaveOutcome, StoreError> {
        let SaveOptions { expect, now, .. } = options;
        let call = self.store.save(key, record, SaveOptions::new(expect, now));
        self.answer(call).await
    }

    fn replace<'c>(
        &'c self,
        key: &'c StoreKey,
        record: Record,
        replaced: Record,
        now: Timestamp,
    ) -> Replacing<'c> {
        let call = self.store.replace(key, record, replaced, now);
        Box::pin(self.answer(call))
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.answer(self.store.delete(key)).await
    }

    async fn touch(
        &self,
        key: &StoreKey,
        touch: Touch,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        self.answer(self.store.touch(key, touch, now)).await
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        Some(self)
    }
}

#[async_trait]
impl UserIndex for Fragile {
    async fn add(
        &self,
        user: &UserKey,
        entry: IndexEntry,
        cap: Option<usize>,
        now: Timestamp,
    ) -> Result<AddOutcome, StoreError> {
        self.answer(self.store.add(user, entry, cap, now)).await
    }

    async fn remove(&self, user: &UserKey, key: &StoreKey) -> Result<(), StoreError> {
        self.answer(self.store.remove(user, key)).await
    }

    async fn sample(
        &self,
        user: &UserKey,
        sample: Sample,
        now: Timestamp,
    ) -> Result<Vec<IndexEntry>, StoreError> {
        self.answer(self.store.sample(user, sample, now)).await
    }

    async fn list(&self, user: &UserKey, now: Timestamp) -> Result<Vec<IndexEntry>, StoreError> {
        self.answer(self.store.list(user, now)).await
    }
}
