//! The suite over the store in the documentation of `SessionStore`.

use session_conformance::store::StoreHarness;

#[path = "../../session-core/docs/map_store.rs"]
#[expect(
    unreachable_pub,
    reason = "the example is public where people copy it to"
)]
mod map_store;

struct Example;

impl StoreHarness for Example {
    type Store = map_store::MapStore;

    async fn store(&self) -> Self::Store {
        Self::Store::default()
    }

    /// The example leaves sweeping out.
    fn sweeps(&self) -> bool {
        false
    }
}

session_conformance::store_suite!(Example);
