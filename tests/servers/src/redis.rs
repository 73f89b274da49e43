//! Redis servers.

use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use crate::folder::Folder;
use crate::processes::{Program, find, in_place, wait_until};
use crate::supervisor::{Kind, Server};
use crate::{Certificates, IN_PLACE_OF_REDIS, ports};

static REDIS: Kind = Kind {
    name: "Redis",
    ready: "Ready to accept connections",
    last_signal: "KILL",
};

static SENTINEL: Kind = Kind {
    name: "Sentinel",
    ready: "Sentinel ID is",
    last_signal: "KILL",
};

/// How long a command may take. A paused server takes for ever.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// How a reply that is nothing is shown.
const NIL: &str = "(nil)";

/// A Redis server, or the one that [`IN_PLACE_OF_REDIS`] names.
#[derive(Debug)]
pub struct Redis {
    server: Server,
    port: u16,
    has_tls: bool,
    password: Option<String>,
}

impl Redis {
    /// The server that this process's tests share. None of them may kill, pause or reconfigure it.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<Redis> = LazyLock::new(|| Redis::start(&[]));
        &SHARED
    }

    /// A server of one's own. It stores nothing on its disk unless `extra_args` say so, such as
    /// `["--appendonly", "yes", "--appendfsync", "always"]`.
    pub fn start(extra_args: &[&str]) -> Self {
        Self::launch(None, ports::free, extra_args)
    }

    /// Like [`start`](Self::start), but it speaks TLS and nothing else. A restart needs the certificates' files
    /// again.
    pub fn start_tls(certificates: &Certificates, extra_args: &[&str]) -> Self {
        Self::launch(Some(certificates), ports::free, extra_args)
    }

    /// A Sentinel that watches nobody.
    pub fn start_sentinel() -> Self {
        let path = program();
        let program = |folder: &Folder, port: u16| {
            // A Sentinel keeps what it finds out in the file of its configuration.
            let file = folder.file("sentinel.conf");
            let folder = folder.path().display();
            let options = format!("port {port}\nbind 127.0.0.1\ndir {folder}\n");
            fs::write(&file, options).expect("the folder is ours");
            Program {
                path: path.clone(),
                arguments: vec![file, "--sentinel".to_owned()],
                user: None,
            }
        };
        let folder = Folder::new("sentinel", SENTINEL.last_signal);
        let (server, port) = Server::start(&SENTINEL, folder, ports::free, program);
        let sentinel = Self {
            server,
            port,
            has_tls: false,
            password: None,
        };
        sentinel.wait_until_it_answers();
        sentinel
    }

    /// A server whose port leaves room for a cluster's bus.
    pub(crate) fn start_node(extra_args: &[&str]) -> Self {
        Self::launch(None, ports::free_with_bus, extra_args)
    }

    fn launch(
        tls: Option<&Certificates>,
        free_port: impl Fn() -> u16,
        extra_args: &[&str],
    ) -> Self {
        let path = program();
        let program = |folder: &Folder, port: u16| Program {
            path: path.clone(),
            arguments: arguments(folder, port, tls, extra_args),
            user: None,
        };
        let folder = Folder::new("redis", REDIS.last_signal);
        let (server, port) = Server::start(&REDIS, folder, free_port, program);
        let mut pairs = extra_args.windows(2);
        let password = pairs.find(|pair| pair[0] == "--requirepass");
        let redis = Self {
            server,
            port,
            has_tls: tls.is_some(),
            password: password.map(|pair| pair[1].to_owned()),
        };
        redis.wait_until_it_answers();
        redis
    }

    /// Where it is, for a client.
    pub fn url(&self) -> String {
        let scheme = if self.has_tls { "rediss" } else { "redis" };
        let password = self.password.as_ref();
        let login = password.map_or_else(String::new, |password| format!(":{password}@"));
        format!("{scheme}://{login}127.0.0.1:{}", self.port)
    }

    /// The port of 127.0.0.1 where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it is, by its own account: its name and its version, such as `Redis 7.0.15` or `Valkey 9.1.2`.
    pub fn version(&self) -> String {
        let about = self.command(&["INFO", "server"]);
        let value = |name| about.lines().find_map(|line| line.strip_prefix(name));
        // Valkey has Redis's version besides, the one that it is compatible with.
        let valkey = value("valkey_version:").map(|version| format!("Valkey {version}"));
        let redis = || value("redis_version:").map(|version| format!("Redis {version}"));
        valkey.or_else(redis).expect("a server knows its version")
    }

    /// Sends a command on a connection of its own, and returns the reply as text: an error begins with `-`, nothing
    /// is `(nil)`, and the parts of an array are on lines of their own.
    ///
    /// This is for setting up and looking into the server. One that speaks TLS doesn't understand it.
    pub fn command(&self, words: &[&str]) -> String {
        let reply = self.try_command(words);
        reply.unwrap_or_else(|error| panic!("Redis has no reply to {words:?}: {error}"))
    }

    /// Kills it (SIGKILL). What it has written to its files stays there for [`restart`](Self::restart).
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Starts it again, on the same port with the same files, after killing it if it still runs.
    pub fn restart(&self) {
        self.server.restart();
        self.wait_until_it_answers();
    }

    /// Stops it (SIGSTOP): its connections stay open, and it answers nothing.
    pub fn pause(&self) {
        self.server.pause();
    }

    /// Continues it after [`pause`](Self::pause) (SIGCONT).
    pub fn resume(&self) {
        self.server.resume();
    }

    /// Whether there is a process, even a paused one.
    pub fn is_running(&self) -> bool {
        self.server.is_running()
    }

    fn wait_until_it_answers(&self) {
        // Its log has said that it is ready; of one that speaks TLS we can't know more.
        if !self.has_tls {
            // Until it has read its files it answers `-LOADING`. A password that we don't know is the test's affair.
            wait_until("Redis answers", || {
                let reply = self.try_command(&["PING"]);
                reply.is_ok_and(|reply| reply == "PONG" || reply.starts_with("-NOAUTH"))
            });
        }
    }

    fn try_command(&self, words: &[&str]) -> io::Result<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let stream = TcpStream::connect_timeout(&address, TIME_LIMIT)?;
        stream.set_read_timeout(Some(TIME_LIMIT))?;
        stream.set_write_timeout(Some(TIME_LIMIT))?;
        let mut stream = BufReader::new(stream);
        if let Some(password) = &self.password {
            ask(&mut stream, &["AUTH", password])?;
        }
        ask(&mut stream, words)
    }
}

fn program() -> PathBuf {
    in_place(IN_PLACE_OF_REDIS).unwrap_or_else(|| find("redis-server", "redis-server"))
}

fn arguments(
    folder: &Folder,
    port: u16,
    tls: Option<&Certificates>,
    extra_args: &[&str],
) -> Vec<String> {
    let port = port.to_string();
    let mut arguments: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
    match tls {
        None => add(&["--port", &port]),
        Some(certificates) => {
            add(&["--port", "0", "--tls-port", &port]);
            let files = [
                ("--tls-cert-file", certificates.server_cert()),
                ("--tls-key-file", certificates.server_key()),
                ("--tls-ca-cert-file", certificates.ca()),
            ];
            for (option, file) in files {
                add(&[option, &file.display().to_string()]);
            }
            add(&["--tls-auth-clients", "no"]);
        }
    }
    add(&["--bind", "127.0.0.1"]);
    add(&["--dir", &folder.path().display().to_string()]);
    add(&["--save", ""]);
    add(extra_args);
    arguments
}

fn ask(stream: &mut BufReader<TcpStream>, words: &[&str]) -> io::Result<String> {
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request += &format!("${}\r\n{word}\r\n", word.len());
    }
    stream.get_mut().write_all(request.as_bytes())?;
    read_reply(stream)
}

/// Reads a reply of the protocol's version 2, the one that connections begin with.
fn read_reply(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let Some(line) = line.strip_suffix("\r\n") else {
        return Err(ErrorKind::UnexpectedEof.into());
    };
    // A length of -1 stands for nothing.
    if let Some(length) = line.strip_prefix('$') {
        let Ok(length) = length.parse::<usize>() else {
            return Ok(NIL.to_owned());
        };
        let mut text = vec![0; length + 2];
        stream.read_exact(&mut text)?;
        return Ok(String::from_utf8_lossy(&text[..length]).into_owned());
    }
    if let Some(count) = line.strip_prefix('*') {
        let Ok(count) = count.parse::<usize>() else {
            return Ok(NIL.to_owned());
        };
        let parts: io::Result<Vec<_>> = (0..count).map(|_| read_reply(stream)).collect();
        return Ok(parts?.join("\n"));
    }
    match line.strip_prefix(['+', ':']) {
        Some(text) => Ok(text.to_owned()),
        None if line.starts_with('-') => Ok(line.to_owned()),
        None => Err(io::Error::new(ErrorKind::InvalidData, line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read() {
        let replies = [
            ("+OK\r\n", "OK"),
            (":-3\r\n", "-3"),
            ("-ERR no\r\n", "-ERR no"),
            ("$-1\r\n", "(nil)"),
            ("$0\r\n\r\n", ""),
            ("$4\r\na\r\nb\r\n", "a\r\nb"),
            ("*-1\r\n", "(nil)"),
            ("*3\r\n:1\r\n*1\r\n$1\r\na\r\n+b\r\n", "1\na\nb"),
        ];
        for (bytes, text) in replies {
            assert_eq!(
                read_reply(&mut bytes.as_bytes()).unwrap(),
                text,
                "{bytes:?}"
            );
        }
        assert!(read_reply(&mut &b""[..]).is_err());
        assert!(read_reply(&mut &b"$4\r\na\r\n"[..]).is_err());
        assert!(read_reply(&mut &b"HTTP/1.1 400 Bad Request\r\n"[..]).is_err());
    }
}
