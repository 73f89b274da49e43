//! What a store's author provides.

use session_core::store::{SessionStore, StoreKey};

/// Makes stores for the suite, and does to them what only their author can.
///
/// [`store`](Self::store) is required. The others open up clauses that the contract alone can't reach;
/// where one keeps its default, its clauses print that they were skipped, and pass.
pub trait StoreHarness: Send + Sync {
    /// The store that is tested.
    type Store: SessionStore;

    /// A new, empty store: a table, a prefix or a database that no other call has been given.
    fn store(&self) -> impl Future<Output = Self::Store> + Send;

    /// A second client of the same store, with connections of its own, as another process would have one.
    /// Races are then run across both. Default: none, and races share the one client.
    fn second_client(
        &self,
        store: &Self::Store,
    ) -> impl Future<Output = Option<Self::Store>> + Send {
        let _ = store;
        async { None }
    }

    /// Lets the next thing that `store` asks of its engine fail, and nothing after it: by closing its
    /// connection, say. Default: no, this engine can't fail.
    fn fail_next(&self, store: &Self::Store) -> impl Future<Output = bool> + Send {
        let _ = store;
        async { false }
    }

    /// Puts `bytes` under `key`, past the store, where the bytes of a record would lie; where an expiry is
    /// kept beside them, it is a day away. Default: no, this store keeps records and not bytes.
    fn plant(
        &self,
        store: &Self::Store,
        key: &StoreKey,
        bytes: &[u8],
    ) -> impl Future<Output = bool> + Send {
        let _ = (store, key, bytes);
        async { false }
    }

    /// Whether `delete_expired` removes records. Default: yes. An engine that expires records by itself
    /// says no; its `delete_expired` must then do no harm.
    fn sweeps(&self) -> bool {
        true
    }
}

/// Says, where a test's output is shown, that a clause didn't run and what it would take.
pub(super) fn skipped(clause: &str, needs: &str) {
    eprintln!("skipped: {clause} needs {needs}");
}
