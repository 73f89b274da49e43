//! Whether the tables are the library's, and all there.
//!
//! What they have to look like is read from the statements that make them, so that it stands in one place.

use super::error::SetupError;
use super::table::{DEFAULT, Table};

/// A column as the database describes it: its table, its name and its type; whether a row can't be written without a
/// value for it; and whether it is a part of the primary key.
pub(crate) type FoundColumn = (String, String, String, bool, bool);

/// The tables as the schema makes them.
pub(crate) struct Shape {
    tables: Vec<TableShape>,
}

struct TableShape {
    name: String,
    columns: Vec<ColumnShape>,
}

struct ColumnShape {
    name: String,
    kind: String,
    may_be_null: bool,
    is_key: bool,
}

impl Shape {
    /// That of tables with this name.
    pub(crate) fn of(schema: &'static str, table: &Table) -> Self {
        let begin = "CREATE TABLE IF NOT EXISTS ";
        let tables = schema.split(begin).skip(1);
        Self {
            tables: tables.filter_map(|rest| table_shape(rest, table)).collect(),
        }
    }

    /// The names of the tables. That of the versions is the first.
    #[cfg(any(feature = "mysql", test))]
    pub(crate) fn tables(&self) -> impl Iterator<Item = &str> {
        self.tables.iter().map(|table| table.name.as_str())
    }

    /// Whether there is a table of versions, which then may be read. Nothing else may be judged before that: the
    /// tables of a newer version may look different.
    pub(crate) fn has_versions(&self, found: &[FoundColumn]) -> Result<bool, SetupError> {
        let versions = self.tables.first();
        versions.map_or(Ok(false), |versions| versions.check(found))
    }

    /// Whether the tables that are there can be used. Where `is_made`, all have to be.
    pub(crate) fn check(&self, found: &[FoundColumn], is_made: bool) -> Result<(), SetupError> {
        for table in &self.tables {
            if !table.check(found)? && is_made {
                return Err(SetupError::MissingTable {
                    table: table.name.clone(),
                });
            }
        }
        Ok(())
    }
}

impl TableShape {
    /// Whether it is there. If it is another one of the same name, that is an error.
    fn check(&self, found: &[FoundColumn]) -> Result<bool, SetupError> {
        let foreign = |problem: String| SetupError::ForeignTable {
            table: self.name.clone(),
            problem,
        };
        let found = found.iter().filter(|(table, ..)| *table == self.name);
        let found: Vec<_> = found.collect();
        for column in &self.columns {
            let name = &column.name;
            let same = found.iter().find(|(_, found, ..)| found == name);
            let Some((.., kind, is_required, is_key)) = same else {
                if found.is_empty() {
                    return Ok(false);
                }
                return Err(foreign(format!("it has no column {name}")));
            };
            if plain(kind) != column.kind {
                let wanted = &column.kind;
                let problem = format!("its column {name} is of type {kind}, and not {wanted}");
                return Err(foreign(problem));
            }
            if *is_key != column.is_key {
                let is = if column.is_key { "no" } else { "a" };
                let problem = format!("its column {name} is {is} part of the primary key");
                return Err(foreign(problem));
            }
            if *is_required && column.may_be_null {
                return Err(foreign(format!("its column {name} can't be null")));
            }
        }
        let is_ours = |name: &String| self.columns.iter().any(|column| column.name == *name);
        let of_others = found
            .iter()
            .find(|(_, name, _, is_required, _)| *is_required && !is_ours(name));
        match of_others {
            Some((_, name, ..)) => Err(foreign(format!("its column {name} needs a value"))),
            None => Ok(true),
        }
    }
}

/// The table that is made by what stands behind `CREATE TABLE IF NOT EXISTS`.
fn table_shape(rest: &str, table: &Table) -> Option<TableShape> {
    let (name, rest) = rest.split_once(" (")?;
    let without_comments = rest.lines().filter_map(|line| line.split("--").next());
    let body: String = without_comments.collect();
    let mut columns: Vec<ColumnShape> = Vec::new();
    let mut key = Vec::new();
    for definition in definitions(&body) {
        if let Some(list) = definition.strip_prefix("PRIMARY KEY (") {
            key = list.trim_end_matches(')').split(", ").collect();
        } else if !definition.starts_with("INDEX ") {
            columns.push(column_shape(definition)?);
        }
    }
    for column in &mut columns {
        column.is_key |= key.contains(&column.name.as_str());
    }
    Some(TableShape {
        name: format!("{}{}", table.as_str(), name.strip_prefix(DEFAULT)?),
        columns,
    })
}

/// What stands between the commas of a list, up to the parenthesis that closes it.
fn definitions(list: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, letter) in list.char_indices() {
        let is_end = letter == ')' && depth == 0;
        if is_end || letter == ',' && depth == 0 {
            parts.push(list[start..at].trim());
            start = at + 1;
        }
        match letter {
            _ if is_end => break,
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
    }
    parts
}

fn column_shape(definition: &str) -> Option<ColumnShape> {
    let mut words = definition.split_whitespace();
    Some(ColumnShape {
        name: words.next()?.to_owned(),
        kind: plain(words.next()?),
        may_be_null: !definition.contains("NOT NULL"),
        is_key: definition.contains("PRIMARY KEY"),
    })
}

/// A type's name, without what says only how a number is shown: `bigint(20)` is what older servers call `BIGINT`.
fn plain(kind: &str) -> String {
    let kind = kind.to_ascii_lowercase();
    match kind.split_once('(') {
        Some(("bigint", rest)) => {
            let rest = rest.trim_start_matches(|letter: char| letter.is_ascii_digit());
            format!("bigint{}", rest.trim_start_matches(')'))
        }
        _ => kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMAS: [&str; 3] = [
        include_str!("../../schema/mysql.sql"),
        include_str!("../../schema/postgres.sql"),
        include_str!("../../schema/sqlite.sql"),
    ];

    /// What a database says of tables that were made as the schema says.
    fn as_made(shape: &Shape) -> Vec<FoundColumn> {
        let mut found = Vec::new();
        for table in &shape.tables {
            for column in &table.columns {
                found.push((
                    table.name.clone(),
                    column.name.clone(),
                    column.kind.clone(),
                    !column.may_be_null,
                    column.is_key,
                ));
            }
        }
        found
    }

    #[test]
    fn the_schemas_are_understood() {
        let table = Table::new("app.visitors", true).unwrap();
        for schema in SCHEMAS {
            let shape = Shape::of(schema, &table);
            let names: Vec<_> = shape.tables().collect();
            let wanted = ["app.visitors_schema", "app.visitors", "app.visitors_users"];
            assert_eq!(names, wanted);
            let columns = |table: usize| {
                let columns = shape.tables[table].columns.iter();
                let columns = columns.map(|column| {
                    let key = if column.is_key { "*" } else { "" };
                    let null = if column.may_be_null { "?" } else { "" };
                    format!("{}{key}{null}", column.name)
                });
                columns.collect::<Vec<_>>().join(" ")
            };
            assert_eq!(columns(0), "version*");
            let records = "session_key* version expires_at last_active_at? record";
            assert_eq!(columns(1), records);
            let entries = "user_key* session_key* reference added_at expires_at";
            assert_eq!(columns(2), entries);
        }
        let kinds = |schema: usize| {
            let shape = Shape::of(SCHEMAS[schema], &table);
            let columns = shape.tables[1].columns.iter();
            let kinds: Vec<_> = columns.map(|column| column.kind.clone()).collect();
            kinds.join(" ")
        };
        assert_eq!(kinds(0), "binary(32) binary(16) bigint bigint longblob");
        assert_eq!(kinds(1), "bytea bytea bigint bigint bytea");
        assert_eq!(kinds(2), "blob blob integer integer blob");
    }

    /// SR-8: tables of ours are taken, whatever else they have that no row needs; what is missing is named.
    #[test]
    fn tables_of_ours_can_be_used() {
        for schema in SCHEMAS {
            let shape = Shape::of(schema, &Table::default());
            let mut found = as_made(&shape);
            assert!(shape.has_versions(&found).unwrap());
            shape.check(&found, true).unwrap();
            found.push((
                "sessions".to_owned(),
                "note".to_owned(),
                "text".to_owned(),
                false,
                false,
            ));
            shape.check(&found, true).unwrap();
            assert!(!shape.has_versions(&[]).unwrap());
            shape.check(&[], false).unwrap();
            let missing = shape.check(&[], true).unwrap_err().to_string();
            assert!(missing.contains("sessions_schema is missing"), "{missing}");
            found.retain(|(table, ..)| table != "sessions_users");
            shape.check(&found, false).unwrap();
            let missing = shape.check(&found, true).unwrap_err().to_string();
            assert!(missing.contains("sessions_users is missing"), "{missing}");
        }
    }

    /// SR-8: a table of our name that isn't ours is an error, which says by what that shows.
    #[test]
    fn a_foreign_table_is_told_by_its_columns() {
        type Change = fn(&mut FoundColumn);
        let changes: [(&str, Change, &str); 5] = [
            ("record", |column| column.1 = "data".into(), "no column"),
            (
                "record",
                |column| column.2 = "json".into(),
                "is of type json",
            ),
            ("session_key", |column| column.4 = false, "is no part of"),
            ("version", |column| column.4 = true, "is a part of"),
            ("last_active_at", |column| column.3 = true, "can't be null"),
        ];
        let shape = Shape::of(SCHEMAS[0], &Table::default());
        for (name, change, problem) in changes {
            let mut found = as_made(&shape);
            let mut of_records = found.iter_mut().filter(|(table, ..)| table == "sessions");
            change(of_records.find(|column| column.1 == name).unwrap());
            for is_made in [false, true] {
                let error = shape.check(&found, is_made).unwrap_err().to_string();
                assert!(error.contains(problem), "{error}");
                assert!(error.contains("with_table"), "{error}");
            }
        }
        let mut found = as_made(&shape);
        let extra = ("sessions_users".to_owned(), "owner".to_owned());
        found.push((extra.0, extra.1, "int(11)".to_owned(), true, false));
        let error = shape.check(&found, true).unwrap_err().to_string();
        assert!(error.contains("its column owner needs a value"), "{error}");
    }

    #[test]
    fn the_width_in_which_a_number_is_shown_is_no_difference() {
        assert_eq!(plain("BIGINT"), plain("bigint(20)"));
        assert_ne!(plain("binary(16)"), plain("binary(32)"));
        assert_eq!(plain("bigint(20) unsigned"), "bigint unsigned");
    }
}
