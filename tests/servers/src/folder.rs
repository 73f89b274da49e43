//! Temporary folders that are cleared away, with what runs in them, whatever ends this process.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, process};

use crate::processes::{Program, User};

/// What the caretaker does; it explains itself.
const CARETAKER: &str = include_str!("caretaker.sh");

/// Becomes the program once it is told to. If it is never told, because we have ended, there is no program.
const AT_OUR_WORD: &str = r#"read -r word && exec "$@" </dev/null"#;

/// How many lines of a log are shown when something has failed.
const TAIL: usize = 40;

/// A temporary folder for one server. Dropping it ends what runs in it and removes it.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    caretaker: Child,
    /// The caretaker clears up when this is closed. As the standard library opens pipes so that other programs don't
    /// inherit them, it is closed when we end, too.
    leash: Option<ChildStdin>,
}

impl Folder {
    /// `last_signal` ends the program that runs in the folder, when its time has come.
    pub(crate) fn new(name: &str, last_signal: &str) -> Self {
        let path = create(name);
        let mut caretaker = Command::new("sh")
            .args(["-c", CARETAKER, "caretaker"])
            .arg(&path)
            .arg(last_signal)
            .current_dir("/")
            // Ctrl-C, and whoever kills the tests with their process group, would end it along with them.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is a shell");
        let leash = caretaker.stdin.take();
        Self {
            path,
            caretaker,
            leash,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of something in the folder, for a command line.
    pub(crate) fn file(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    /// Whether the folder is root's, and so whether we are root.
    pub(crate) fn is_of_root(&self) -> bool {
        fs::metadata(&self.path).expect("the folder is there").uid() == 0
    }

    /// Lets another user work in the folder.
    pub(crate) fn give_to(&self, user: User) {
        chown(&self.path, Some(user.uid), Some(user.gid)).expect("root may give it away");
    }

    /// Runs a program that ends by itself.
    pub(crate) fn run(&self, program: &Program) {
        let before = self.log_length();
        let status = self.spawn(program).wait().expect("it is our child");
        self.forget();
        assert!(
            status.success(),
            "`{}` failed: {status}\n{}",
            program.path.display(),
            tail(&self.log_after(before))
        );
    }

    /// Starts a program that ends with us. It leads a process group of its own.
    pub(crate) fn spawn(&self, program: &Program) -> Child {
        let mut command = Command::new("sh");
        command
            .args(["-c", AT_OUR_WORD, "sh"])
            .arg(&program.path)
            .args(&program.arguments)
            .current_dir(&self.path)
            // We look for English words in its log.
            .env("LC_ALL", "C")
            .process_group(0);
        if let Some(user) = program.user {
            command.uid(user.uid).gid(user.gid);
        }
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path.join("log"))
            .expect("the folder is ours");
        command
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("there are files left"))
            .stderr(log);
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.path.display()));
        self.tell_caretaker(&child.id().to_string());
        // Only now, so that the caretaker knows of it before it is there.
        let mut word = child.stdin.take().expect("it is piped");
        word.write_all(b"go\n").expect("it waits for our word");
        child
    }

    /// Has to follow when a program has ended and has been waited for: its number may soon be another's.
    pub(crate) fn forget(&self) {
        self.tell_caretaker("");
    }

    /// Has the caretaker end the program and remove the folder, without waiting for that.
    pub(crate) fn release(&mut self) {
        self.leash = None;
    }

    pub(crate) fn log_length(&self) -> usize {
        self.log().len()
    }

    /// What has been written to the log since it had this length.
    pub(crate) fn log_after(&self, length: usize) -> String {
        let log = self.log();
        String::from_utf8_lossy(log.get(length..).unwrap_or_default()).into_owned()
    }

    fn log(&self) -> Vec<u8> {
        // Before the first program there is none.
        fs::read(self.path.join("log")).unwrap_or_default()
    }

    fn tell_caretaker(&self, group: &str) {
        let mut leash = self.leash.as_ref().expect("it has not been released");
        leash
            .write_all(format!("{group}\n").as_bytes())
            .expect("the caretaker ends after us");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.release();
        let _ = self.caretaker.wait();
    }
}

/// The end of a log, where it says what went wrong.
pub(crate) fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

fn create(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let parent = std::path::absolute(env::temp_dir()).expect("there is a temporary folder");
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("session-test-{name}-{}-{number}", process::id()));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return path,
            // A process that had our number before us was killed together with its caretakers.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => panic!("cannot create {}: {error}", path.display()),
        }
    }
}
