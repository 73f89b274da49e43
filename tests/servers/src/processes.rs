//! Programs and processes: what the standard library doesn't say of them, or do to them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// How long a server may take for something. On a busy machine what is a matter of a second can take many.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A program and how it is run.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// Who runs it, if not the user who runs the tests.
    pub(crate) user: Option<User>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Finds a program in the PATH, or where Debian has servers that not everybody's PATH includes.
pub(crate) fn find(program: &str, package: &str) -> PathBuf {
    folders()
        .map(|folder| folder.join(program))
        .find(|file| is_executable(file))
        .unwrap_or_else(|| missing(program, package))
}

/// The program that takes the place of a distribution's one, if this environment variable names one.
pub(crate) fn in_place(variable: &str) -> Option<PathBuf> {
    let program = PathBuf::from(env::var_os(variable)?);
    assert!(
        program.is_absolute() && is_executable(&program),
        "{variable} has to be the absolute path of a program, and is {}",
        program.display()
    );
    Some(program)
}

/// The folders of programs.
pub(crate) fn folders() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = env::split_paths(&path).collect();
    folders.into_iter().chain(["/usr/sbin".into()])
}

pub(crate) fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

pub(crate) fn missing(program: &str, package: &str) -> ! {
    panic!(
        "`{program}` is not there, and this test needs it. Install the Debian package {package}, or run \
         `cargo xtask test --install` as root."
    )
}

/// Sends a signal to processes; those that have ended meanwhile don't matter.
pub(crate) fn signal(name: &str, pids: &[u32]) {
    let pids: Vec<_> = pids.iter().map(u32::to_string).collect();
    // The standard library has no signals; a shell's own `kill` is there on every system.
    let script = format!("kill -s {name} -- {}", pids.join(" "));
    let status = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.expect("there is a shell");
}

/// Stops a process with all that it has started, and returns them all, itself first.
pub(crate) fn stop(pid: u32) -> Vec<u32> {
    // Once it has stopped it starts no further processes, and waits for none that have ended.
    signal("STOP", &[pid]);
    wait_until("a process stops", || is_stopped(pid));
    let family = with_descendants(pid);
    signal("STOP", &family);
    wait_until("the process's own ones stop", || {
        family.iter().all(|pid| is_stopped(*pid))
    });
    family
}

/// A process and all that it has started, itself first.
pub(crate) fn with_descendants(pid: u32) -> Vec<u32> {
    let processes: Vec<_> = fs::read_dir("/proc")
        .expect("Linux has /proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter_map(|pid| Some((pid, status(pid)?.parent)))
        .collect();
    let mut family = vec![pid];
    let mut seen = 0;
    while let Some(&parent) = family.get(seen) {
        let children = processes.iter().filter(|(_, its)| *its == parent);
        family.extend(children.map(|(pid, _)| *pid));
        seen += 1;
    }
    family
}

/// Whether the process has ended, be it that nobody has waited for it yet.
pub(crate) fn is_gone(pid: u32) -> bool {
    status(pid).is_none_or(|status| matches!(status.state, 'Z' | 'X'))
}

/// Polls until something has happened, and panics when it doesn't.
pub(crate) fn wait_until(event: &str, mut has_happened: impl FnMut() -> bool) {
    let start = Instant::now();
    while !has_happened() {
        assert!(
            start.elapsed() < PATIENCE,
            "{event}: not within {PATIENCE:?}"
        );
        thread::sleep(Duration::from_millis(10));
    }
}

/// Whether the process does nothing any more, for now or for ever.
fn is_stopped(pid: u32) -> bool {
    is_gone(pid) || status(pid).is_some_and(|status| matches!(status.state, 'T' | 't'))
}

struct Status {
    state: char,
    parent: u32,
}

/// None if there is no such process.
fn status(pid: u32) -> Option<Status> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    // It begins with the number and, in parentheses, the name, which may itself contain whatever there is.
    let (_, rest) = text.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    Some(Status {
        state: words.next()?.chars().next()?,
        parent: words.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "Install the Debian package no-such-package")]
    fn a_missing_program_is_explained() {
        find("a-program-that-nobody-has", "no-such-package");
    }

    #[test]
    fn nothing_takes_a_place_by_itself() {
        assert_eq!(in_place("SESSION_TEST_WHAT_NOBODY_SETS"), None);
    }

    #[test]
    #[should_panic(expected = "PATH has to be the absolute path of a program")]
    fn what_takes_a_place_has_to_be_a_program() {
        in_place("PATH");
    }

    #[test]
    fn a_family_is_found_and_stopped() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & sleep 60 & wait"])
            .spawn()
            .unwrap();
        let count = || with_descendants(shell.id()).len();
        wait_until("the shell has started both", || count() == 3);
        let family = stop(shell.id());
        assert_eq!((family[0], family.len()), (shell.id(), 3));
        signal("KILL", &family);
        shell.wait().unwrap();
        wait_until("all have ended", || family.iter().all(|pid| is_gone(*pid)));
    }
}
