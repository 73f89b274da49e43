//! Setting up the tables, and finding out at the start what couldn't work.

use sqlx::Executor as _;
use sqlx::sqlite::SqliteConnection;

use super::statements::SCHEMA;
use super::{BEGIN, SqliteStore, query_as};
use crate::shared::{FoundColumn, Lease, SetupError, Shape, is_current};

/// The file of a connection's database. One in memory has none, and neither has a temporary one.
const FILE: &str = "SELECT COALESCE(file, '') FROM pragma_database_list WHERE name = 'main'";

impl SqliteStore {
    /// Makes the tables, unless they are there, and finds out whether the store can work with them. Several processes
    /// may do this at once.
    ///
    /// # Errors
    /// - [`SetupError::PrivateDatabase`] if the pool's connections have databases in memory.
    /// - [`SetupError::NewerSchema`] if a newer version of this library has made the tables.
    /// - [`SetupError::ForeignTable`] if there is another table of such a name, and [`SetupError::MissingTable`] if
    ///   one of ours has been dropped.
    /// - [`SetupError::Unusable`] if the file can't be written.
    /// - [`SetupError::Database`] if the database refuses to make the tables.
    pub async fn migrate(&self) -> Result<(), SetupError> {
        let _turn = self.turns.lock().await;
        let mut lease = Lease::take(&self.pool).await?;
        refuse_private(&mut lease).await?;
        if !self.is_set_up(&mut lease).await? {
            lease.execute(BEGIN).await?;
            if !self.is_set_up(&mut lease).await? {
                lease.execute(&self.sql.schema).await?;
            }
            lease.execute("COMMIT").await?;
        }
        let rights = lease.execute(&self.sql.rights).await;
        rights.map_err(SetupError::unusable)?;
        lease.finish();
        Ok(())
    }

    /// Whether the tables are there, and as this version needs them.
    async fn is_set_up(&self, connection: &mut SqliteConnection) -> Result<bool, SetupError> {
        let found = query_as(&self.sql.columns).fetch_all(&mut *connection);
        let found: Vec<FoundColumn> = found.await?;
        let shape = Shape::of(SCHEMA, &self.table);
        let version = if shape.has_versions(&found)? {
            let (version,) = query_as(&self.sql.version).fetch_one(connection).await?;
            version
        } else {
            None
        };
        let is_current = is_current(version)?;
        shape.check(&found, is_current)?;
        Ok(is_current)
    }
}

/// A database in memory, or a temporary one, is there for as long as its connection, and for nobody else. (Several can
/// share one in memory if they ask for that. It still goes with the last of them, and a pool replaces them, as the
/// store closes those whose calls were given up.)
pub(super) async fn refuse_private(connection: &mut SqliteConnection) -> Result<(), SetupError> {
    let (file,): (String,) = query_as(FILE).fetch_one(connection).await?;
    if file.is_empty() {
        return Err(SetupError::PrivateDatabase);
    }
    Ok(())
}
