//! Setting up the tables, and finding out at the start what couldn't work.

use sqlx::Executor as _;
use sqlx::mysql::MySqlConnection;

use super::statements::SCHEMA;
use super::{MySqlStore, query_as};
use crate::shared::{FoundColumn, Lease, SetupError, Shape, is_current};

/// The columns of a table, in which strings are of one type whatever the server's version. A column that the server
/// fills by itself needs no value.
const COLUMNS: &str = "\
SELECT CAST(c.column_name AS CHAR), CAST(c.column_type AS CHAR), c.is_nullable = 'NO' AND c.column_default IS NULL \
AND c.extra NOT LIKE '%auto_increment%' AND c.extra NOT LIKE '%GENERATED%', c.column_key = 'PRI', \
CAST(t.engine AS CHAR) FROM information_schema.columns AS c JOIN information_schema.tables AS t \
ON t.table_schema = c.table_schema AND t.table_name = c.table_name \
WHERE c.table_schema = COALESCE(?, DATABASE()) AND c.table_name = ?";

/// The one engine whose tables have transactions and locks on rows.
const ENGINE: &str = "InnoDB";

/// A row of what [`COLUMNS`] finds.
type ColumnRow = (String, String, bool, bool, Option<String>);

impl MySqlStore {
    /// Makes the tables, unless they are there, and finds out whether the store can work with them. Several processes
    /// may do this at once: every statement changes nothing if it finds its work done, and whoever is interrupted can
    /// do it again.
    ///
    /// It needs the right to create tables only where they aren't there.
    ///
    /// # Errors
    /// - [`SetupError::NewerSchema`] if a newer version of this library has made them.
    /// - [`SetupError::ForeignTable`] if there is another table of such a name, and [`SetupError::MissingTable`] if
    ///   one of ours has been dropped.
    /// - [`SetupError::Unusable`] if the tables can't be read and written.
    /// - [`SetupError::Database`] if the database can't be reached, or refuses to make the tables.
    pub async fn migrate(&self) -> Result<(), SetupError> {
        let mut lease = Lease::take(&self.pool).await?;
        if !self.is_set_up(&mut lease).await? {
            lease.execute(&self.sql.schema).await?;
        }
        let rights = lease.execute(&self.sql.rights).await;
        rights.map_err(SetupError::unusable)?;
        lease.finish();
        Ok(())
    }

    /// Whether the tables are there, and as this version needs them.
    async fn is_set_up(&self, connection: &mut MySqlConnection) -> Result<bool, SetupError> {
        let shape = Shape::of(SCHEMA, &self.table);
        let mut found = Vec::new();
        for table in shape.tables() {
            found.extend(columns(connection, table).await?);
        }
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

async fn columns(
    connection: &mut MySqlConnection,
    table: &str,
) -> Result<Vec<FoundColumn>, SetupError> {
    let (schema, name) = match table.split_once('.') {
        Some((schema, name)) => (Some(schema), name),
        None => (None, table),
    };
    let rows: Vec<ColumnRow> = query_as(COLUMNS)
        .bind(schema)
        .bind(name)
        .fetch_all(connection)
        .await?;
    let engine = rows.first().and_then(|(.., engine)| engine.as_deref());
    if let Some(engine) = engine.filter(|engine| !engine.eq_ignore_ascii_case(ENGINE)) {
        return Err(SetupError::ForeignTable {
            table: table.to_owned(),
            problem: format!("its engine is {engine}, and not {ENGINE}"),
        });
    }
    let rows = rows
        .into_iter()
        .map(|(column, kind, is_required, is_key, _)| {
            (table.to_owned(), column, kind, is_required, is_key)
        });
    Ok(rows.collect())
}
