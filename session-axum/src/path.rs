//! The path of a request.

use axum::extract::OriginalUri;
use http::{Extensions, Uri};

/// The path that the client sent, with nothing stripped by nested routers.
pub(crate) fn original_path<'r>(uri: &'r Uri, extensions: &'r Extensions) -> &'r str {
    let original = extensions.get::<OriginalUri>();
    original.map_or(uri, |original| &original.0).path()
}
