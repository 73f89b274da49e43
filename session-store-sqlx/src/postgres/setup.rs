//! Setting up the tables, and finding out at the start what couldn't work.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection as _, Executor as _, FromRow as _, Row as _};

use super::PostgresStore;
use super::run::{BEGIN, is_mixed_up, query, query_as};
use super::statements::SCHEMA;
use crate::shared::{FoundColumn, Lease, SetupError, Shape, is_current};

/// The advisory lock of those who set up tables: "sessions" in ASCII.
const MIGRATION_LOCK: i64 = i64::from_be_bytes(*b"sessions");

/// How many statements are prepared on a new connection, under the names that sqlx gives them: none, unless something
/// mixes up the connections.
const PREPARED_BY_OTHERS: &str =
    "SELECT count(*) FROM pg_prepared_statements WHERE starts_with(name, 'sqlx_s_')";

impl PostgresStore {
    /// Makes the tables, unless they are there, and finds out whether the store can work with them. Several processes
    /// may do this at once.
    ///
    /// It needs the right to create tables in the schema only where they aren't there.
    ///
    /// # Errors
    /// - [`SetupError::NewerSchema`] if a newer version of this library has made them.
    /// - [`SetupError::ForeignTable`] if there is another table of such a name, and [`SetupError::MissingTable`] if
    ///   one of ours has been dropped.
    /// - [`SetupError::Unusable`] if the tables can't be read and written.
    /// - [`SetupError::MixedStatements`] if it turns out that the pool is behind a pooler with which
    ///   [`without_prepared_statements`](Self::without_prepared_statements) is needed. That is certain if it is said.
    ///   It may go unnoticed if others are using the pooler at the same time.
    /// - [`SetupError::Database`] if the database can't be reached, or refuses to make the tables.
    pub async fn migrate(&self) -> Result<(), SetupError> {
        let mut lease = Lease::take(&self.pool).await?;
        if !self.is_set_up(&mut lease).await? {
            lease.execute(BEGIN).await?;
            // Without the lock `IF NOT EXISTS` fails for all but one of those who find nothing at the same time.
            let lock = query(&self.sql.lock).bind(MIGRATION_LOCK);
            lock.execute(&mut *lease).await?;
            if !self.is_set_up(&mut lease).await? {
                lease.execute(&self.sql.schema).await?;
            }
            lease.execute("COMMIT").await?;
        }
        let rights = lease.execute(&self.sql.rights).await;
        rights.map_err(SetupError::unusable)?;
        if self.sql.load.is_named() {
            self.look_for_a_pooler(&mut lease).await?;
        }
        lease.finish();
        Ok(())
    }

    /// Whether the tables are there, and as this version needs them. Nothing here is prepared.
    async fn is_set_up(&self, connection: &mut PgConnection) -> Result<bool, SetupError> {
        let rows = connection.fetch_all(&self.sql.columns).await?;
        let found: Result<Vec<FoundColumn>, _> = rows.iter().map(FoundColumn::from_row).collect();
        let found = found?;
        let shape = Shape::of(SCHEMA, &self.table);
        let version = if shape.has_versions(&found)? {
            let row: PgRow = connection.fetch_one(&self.sql.version).await?;
            row.try_get(0)?
        } else {
            None
        };
        let is_current = is_current(version)?;
        shape.check(&found, is_current)?;
        Ok(is_current)
    }

    /// Whether another client, who has prepared nothing, sees what was prepared on this connection. A server keeps
    /// that apart, and a pooler that mixes it up usually gives the other one what this one has just put back.
    async fn look_for_a_pooler(&self, connection: &mut PgConnection) -> Result<(), SetupError> {
        let prepared: Result<(Option<i64>,), _> =
            query_as(&self.sql.version).fetch_one(connection).await;
        prepared.map_err(|error| match is_mixed_up(&error) {
            true => SetupError::MixedStatements,
            false => error.into(),
        })?;
        // A server that has no room for one more connection is no reason not to start.
        let options = self.pool.connect_options();
        let Ok(mut other) = PgConnection::connect_with(&options).await else {
            return Ok(());
        };
        let row = other.fetch_one(PREPARED_BY_OTHERS).await?;
        let count: i64 = row.try_get(0)?;
        other.close().await?;
        if count > 0 {
            return Err(SetupError::MixedStatements);
        }
        Ok(())
    }
}
