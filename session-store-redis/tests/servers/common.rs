//! What the tests put into stores, how they wait, and what they put between a store and its server.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use session_core::store::{
    EndedBy, FormerSession, IndexEntry, LiveRecord, Record, RecordState, SessionData,
    SessionStore as _, StoreError, StoreKey, Touch, Version,
};
use session_core::{Clock as _, OsRandom, Random as _, SessionRef, SystemClock, Timestamp};
use session_store_redis::RedisStore;
use session_test_servers::Redis;

pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

pub(crate) async fn store_at(url: &str, key_prefix: &str) -> RedisStore {
    let builder = RedisStore::builder().key_prefix(key_prefix);
    builder.connect(url).await.unwrap()
}

pub(crate) fn touch_of(expected: Version) -> Touch {
    Touch::new(
        expected,
        Version::from_bytes([1; 16]),
        now(),
        now().saturating_add(Duration::from_secs(1_200)),
    )
}

pub(crate) fn entry() -> IndexEntry {
    IndexEntry::new(
        fresh_key(),
        SessionRef::from_bytes([1; 16]),
        now(),
        now().saturating_add(Duration::from_secs(600)),
    )
}

/// A session that lives for ten minutes.
pub(crate) fn live() -> Record {
    let handle = SessionRef::from_bytes(random());
    let live = LiveRecord::new(SessionData::empty(), now(), handle);
    record(RecordState::Live(live))
}

pub(crate) fn ended() -> Record {
    record(RecordState::ended(
        now(),
        EndedBy::OwnRequest,
        FormerSession::default(),
    ))
}

pub(crate) fn fresh_key() -> StoreKey {
    StoreKey::from_bytes(random())
}

pub(crate) fn fresh_prefix() -> String {
    let bytes: [u8; 8] = random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the store answers once it answers again. Panics if it takes longer than `patience`.
pub(crate) async fn load_soon(
    store: &RedisStore,
    key: &StoreKey,
    patience: Duration,
) -> Option<Record> {
    let started = Instant::now();
    loop {
        let answer: Result<_, StoreError> = store.load(key, now()).await;
        match answer {
            Ok(found) => return found,
            Err(error) => assert!(
                started.elapsed() < patience,
                "after {patience:?} there is still no answer: {error:?}"
            ),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How often a server has carried out this command, for a client or for a script.
pub(crate) fn calls_of(redis: &Redis, command: &str) -> u64 {
    let stats = redis.command(&["INFO", "commandstats"]);
    let mut lines = stats.lines();
    let calls = lines.find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    calls.map_or(0, |calls| calls.split(',').next().unwrap().parse().unwrap())
}

/// How many commands and scripts that write a server has carried out. What a script calls is not counted.
pub(crate) fn writes(redis: &Redis) -> u64 {
    calls_of(redis, "evalsha") + calls_of(redis, "eval")
}

fn record(state: RecordState) -> Record {
    Record::new(
        Version::from_bytes(random()),
        now().saturating_add(Duration::from_secs(600)),
        state,
    )
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    OsRandom
        .fill(&mut bytes)
        .expect("the system has a generator");
    bytes
}

/// A way to a server, on which all answers are shown. Where that says no, the answer and the connection are lost.
pub(crate) fn relay(
    server: u16,
    passes: impl Fn(&mut [u8]) -> bool + Send + Sync + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let passes = Arc::new(passes);
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut server = TcpStream::connect(("127.0.0.1", server)).unwrap();
            let (mut questions, mut asked) =
                (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || io::copy(&mut questions, &mut asked));
            let passes = passes.clone();
            thread::spawn(move || {
                let mut answer = [0; 4_096];
                while let Ok(length @ 1..) = server.read(&mut answer) {
                    let answer = &mut answer[..length];
                    if !passes(answer) || client.write_all(answer).is_err() {
                        break;
                    }
                }
                for end in [client, server] {
                    let _ = end.shutdown(Shutdown::Both);
                }
            });
        }
    });
    port
}

/// Makes the greeting of a server that of one that compares values by itself. Everything passes.
pub(crate) fn greet_as_newer(answer: &mut [u8]) -> bool {
    let version = b"version\r\n";
    let mut places = 1..answer.len().saturating_sub(6);
    if let Some(at) = places.position(|at| answer[at..].starts_with(version)) {
        // After the length of the version, its first digit.
        answer[1 + at + version.len() + 4] = b'9';
    }
    true
}
