//! The table of promises.

use std::fmt;

/// What the protocol promises, in the order in which the oracle meets it.
///
/// `Display` gives each promise as a sentence, which a violation quotes. The ids beside the promises are those of
/// the rules in `docs/requirements.md` that rest on them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::simulation) enum Promise {
    // At each store call.
    /// The contract of `SessionStore`.
    StoreIsTruthful,
    /// CM-6.
    WritesFindTheirSession,
    /// CM-5.
    VersionsAreUnique,
    /// CM-6, CM-8.
    TheDeadStayDead,
    /// TM-1.
    AbsoluteTimeoutHolds,
    /// TM-5.
    NoLifeIsShortened,
    /// CM-5.
    DataIsSerial,
    /// CM-5.
    ChangesApplyOnce,
    /// CM-7.
    NewIdBeforeOldDies,
    /// CM-8.
    LateRequestsStoreNothing,

    // When a request has been answered.
    /// CM-3.
    FailuresHaveACause,
    /// CM-3.
    FailuresSendNoCookie,
    /// CM-8, CK-7.
    RemovalsEndTheSession,
    /// CK-7, CM-9.
    CookiesAreEarned,
    /// CM-7.
    RotationsSendTheNewId,
    /// CM-5, CM-9.
    AcknowledgedIsStored,
    /// CM-8.
    LogoutsEndTheSession,

    // When a response has reached its visitor.
    /// CK-7, CM-8.
    LiveCookiesStay,

    // When everything has come to rest.
    /// CM-5.
    EverythingComesToRest,
    /// CM-7.
    OneIdPerSession,
    /// CM-7.
    VisitorsKeepUp,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StoreIsTruthful => "the store's answer follows from the writes before it",
            Self::WritesFindTheirSession => {
                "a write to an existing session lands only where that session lives"
            }
            Self::VersionsAreUnique => "every write gives its record a version of its own",
            Self::TheDeadStayDead => {
                "no session lives under an id that was ended, superseded or taken back"
            }
            Self::AbsoluteTimeoutHolds => {
                "no session outlives the absolute timeout, which counts from its beginning, also after a rotation"
            }
            Self::NoLifeIsShortened => "no write to a session makes it expire earlier",
            Self::DataIsSerial => {
                "a session holds what its committed requests give when they run one after the other"
            }
            Self::ChangesApplyOnce => "no change is applied more often than its request asked for",
            Self::NewIdBeforeOldDies => {
                "a rotation stores the new record first, and the old id dies after that"
            }
            Self::LateRequestsStoreNothing => {
                "a request that comes with a dead id within the grace time stores nothing"
            }
            Self::FailuresHaveACause => "no request fails unless a fault has happened",
            Self::FailuresSendNoCookie => "a request that fails sends no cookie",
            Self::RemovalsEndTheSession => {
                "only a request that was to end the session removes the cookie"
            }
            Self::CookiesAreEarned => {
                "a request sends only the id of a session that it created or rotated, or its own cookie when it \
                 extended the session"
            }
            Self::RotationsSendTheNewId => "an acknowledged rotation sends the new id",
            Self::AcknowledgedIsStored => {
                "everything that an acknowledged request wrote is stored, unless it was reported as dropped"
            }
            Self::LogoutsEndTheSession => {
                "an acknowledged logout has ended the session, wherever it had moved"
            }
            Self::LiveCookiesStay => {
                "a response replaces a live cookie that its request didn't come with only if that request began, \
                 extended, rotated or ended a session"
            }
            Self::EverythingComesToRest => "every request comes to an end",
            Self::OneIdPerSession => {
                "a session lives under one id; after a fault it may live under a second one that no visitor knows"
            }
            Self::VisitorsKeepUp => {
                "a visitor whose session was rotated holds the newest id, unless the response with it \
                 got lost or was overtaken"
            }
        })
    }
}
