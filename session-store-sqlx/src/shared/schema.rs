//! The version of the tables.

use super::error::SetupError;

/// The version of the schema that this version of the library makes and uses.
const VERSION: i64 = 1;

/// The part of a schema that makes the table of versions. It may always be run, and is the same in all versions of
/// the schema; the rest must not be run where a newer version is.
pub(crate) fn first_statement(schema: &'static str) -> &'static str {
    schema.split_inclusive(';').next().unwrap_or(schema)
}

/// Whether tables of this version are as this library needs them; they aren't if they have none yet.
pub(crate) fn is_current(found: Option<i64>) -> Result<bool, SetupError> {
    match found {
        Some(found) if found > VERSION => Err(SetupError::NewerSchema {
            found,
            known: VERSION,
        }),
        found => Ok(found == Some(VERSION)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_schema_is_an_error() {
        assert!(!is_current(None).unwrap());
        assert!(is_current(Some(VERSION)).unwrap());
        let error = is_current(Some(VERSION + 1)).unwrap_err();
        assert!(error.to_string().contains("version 2"), "{error}");
    }

    #[test]
    fn each_schema_makes_the_table_of_versions_first() {
        let schemas = [
            include_str!("../../schema/mysql.sql"),
            include_str!("../../schema/postgres.sql"),
            include_str!("../../schema/sqlite.sql"),
        ];
        for schema in schemas {
            let first = first_statement(schema);
            let table =
                "CREATE TABLE IF NOT EXISTS sessions_schema (version BIGINT NOT NULL PRIMARY KEY)";
            assert!(first.contains(table) && first.ends_with(';'), "{first}");
            assert_eq!(first.matches("CREATE").count(), 1, "{first}");
            let versions = schema.matches("INTO sessions_schema (version) VALUES (1)");
            assert_eq!(versions.count(), 1, "{schema}");
        }
    }
}
