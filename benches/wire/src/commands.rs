//! How many commands a request sends to Redis.
//!
//! Redis's own counters count what scripts do inside of Redis, too, which costs no round trip. Its `MONITOR` tells
//! the two apart, but slows it down: so a few requests are counted before anything is measured.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use session_test_servers::Redis;

use crate::Failure;
use crate::contest::{Request, Word as _};
use crate::process::Server;

/// How many requests are counted.
const SAMPLE: u32 = 20;

/// What is sent after the last of them.
const MARK: &str = "that-was-the-last-request";

/// The commands that a request to this server sends.
pub(crate) fn per_request(
    redis: &Redis,
    server: &Server,
    request: Request,
    cookie: &str,
) -> Result<f64, Failure> {
    let path = format!("/{}", request.word());
    // The first one may send a script's text, or open a connection.
    server.get(&path, Some(cookie))?;
    let mut monitor = Monitor::start(redis.port())?;
    for _ in 0..SAMPLE {
        server.get(&path, Some(cookie))?;
    }
    redis.command(&["ECHO", MARK]);
    Ok(f64::from(monitor.count()?) / f64::from(SAMPLE))
}

/// A connection on which Redis tells of every command.
struct Monitor(BufReader<TcpStream>);

impl Monitor {
    fn start(port: u16) -> Result<Self, Failure> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(b"MONITOR\r\n")?;
        let mut monitor = Self(BufReader::new(stream));
        match monitor.line()?.trim_end() {
            "+OK" => Ok(monitor),
            answer => Err(format!("Redis doesn't tell of its commands: {answer}").into()),
        }
    }

    /// The commands that clients have sent before the mark.
    fn count(&mut self) -> Result<u32, Failure> {
        let mut count = 0;
        loop {
            let line = self.line()?;
            if line.contains(MARK) {
                return Ok(count);
            }
            count += u32::from(is_of_client(&line));
        }
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        match self.0.read_line(&mut line)? {
            0 => Err("Redis has closed the connection that counts its commands".into()),
            _ => Ok(line),
        }
    }
}

/// Whether a client has sent it, not a script: `+1700000000.0 [0 127.0.0.1:5000] "GET" "key"`, as against `[0 lua]`.
fn is_of_client(line: &str) -> bool {
    let origin = line
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'));
    origin.is_some_and(|(origin, _)| !origin.ends_with(" lua"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_scripts_do_is_not_sent() {
        assert!(is_of_client(
            "+1700000000.123456 [0 127.0.0.1:5000] \"GET\" \"key\"\r\n"
        ));
        assert!(is_of_client(
            "+1700000000.123456 [0 127.0.0.1:5000] \"EVALSHA\" \"[0 lua]\"\r\n"
        ));
        assert!(!is_of_client(
            "+1700000000.123456 [0 lua] \"SET\" \"key\" \"value\"\r\n"
        ));
    }
}
