//! MariaDB servers, and MySQL ones in their place.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use crate::folder::Folder;
use crate::processes::{Program, find, in_place};
use crate::supervisor::{Kind, Server};
use crate::{IN_PLACE_OF_MARIADB, ports};

static MARIADB: Kind = Kind {
    name: "MariaDB",
    ready: "ready for connections",
    last_signal: "KILL",
};

const PACKAGE: &str = "mariadb-server";

/// Root has to name somebody, be it root. From others it is ignored.
const AS_ROOT: &str = "--user=root";

/// A system has only so much of it, and containers often none.
const NO_NATIVE_AIO: &str = "--innodb-use-native-aio=0";

/// What MySQL would have outside of its folder or its port, or by default does more than MariaDB.
const MYSQL_ARGS: [&str; 3] = [
    "--secure-file-priv=NULL",
    "--mysqlx=OFF",
    "--disable-log-bin",
];

/// What the server does each time before it is ready, with a statement on each line.
///
/// As it is installed, root may come without a password from `localhost` alone. As it looks up no names, a connection
/// from this machine comes from `127.0.0.1`.
const INIT: &str = "\
CREATE DATABASE IF NOT EXISTS sessions;
CREATE USER IF NOT EXISTS 'root'@'127.0.0.1';
GRANT ALL PRIVILEGES ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;
";

/// A MariaDB server, or the MySQL one that [`IN_PLACE_OF_MARIADB`] names, with a database `sessions`. Everybody on
/// this machine may be its root.
#[derive(Debug)]
pub struct MariaDb {
    server: Server,
    port: u16,
}

impl MariaDb {
    /// The server that this process's tests share. None of them may kill, pause or reconfigure it.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<MariaDb> = LazyLock::new(|| {
            // Far from where most machines are, so that a mix-up of zones shows. New York's name would take tables
            // of zones, which a new server doesn't have.
            MariaDb::start(&["--default-time-zone=-05:00"])
        });
        &SHARED
    }

    /// A server of one's own, with these arguments besides the usual ones, such as `--ssl-cert=…`.
    ///
    /// It doesn't wait for the disk at each commit (`innodb_flush_log_at_trx_commit` is 2). That loses nothing when
    /// it is killed, as what a process has written is the system's to keep; only the system's own end would lose it.
    pub fn start(extra_args: &[&str]) -> Self {
        let folder = Folder::new("mariadb", MARIADB.last_signal);
        let (installer, path, own_args): (_, _, &[&str]) = match in_place(IN_PLACE_OF_MARIADB) {
            Some(path) => (mysql_installer(&path, &folder), path, &MYSQL_ARGS),
            None => (mariadb_installer(&folder), find("mariadbd", PACKAGE), &[]),
        };
        folder.run(&installer);
        fs::write(folder.path().join("init.sql"), INIT).expect("the folder is ours");
        let program = |folder: &Folder, port: u16| Program {
            path: path.clone(),
            arguments: server_arguments(folder, port, &[own_args, extra_args].concat()),
            user: None,
        };
        let (server, port) = Server::start(&MARIADB, folder, ports::free, program);
        Self { server, port }
    }

    /// Whether it is MySQL. The two have more in common than what they call by different names.
    pub fn is_mysql() -> bool {
        in_place(IN_PLACE_OF_MARIADB).is_some()
    }

    /// What it is, by its own account: its name and its version.
    pub fn version(&self) -> String {
        let log = self.server.log();
        let (_, version) = log.split_once("Version: '").expect("it is ready");
        let (version, _) = version.split_once('\'').expect("it is quoted");
        let name = if Self::is_mysql() { "MySQL" } else { "MariaDB" };
        format!("{name} {version}")
    }

    /// Where it is, for a client.
    pub fn url(&self) -> String {
        format!("mysql://root@127.0.0.1:{}/sessions", self.port)
    }

    /// The port of 127.0.0.1 where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it (SIGKILL). Its data stays there for [`restart`](Self::restart).
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Starts it again, on the same port with the same data, after killing it if it still runs.
    pub fn restart(&self) {
        self.server.restart();
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
}

/// There is no `--user` among its arguments, not even for root: with it the installer changes the owner of the
/// package's own files. The server, when it installs, has no need of it.
fn mariadb_installer(folder: &Folder) -> Program {
    Program {
        path: find("mariadb-install-db", PACKAGE),
        arguments: vec![
            "--no-defaults".to_owned(),
            "--auth-root-authentication-method=normal".to_owned(),
            "--skip-test-db".to_owned(),
            // It needs no name of this machine.
            "--force".to_owned(),
            NO_NATIVE_AIO.to_owned(),
            format!("--datadir={}", folder.file("data")),
        ],
        user: None,
    }
}

/// MySQL's server is its own installer.
fn mysql_installer(path: &Path, folder: &Folder) -> Program {
    Program {
        path: path.to_owned(),
        arguments: vec![
            "--no-defaults".to_owned(),
            // Root comes without a password.
            "--initialize-insecure".to_owned(),
            AS_ROOT.to_owned(),
            NO_NATIVE_AIO.to_owned(),
            format!("--datadir={}", folder.file("data")),
        ],
        user: None,
    }
}

fn server_arguments(folder: &Folder, port: u16, extra_args: &[&str]) -> Vec<String> {
    let usual = [
        "--no-defaults".to_owned(),
        format!("--datadir={}", folder.file("data")),
        format!("--socket={}", folder.file("socket")),
        format!("--tmpdir={}", folder.path().display()),
        format!("--init-file={}", folder.file("init.sql")),
        format!("--port={port}"),
        "--bind-address=127.0.0.1".to_owned(),
        AS_ROOT.to_owned(),
        "--skip-name-resolve".to_owned(),
        "--max-connections=500".to_owned(),
        // As Debian configures it.
        "--character-set-server=utf8mb4".to_owned(),
        "--innodb-flush-log-at-trx-commit=2".to_owned(),
        "--innodb-buffer-pool-size=64M".to_owned(),
        NO_NATIVE_AIO.to_owned(),
    ];
    let extra_args = extra_args.iter().map(|argument| (*argument).to_owned());
    usual.into_iter().chain(extra_args).collect()
}
