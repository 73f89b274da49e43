//! tower-sessions, in two versions: its current one, and the one before, which is all that its newest stores for
//! Redis and SQL databases can be used with.

use axum::Router;
use tower_sessions::MemoryStore;

/// The current version, with its own store.
pub(super) fn in_memory() -> Router {
    current::router(MemoryStore::default())
}

/// The version before.
pub(super) fn with_store(store: impl tower_sessions_0_14::SessionStore + Clone) -> Router {
    before::router(store)
}

/// The versions have the same interface, but for the compiler they have nothing in common.
macro_rules! router {
    ($module:ident, $version:ident) => {
        mod $module {
            use axum::Router;
            use axum::http::StatusCode;
            use axum::routing::get;
            use session_bench_common::{COUNTER, entries};
            use $version::cookie::Key;
            use $version::cookie::time::Duration;
            use $version::session::Error;
            use $version::{Expiry, Session, SessionManagerLayer, SessionStore};

            use crate::serve::{LIFETIME, SECRET, TEXT};

            pub(super) fn router(store: impl SessionStore + Clone) -> Router {
                let lifetime = Duration::seconds(LIFETIME.as_secs().cast_signed());
                let sessions = SessionManagerLayer::new(store)
                    .with_secure(false)
                    .with_expiry(Expiry::OnInactivity(lifetime))
                    .with_signed(Key::from(SECRET));
                Router::new()
                    .route("/fill", get(fill))
                    .route("/read", get(read))
                    .route("/write", get(write))
                    .layer(sessions)
            }

            async fn fill(session: Session) -> Result<&'static str, StatusCode> {
                for (key, value) in entries() {
                    session.insert(key, value).await.map_err(failed)?;
                }
                Ok(TEXT)
            }

            async fn read(session: Session) -> Result<&'static str, StatusCode> {
                let counter = session.get::<u64>(COUNTER).await.map_err(failed)?;
                counter.map(|_| TEXT).ok_or(StatusCode::NOT_FOUND)
            }

            async fn write(session: Session) -> Result<&'static str, StatusCode> {
                let counter = session.get::<u64>(COUNTER).await.map_err(failed)?;
                let counter = counter.ok_or(StatusCode::NOT_FOUND)?;
                session.insert(COUNTER, counter + 1).await.map_err(failed)?;
                Ok(TEXT)
            }

            fn failed(_: Error) -> StatusCode {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    };
}

router!(current, tower_sessions);
router!(before, tower_sessions_0_14);
