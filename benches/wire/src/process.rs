//! Servers in processes of their own, and the few requests to them that aren't measured.

use std::env;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Failure;
use crate::contest::{Contestant, Word as _};

/// How long a request may take that isn't measured.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// A server, which is killed when this is dropped.
pub(crate) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts this program as the server of a contestant.
    pub(crate) fn start(contestant: Contestant, store_url: &str) -> Result<Self, Failure> {
        let mut child = Command::new(env::current_exe()?)
            .arg("serve")
            .args(["--framework", contestant.framework.word()])
            .args(["--contender", contestant.contender.word()])
            .args(["--store", contestant.engine.word()])
            .args(["--url", store_url])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take();
        // From here on it is killed whatever happens.
        let mut server = Self { child, port: 0 };
        let mut line = String::new();
        if let Some(output) = output {
            BufReader::new(output).read_line(&mut line)?;
        }
        let port = line.trim().parse::<u16>();
        server.port = port.map_err(|_| format!("{contestant:?} ended before it had a port"))?;
        Ok(server)
    }

    /// Where a path is, for wrk.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Gets a path, and returns the `name=value` of the cookie that comes with the response.
    pub(crate) fn get(&self, path: &str, cookie: Option<&str>) -> Result<Option<String>, Failure> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(TIME_LIMIT))?;
        let cookie = cookie.map_or_else(String::new, |cookie| format!("Cookie: {cookie}\r\n"));
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{cookie}\r\n");
        stream.write_all(request.as_bytes())?;
        let mut response = String::new();
        stream.read_to_string(&mut response)?;
        let mut lines = response.lines();
        let status = lines.next().unwrap_or_default();
        if status.split(' ').nth(1) != Some("200") {
            return Err(format!("{path} was answered with '{status}'").into());
        }
        Ok(lines
            .take_while(|line| !line.is_empty())
            .find_map(cookie_in))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It fails where the server has ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a browser would send back, if the header sets a cookie.
fn cookie_in(header: &str) -> Option<String> {
    let (name, value) = header.split_once(':')?;
    let cookie = value.split(';').next()?;
    name.eq_ignore_ascii_case("set-cookie")
        .then(|| cookie.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_taken_from_headers() {
        assert_eq!(
            cookie_in("set-cookie: id=a=b; Path=/").as_deref(),
            Some("id=a=b")
        );
        assert_eq!(cookie_in("Set-Cookie: id=c").as_deref(), Some("id=c"));
        assert_eq!(cookie_in("date: now"), None);
    }
}
