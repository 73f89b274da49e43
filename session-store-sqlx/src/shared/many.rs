//! Many records with one statement, where a database has no arrays: a place in the statement for each key.

use session_core::store::StoreKey;

use super::table::{Sql, Table};

/// How many records a statement that loads several asks for.
pub(crate) const AT_ONCE: usize = 32;

impl Table {
    /// A statement that ends with a list of as many keys as are loaded at a time.
    pub(crate) fn sql_for_many(&self, statement: &'static str) -> Sql {
        let places = ["?"; AT_ONCE].join(", ");
        Sql::new(format!("{}({places})", self.sql(statement).text))
    }
}

/// The keys in groups of [`AT_ONCE`], for a statement that has a place for each: the last group is filled up with its
/// last key.
pub(crate) fn groups(keys: &[StoreKey]) -> impl Iterator<Item = [&[u8]; AT_ONCE]> {
    keys.chunks(AT_ONCE).map(|group| {
        let last = group.len() - 1;
        std::array::from_fn(|at| group[at.min(last)].as_bytes().as_slice())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_group_is_filled_up() {
        let keys: Vec<_> = (0..40).map(|at| StoreKey::from_bytes([at; 32])).collect();
        let groups: Vec<_> = groups(&keys).collect();
        assert_eq!(groups.len(), 2);
        assert_eq!(groups[0][AT_ONCE - 1], [31; 32]);
        assert_eq!(groups[1][7], [39; 32]);
        assert_eq!(groups[1][AT_ONCE - 1], [39; 32]);
    }
}
