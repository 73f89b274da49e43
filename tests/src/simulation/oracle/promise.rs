//! The table of promises.

use std::fmt;

/// What the protocol promises, in the order in which the oracle meets it.
///
/// `Display` gives each promise as a sentence, which a violation quotes. The ids beside the promises are those of
/// the rules in `docs/requirements.md` that rest on them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Promise {
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
    /// CM-8, US-2, TM-7.
    LiveSessionsAreListed,
    /// TM-1.
    LoginsCountAnew,
    /// TM-1, TM-4.
    LoginsLiveTheirTime,
    /// US-5.
    ReferencesFollowTheUser,
    /// US-5.
    ChainsStayWithTheUser,
    /// CM-8.
    RepeatedLoginsAreOne,
    /// CM-8.
    SessionsInUseAreNotTakenOver,
    /// US-3, US-7.
    CapsCountTheLiving,
    /// US-2, US-5.
    OthersAreLeftAlone,
    /// CM-8, RQ-5.
    PlantedIdsEndNothing,
    /// US-2.
    EndingsSpareTheRest,
    /// US-5.
    KindsAreApart,

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
    /// CM-8.
    LoginsSendAnId,
    /// RQ-5, CM-8.
    LoginsSignIn,
    /// CM-8, CK-7.
    RemovalsAreEarned,
    /// CM-12.
    EndedElsewhereBeginsAnew,
    /// US-2, US-6.
    EndingsReachAll,
    /// US-6.
    BadRecordsShieldNobody,
    /// US-2, US-5.
    ListsShowOnesOwn,
    /// US-2.
    ListsAreComplete,
    /// US-3.
    CapsHold,

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

impl Promise {
    /// Every promise.
    pub const ALL: &'static [Self] = &[
        Self::StoreIsTruthful,
        Self::WritesFindTheirSession,
        Self::VersionsAreUnique,
        Self::TheDeadStayDead,
        Self::AbsoluteTimeoutHolds,
        Self::NoLifeIsShortened,
        Self::DataIsSerial,
        Self::ChangesApplyOnce,
        Self::NewIdBeforeOldDies,
        Self::LateRequestsStoreNothing,
        Self::LiveSessionsAreListed,
        Self::LoginsCountAnew,
        Self::LoginsLiveTheirTime,
        Self::ReferencesFollowTheUser,
        Self::ChainsStayWithTheUser,
        Self::RepeatedLoginsAreOne,
        Self::SessionsInUseAreNotTakenOver,
        Self::CapsCountTheLiving,
        Self::OthersAreLeftAlone,
        Self::PlantedIdsEndNothing,
        Self::EndingsSpareTheRest,
        Self::KindsAreApart,
        Self::FailuresHaveACause,
        Self::FailuresSendNoCookie,
        Self::RemovalsEndTheSession,
        Self::CookiesAreEarned,
        Self::RotationsSendTheNewId,
        Self::AcknowledgedIsStored,
        Self::LogoutsEndTheSession,
        Self::LoginsSendAnId,
        Self::LoginsSignIn,
        Self::RemovalsAreEarned,
        Self::EndedElsewhereBeginsAnew,
        Self::EndingsReachAll,
        Self::BadRecordsShieldNobody,
        Self::ListsShowOnesOwn,
        Self::ListsAreComplete,
        Self::CapsHold,
        Self::LiveCookiesStay,
        Self::EverythingComesToRest,
        Self::OneIdPerSession,
        Self::VisitorsKeepUp,
    ];
}

/// A set of promises: those that a run checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Promises(u64);

impl Promises {
    /// Every promise.
    pub fn all() -> Self {
        Self(u64::MAX)
    }

    /// This one alone.
    pub fn only(promise: Promise) -> Self {
        Self(1 << promise as u64)
    }

    /// Whether `promise` is one of them.
    pub fn contain(self, promise: Promise) -> bool {
        self.0 & Self::only(promise).0 != 0
    }
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
            Self::LiveSessionsAreListed => {
                "a live session of a user is in that user's index, and no entry expires before its \
                 session"
            }
            Self::LoginsCountAnew => {
                "a login's absolute timeout counts from the login, so that what came before doesn't \
                 shorten its life"
            }
            Self::LoginsLiveTheirTime => {
                "a session that somebody logs in to lives for its idle lifetime, if nothing ends it, however old the \
                 session before it was"
            }
            Self::ReferencesFollowTheUser => {
                "a session of another user has another public reference"
            }
            Self::ChainsStayWithTheUser => {
                "no superseded id of one user leads to another user's session"
            }
            Self::RepeatedLoginsAreOne => {
                "a login form that is sent twice with one cookie is one login: the second goes on from \
                 the session of the first, as long as nobody has used it"
            }
            Self::SessionsInUseAreNotTakenOver => {
                "a login with an older id goes on from a session only if that is the same user's, is as \
                 the rotation left it, and got nothing from the earlier login but its user"
            }
            Self::CapsCountTheLiving => {
                "no session is ended, and no login refused, for a cap while a dead session holds a place"
            }
            Self::OthersAreLeftAlone => {
                "a request ends only sessions that one of its ids leads to, or that belong to the user \
                 whose sessions it is to end"
            }
            Self::PlantedIdsEndNothing => {
                "an id ends only a session of the user whom it belonged to last, and a user's session is \
                 ended by a logout or a login only"
            }
            Self::EndingsSpareTheRest => {
                "whoever ends one session, or all but one, leaves the others alone"
            }
            Self::KindsAreApart => {
                "sessions of different kinds are neither listed nor ended together"
            }
            Self::LoginsSendAnId => "a login that is a success sends the new session's id",
            Self::LoginsSignIn => {
                "after a login's response the next request is logged in, unless something else ended the \
                 session since"
            }
            Self::RemovalsAreEarned => {
                "only a request that itself ended a session removes the cookie"
            }
            Self::EndedElsewhereBeginsAnew => {
                "whoever was signed out from elsewhere and then writes begins a session, at once"
            }
            Self::EndingsReachAll => {
                "an ending of a user's sessions that is a success has ended each of them that lived when \
                 it asked, wherever it had moved"
            }
            Self::BadRecordsShieldNobody => {
                "a record that can't be read stops neither an ending of the others nor a login"
            }
            Self::ListsShowOnesOwn => "a list shows the sessions of its user alone",
            Self::ListsAreComplete => {
                "a list shows each session of its user that lived under one id while it was made"
            }
            Self::CapsHold => "after a login its user has no more sessions than one may have",
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
