//! SR-8: what can't work doesn't start, and the error says why; what works badly is told.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use session_store_redis::{RedisStore, SetupError};
use session_test_servers::{Redis, RedisCluster};
use tracing::subscriber::{DefaultGuard, set_default};

/// What a user needs, as the documentation has it.
const NEEDED: [&str; 13] = [
    "get",
    "getrange",
    "set",
    "setrange",
    "pexpire",
    "pttl",
    "del",
    "zadd",
    "zrem",
    "zcard",
    "zrangebylex",
    "evalsha",
    "eval",
];

async fn connect(url: &str) -> Result<RedisStore, SetupError> {
    RedisStore::builder().key_prefix("shop:").connect(url).await
}

/// Makes `web` a user who may do this and nothing else.
fn allow(redis: &Redis, keys: &str, commands: &[&str]) {
    let mut words = vec!["ACL", "SETUSER", "web", "reset", "on", ">word", keys];
    let commands: Vec<_> = commands.iter().map(|name| format!("+{name}")).collect();
    words.extend(commands.iter().map(String::as_str));
    assert_eq!(redis.command(&words), "OK");
}

/// SR-8: each right that is missing is named, and no other, so that one can do what the error says.
#[tokio::test]
async fn a_user_who_may_not_do_enough_is_told_what_to_grant() {
    let redis = Redis::start(&[]);
    let url = format!("redis://web:word@127.0.0.1:{}", redis.port());
    for missing in NEEDED {
        let others: Vec<_> = NEEDED.into_iter().filter(|name| *name != missing).collect();
        allow(&redis, "~shop:*", &others);
        let error = connect(&url).await.expect_err(missing);
        let text = error.to_string();
        let grant = format!("ACL SETUSER <user> +{missing}");
        assert!(text.ends_with(&grant) && !error.is_config(), "{text}");
    }
    allow(&redis, "~other:*", &NEEDED);
    let text = connect(&url).await.unwrap_err().to_string();
    assert!(text.ends_with("ACL SETUSER <user> ~shop:*"), "{text}");
    allow(&redis, "~other:*", &NEEDED[..11]);
    let text = connect(&url).await.unwrap_err().to_string();
    assert!(text.ends_with(" ~shop:* +evalsha +eval"), "{text}");
    allow(&redis, "~shop:*", &NEEDED);
    connect(&url).await.unwrap();
    assert_eq!(
        redis.command(&["DBSIZE"]),
        "0",
        "nothing is stored to find out"
    );

    let redis = Redis::start(&["--rename-command", "EVALSHA", "hidden"]);
    let text = connect(&redis.url()).await.unwrap_err().to_string();
    assert!(text.ends_with("under another name: EVALSHA"), "{text}");
}

/// SR-8: each master decides by itself what a user may do.
#[tokio::test]
async fn one_master_that_does_not_let_the_user_do_enough_is_found() {
    let cluster = RedisCluster::start(3, 0);
    for master in cluster.masters() {
        let commands = [&NEEDED[..], &["cluster|slots", "asking"]].concat();
        allow(master, "~shop:*", &commands);
    }
    let url = cluster.url().replace("://", "://web:word@");
    connect(&url).await.unwrap();
    for master in cluster.masters() {
        let set = |rule| assert_eq!(master.command(&["ACL", "SETUSER", "web", rule]), "OK");
        set("-evalsha");
        let text = connect(&url).await.unwrap_err().to_string();
        assert!(text.ends_with("ACL SETUSER <user> +evalsha"), "{text}");
        set("+evalsha");
    }
}

/// SR-8: a server that evicts throws sessions away that are alive. Where it doesn't, or doesn't tell, nothing is said.
#[tokio::test]
async fn a_server_that_evicts_is_told() {
    let redis = Redis::start(&[]);
    let user = format!("redis://web:word@127.0.0.1:{}", redis.port());
    allow(&redis, "~shop:*", &NEEDED);
    for (bound, policy, is_told) in [
        ("0", "noeviction", false),
        ("0", "allkeys-lru", false),
        ("100mb", "noeviction", false),
        ("100mb", "allkeys-lru", true),
        ("100mb", "volatile-ttl", true),
    ] {
        let options = [("maxmemory", bound), ("maxmemory-policy", policy)];
        for (option, value) in options {
            assert_eq!(redis.command(&["CONFIG", "SET", option, value]), "OK");
        }
        for (url, may_ask) in [(redis.url(), true), (user.clone(), false)] {
            let log = Log::capture();
            connect(&url).await.unwrap();
            let text = log.text();
            let says = |part: &str| text.contains(part);
            let has_told = text.matches("WARN session:").count() == 1 && says(policy);
            assert_eq!(has_told, is_told && may_ask, "{bound} {policy}: {text}");
            assert!(has_told || text.is_empty(), "{text}");
        }
    }
}

/// SR-8: the error names the way to what is there.
#[tokio::test]
async fn a_server_of_another_kind_is_named() {
    let (sentinel, server, cluster) = (
        Redis::start_sentinel(),
        Redis::shared(),
        RedisCluster::shared(),
    );
    let as_cluster = |redis: &Redis| redis.url().replace("redis://", "redis-cluster://");
    for (url, way) in [
        (sentinel.url(), "RedisStoreBuilder::resolver()"),
        (as_cluster(&sentinel), "RedisStoreBuilder::resolver()"),
        (
            format!("{}/3", sentinel.url()),
            "RedisStoreBuilder::resolver()",
        ),
        (as_cluster(server), "connect with redis://"),
        (cluster.node(0).url(), "connect with redis-cluster://"),
        (
            "redis-sentinel://127.0.0.1".to_owned(),
            "RedisStoreBuilder::resolver()",
        ),
        ("redis:///run/redis.sock".to_owned(), "unix:///path"),
        ("/run/redis.sock".to_owned(), "unix://"),
    ] {
        let error = connect(&url).await.expect_err(&url);
        let text = error.to_string();
        assert!(text.contains(way) && error.is_config(), "{url}: {error:?}");
    }
}

/// What this thread logs, for as long as this lives.
struct Log {
    lines: Lines,
    _until_dropped: DefaultGuard,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn capture() -> Self {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone());
        Self {
            lines,
            _until_dropped: set_default(subscriber.finish()),
        }
    }

    fn text(&self) -> String {
        String::from_utf8(self.lines.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
