//! Some seconds of the simulation. `cargo xtask simulate` runs it for longer.

#![allow(clippy::panic, reason = "a violation fails the test")]

use session_conformance::simulation::{Mix, Promise, Promises, simulate, simulate_checking};

/// How many schedules of each mix.
const SEEDS: u64 = 1_500;

/// With which mix and seed the simulation found each fault that the core had. Two faults may break one promise.
const FOUND: &[(Promise, Mix, u64)] = &[
    // Junk before the good cookie, and two live sessions with one request.
    (Promise::LoginsSignIn, Mix::Cookies, 4),
    (Promise::LoginsSignIn, Mix::Cookies, 24),
    // A login kept the absolute timeout of the session before it.
    (Promise::LoginsCountAnew, Mix::Users, 0),
    (Promise::LoginsLiveTheirTime, Mix::Devices, 19),
    // What was missing by one clock, or before a slow touch landed, was taken for dead.
    (Promise::LiveSessionsAreListed, Mix::Devices, 24),
    (Promise::LiveSessionsAreListed, Mix::Clocks, 13),
    (Promise::LiveSessionsAreListed, Mix::Late, 823),
    (Promise::ListsAreComplete, Mix::Clocks, 13),
    (Promise::EndingsReachAll, Mix::Clocks, 210),
    (Promise::CapsHold, Mix::Devices, 24),
    // A cap ended the oldest session, though another place was a dead one's.
    (Promise::CapsCountTheLiving, Mix::Devices, 34),
    // A login form that was sent twice, one after the other and at once; a second logout.
    (Promise::RepeatedLoginsAreOne, Mix::Logins, 20),
    (Promise::LoginsSendAnId, Mix::Logins, 0),
    (Promise::RemovalsAreEarned, Mix::Logins, 4),
    // An unreadable record, before a login at the cap and before an ending.
    (Promise::BadRecordsShieldNobody, Mix::Unreadable, 10),
    (Promise::BadRecordsShieldNobody, Mix::Unreadable, 17),
    // A login that merged what another request wrote ended later than its entry in the index.
    (Promise::LiveSessionsAreListed, Mix::Clocks, 35_658),
    (Promise::LiveSessionsAreListed, Mix::Late, 11_513),
    // What is whose.
    (Promise::KindsAreApart, Mix::Devices, 1),
    (Promise::OthersAreLeftAlone, Mix::Users, 32),
    (Promise::ReferencesFollowTheUser, Mix::Users, 10),
    (Promise::ChainsStayWithTheUser, Mix::Logins, 2),
    (Promise::PlantedIdsEndNothing, Mix::Logins, 3),
    // Whoever was signed out from elsewhere lost what came next.
    (Promise::EndedElsewhereBeginsAnew, Mix::Users, 1),
];

fn run(mix: Mix) {
    let mut steps = 0;
    for seed in 0..SEEDS {
        match simulate(mix, seed) {
            Ok(taken) => steps += taken,
            Err(violation) => panic!("{violation}"),
        }
    }
    eprintln!("{mix:?}: {SEEDS} schedules, {steps} steps");
    assert!(
        steps > 50_000,
        "{steps} steps: the schedules hardly did anything"
    );
}

/// CM-5, CM-6, CM-7, CM-8, CM-9: the promises hold under every schedule.
#[test]
fn everything_at_once() {
    run(Mix::All);
}

/// CM-7: rotations lose nothing and leave one live id.
#[test]
fn rotations() {
    run(Mix::Rotation);
}

/// CM-5: no increment is lost, and none is made twice.
#[test]
fn increments() {
    run(Mix::Counter);
}

/// CM-8: a logout ends the session, wherever it has moved.
#[test]
fn logouts() {
    run(Mix::Logout);
}

/// TM-1, TM-5, CM-6: expiry and jumping clocks bring nothing back.
#[test]
fn time_passes() {
    run(Mix::Time);
}

/// CM-8: a logout that takes longer than the grace time ends the session too.
#[test]
fn slow_logouts() {
    run(Mix::SlowLogout);
}

/// ID-7, CM-12, TM-1, US-1, US-2, US-5: logins, lists and endings.
#[test]
fn users() {
    run(Mix::Users);
}

/// US-2, US-3, US-5, US-7: a limited number of sessions, some of which expire; two kinds of sessions.
#[test]
fn devices() {
    run(Mix::Devices);
}

/// CM-8, CK-7, US-1, US-5: login forms that are sent twice, and ids from before a login.
#[test]
fn logins() {
    run(Mix::Logins);
}

/// RQ-5: several cookies with one request.
#[test]
fn several_cookies() {
    run(Mix::Cookies);
}

/// TM-7: servers whose clocks differ.
#[test]
fn clocks_differ() {
    run(Mix::Clocks);
}

/// CM-8, US-2: writes that land long after their caller gave up.
#[test]
fn late_writes() {
    run(Mix::Late);
}

/// US-6, SR-3: records that can't be read any more.
#[test]
fn unreadable_records() {
    run(Mix::Unreadable);
}

/// The schedule with which the simulation found each fault that the core once had.
#[test]
fn each_fault_is_mended() {
    for (promise, mix, seed) in FOUND {
        let result = simulate_checking(*mix, *seed, Promises::only(*promise));
        assert!(result.is_ok(), "{promise:?} with {mix:?} {seed}");
    }
}

/// A seed replays: the same schedule, step by step.
#[test]
fn a_seed_replays() {
    for mix in Mix::ALL {
        let steps = || simulate(mix, 7).map_err(|violation| violation.to_string());
        assert_eq!(steps(), steps());
    }
}
