//! A server of any kind: starting, killing, pausing and ending it.

use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::folder::{Folder, tail};
use crate::processes::{PATIENCE, Program, is_gone, signal, stop, wait_until, with_descendants};

/// How often a server is started whose port is taken. Between looking for a free one and using it others may come.
const ATTEMPTS: u32 = 5;

/// What all servers of one kind have in common.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// What its log says when it answers. An answer alone could be that of another server on the same port.
    pub(crate) ready: &'static str,
    /// What ends it for good, with whatever it has outside its folder.
    pub(crate) last_signal: &'static str,
}

/// A server in a folder of its own. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Server {
    kind: &'static Kind,
    program: Program,
    /// None when it has ended and has been waited for.
    running: Mutex<Option<Child>>,
    folder: Folder,
}

impl Server {
    /// Starts it on a free port and waits until it answers.
    pub(crate) fn start(
        kind: &'static Kind,
        folder: Folder,
        free_port: impl Fn() -> u16,
        program: impl Fn(&Folder, u16) -> Program,
    ) -> (Self, u16) {
        let mut port = free_port();
        let mut server = Self {
            kind,
            program: program(&folder, port),
            running: Mutex::new(None),
            folder,
        };
        let mut attempt = 1;
        while let Err(log) = server.launch() {
            server.panic_unless_port_is_taken(attempt, &log);
            attempt += 1;
            port = free_port();
            server.program = program(&server.folder, port);
        }
        (server, port)
    }

    /// Kills it if it still runs, starts it on the same port with the same data, and waits until it answers.
    pub(crate) fn restart(&self) {
        self.kill();
        let mut attempt = 1;
        while let Err(log) = self.launch() {
            self.panic_unless_port_is_taken(attempt, &log);
            attempt += 1;
            // Its clients know this port, so there is nothing but to wait.
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// Kills it with all its processes, in the midst of whatever they do. None of them is left afterwards.
    pub(crate) fn kill(&self) {
        let mut running = self.running();
        let Some(child) = running.as_mut() else {
            return;
        };
        // Stopped first, it can't take the death of one of its processes as a reason to start others.
        let family = stop(child.id());
        signal("KILL", &family);
        child.wait().expect("it is our child");
        *running = None;
        self.folder.forget();
        wait_until("a killed server's processes have ended", || {
            family.iter().all(|pid| is_gone(*pid))
        });
    }

    /// Stops it with all its processes. Its connections stay open, and nobody answers.
    pub(crate) fn pause(&self) {
        stop(self.pid());
    }

    pub(crate) fn resume(&self) {
        signal("CONT", &with_descendants(self.pid()));
    }

    /// Whether it is there, even if it is paused.
    pub(crate) fn is_running(&self) -> bool {
        let mut running = self.running();
        let Some(child) = running.as_mut() else {
            return false;
        };
        let has_ended = child.try_wait().expect("it is our child").is_some();
        if has_ended {
            *running = None;
            self.folder.forget();
        }
        !has_ended
    }

    /// What it has written so far.
    pub(crate) fn log(&self) -> String {
        self.folder.log_after(0)
    }

    /// Starts it and waits until it answers. The error, if it ends instead, is its log.
    fn launch(&self) -> Result<(), String> {
        let mut running = self.running();
        let before = self.folder.log_length();
        let child = running.insert(self.folder.spawn(&self.program));
        let start = Instant::now();
        while child.try_wait().expect("it is our child").is_none() {
            let log = self.folder.log_after(before);
            if log.contains(self.kind.ready) {
                return Ok(());
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{} does not answer after {PATIENCE:?}; the end of its log:\n{}",
                self.kind.name,
                tail(&log)
            );
            thread::sleep(Duration::from_millis(10));
        }
        *running = None;
        self.folder.forget();
        Err(self.folder.log_after(before))
    }

    fn panic_unless_port_is_taken(&self, attempt: u32, log: &str) {
        assert!(
            attempt < ATTEMPTS && log.contains("Address already in use"),
            "{} did not start; the end of its log:\n{}",
            self.kind.name,
            tail(log)
        );
    }

    fn pid(&self) -> u32 {
        let running = self.running();
        let child = running.as_ref().expect("the server is running");
        child.id()
    }

    fn running(&self) -> MutexGuard<'_, Option<Child>> {
        // What a test that has failed left here still says which process there is.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let child = self.running().take();
        if let Some(child) = &child {
            // The caretaker continues the server itself, but knows nothing of its other processes.
            signal("CONT", &with_descendants(child.id()));
        }
        self.folder.release();
        if let Some(mut child) = child {
            // The caretaker sees that it is gone only when its parent has waited for it.
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::{env, fs};

    use super::*;

    static SCRIPT: Kind = Kind {
        name: "a script",
        ready: "ready",
        last_signal: "KILL",
    };

    fn script(text: &str) -> Server {
        let program = |_: &Folder, port: u16| Program {
            path: "/bin/sh".into(),
            arguments: ["-c", text, "sh", &port.to_string()]
                .map(str::to_owned)
                .to_vec(),
            user: None,
        };
        let ports = Mutex::new(1_u16..);
        let free_port = || ports.lock().unwrap().next().unwrap();
        Server::start(&SCRIPT, Folder::new("script", "KILL"), free_port, program).0
    }

    #[test]
    fn a_server_is_paused_killed_and_started_again() {
        let server = script("echo start >>starts; echo ready; sleep 60 & wait");
        assert!(server.is_running());
        server.pause();
        server.resume();
        assert!(server.is_running());
        server.pause();
        server.kill();
        assert!(!server.is_running());
        server.restart();
        assert!(server.is_running());
        let starts = fs::read_to_string(server.folder.path().join("starts"));
        assert_eq!(starts.unwrap(), "start\nstart\n");
    }

    #[test]
    fn a_dropped_server_leaves_nothing() {
        let server = script("echo ready; sleep 60 & wait");
        let folder = server.folder.path().to_owned();
        let family = with_descendants(server.pid());
        server.pause();
        drop(server);
        assert!(!folder.exists());
        assert!(family.iter().all(|pid| is_gone(*pid)));
    }

    #[test]
    fn another_port_is_tried_when_one_is_taken() {
        let taken = r#"if [ "$1" = 1 ]; then echo Address already in use; exit 1; fi"#;
        assert!(script(&format!("{taken}; echo ready; exec sleep 60")).is_running());
    }

    #[test]
    #[should_panic(expected = "did not start; the end of its log:\nno data")]
    fn a_server_that_does_not_start_shows_its_log() {
        script("echo no data; exit 1");
    }

    #[test]
    fn a_killed_process_takes_its_server_along() {
        const VICTIM: &str = "SESSION_TEST_SERVERS_VICTIM";
        if env::var_os(VICTIM).is_some() {
            let server = script("echo ready; exec sleep 60");
            eprintln!("server {} {}", server.pid(), server.folder.path().display());
            thread::sleep(PATIENCE);
            return;
        }
        let test = "supervisor::tests::a_killed_process_takes_its_server_along";
        let mut victim = Command::new(env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env(VICTIM, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(victim.stderr.take().unwrap()).lines();
        let line = lines
            .map_while(Result::ok)
            .find(|line| line.starts_with("server "))
            .unwrap();
        victim.kill().unwrap();
        victim.wait().unwrap();

        let mut words = line.split(' ').skip(1);
        let pid = words.next().unwrap().parse().unwrap();
        let folder = Path::new(words.next().unwrap());
        wait_until("the server has ended", || is_gone(pid));
        wait_until("its folder is gone", || !folder.exists());
    }
}
