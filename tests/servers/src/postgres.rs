//! PostgreSQL servers.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::PathBuf;
use std::sync::LazyLock;

use crate::folder::Folder;
use crate::ports;
use crate::processes::{Program, User, folders, is_executable, missing};
use crate::supervisor::{Kind, Server};

static POSTGRES: Kind = Kind {
    name: "PostgreSQL",
    ready: "database system is ready to accept connections",
    // An immediate shutdown. Killed, it would leave pieces of shared memory behind, of which a system has only so many.
    last_signal: "QUIT",
};

const PACKAGE: &str = "postgresql";

/// Settings that name files, which the server's user has to be able to read.
const FILES: [&str; 3] = ["ssl_cert_file", "ssl_key_file", "ssl_ca_file"];

/// A PostgreSQL server. Everybody on this machine may be its superuser `postgres`.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    port: u16,
}

impl Postgres {
    /// The server that this process's tests share. None of them may kill, pause or reconfigure it.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<Postgres> = LazyLock::new(|| {
            // Far from where most machines are, so that a mix-up of zones shows.
            Postgres::start(&[("timezone", "America/New_York")])
        });
        &SHARED
    }

    /// A server of one's own, with these settings besides the usual ones.
    ///
    /// Files of certificates and keys may be anywhere: the server gets copies with the owner and mode that it wants.
    ///
    /// It doesn't wait for the disk (`fsync` is off). That loses nothing when it is killed, as what a process has
    /// written is the system's to keep; only the system's own end would lose it.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        let programs = programs();
        let folder = Folder::new("postgres", POSTGRES.last_signal);
        // As root it refuses to run.
        let user = folder.is_of_root().then(unprivileged_user);
        if let Some(user) = user {
            folder.give_to(user);
        }
        folder.run(&Program {
            path: programs.join("initdb"),
            arguments: initdb_arguments(&folder),
            user,
        });
        let settings: Vec<_> = settings
            .iter()
            .map(|(name, value)| format!("{name}={}", readable(name, value, &folder, user)))
            .collect();
        let program = |folder: &Folder, port: u16| Program {
            path: programs.join("postgres"),
            arguments: postgres_arguments(folder, port, &settings),
            user,
        };
        let (server, port) = Server::start(&POSTGRES, folder, ports::free, program);
        Self { server, port }
    }

    /// Where it is, for a client.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// The port of 127.0.0.1 where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it with all its processes (SIGKILL). Its data stays there for [`restart`](Self::restart).
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Starts it again, on the same port with the same data, after killing it if it still runs.
    pub fn restart(&self) {
        self.server.restart();
    }

    /// Stops it with all its processes (SIGSTOP): its connections stay open, and nobody answers.
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
}

fn initdb_arguments(folder: &Folder) -> Vec<String> {
    let words = [
        "--auth=trust",
        "--username=postgres",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
        "-D",
    ];
    let words = words.into_iter().map(str::to_owned);
    words.chain([folder.file("data")]).collect()
}

fn postgres_arguments(folder: &Folder, port: u16, settings: &[String]) -> Vec<String> {
    let usual = [
        format!("port={port}"),
        "listen_addresses=127.0.0.1".to_owned(),
        "unix_socket_directories=".to_owned(),
        "max_connections=500".to_owned(),
        "shared_buffers=32MB".to_owned(),
        "fsync=off".to_owned(),
    ];
    // The last one of a name counts.
    let settings = usual.iter().chain(settings);
    let options = settings.flat_map(|setting| ["-c".to_owned(), setting.clone()]);
    ["-D".to_owned(), folder.file("data")]
        .into_iter()
        .chain(options)
        .collect()
}

/// The value of a setting; if it names a file, that of a copy that the server may and will read.
fn readable(name: &str, value: &str, folder: &Folder, user: Option<User>) -> String {
    if !FILES.contains(&name) {
        return value.to_owned();
    }
    let copy = folder.path().join(name);
    fs::copy(value, &copy).unwrap_or_else(|error| panic!("cannot copy {value}: {error}"));
    // It refuses a key that others may read.
    fs::set_permissions(&copy, Permissions::from_mode(0o600)).expect("the copy is ours");
    if let Some(user) = user {
        chown(&copy, Some(user.uid), Some(user.gid)).expect("root may give it away");
    }
    copy.display().to_string()
}

/// The folder of the newest version's programs. Debian has them where no PATH leads.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let versions = versions.filter_map(|entry| {
        let entry = entry.ok()?;
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((version, entry.path().join("bin")))
    });
    let mut versions: Vec<_> = versions.collect();
    versions.sort();
    let in_path = folders();
    let of_debian = versions.into_iter().rev().map(|(_, folder)| folder);
    // Both of the same version.
    let has_both = |folder: &PathBuf| {
        let programs = ["initdb", "postgres"];
        programs
            .iter()
            .all(|program| is_executable(&folder.join(program)))
    };
    in_path
        .chain(of_debian)
        .find(has_both)
        .unwrap_or_else(|| missing("initdb` and `postgres", PACKAGE))
}

/// The user who runs the server if we are root: the one that the package brings along, or nobody.
pub(crate) fn unprivileged_user() -> User {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| find_user(&users, name))
        .expect("there is an unprivileged user")
}

fn find_user(users: &str, name: &str) -> Option<User> {
    let line = users
        .lines()
        .find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some(User {
        uid: fields.next()?.parse().ok()?,
        gid: fields.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found() {
        let users =
            "root:x:0:0:root:/root:/bin/sh\npostgres:x:101:104:,,,:/var/lib/postgresql:/bin/bash\n";
        let user = find_user(users, "postgres").unwrap();
        assert_eq!((user.uid, user.gid), (101, 104));
        assert!(find_user(users, "post").is_none());
    }
}
