//! A server for SQL: what happens to PostgreSQL and to MariaDB in the same way.

use session_core::store::SessionStore;
use sqlx::pool::PoolOptions;
use sqlx::{AssertSqlSafe, Connection, Database, Executor, Pool};
use tokio::time::sleep;

use crate::load::Load;
use crate::matrix::{Cell, Engine, Fault};
use crate::refusal::{RIGHT_PASSWORD, WRONG_PASSWORD, refused};
use crate::strike::{
    ACQUIRE_TIMEOUT, CONNECTIONS, Expected, OUTAGE, strike, strike_with, wait_until,
};

type ConnectionOf<S> = <<S as SqlServer>::Database as Database>::Connection;

/// A server, and what is particular to it.
pub(crate) trait SqlServer: Sized {
    const NAME: &'static str;

    /// Who may do everything, and who the store is.
    const ADMIN: &'static str;
    const USER: &'static str;

    /// What it says to a wrong password.
    const NO_ENTRY: &'static str;
    /// What asks for TLS, at the end of a URL.
    const WITH_TLS: &'static str;
    /// How it is out of room.
    const HOW_FULL: &'static str;

    const KILL_AND_RESTART: [fn(&Self); 2];
    const PAUSE_AND_RESUME: [fn(&Self); 2];

    type Database: Database;
    type Store: SessionStore;

    /// The stranger is a user of this name, who has the right password.
    async fn start_with_stranger() -> Self;

    /// As in [`Engine`].
    fn title(&self) -> String {
        <Self as SqlServer>::NAME.to_owned()
    }

    /// Where it is, for a user, or for a user and a password.
    fn url_for(&self, login: &str) -> String;

    /// A store whose tables are there.
    async fn store(pool: Pool<Self::Database>, table: &str) -> Self::Store;

    /// Ends all of the store's connections, again and again.
    async fn cut(&self, admin: &mut ConnectionOf<Self>);

    /// Lets the table grow no further, adds the load's ballast, and then lets it grow again.
    async fn fill(&self, admin: &mut ConnectionOf<Self>, table: &str, load: &Load);

    /// Forbids it to the store for a while.
    async fn forbid_writing(&self, admin: &mut ConnectionOf<Self>);

    /// Keeps everybody else from the table for a while, readers too.
    async fn hold(&self, stranger: &mut ConnectionOf<Self>, table: &str);

    /// Has new connections do without TLS, or lets them have it again, if the server has it by itself.
    async fn allow_tls(&self, _admin: &mut ConnectionOf<Self>, _is_allowed: bool) {}

    async fn admin(&self) -> ConnectionOf<Self> {
        let admin = ConnectionOf::<Self>::connect(&self.url_for(Self::ADMIN)).await;
        admin.expect("the server lets us in")
    }
}

impl<S: SqlServer> Engine for S {
    const NAME: &'static str = <S as SqlServer>::NAME;

    async fn start() -> Self {
        S::start_with_stranger().await
    }

    fn title(&self) -> String {
        SqlServer::title(self)
    }

    async fn suffer(&self, fault: Fault) -> Cell {
        let table = fault.name();
        let admin = &mut self.admin().await;
        match fault {
            Fault::Killed => hit(self, table, "", be_away(self, S::KILL_AND_RESTART)).await,
            Fault::Paused => hit(self, table, "", be_away(self, S::PAUSE_AND_RESUME)).await,
            Fault::Cut => hit(self, table, "", self.cut(admin)).await,
            Fault::Full => {
                let work = async |load: &Load| self.fill(admin, table, load).await;
                let store = open(self, table).await;
                strike_with(store, Expected::Failures, S::HOW_FULL, work).await
            }
            Fault::ReadOnly => hit(self, table, "", self.forbid_writing(admin)).await,
            Fault::Refused => refuse(self, admin).await,
            Fault::Flushed => Cell::absent("no scripts"),
            Fault::Held => hit(self, table, "of the table", self.hold(admin, table)).await,
            Fault::Lost => Cell::absent("one server"),
        }
    }
}

async fn hit<S: SqlServer>(
    server: &S,
    table: &str,
    how: &str,
    work: impl Future<Output = ()>,
) -> Cell {
    let store = open(server, table).await;
    strike(store, Expected::Failures, how, work).await
}

async fn open<S: SqlServer>(server: &S, table: &str) -> S::Store {
    let pool = pool(&server.url_for(S::USER)).await;
    S::store(pool.expect("the server lets us in"), table).await
}

async fn pool<DB: Database>(url: &str) -> Result<Pool<DB>, sqlx::Error> {
    let options = PoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT);
    options.connect(url).await
}

/// Goes and comes back, which is over when it answers.
async fn be_away<S: SqlServer>(server: &S, [go, come_back]: [fn(&S); 2]) {
    go(server);
    sleep(OUTAGE).await;
    come_back(server);
    let url = server.url_for(S::ADMIN);
    let answers = async || match ConnectionOf::<S>::connect(&url).await {
        Ok(mut connection) => connection.ping().await.is_ok(),
        Err(_) => false,
    };
    wait_until("the server answers", answers).await;
}

async fn refuse<S: SqlServer>(server: &S, admin: &mut ConnectionOf<S>) -> Cell {
    let with_password = |password| server.url_for(&format!("stranger:{password}"));
    let right = pool::<S::Database>(&with_password(RIGHT_PASSWORD)).await;
    right.expect("the right password lets us in");

    let wrong = with_password(WRONG_PASSWORD);
    let password = refused("a password", S::NO_ENTRY, pool::<S::Database>(&wrong)).await;
    let encrypted = format!("{}?{}", server.url_for(S::ADMIN), S::WITH_TLS);
    let reason = "does not support TLS";
    server.allow_tls(admin, false).await;
    let tls = refused("TLS", reason, pool::<S::Database>(&encrypted)).await;
    server.allow_tls(admin, true).await;
    password.and(tls)
}

pub(crate) async fn tell<C>(connection: &mut C, statement: &str)
where
    for<'c> &'c mut C: Executor<'c>,
{
    let done = connection.execute(AssertSqlSafe(statement)).await;
    if let Err(error) = done {
        panic!("{statement}: {error}");
    }
}
