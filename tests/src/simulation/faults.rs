//! How store calls go wrong.

use super::calls::StoreCall;

/// How a store call goes wrong.
#[derive(Clone, Copy)]
pub(super) enum Fault {
    /// An error that says that nothing was done.
    NotApplied,
    ErrorBefore,
    ErrorAfter,
    /// An error now, the effect later.
    ErrorThenEffect,
    /// No answer until the deadline; the effect may have happened.
    Timeout,
    CrashBefore,
    CrashAfter,
}

pub(super) const FAULTS: [Fault; 7] = [
    Fault::NotApplied,
    Fault::ErrorBefore,
    Fault::ErrorAfter,
    Fault::ErrorThenEffect,
    Fault::Timeout,
    Fault::CrashBefore,
    Fault::CrashAfter,
];

/// A write that will land though its answer was an error.
pub(super) struct LateWrite {
    pub(super) request: usize,
    pub(super) call: StoreCall,
    pub(super) due: u64,
}
