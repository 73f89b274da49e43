//! Three processes, one on each framework, with one store: for each store that processes can share.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that meets the unexpected fails by panicking"
)]
#![allow(
    clippy::print_stdout,
    reason = "the counts are for whoever runs the tests with --nocapture"
)]

mod common;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use session_test_servers::{MariaDb, PgBouncer, Postgres, Redis, RedisCluster};
use ureq::Agent;
use ureq::http::Request;

use crate::common::Program;

const FRAMEWORKS: [&str; 3] = ["axum", "actix", "poem"];

const CLIENTS: usize = 32;
const INCREMENTS: usize = 10_000;
const ROUNDS: usize = 1_000;

/// How long a slow write takes at least; a logout begins a third of this later.
const SLOW: Duration = Duration::from_millis(60);

/// Where three processes on one store listen.
struct Fleet(Vec<String>);

impl Fleet {
    /// The processes end when the programs are dropped.
    fn start(store: &str) -> (Vec<Program>, Self) {
        let fleet = FRAMEWORKS.map(|framework| {
            // With this much contention a commit may take longer than a visitor would wait.
            let patience = ["--store-timeout", "60"];
            let options = ["--framework", framework, "--store", store];
            Program::demo(&[&options[..], &patience].concat())
        });
        let (programs, addresses) = fleet.into_iter().unzip();
        (programs, Self(addresses))
    }

    fn client(&self) -> Client<'_> {
        Client {
            fleet: self,
            agent: Agent::config_builder()
                .http_status_as_error(false)
                .timeout_global(Some(Duration::from_secs(120)))
                .build()
                .into(),
            cookie: String::new(),
        }
    }
}

/// A browser that sends each request to the next process.
#[derive(Clone)]
struct Client<'f> {
    fleet: &'f Fleet,
    agent: Agent,
    cookie: String,
}

impl Client<'_> {
    /// Sends a request and takes the cookie that comes. Says whether one came.
    fn send(&mut self, line: &str, body: &str) -> (Value, bool) {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let process = NEXT.fetch_add(1, Ordering::Relaxed) % self.fleet.0.len();
        let (method, path) = line.split_once(' ').unwrap();
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.fleet.0[process]))
            .header("cookie", &self.cookie)
            .body(body.to_owned())
            .unwrap();
        let mut response = self.agent.run(request).expect("an answer");
        let body = response.body_mut().read_to_string().unwrap();
        assert_eq!(response.status(), 200, "{line}: {body}");
        let set = response.headers().get("set-cookie");
        if let Some(set) = set {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            pair.clone_into(&mut self.cookie);
        }
        (serde_json::from_str(&body).unwrap(), set.is_some())
    }

    fn is_known(&self) -> bool {
        self.clone().send("GET /api/info", "").0["new"] == json!(false)
    }
}

fn everything_holds_on(name: &str, store: &str) {
    let (_programs, fleet) = Fleet::start(store);
    let timed = |what: &str, work: &dyn Fn(&Fleet)| {
        let started = Instant::now();
        work(&fleet);
        println!("{name}: {what}: {:.1} s", started.elapsed().as_secs_f64());
    };
    timed("users", &|fleet| a_users_devices_are_shared(fleet));
    timed("increments", &|fleet| no_increment_is_lost(fleet));
    timed("slow writes against logouts", &|fleet| {
        no_slow_write_revives(name, fleet);
    });
    timed("rotations at once", &|fleet| one_rotation_wins(name, fleet));
}

/// US-1, US-2: a user who has logged in on one process is listed by the next, and ended by the third.
fn a_users_devices_are_shared(fleet: &Fleet) {
    let mut devices: Vec<_> = (0..4).map(|_| fleet.client()).collect();
    for device in &mut devices {
        device.send("POST /api/login", r#"{"user":"ada","remember":true}"#);
    }
    let mut phone = devices.remove(0);
    let listed = phone.send("GET /api/sessions", "").0;
    assert_eq!(listed["sessions"].as_array().map(Vec::len), Some(4));
    let other = devices[0].send("GET /api/info", "").0;
    let line = format!("DELETE /api/sessions/{}", other["ref"].as_str().unwrap());
    assert_eq!(phone.send(&line, "").0, json!({"ok": true}));
    assert!(!devices[0].is_known() && devices[1].is_known());
    let ended = phone.send("DELETE /api/sessions", "").0;
    assert_eq!(ended, json!({"ended": 2}));
    assert!(phone.is_known() && !devices[1].is_known() && !devices[2].is_known());
    let left = phone.clone();
    phone.send("POST /api/logout", "");
    assert!(!left.is_known());
}

/// CM-5: of ten thousand increments of one session, from 32 clients, none is lost.
fn no_increment_is_lost(fleet: &Fleet) {
    let mut visitor = fleet.client();
    visitor.send("PUT /api/values/n", "0");
    let left = AtomicUsize::new(INCREMENTS);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let mut client = visitor.clone();
            let left = &left;
            scope.spawn(move || {
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                    .is_ok()
                {
                    client.send("POST /api/increment/n", "");
                }
            });
        }
    });
    let stored = visitor.send("GET /api/values/n", "").0;
    assert_eq!(stored["value"], json!(INCREMENTS));
}

/// CM-6, CM-9: a slow write that a logout overtakes revives nothing, and brings no cookie.
fn no_slow_write_revives(name: &str, fleet: &Fleet) {
    let (overlaps, revived) = (AtomicUsize::new(0), AtomicUsize::new(0));
    in_rounds(|| {
        let mut visitor = fleet.client();
        visitor.send("PUT /api/values/n", "0");
        let (mut writer, old) = (visitor.clone(), visitor.clone());
        thread::scope(|scope| {
            let write = scope.spawn(move || {
                let line = format!("PUT /api/slow/n?ms={}", SLOW.as_millis());
                let started = Instant::now();
                let (_, brings_cookie) = writer.send(&line, "1");
                assert!(!brings_cookie, "a write that lost its session");
                (started, Instant::now())
            });
            thread::sleep(SLOW / 3);
            let started = Instant::now();
            visitor.send("POST /api/logout", "");
            let ended = Instant::now();
            let write = write.join().unwrap();
            overlaps.fetch_add(
                usize::from(write.0 < started && ended < write.1),
                Ordering::Relaxed,
            );
        });
        revived.fetch_add(usize::from(old.is_known()), Ordering::Relaxed);
    });
    let (overlaps, revived) = (overlaps.into_inner(), revived.into_inner());
    println!("{name}: {overlaps} logouts within a slow write, {revived} revived");
    assert!(overlaps >= ROUNDS / 2, "{overlaps} overlaps are too few");
    assert_eq!(revived, 0);
}

/// CM-7: of rotations at once one wins: it alone brings a cookie, and one id is alive.
fn one_rotation_wins(name: &str, fleet: &Fleet) {
    const AT_ONCE: usize = 3;
    let overlaps = AtomicUsize::new(0);
    in_rounds(|| {
        let mut visitor = fleet.client();
        visitor.send("PUT /api/values/n", "0");
        let rotations: Vec<_> = thread::scope(|scope| {
            let rotations: Vec<_> = (0..AT_ONCE)
                .map(|_| {
                    let mut client = visitor.clone();
                    scope.spawn(move || {
                        let started = Instant::now();
                        let (_, brings_cookie) = client.send("POST /api/regenerate", "");
                        (started, Instant::now(), brings_cookie.then_some(client))
                    })
                })
                .collect();
            let rotations = rotations.into_iter();
            rotations.map(|rotation| rotation.join().unwrap()).collect()
        });
        let last_start = rotations.iter().map(|(started, ..)| started).max();
        let first_end = rotations.iter().map(|(_, ended, _)| ended).min();
        overlaps.fetch_add(usize::from(last_start < first_end), Ordering::Relaxed);
        let rotated: Vec<_> = rotations
            .into_iter()
            .filter_map(|(.., client)| client)
            .collect();
        assert_eq!(rotated.len(), 1, "one of the rotations brings a cookie");
        let ids: BTreeSet<_> = [&visitor, &rotated[0]]
            .into_iter()
            .filter(|client| client.is_known())
            .map(|client| &client.cookie)
            .collect();
        assert_eq!(ids.len(), 1, "exactly one id is alive");
        assert!(ids.contains(&rotated[0].cookie));
    });
    let overlaps = overlaps.into_inner();
    println!("{name}: {overlaps} rounds in which all rotations were under way at once");
    assert!(overlaps >= ROUNDS / 2, "{overlaps} overlaps are too few");
}

/// Runs a thousand rounds, as many side by side as there are clients.
fn in_rounds(round: impl Fn() + Sync) {
    let left = AtomicUsize::new(ROUNDS);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                    .is_ok()
                {
                    round();
                }
            });
        }
    });
}

#[test]
fn three_processes_share_redis() {
    let redis = Redis::shared();
    everything_holds_on(&redis.version(), &redis.url());
}

#[test]
fn three_processes_share_a_redis_cluster() {
    let cluster = RedisCluster::shared();
    let name = format!("Cluster of {}", cluster.node(0).version());
    everything_holds_on(&name, &cluster.url());
}

#[test]
fn three_processes_share_postgresql() {
    everything_holds_on("PostgreSQL", &Postgres::shared().url());
}

/// SR-8: with a connection of the server's for each transaction, so that no two statements need be on the same one.
#[test]
fn three_processes_share_postgresql_behind_pgbouncer() {
    let url = PgBouncer::shared().url();
    let url = url.replacen("postgres:", "postgres-pooler:", 1);
    everything_holds_on("PostgreSQL behind PgBouncer", &url);
}

#[test]
fn three_processes_share_mariadb() {
    let mariadb = MariaDb::shared();
    everything_holds_on(&mariadb.version(), &mariadb.url());
}

#[test]
fn three_processes_share_a_file_of_sqlite() {
    let folder = std::env::temp_dir().join(format!("session-demo-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("sessions.db");
    everything_holds_on("SQLite", &format!("sqlite:{}", file.display()));
    std::fs::remove_dir_all(folder).unwrap();
}
