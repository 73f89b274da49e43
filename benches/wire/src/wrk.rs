//! wrk, which makes the load.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::{self, Command};
use std::{env, fs};

use crate::Failure;

/// How many connections request at the same time.
pub(crate) const CONNECTIONS: u32 = 32;

/// What wrk found out.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Measured {
    pub(crate) per_second: f64,
    /// The time within which 99 of 100 requests were answered, in milliseconds.
    pub(crate) p99: f64,
}

/// A script for wrk, in a temporary file.
pub(crate) struct Script(PathBuf);

impl Script {
    /// Has each request bring the next one of these cookies. There are many times more of them than connections, so
    /// that no session is used by two requests at once: what is measured is the way without conflicts.
    pub(crate) fn rotating(name: &str, cookies: &[String]) -> Result<Self, Failure> {
        let file = format!("session-bench-wire-{}-{name}.lua", process::id());
        let script = Self(env::temp_dir().join(file));
        // What cookies consist of is quoted alike in Rust and Lua.
        let cookies: Vec<_> = cookies.iter().map(|cookie| format!("{cookie:?}")).collect();
        fs::write(&script.0, TEMPLATE.replace("COOKIES", &cookies.join(",\n")))?;
        Ok(script)
    }

    /// Loads a URL.
    pub(crate) fn load(&self, url: &str, seconds: u32) -> Result<Measured, Failure> {
        let output = Command::new("wrk")
            .args([
                "-t1",
                &format!("-c{CONNECTIONS}"),
                &format!("-d{seconds}s"),
                "--latency",
            ])
            .arg("-s")
            .arg(&self.0)
            .arg(url)
            .output()
            .map_err(not_started)?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            return Err(format!("wrk failed at {url}: {error}{text}").into());
        }
        parse(&text).map_err(|problem| format!("{url}: {problem}").into())
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // What is left behind in the folder for temporary files does no harm.
        let _ = fs::remove_file(&self.0);
    }
}

/// The requests are made beforehand, so that wrk has time left for load.
const TEMPLATE: &str = r#"local cookies = {
COOKIES
}
local requests, last = {}, 0

init = function()
  for i, cookie in ipairs(cookies) do
    requests[i] = wrk.format("GET", nil, { ["Cookie"] = cookie })
  end
end

request = function()
  last = last % #requests + 1
  return requests[last]
end
"#;

/// Says early on that wrk is missing.
pub(crate) fn check() -> Result<(), Failure> {
    // It shows its version and its usage, and calls that a failure.
    Command::new("wrk")
        .arg("--version")
        .output()
        .map_err(not_started)?;
    Ok(())
}

fn not_started(error: std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::NotFound => "wrk isn't installed: it is in the Debian package `wrk`".into(),
        _ => format!("wrk doesn't start: {error}").into(),
    }
}

fn parse(output: &str) -> Result<Measured, String> {
    let (mut per_second, mut p99) = (None, None);
    for line in output.lines().map(str::trim) {
        if line.starts_with("Socket errors:") || line.starts_with("Non-2xx or 3xx responses:") {
            return Err(format!(
                "not all requests were answered as they should be: {line}"
            ));
        }
        if let Some(figure) = line.strip_prefix("Requests/sec:") {
            per_second = figure.trim().parse().ok();
        } else if let Some(time) = line.strip_prefix("99%") {
            p99 = milliseconds(time.trim());
        }
    }
    match (per_second, p99) {
        (Some(per_second), Some(p99)) => Ok(Measured { per_second, p99 }),
        _ => Err(format!("what wrk says can't be read:\n{output}")),
    }
}

fn milliseconds(time: &str) -> Option<f64> {
    let unit_at = time.find(|c: char| c.is_ascii_alphabetic())?;
    let (figure, unit) = time.split_at(unit_at);
    let factor = match unit {
        "us" => 0.001,
        "ms" => 1.0,
        "s" => 1_000.0,
        "m" => 60_000.0,
        _ => return None,
    };
    Some(figure.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "Running 3s test @ http://127.0.0.1:4000/read
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   640.51us  120.18us   4.05ms   91.00%
    Req/Sec    49.58k     1.20k   51.02k    80.00%
  Latency Distribution
     50%  620.00us
     75%  650.00us
     90%  700.00us
     99%    1.25ms
  148012 requests in 3.00s, 17.22MB read
Requests/sec:  49325.12
Transfer/sec:      5.74MB
";

    #[test]
    fn figures_are_read() {
        let measured = Measured {
            per_second: 49_325.12,
            p99: 1.25,
        };
        assert_eq!(parse(OUTPUT), Ok(measured));
        assert_eq!(milliseconds("500.00us"), Some(0.5));
        assert_eq!(milliseconds("1.50s"), Some(1_500.0));
        assert!(parse("Requests/sec:  1.0").is_err());
    }

    #[test]
    fn requests_that_went_wrong_are_no_figures() {
        let wrong = "  Socket errors: connect 0, read 3, write 0, timeout 0\n";
        assert!(parse(&format!("{wrong}{OUTPUT}")).is_err_and(|error| error.contains("read 3")));
        let refused = "  Non-2xx or 3xx responses: 7\n";
        assert!(parse(&format!("{refused}{OUTPUT}")).is_err_and(|error| error.contains("7")));
    }
}
