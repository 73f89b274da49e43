//! The memory store keeps the contract.

use session_conformance::store::StoreHarness;
use session_store_memory::MemoryStore;

/// Every store is a new one. Its clients share the records, and it has neither an engine that could fail
/// nor bytes that could be corrupt.
struct Memory;

impl StoreHarness for Memory {
    type Store = MemoryStore;

    async fn store(&self) -> MemoryStore {
        MemoryStore::new()
    }

    async fn second_client(&self, store: &MemoryStore) -> Option<MemoryStore> {
        Some(store.clone())
    }
}

session_conformance::store_suite!(Memory);
