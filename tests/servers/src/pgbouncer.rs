//! PgBouncer, which stands between clients and a PostgreSQL server.

use std::fs;
use std::process::Command;
use std::sync::LazyLock;

use crate::folder::Folder;
use crate::ports;
use crate::postgres::{Postgres, unprivileged_user};
use crate::processes::{Program, find};
use crate::supervisor::{Kind, Server};

static PGBOUNCER: Kind = Kind {
    name: "PgBouncer",
    ready: "process up",
    last_signal: "KILL",
};

const PACKAGE: &str = "pgbouncer";

/// The version from which on it can keep track of prepared statements, and does unless it is told not to.
const FIRST_THAT_TRACKS: (u32, u32) = (1, 21);

/// PgBouncer in front of a server, with a connection of the server's for each transaction (`pool_mode =
/// transaction`). It keeps no track of prepared statements, and has so few connections that clients have to share
/// them.
#[derive(Debug)]
pub struct PgBouncer {
    _server: Server,
    port: u16,
}

impl PgBouncer {
    /// The one in front of [`Postgres::shared`] that this process's tests share.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<PgBouncer> =
            LazyLock::new(|| PgBouncer::in_front_of(Postgres::shared()));
        &SHARED
    }

    /// One in front of this server.
    pub fn in_front_of(postgres: &Postgres) -> Self {
        let path = find("pgbouncer", PACKAGE);
        let version = Command::new(&path).arg("--version").output();
        let version = version.expect("it can be started").stdout;
        let tracks = version_of(&String::from_utf8_lossy(&version)) >= FIRST_THAT_TRACKS;
        let folder = Folder::new("pgbouncer", PGBOUNCER.last_signal);
        // As root it refuses to run.
        let user = folder.is_of_root().then(unprivileged_user);
        if let Some(user) = user {
            folder.give_to(user);
        }
        let server_port = postgres.port();
        let program = |folder: &Folder, port: u16| {
            let configuration = configuration(port, server_port, tracks);
            fs::write(folder.path().join("pgbouncer.ini"), configuration)
                .expect("the folder is ours");
            Program {
                path: path.clone(),
                arguments: vec![folder.file("pgbouncer.ini")],
                user,
            }
        };
        let (server, port) = Server::start(&PGBOUNCER, folder, ports::free, program);
        Self {
            _server: server,
            port,
        }
    }

    /// Where it is, for a client.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }
}

fn configuration(port: u16, server_port: u16, tracks: bool) -> String {
    let no_tracking = if tracks {
        "max_prepared_statements = 0\n"
    } else {
        ""
    };
    format!(
        "[databases]\n\
         * = host=127.0.0.1 port={server_port} user=postgres\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\n\
         listen_port = {port}\n\
         unix_socket_dir =\n\
         auth_type = any\n\
         pool_mode = transaction\n\
         default_pool_size = 8\n\
         max_client_conn = 500\n\
         ignore_startup_parameters = extra_float_digits\n\
         {no_tracking}"
    )
}

/// The first two numbers of what it says of itself: `PgBouncer 1.18.0`, and more.
fn version_of(text: &str) -> (u32, u32) {
    let mut numbers = text
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|number| number.parse().ok());
    let mut next = || numbers.next().unwrap_or_default();
    (next(), next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared() {
        assert_eq!(
            version_of("PgBouncer 1.18.0\nlibevent 2.1.12-stable\n"),
            (1, 18)
        );
        assert!(version_of("PgBouncer 1.24.1") >= FIRST_THAT_TRACKS);
        assert!(version_of("PgBouncer 1.9.0") < FIRST_THAT_TRACKS);
    }

    #[test]
    fn only_a_version_that_knows_the_option_is_given_it() {
        assert!(configuration(1, 2, true).ends_with("max_prepared_statements = 0\n"));
        assert!(!configuration(1, 2, false).contains("prepared"));
    }
}
