//! Adapters that get one thing wrong each, for the test of the suite: one over plain hyper, with the
//! application bound to it, and stores and clocks between it and the suite's.
//!
//! No part of the library: `tests/adapter_suite_is_tested.rs` includes it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "it is part of a test, which fails by panicking when it meets the unexpected"
)]

mod adapter;
mod binding;
mod extractor;
mod parts;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use session_conformance::adapter::{AdapterHarness, SECRET, SpyStore, TestClock};
use session_core::{SessionConfig, SessionManager};
use tokio::net::TcpListener;

use adapter::Adapter;
use parts::{AbortedOnDrop, BrokenClock, BrokenStore, DropsTasks};

/// What one adapter gets wrong.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Defect {
    // What is committed, and when.
    DropsChangesOnHandlerError,
    DropsChangesOnInnerError,
    DropsChangesOn500,
    LogoutLostOnPanic,
    LogoutLostWhenItsClientLeaves,
    CommitsChangesOnPanic,
    AnswersAlthoughSavingFailed,
    LogoutDoesNotFollow,
    LosesDataOnRotation,
    // What the response says.
    LosesHeadersOnInnerError,
    LosesHeadersOnStreams,
    LosesHeadersOnHead,
    RemovesCookieOnMiss,
    RemovalWithoutPath,
    CookieIsNotHttpOnly,
    CookieFromLosers,
    CookieOnEveryUse,
    NoCookieOnTouch,
    SecondSetCookie,
    OverwritesSetCookie,
    NoVary,
    VaryWhenUnused,
    OverwritesVary,
    CacheableSetCookie,
    ErrorTextInBody,
    // What is asked of the store.
    AsksForForgedCookies,
    AsksWhenUnused,
    LoadsTwice,
    LoadsBeforeSaving,
    StoresEmptySessions,
    // What a session is taken for.
    NoneWhenStoreIsDown,
    AnonymousWhenStoreIsDown,
    AdoptsEndedIds,
    AdoptsUnknownIds,
    ExcludedPathHasSession,
    RefusesItself,
    InnerManagerIsIgnored,
    // Which cookie is read.
    FirstOfTwoCookies,
    BrokenNeighbourHides,
    DecodesCookieNames,
    SkipsForgedCookies,
    // Which token is read, and what is said about it.
    TokenFromTheUrl,
    CookieTakenForToken,
    FirstOfTwoTokens,
    ReadsAuthorizationAlone,
    LosesTokens,
    LosesTokensOnReads,
    VariesByCookieAlone,
    // What lies below the adapter.
    StoreOfItsOwn,
    OverwritesOnConflict,
    ForgetsUpdates,
    ForgetsUsers,
    ForgetsLifetimes,
    ForgetsTheIndex,
    TouchNeverMisses,
    ForgetsTouches,
    LoadsWithATouch,
    ForgetsSuccessors,
    TakesEveryEndingForItsOwn,
    NoDeadline,
    OwnClock,
    ClockIsOff,
    // Flash messages and CSRF tokens.
    FlashShownTwice,
    FlashLost,
    NoCsrfCheck,
    CsrfTokenComparedByPrefix,
    CsrfTokenSurvivesLogin,
    CsrfTokenDiesOnRotation,
    WatchMissesTheEnd,
    // Activity and step-up.
    PeekCountsAsActivity,
    StaleUserIsFresh,
    ForgetsLifetimesOnRotation,
    // How the application is bound.
    LosesQueries,
    LosesBodies,
    ReadsAnyBody,
    RefusesForms,
    DecodesPathsTwice,
    EverythingIsJson,
    EverythingIsOk,
    TooLargeIsInternal,
}

/// Serves the application with one defect, or none.
pub(crate) struct Harness(pub(crate) Option<Defect>);

impl AdapterHarness for Harness {
    async fn start(&self, store: SpyStore, config: SessionConfig, clock: TestClock) -> SocketAddr {
        let defect = self.0;
        let store = match defect {
            Some(Defect::StoreOfItsOwn) => SpyStore::default(),
            _ => store,
        };
        let clock = BrokenClock {
            inner: clock,
            defect,
        };
        let cookies = SessionConfig::builder(SECRET)
            .build()
            .expect("the defaults are right");
        let broken = BrokenStore::new(store.clone(), defect);
        let sessions = SessionManager::builder(config.clone(), broken).clock(clock.clone());
        let sessions = match defect {
            Some(Defect::LogoutLostWhenItsClientLeaves) => sessions.spawner(DropsTasks),
            _ => sessions,
        };
        let sessions = sessions
            .build()
            .expect("every configuration of the suite can be served");
        let strangers = SessionManager::builder(config, SpyStore::default())
            .clock(clock.clone())
            .build()
            .expect("every configuration of the suite can be served");
        let browsers = SessionManager::builder(cookies, store.clone())
            .clock(clock)
            .build()
            .expect("every configuration of the suite can be served");
        serve(Adapter {
            sessions,
            inner: None,
            strangers,
            browsers,
            store,
            csrf_tokens: Mutex::default(),
            defect,
        })
        .await
    }

    async fn start_nested(&self, outer: SessionManager, inner: SessionManager) -> SocketAddr {
        let strangers = SessionManager::new(outer.config().clone(), SpyStore::default());
        serve(Adapter {
            sessions: outer,
            inner: Some(inner),
            browsers: strangers.clone(),
            strangers,
            store: SpyStore::default(),
            csrf_tokens: Mutex::default(),
            defect: self.0,
        })
        .await
    }

    fn rounds(&self) -> usize {
        10
    }
}

/// Serves the adapter on a free port.
async fn serve(adapter: Adapter) -> SocketAddr {
    let adapter = Arc::new(adapter);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("the listener has an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let adapter = adapter.clone();
            // A panic of the handler ends its connection, and nothing else.
            let service = service_fn(move |request| {
                let answer = tokio::spawn(adapter.clone().answer(request));
                AbortedOnDrop(answer)
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    address
}
