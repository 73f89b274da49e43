//! Encrypted connections: each engine is used through one, and an authority that isn't trusted is told in time.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::str::FromStr as _;
use std::time::Duration;

use session_core::SessionManager;
use session_core::store::SessionStore;
use session_store_redis::RedisStore;
use session_store_sqlx::{MySqlStore, PostgresStore};
use session_test_servers::{Certificates, MariaDb, Postgres, Redis};
use sqlx::Connection as _;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlPool, MySqlSslMode};
use sqlx::postgres::{PgConnection, PgPool};

use crate::{config, request};

/// When a client has to have given up.
const IN_TIME: Duration = Duration::from_secs(10);

/// The builder is given the authority to trust. `rediss://` alone trusts the system's authorities, of which ours is
/// none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_used_through_tls_and_an_unknown_authority_is_refused() {
    let (ours, anothers) = (Certificates::make(), Certificates::make());
    let redis = Redis::start_tls(&ours, &[]);
    let trusting = |authority: &Certificates| {
        let builder = RedisStore::builder().root_certificates(authority.ca_pem().as_bytes());
        builder.expect("these are certificates")
    };
    let store = in_time(trusting(&ours).connect(&redis.url())).await;
    saves_and_loads(store.expect("the authority is trusted")).await;
    assert!(
        !answers_in_the_clear(redis.port()),
        "the server has no other port, so that what was saved was encrypted on its way"
    );

    let refused = in_time(RedisStore::connect(&redis.url())).await;
    expect_untrusted(&refused.expect_err("the system doesn't know the authority"));
    let refused = in_time(trusting(&anothers).connect(&redis.url())).await;
    expect_untrusted(&refused.expect_err("it is another authority"));
    let named = trusting(&ours).server_name("elsewhere.example").unwrap();
    let refused = in_time(named.connect(&redis.url())).await;
    expect_untrusted(&refused.expect_err("the certificate has another name"));
}

/// A server that asks its clients for certificates.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_shown_a_certificate_of_ones_own() {
    let ours = Certificates::make();
    let redis = Redis::start_tls(&ours, &["--tls-auth-clients", "yes"]);
    let trusting = || {
        let builder = RedisStore::builder().root_certificates(ours.ca_pem().as_bytes());
        builder.expect("these are certificates")
    };
    let stranger = in_time(trusting().connect(&redis.url())).await;
    stranger.expect_err("the server knows nobody without a certificate");
    let [chain, key] =
        [ours.server_cert(), ours.server_key()].map(|file| std::fs::read(file).unwrap());
    let known = trusting().client_certificate(&chain, &key);
    let known = known.expect("these are a certificate and its key");
    let store = in_time(known.connect(&redis.url())).await;
    saves_and_loads(store.expect("the server knows our authority")).await;
}

fn answers_in_the_clear(port: u16) -> bool {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
    let mut stream = stream.expect("the server is there");
    stream.set_read_timeout(Some(IN_TIME)).unwrap();
    let mut answer = Vec::new();
    // However the server closes the connection, what it has said before counts.
    let _ = stream.write_all(b"PING\r\n");
    let _ = stream.read_to_end(&mut answer);
    answer.starts_with(b"+PONG")
}

/// `sslmode=verify-full` checks the authority and the name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_is_used_through_tls_and_an_unknown_authority_is_refused() {
    let (ours, anothers) = (Certificates::make(), Certificates::make());
    let certificate = ours.server_cert().display().to_string();
    let key = ours.server_key().display().to_string();
    let postgres = Postgres::start(&[
        ("ssl", "on"),
        ("ssl_cert_file", &certificate),
        ("ssl_key_file", &key),
    ]);
    let trusting = |authority: &Certificates| {
        let root = authority.ca().display().to_string();
        format!("{}?sslmode=verify-full&sslrootcert={root}", postgres.url())
    };
    let pool = PgPool::connect(&trusting(&ours)).await;
    let store = PostgresStore::new(pool.expect("the authority is trusted"));
    store.migrate().await.expect("the tables can be made");
    saves_and_loads(store.clone()).await;

    // Nobody but the store is there.
    let (encrypted, clear): (i64, i64) = sqlx::query_as(
        "SELECT COUNT(*) FILTER (WHERE ssl), COUNT(*) FILTER (WHERE NOT ssl) \
         FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE backend_type = 'client backend'",
    )
    .fetch_one(store.pool())
    .await
    .expect("the server knows its connections");
    println!("PostgreSQL has {encrypted} encrypted connections and {clear} others");
    assert!(encrypted > 0 && clear == 0);

    let refused = in_time(PgConnection::connect(&trusting(&anothers))).await;
    expect_untrusted(&refused.expect_err("it is another authority"));
}

/// `VERIFY_IDENTITY` checks the authority and the name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_is_used_through_tls_and_an_unknown_authority_is_refused() {
    let (ours, anothers) = (Certificates::make(), Certificates::make());
    let arguments = [
        format!("--ssl-ca={}", ours.ca().display()),
        format!("--ssl-cert={}", ours.server_cert().display()),
        format!("--ssl-key={}", ours.server_key().display()),
    ];
    let mariadb = MariaDb::start(&arguments.each_ref().map(String::as_str));
    let trusting = |authority: &Certificates| {
        let options = MySqlConnectOptions::from_str(&mariadb.url());
        let options = options.expect("it is a URL");
        let options = options.ssl_mode(MySqlSslMode::VerifyIdentity);
        options.ssl_ca(authority.ca())
    };
    let pool = MySqlPool::connect_with(trusting(&ours)).await;
    let store = MySqlStore::new(pool.expect("the authority is trusted"));
    store.migrate().await.expect("the tables can be made");
    saves_and_loads(store.clone()).await;

    // It is that of the connection which asks; all of them are made alike.
    let (_, cipher): (String, String) = sqlx::query_as("SHOW STATUS LIKE 'Ssl_cipher'")
        .fetch_one(store.pool())
        .await
        .expect("the server knows its connections");
    println!("MariaDB encrypts with {cipher:?}");
    assert!(!cipher.is_empty(), "the connection is encrypted");

    let refused = in_time(MySqlConnection::connect_with(&trusting(&anothers))).await;
    expect_untrusted(&refused.expect_err("it is another authority"));
}

async fn saves_and_loads(store: impl SessionStore) {
    let manager = SessionManager::new(config().build().unwrap(), store);
    let saves = request(&manager, "", |session| async move { session.set("n", 7) });
    let ((), cookie) = saves.await.expect("a session is saved");
    let loads = request(&manager, &cookie, |session| async move {
        session.get::<u64>("n")
    });
    let (loaded, _) = loads.await.expect("the session is loaded");
    assert_eq!(loaded, Some(7));
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    let output = tokio::time::timeout(IN_TIME, work).await;
    output.expect("there is an answer in time")
}

/// The error says, itself or in what it was caused by, that it is the certificate: whoever set this up wrongly has to
/// know where to look.
fn expect_untrusted(error: &dyn std::error::Error) {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    println!("untrusted: {told}");
    assert!(told.to_lowercase().contains("certificate"), "{told}");
}
