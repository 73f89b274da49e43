//! What a request costs on the wire to Redis, counted between the store and the server. What a crowd costs is counted in
//! the same way, on PostgreSQL too.

use std::io::{self, BufRead, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{mem, thread};

use session_conformance::adapter::TestClock;
use session_core::{Error, Session, SessionManager};
use session_engine_tests::fresh_name;
use session_store_redis::RedisStore;
use session_test_servers::Redis;

use crate::{PATIENCE, config, request};

/// More than a tenth of an hour, after which activity is due, and less than an hour.
const LATER: Duration = Duration::from_secs(400);

/// What the table in `docs/requests.md` says, as commands: a load is a `GET`, a create is a `SET`, and a touch and a
/// logout are an `EVALSHA` each; any other save is one of both. It also is what the Redis store's own documentation says
/// of a call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_sends_a_command_for_each_store_call() {
    let scene = Scene::new().await;
    scene.send_the_scripts().await;

    let commands = scene.of_an_unused_session().await;
    assert_eq!(commands, [""; 0], "doesn't use the session");

    let reads = |session: Session| async move { session.get::<u64>("n").map(drop) };
    scene.check("no cookie: reads", "", &[], reads).await;
    let begins = |session: Session| async move { session.set("n", 1) };
    let new = "no cookie: stores";
    let cookie = scene.check(new, "", &["SET"], begins).await;
    assert!(!cookie.is_empty(), "a new session has a cookie");

    let forged = forge(&cookie);
    scene
        .check("forged cookie: reads", &forged, &[], reads)
        .await;
    scene.check("reads", &cookie, &["GET"], reads).await;
    let writes = |session: Session| async move {
        session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1)?;
        Ok(())
    };
    let two = ["GET", scene.save];
    scene.check("reads and writes", &cookie, &two, writes).await;
    scene.clock.advance(LATER);
    let due = "reads, activity due";
    let touches = ["GET", "EVALSHA"];
    scene.check(due, &cookie, &touches, reads).await;

    let three = ["GET", "SET", scene.save];
    let rotates = |session: Session| async move {
        session.regenerate();
        Ok(())
    };
    let moved = scene.check("regenerates", &cookie, &three, rotates).await;
    assert_ne!(moved, cookie, "a rotated session has another cookie");
    let ends = |session: Session| async move {
        session.logout();
        Ok(())
    };
    let by_script = ["GET", "EVALSHA"];
    let removed = scene.check("logs out", &moved, &by_script, ends).await;
    assert_eq!(removed, "", "the cookie has been removed");
}

struct Scene {
    /// The command of a save, by what the server can do.
    save: &'static str,
    wire: Wire,
    clock: TestClock,
    manager: SessionManager,
}

impl Scene {
    async fn new() -> Self {
        let compare = ["SET", &fresh_name(), "new", "IFEQ", "old"];
        let save = match Redis::shared().command(&compare).starts_with('-') {
            true => "EVALSHA",
            false => "SET",
        };
        let wire = Wire::to_redis(Redis::shared().port());
        let store = RedisStore::builder()
            .key_prefix(format!("{}:", fresh_name()))
            .timeout(PATIENCE)
            .connect(&format!("redis://127.0.0.1:{}", wire.port))
            .await
            .expect("the server is behind the wire");
        let clock = TestClock::new();
        let config = config().build().expect("a good configuration");
        let manager = SessionManager::builder(config, store)
            .clock(clock.clone())
            .build()
            .unwrap();
        Self {
            save,
            wire,
            clock,
            manager,
        }
    }

    /// Has the server see the scripts for saves and touches, whose text costs a command the first time.
    async fn send_the_scripts(&self) {
        let connecting = self.wire.take();
        println!("to connect: {} {connecting:?}", connecting.len());
        let begins = |session: Session| async move { session.set("n", 1) };
        let begun = request(&self.manager, "", begins).await;
        let ((), cookie) = begun.expect("a new session");
        let saves = |session: Session| async move { session.set("n", 2) };
        let saved = request(&self.manager, &cookie, saves).await;
        saved.expect("a request");
        self.clock.advance(LATER);
        let touches = |_: Session| async { Ok(()) };
        let touched = request(&self.manager, &cookie, touches).await;
        touched.expect("a request");
        // Where the server compares values by itself, this is the first save by a script.
        let ends = |session: Session| async move {
            session.logout();
            Ok(())
        };
        let ended = request(&self.manager, &cookie, ends).await;
        ended.expect("a request");
        self.wire.take();
    }

    async fn of_an_unused_session(&self) -> Vec<String> {
        let ((), finished) = self.manager.handle().run(async {}).await;
        assert!(finished.error().is_none() && !finished.is_used());
        self.wire.take()
    }

    /// Runs a request, compares the commands that it sent, and gives the cookie that the browser has afterwards.
    async fn check<W>(
        &self,
        what: &str,
        cookie: &str,
        expected: &[&str],
        work: impl FnOnce(Session) -> W,
    ) -> String
    where
        W: Future<Output = Result<(), Error>>,
    {
        let done = request(&self.manager, cookie, work).await;
        let ((), cookie) = done.expect(what);
        let commands = self.wire.take();
        println!("{what}: {} {commands:?}", commands.len());
        assert_eq!(commands, expected, "{what}");
        cookie
    }
}

/// The cookie with another end: well-formed, and signed by nobody.
fn forge(cookie: &str) -> String {
    let (rest, last) = cookie.split_at(cookie.len() - 1);
    format!("{rest}{}", if last == "A" { "B" } else { "A" })
}

/// What lies between a client and a server: it passes everything on, and notes the commands before it does.
///
/// It leaves none out. The client behind the store sends commands of its own while it connects, a `PING` among them,
/// and none later: it sends heartbeats only where it is asked to, which the store doesn't.
pub(crate) struct Wire {
    pub(crate) port: u16,
    commands: Commands,
}

type Commands = Arc<Mutex<Vec<String>>>;

/// Reads the next command from a client: its name, or nothing for what is none, and all its bytes.
type Reads = fn(&mut BufReader<TcpStream>) -> io::Result<(Option<String>, Vec<u8>)>;

impl Wire {
    pub(crate) fn to_redis(server: u16) -> Self {
        Self::to(server, |client| {
            let (name, bytes) = read_command(client)?;
            Ok((Some(name), bytes))
        })
    }

    /// Of what clients of PostgreSQL send, that which has a statement carried out.
    pub(crate) fn to_postgres(server: u16) -> Self {
        Self::to(server, read_message)
    }

    fn to(server: u16, reads: Reads) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let commands = Commands::default();
        let noted = commands.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                connect(client.expect("a connection"), server, reads, noted.clone());
            }
        });
        Self { port, commands }
    }

    /// The names of the commands since the last call, in the order in which they were sent. Those of a request that has
    /// been answered are all there.
    pub(crate) fn take(&self) -> Vec<String> {
        mem::take(&mut *self.commands.lock().expect("nobody panics under the lock"))
    }
}

fn connect(client: TcpStream, server: u16, reads: Reads, commands: Commands) {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).expect("the server is there");
    for stream in [&client, &server] {
        stream.set_nodelay(true).expect("TCP can do that");
    }
    let mut answers = server.try_clone().expect("there are handles left");
    let mut asker = client.try_clone().expect("there are handles left");
    thread::spawn(move || io::copy(&mut answers, &mut asker));
    // It fails when the client closes the connection, which is how it ends.
    thread::spawn(move || pass_on(client, server, reads, &commands));
}

fn pass_on(
    client: TcpStream,
    mut server: TcpStream,
    reads: Reads,
    commands: &Commands,
) -> io::Result<()> {
    let mut client = BufReader::new(client);
    loop {
        let (name, bytes) = reads(&mut client)?;
        let mut commands = commands.lock().expect("nobody panics under the lock");
        commands.extend(name);
        drop(commands);
        server.write_all(&bytes)?;
    }
}

/// A command's name, and all its bytes: an array of strings, each with its length before it.
fn read_command(stream: &mut impl BufRead) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut name = None;
    for _ in 0..read_number(stream, '*', &mut bytes)? {
        let length = read_number(stream, '$', &mut bytes)?;
        let start = bytes.len();
        bytes.resize(start + length + "\r\n".len(), 0);
        stream.read_exact(&mut bytes[start..])?;
        let word = || String::from_utf8_lossy(&bytes[start..start + length]).to_uppercase();
        name.get_or_insert_with(word);
    }
    Ok((name.ok_or(ErrorKind::InvalidData)?, bytes))
}

/// Reads a line that is a number behind this sign, and adds it to the bytes.
fn read_number(stream: &mut impl BufRead, sign: char, bytes: &mut Vec<u8>) -> io::Result<usize> {
    let start = bytes.len();
    stream.read_until(b'\n', bytes)?;
    let line = String::from_utf8_lossy(&bytes[start..]);
    let digits = line
        .strip_prefix(sign)
        .and_then(|line| line.strip_suffix("\r\n"));
    let number = digits.and_then(|digits| digits.parse().ok());
    number.ok_or_else(|| ErrorKind::InvalidData.into())
}

/// A message to PostgreSQL: a letter and a length, which counts itself, before the rest. The first one of a connection
/// has no letter; as it is short, its length begins with a zero.
fn read_message(stream: &mut BufReader<TcpStream>) -> io::Result<(Option<String>, Vec<u8>)> {
    let is_first = stream.fill_buf()?.first() == Some(&0);
    let head_len = if is_first { 4 } else { 5 };
    let mut bytes = vec![0; head_len];
    stream.read_exact(&mut bytes)?;
    let (_, length) = bytes.split_last_chunk().ok_or(ErrorKind::InvalidData)?;
    let rest = u32::from_be_bytes(*length).saturating_sub(4) as usize;
    bytes.resize(head_len + rest, 0);
    stream.read_exact(&mut bytes[head_len..])?;
    let name = match bytes[0] {
        b'E' => Some("Execute".to_owned()),
        b'Q' => Some("Query".to_owned()),
        _ => None,
    };
    Ok((name, bytes))
}

#[test]
fn commands_are_read_whole() {
    let sent: &[u8] = b"*2\r\n$3\r\nget\r\n$6\r\na\r\nb\r\n\r\n*1\r\n$4\r\nPING\r\n";
    let mut stream = sent;
    let (first, bytes) = read_command(&mut stream).unwrap();
    assert_eq!((first.as_str(), bytes.len()), ("GET", 25));
    let (second, _) = read_command(&mut stream).unwrap();
    assert_eq!(second, "PING");
    assert!(read_command(&mut stream).is_err(), "there are no more");
}
