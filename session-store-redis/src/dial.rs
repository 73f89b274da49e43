//! Making a connection: by TCP, with TLS, or to a Unix socket, and what is said on it first.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::{SockRef, TcpKeepalive};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, RedisConnectionInfo,
    RedisResult, Value,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::error::{BoxError, Refusal, WrongKind};
use crate::tls::Tls;

/// The most commands that are under way on one connection. More than this pile up only behind a server that answers
/// no more.
pub(crate) const LONGEST_QUEUE: usize = 4_096;

/// How long a new connection may take, and what is said on it first. One that has been given up is tried again, so
/// that this is not how long one waits for a server that is away.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the application may take to find out where the server is, such as from several Sentinels, of which some
/// may be away.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

const IS_A_SENTINEL: &str = "this server is a Sentinel, which keeps no sessions: ask it for the master, with \
    RedisStoreBuilder::resolver()";

/// When an idle connection is probed. Firewalls forget connections that are idle for minutes.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// When a connection is given up whose other end acknowledges nothing. Left alone, a system takes a quarter of an
/// hour to find out that a machine has vanished.
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
const VANISHED_AFTER: Duration = Duration::from_secs(3);

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// How connections to one server are made.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub(crate) place: Place,
    pub(crate) tls: Tls,
}

/// Where the server is, and how to get in.
#[derive(Clone)]
pub(crate) enum Place {
    Known(Box<ConnectionInfo>),
    /// It is asked for before each connection.
    Asked(Arc<dyn Fn() -> BoxFuture<RedisResult<Client>> + Send + Sync>),
}

/// A new connection.
pub(crate) struct Dialed {
    pub(crate) connection: MultiplexedConnection,
    /// Whether the server knows `SET … IFEQ`.
    pub(crate) compares: bool,
    /// What moves the bytes. It ends with the connection.
    pub(crate) driver: BoxFuture<()>,
}

impl Dialer {
    /// Connects, and is let in; or says why not.
    pub(crate) async fn dial(&self) -> Result<Dialed, BoxError> {
        let info = match &self.place {
            Place::Known(info) => (**info).clone(),
            Place::Asked(ask) => {
                let client = timeout(RESOLVE_TIMEOUT, ask()).await;
                let client = client.map_err(|_| "nobody said in time where the server is")??;
                client.get_connection_info().clone()
            }
        };
        let dialed = timeout(CONNECT_TIMEOUT, self.connect(&info)).await;
        dialed.map_err(|_| "the server didn't answer in time")?
    }

    async fn connect(&self, info: &ConnectionInfo) -> Result<Dialed, BoxError> {
        let login = info.redis_settings();
        match info.addr() {
            ConnectionAddr::Tcp(host, port) => {
                let stream = connect_tcp(host, *port, info.tcp_settings()).await?;
                enter(stream, login).await
            }
            ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            } => {
                let stream = connect_tcp(host, *port, info.tcp_settings()).await?;
                enter(self.tls.encrypt(host, stream).await?, login).await
            }
            ConnectionAddr::TcpTls { .. } => Err(
                "certificates belong to RedisStoreBuilder, and are always checked: \
                 use root_certificates() and client_certificate()"
                    .into(),
            ),
            #[cfg(unix)]
            ConnectionAddr::Unix(path) => {
                enter(tokio::net::UnixStream::connect(path).await?, login).await
            }
            _ => Err("addresses of this kind are not known here".into()),
        }
    }
}

async fn connect_tcp(host: &str, port: u16, settings: &TcpSettings) -> Result<TcpStream, BoxError> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    let usual = TcpKeepalive::new().with_time(KEEPALIVE);
    socket.set_tcp_keepalive(settings.keepalive().unwrap_or(&usual))?;
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    socket.set_tcp_user_timeout(settings.user_timeout().or(Some(VANISHED_AFTER)))?;
    Ok(stream)
}

/// Says who we are. redis-rs could do that, but doesn't tell what the server answered.
async fn enter<S>(stream: S, login: &RedisConnectionInfo) -> Result<Dialed, BoxError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let nobody = RedisConnectionInfo::default().set_skip_set_lib_name();
    let config = AsyncConnectionConfig::new()
        .set_response_timeout(None)
        .set_pipeline_buffer_size(LONGEST_QUEUE);
    let made = MultiplexedConnection::new_with_config(&nobody, stream, config).await?;
    let (mut connection, mut driver) = (made.0, Box::pin(made.1));

    let mut first = redis::pipe();
    if let Some(password) = login.password() {
        first
            .cmd("AUTH")
            .arg(login.username().as_slice())
            .arg(password);
    }
    if login.db() != 0 {
        first.cmd("SELECT").arg(login.db());
    }
    // It says what the server can, and is allowed to everybody who is let in.
    first.cmd("HELLO");
    let answers = tokio::select! {
        answers = connection.send_packed_commands(&first, 0, first.len()) => answers?,
        () = &mut driver => return Err("the server has closed the connection".into()),
    };
    // It is the last answer that counts here: a Sentinel may not know the commands before it.
    let about = answers.last().cloned().unwrap_or(Value::Nil);
    if value_of(&about, "mode") == Some("sentinel") {
        return Err(WrongKind(IS_A_SENTINEL).into());
    }
    for answer in answers {
        if let Value::ServerError(error) = answer {
            let refusal = Refusal::from(error);
            // Some that stand in for servers don't know `HELLO`.
            if !refusal.is_unknown_command() {
                return Err(refusal.into());
            }
        }
    }
    Ok(Dialed {
        connection,
        compares: is_of_comparing(&about),
        driver,
    })
}

/// Whether an answer to `HELLO` is of a server that knows `SET … IFEQ`: Valkey from 8.1 on, or Redis from 8.4 on.
fn is_of_comparing(about: &Value) -> bool {
    let version = value_of(about, "version").unwrap_or_default();
    let mut numbers = version.split('.').map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return false;
    };
    match value_of(about, "server") {
        Some("valkey") => (major, minor) >= (8, 1),
        Some("redis") => (major, minor) >= (8, 4),
        _ => false,
    }
}

/// What an answer to `HELLO` says under this name. Names and values alternate in it.
fn value_of<'a>(about: &'a Value, name: &str) -> Option<&'a str> {
    let Value::Array(words) = about else {
        return None;
    };
    let mut pairs = words.chunks_exact(2);
    pairs.find_map(|pair| match pair {
        [Value::BulkString(key), Value::BulkString(value)] if key == name.as_bytes() => {
            std::str::from_utf8(value).ok()
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_compare_are_known_by_what_they_say() {
        let hello = |server: &str, version: &str| {
            let words = ["server", server, "version", version];
            let mut words: Vec<_> = words.map(|word| Value::BulkString(word.into())).into();
            words.extend([Value::BulkString("proto".into()), Value::Int(2)]);
            Value::Array(words)
        };
        for (server, version, compares) in [
            ("valkey", "8.0.2", false),
            ("valkey", "8.1.1", true),
            ("valkey", "9.0.0-rc1", true),
            ("redis", "7.2.4", false),
            ("redis", "8.3.9", false),
            ("redis", "8.4.0", true),
            ("redis", "10.0.0", true),
            ("redis", "unstable", false),
            ("else", "9.9.9", false),
        ] {
            let answer = hello(server, version);
            assert_eq!(is_of_comparing(&answer), compares, "{server} {version}");
        }
        assert!(!is_of_comparing(&Value::Okay));
    }
}
