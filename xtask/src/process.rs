//! Runs other programs: on this terminal, for their output, or into a log with a time limit.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Result, failed};

/// How a program with a time limit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Succeeded,
    Failed,
    TimedOut,
}

/// Shows the command and runs it on this terminal.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("$ {}", shown(command));
    let status = command
        .status()
        .map_err(|error| not_started(command, &error))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`{}` failed: {status}", shown(command)))
    }
}

/// What the command writes to its standard output; what it writes to standard error is for the error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .map_err(|error| not_started(command, &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let message = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "`{}` failed: {}\n{}",
        shown(command),
        output.status,
        message.trim()
    ))
}

/// Runs the command with everything it writes in the file `log`.
pub(crate) fn run_logged(command: &mut Command, log: &Path) -> Result<Ended> {
    write_to(command, log)?;
    let status = command
        .status()
        .map_err(|error| not_started(command, &error))?;
    Ok(if status.success() {
        Ended::Succeeded
    } else {
        Ended::Failed
    })
}

/// Like [`run_logged`], and ends the command, with all the processes it started, after `limit`.
pub(crate) fn run_limited(command: &mut Command, log: &Path, limit: Duration) -> Result<Ended> {
    write_to(command, log)?;
    // A test is a child of cargo. Only by their common group can both be ended.
    let mut child = command
        .process_group(0)
        .spawn()
        .map_err(|error| not_started(command, &error))?;
    let started = Instant::now();
    loop {
        let status = child
            .try_wait()
            .map_err(|error| format!("cannot wait: {error}"))?;
        match status {
            Some(status) if status.success() => return Ok(Ended::Succeeded),
            Some(_) => return Ok(Ended::Failed),
            None if started.elapsed() < limit => thread::sleep(Duration::from_millis(10)),
            None => {
                kill_group(&mut child)?;
                return Ok(Ended::TimedOut);
            }
        }
    }
}

fn write_to(command: &mut Command, log: &Path) -> Result<()> {
    let file = File::create(log).map_err(|error| failed("write", log, &error))?;
    let copy = file
        .try_clone()
        .map_err(|error| failed("write", log, &error))?;
    command.stdin(Stdio::null()).stdout(file).stderr(copy);
    Ok(())
}

fn kill_group(child: &mut Child) -> Result<()> {
    // The standard library kills single processes only. A shell's own `kill` is there on every system.
    let script = format!("kill -s KILL -- -{}", child.id());
    let killed = output(Command::new("sh").args(["-c", &script]));
    child
        .wait()
        .map_err(|error| format!("cannot wait: {error}"))?;
    killed.map(drop)
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name();
    let words = program.into_iter().chain(command.get_args());
    words
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

fn not_started(command: &Command, error: &std::io::Error) -> String {
    format!("cannot start `{}`: {error}", shown(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(script: &str) -> Result<Ended> {
        let name = format!(
            "xtask-{}-{:?}.log",
            std::process::id(),
            thread::current().id()
        );
        let log = std::env::temp_dir().join(name);
        let mut command = Command::new("sh");
        let ended = run_limited(
            command.args(["-c", script]),
            &log,
            Duration::from_millis(200),
        );
        std::fs::remove_file(&log).map_err(|error| failed("remove", &log, &error))?;
        ended
    }

    #[test]
    fn a_limited_command_succeeds_fails_or_times_out() {
        assert_eq!(limited("exit 0"), Ok(Ended::Succeeded));
        assert_eq!(limited("exit 3"), Ok(Ended::Failed));
        let started = Instant::now();
        assert_eq!(limited("sleep 60 & sleep 60; exit 0"), Ok(Ended::TimedOut));
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn an_error_shows_the_command_and_its_message() {
        let failed = output(Command::new("/bin/sh").args(["-c", "echo why >&2; exit 3"]));
        let message = failed.err().unwrap_or_default();
        assert!(
            message.contains("`sh -c") && message.ends_with("why"),
            "{message}"
        );
    }
}
