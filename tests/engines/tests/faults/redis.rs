//! Redis, and what is done to the servers of a cluster in the same way.

use std::time::{Duration, Instant};

use session_store_redis::RedisStore;
use session_test_servers::Redis;
use tokio::time::sleep;

use crate::matrix::{Cell, Engine, Fault};
use crate::refusal::{RIGHT_PASSWORD, WRONG_PASSWORD, refused};
use crate::strike::{BETWEEN_BLOWS, BLOWS, Expected, OUTAGE, REFUSAL, strike};

/// How long a script keeps its server busy: longer than the deadline, and shorter than the five seconds after which
/// Redis would answer others that it is busy.
const BUSY_FOR: Duration = Duration::from_millis(1_600);

/// A script that took less has to be followed by a longer one.
const BUSY_ENOUGH: Duration = Duration::from_millis(1_300);

/// As many steps as take some tenths of a second. A script sees no clock that goes on, so that it has to count.
const STEPS: u32 = 10_000_000;

pub(crate) const HOW_HELD: &str = "no locks, but a slow script";

/// One server, which has written down what it acknowledges.
pub(crate) struct OneRedis(Redis);

impl Engine for OneRedis {
    const NAME: &'static str = "Redis";

    async fn start() -> Self {
        let durable = ["--appendonly", "yes", "--appendfsync", "always"];
        Self(Redis::start(&durable))
    }

    fn title(&self) -> String {
        self.0.version()
    }

    async fn suffer(&self, fault: Fault) -> Cell {
        let Self(redis) = self;
        let all = [redis];
        let fails = Expected::Failures;
        match fault {
            Fault::Killed => self.strike(fault, fails, "", self.kill_and_restart()).await,
            Fault::Paused => self.strike(fault, fails, "", self.pause()).await,
            Fault::Cut => self.strike(fault, fails, "", cut(&all)).await,
            Fault::Full => self.strike(fault, fails, "maxmemory", fill(&all)).await,
            Fault::ReadOnly => {
                self.strike(fault, fails, "made a replica", self.demote())
                    .await
            }
            Fault::Refused => refuse(&all, "").await,
            Fault::Flushed => self.strike(fault, Expected::Nothing, "", flush(&all)).await,
            Fault::Held => {
                self.strike(fault, fails, HOW_HELD, async { hold(redis) })
                    .await
            }
            Fault::Lost => Cell::absent("one server"),
        }
    }
}

impl OneRedis {
    async fn strike(
        &self,
        fault: Fault,
        expected: Expected,
        how: &str,
        work: impl Future<Output = ()>,
    ) -> Cell {
        strike(open(&self.0.url(), fault).await, expected, how, work).await
    }

    async fn kill_and_restart(&self) {
        self.0.kill();
        sleep(OUTAGE).await;
        self.0.restart();
    }

    async fn pause(&self) {
        self.0.pause();
        sleep(OUTAGE).await;
        self.0.resume();
        expect(&self.0, &["PING"], "PONG");
    }

    /// As a replica it refuses writes, and keeps what it has, as it never gets to its master.
    async fn demote(&self) {
        expect(&self.0, &["REPLICAOF", "127.0.0.1", "1"], "OK");
        sleep(REFUSAL).await;
        expect(&self.0, &["REPLICAOF", "NO", "ONE"], "OK");
    }
}

pub(crate) async fn open(url: &str, fault: Fault) -> RedisStore {
    let builder = RedisStore::builder().key_prefix(key_prefix(fault));
    builder.connect(url).await.expect("the server lets us in")
}

pub(crate) fn key_prefix(fault: Fault) -> String {
    format!("{}:", fault.name())
}

/// Throws everybody out, again and again.
pub(crate) async fn cut(servers: &[&Redis]) {
    for _ in 0..BLOWS {
        for server in servers {
            let count = server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
            assert!(!count.starts_with('-'), "{count}");
        }
        sleep(BETWEEN_BLOWS).await;
    }
}

/// Allows no memory beyond what is used already.
pub(crate) async fn fill(servers: &[&Redis]) {
    for server in servers {
        configure(server, "maxmemory-policy", "noeviction");
    }
    configure_for_a_while(servers, "maxmemory", "1", "0").await;
}

pub(crate) async fn configure_for_a_while(
    servers: &[&Redis],
    option: &str,
    value: &str,
    usual: &str,
) {
    for server in servers {
        configure(server, option, value);
    }
    sleep(REFUSAL).await;
    for server in servers {
        configure(server, option, usual);
    }
}

pub(crate) fn configure(server: &Redis, option: &str, value: &str) {
    expect(server, &["CONFIG", "SET", option, value], "OK");
}

pub(crate) async fn flush(servers: &[&Redis]) {
    for _ in 0..BLOWS {
        for server in servers {
            expect(server, &["SCRIPT", "FLUSH"], "OK");
        }
        sleep(BETWEEN_BLOWS).await;
    }
}

/// Returns when the server has time for others again.
///
/// How many steps it takes in a second changes with what else the machine does, so that it is found by trying.
pub(crate) fn hold(server: &Redis) {
    let mut steps = STEPS;
    loop {
        let started = Instant::now();
        run_steps(server, steps);
        let took = started.elapsed();
        if took >= BUSY_ENOUGH {
            return;
        }
        let factor = BUSY_FOR.as_secs_f64() / took.as_secs_f64();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is a rough number of steps, far from the ends of the type"
        )]
        let more = (f64::from(steps) * factor) as u32;
        steps = more;
    }
}

fn run_steps(server: &Redis, steps: u32) {
    let script = format!("for step = 1, {steps} do end");
    let reply = server.command(&["EVAL", &script, "0"]);
    assert!(!reply.starts_with('-'), "{reply}");
}

/// Comes with a wrong password, and with TLS to servers that don't have it. `kind` is what a URL's scheme has after
/// `redis`.
pub(crate) async fn refuse(servers: &[&Redis], kind: &str) -> Cell {
    let password = format!(">{RIGHT_PASSWORD}");
    for server in servers {
        let words = ["ACL", "SETUSER", "stranger", "on", &password, "~*", "+@all"];
        expect(server, &words, "OK");
    }
    let address = format!("127.0.0.1:{}", servers[0].port());
    let with_password = |password| format!("redis{kind}://stranger:{password}@{address}");
    let right = RedisStore::connect(&with_password(RIGHT_PASSWORD)).await;
    right.expect("the right password lets us in");

    let wrong = with_password(WRONG_PASSWORD);
    let password = refused("a password", "WRONGPASS", RedisStore::connect(&wrong));
    let password = password.await;
    let encrypted = format!("rediss{kind}://{address}");
    let reason = "Redis can't be reached";
    let tls = refused("TLS", reason, RedisStore::connect(&encrypted)).await;
    password.and(tls)
}

pub(crate) fn expect(server: &Redis, words: &[&str], reply: &str) {
    assert_eq!(server.command(words), reply, "to {words:?}");
}
