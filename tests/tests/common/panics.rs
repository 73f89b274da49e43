//! Panics that a test looks for.

use std::sync::Once;
use std::{panic, thread};

/// The message with which `work` panics; `None` if it doesn't. The panics that are looked for here are not
/// printed: they happen on threads of these names.
#[expect(clippy::expect_used, reason = "without a thread there is no test")]
pub(crate) fn panic_of(work: impl FnOnce() + Send + 'static) -> Option<String> {
    const NAME: &str = "panics are expected here";
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let thread = thread::current();
            let name = thread.name().unwrap_or_default();
            if name != NAME && !name.starts_with("tokio") {
                usual(panic);
            }
        }));
    });
    let thread = thread::Builder::new().name(NAME.into()).spawn(work);
    let panic = thread.expect("a thread can be had").join().err()?;
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    Some(
        text.or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default(),
    )
}
