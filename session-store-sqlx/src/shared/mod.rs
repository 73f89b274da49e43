//! What is the same for all databases.

mod error;
mod lease;
#[cfg(any(feature = "mysql", feature = "sqlite"))]
mod many;
mod rows;
mod schema;
mod shape;
mod table;

pub use error::SetupError;
pub(crate) use error::{failed, unavailable};
pub(crate) use lease::Lease;
#[cfg(any(feature = "mysql", feature = "sqlite"))]
pub(crate) use many::groups;
pub(crate) use rows::{
    Columns, EntryColumns, KeyedColumns, Row, SampleColumns, count, counted, entries, millis,
    number, of_each, removed, sample_limits, sampled,
};
pub(crate) use schema::{RIGHTS, is_current};
pub(crate) use shape::{FoundColumn, Shape};
pub(crate) use table::{Sql, Table};

/// How often a write is tried whose row had changed by the time it was looked at, and now is as it was expected.
/// Each time it is certain that nothing was written, and somebody else's write was; twice is rare already.
pub(crate) const ATTEMPTS: usize = 10;

/// What happens to a row again and again, if that many attempts are not enough.
pub(crate) const RESTLESS: &str = "the row under the key changes faster than it can be looked at";
