//! A Redis server that is made a replica where it is, and keeps its connections.

use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{io, thread};

use session_core::{Error, ErrorKind, Session, SessionManager};
use session_store_redis::RedisStore;
use session_test_servers::Redis;
use tokio::task::JoinSet;

use crate::{PATIENCE, config, request};

/// How often at most the store connects anew.
const RECONNECT_EVERY: Duration = Duration::from_millis(500);

const WRITES: u32 = 200;

/// How many requests find the server a replica at the same time.
const AT_ONCE: u64 = 32;

/// The write that the old master refuses goes to the new one, and so does all that comes after it: the request doesn't
/// fail, and a logout holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_follows_the_name_to_the_new_master() {
    let (old, new) = (Redis::start(&[]), Redis::start(&[]));
    let name = Name::of(&old);
    let manager = sessions_at(&name).await;
    let cookie = begin(&manager).await;
    hand_over(&old, &new, &name);

    let (n, _) = request(&manager, &cookie, count).await.expect("a count");
    assert_eq!(n, 2);
    assert_eq!(name.connections(), 2, "the one that was lost, and another");
    let ends = |session: Session| async move {
        session.logout();
        Ok(())
    };
    request(&manager, &cookie, ends).await.expect("a logout");
    let read = |session: Session| async move { session.get::<u64>("n") };
    let (n, _) = request(&manager, &cookie, read).await.expect("a read");
    assert_eq!(n, None, "the session has ended");
    assert_eq!(name.connections(), 2, "nothing more was lost");
}

/// Of many writes at once, one connects anew, for all of them. What was under way on the old connection may fail, however
/// much that is; whatever was acknowledged is there, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writes_follow_at_once() {
    let (old, new) = (Redis::start(&[]), Redis::start(&[]));
    let name = Name::of(&old);
    let manager = sessions_at(&name).await;
    let cookie = begin(&manager).await;
    hand_over(&old, &new, &name);

    let mut requests = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (manager, cookie) = (manager.clone(), cookie.clone());
        requests.spawn(async move { request(&manager, &cookie, count).await.is_ok() });
    }
    let outcomes = requests.join_all().await;
    let counted = outcomes.iter().filter(|is_ok| **is_ok).count();
    println!("{counted} of {AT_ONCE} counted");
    assert!(counted > 0, "the one that connected anew, at least");
    let read = |session: Session| async move { session.get::<u64>("n") };
    let (n, _) = request(&manager, &cookie, read).await.expect("a read");
    assert_eq!(n, Some(1 + counted as u64));
    assert_eq!(name.connections(), 2);
}

/// As long as the name leads to the replica, writes fail, and new connections are no flood.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_not_flooded_with_connections() {
    let (server, elsewhere) = (Redis::start(&[]), Redis::start(&[]));
    let name = Name::of(&server);
    let manager = sessions_at(&name).await;
    let cookie = begin(&manager).await;
    follow(&server, &elsewhere);
    wait_for_copies(&server);

    let started = Instant::now();
    for _ in 0..WRITES {
        let begins = |session: Session| async move { session.set("n", 1) };
        let refused = request(&manager, &cookie, begins).await;
        let error = refused.expect_err("a replica takes no writes");
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    }
    let intervals = started.elapsed().as_millis() / RECONNECT_EVERY.as_millis();
    let most = 2 + usize::try_from(intervals).expect("a few");
    let connections = name.connections();
    println!("{WRITES} writes, {connections} connections, at most {most} allowed");
    assert!((2..=most).contains(&connections), "{connections}");

    assert_eq!(server.command(&["REPLICAOF", "NO", "ONE"]), "OK");
    begin(&manager).await;
}

async fn count(session: Session) -> Result<u64, Error> {
    session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1)
}

/// Makes the new server the master, with what the old one has, and the old one its replica.
fn hand_over(old: &Redis, new: &Redis, name: &Name) {
    follow(new, old);
    wait_for_copies(new);
    assert_eq!(new.command(&["REPLICAOF", "NO", "ONE"]), "OK");
    follow(old, new);
    name.lead_to(new);
}

async fn sessions_at(name: &Name) -> SessionManager {
    let store = RedisStore::builder()
        .timeout(PATIENCE)
        .connect(&format!("redis://127.0.0.1:{}", name.port))
        .await
        .expect("the server is behind the name");
    SessionManager::new(config().build().expect("a good configuration"), store)
}

/// The cookie of a new session with a count of one.
async fn begin(manager: &SessionManager) -> String {
    let begins = |session: Session| async move { session.set("n", 1) };
    let ((), cookie) = request(manager, "", begins).await.expect("a new session");
    cookie
}

fn follow(replica: &Redis, master: &Redis) {
    let port = master.port().to_string();
    assert_eq!(replica.command(&["REPLICAOF", "127.0.0.1", &port]), "OK");
}

fn wait_for_copies(replica: &Redis) {
    let deadline = Instant::now() + PATIENCE;
    while !replica
        .command(&["INFO", "replication"])
        .contains("master_link_status:up")
    {
        assert!(Instant::now() < deadline, "it copies its master");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A name for a server, as DNS gives one: connections that are made later may lead elsewhere.
struct Name {
    port: u16,
    server: Arc<AtomicU16>,
    connections: Arc<AtomicUsize>,
}

impl Name {
    fn of(server: &Redis) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let name = Self {
            port: listener.local_addr().expect("it is bound").port(),
            server: Arc::new(AtomicU16::new(server.port())),
            connections: Arc::default(),
        };
        let (server, connections) = (name.server.clone(), name.connections.clone());
        thread::spawn(move || {
            for client in listener.incoming() {
                connections.fetch_add(1, Ordering::Relaxed);
                connect(
                    client.expect("a connection"),
                    server.load(Ordering::Relaxed),
                );
            }
        });
        name
    }

    fn lead_to(&self, server: &Redis) {
        self.server.store(server.port(), Ordering::Relaxed);
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

fn connect(client: TcpStream, server: u16) {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).expect("the server is there");
    let twice = |stream: &TcpStream| stream.try_clone().expect("there are handles left");
    let ways = [(twice(&client), twice(&server)), (server, client)];
    for (mut from, mut to) in ways {
        thread::spawn(move || {
            let passed = io::copy(&mut from, &mut to);
            // The other way ends with this one.
            let _ = to.shutdown(Shutdown::Both);
            passed
        });
    }
}
