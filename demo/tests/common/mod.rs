//! Programs that a test starts, and that end with it.
#![allow(dead_code, reason = "each test program uses a part of this")]

use std::io::{BufRead as _, BufReader, read_to_string};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub(crate) const SECRET: &str = "a secret for tests, of at least 32 bytes";

/// How long a program may take to say something. One that works takes a fraction of a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program that is killed, with what it has started, when this is dropped.
pub(crate) struct Program {
    child: Group,
    /// The lines of its standard output; closed when it has ended.
    lines: Receiver<String>,
    stderr: JoinHandle<String>,
}

/// A process that leads a group of its own.
struct Group(Child);

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// What it wrote to its standard output, apart from lines that were read before.
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: String,
}

impl Program {
    /// The demo, on a free port of this machine, and the address where it listens.
    pub(crate) fn demo(options: &[&str]) -> (Self, String) {
        let mut command = Self::demo_command(&["--listen", "127.0.0.1:0", "--secret", SECRET]);
        let demo = Self::start(command.args(options));
        let line = demo.next_line().expect("the demo ended at once");
        let address = line.strip_prefix("listening on http://127.0.0.1:");
        let port: u16 = address.expect(&line).parse().expect(&line);
        (demo, format!("127.0.0.1:{port}"))
    }

    /// The demo's program, untouched by the settings of whoever runs the tests.
    pub(crate) fn demo_command(options: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_session-demo"));
        command.env_remove("SESSION_SECRET").args(options);
        command
    }

    pub(crate) fn start(command: &mut Command) -> Self {
        Self::try_start(command).unwrap()
    }

    pub(crate) fn try_start(command: &mut Command) -> std::io::Result<Self> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.process_group(0).spawn()?;
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let stderr = child.stderr.take().expect("it is piped");
        let stderr = thread::spawn(move || read_to_string(stderr).unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // Nobody listens any more once the test is over; the pipe is emptied all the same.
                let _ = sender.send(line);
            }
        });
        Ok(Self {
            child: Group(child),
            lines,
            stderr,
        })
    }

    /// The next line of its standard output; none if it has ended.
    pub(crate) fn next_line(&self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("the program said nothing for {PATIENCE:?}"),
        }
    }

    /// Sends SIGTERM to the program alone.
    pub(crate) fn terminate(&self) {
        assert!(send_signal("TERM", &self.child.0.id().to_string()));
    }

    /// Waits until the program ends of its own accord.
    pub(crate) fn wait(self, limit: Duration) -> Ended {
        let Self {
            mut child,
            lines,
            stderr,
        } = self;
        let start = Instant::now();
        let mut stdout = Vec::new();
        loop {
            match lines.recv_timeout(limit.saturating_sub(start.elapsed())) {
                Ok(line) => stdout.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the program still runs after {limit:?}"),
            }
        }
        Ended {
            status: child.0.wait().unwrap(),
            stdout,
            stderr: stderr.join().unwrap(),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            send_signal("KILL", &format!("-{}", self.0.id()));
            // Where there is no shell, the program itself ends all the same.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// The standard library has no signals; a shell's own `kill` is there on every system.
fn send_signal(signal: &str, target: &str) -> bool {
    let script = format!("kill -s {signal} -- {target}");
    let status = Command::new("sh").args(["-c", &script]).status();
    status.is_ok_and(|status| status.success())
}
