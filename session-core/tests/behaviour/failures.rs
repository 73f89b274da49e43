//! What a request may still do after one of its commits has failed.

use session_core::store::StoreError;

use crate::commit::request;
use crate::scene::{Scene, config};

/// CM-3: an ending goes ahead after a failed commit. Nothing is begun besides, since the response can't send its id.
#[tokio::test]
async fn an_ending_after_a_failure_begins_nothing() {
    let mut scene = Scene::with_session(config()).await;
    let ((), response) = request(&scene, async |session| {
        session.set("n", 2).unwrap();
        scene
            .store
            .fail_next(StoreError::unknown("connection reset"));
        session.commit().await.unwrap_err();
        session.destroy();
        session.set("n", 3).unwrap();
    })
    .await;
    assert!(response.error.is_some());
    assert_eq!(scene.store.calls(), ["load", "save", "tombstone"]);
    assert_eq!(scene.read_n().await, None);
}
