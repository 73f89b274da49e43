//! The adapter suite is itself tested: an intact adapter passes every check, and for each thing that an
//! adapter can get wrong there is a check that notices.

use session_conformance::adapter::{self, CHECKS};
use session_conformance::store;

#[path = "../src/adapter/defects/mod.rs"]
mod defects;
#[path = "common/panics.rs"]
mod panics;

use defects::Defect::{self, *};
use defects::Harness;
use panics::panic_of;

/// Each defect, and the check that is there to notice it.
const NOTICED_BY: &[(Defect, &str)] = &[
    (
        DropsChangesOnHandlerError,
        "changes_are_kept_when_the_handler_fails",
    ),
    (
        DropsChangesOnInnerError,
        "changes_are_kept_when_an_inner_middleware_fails",
    ),
    (
        LosesHeadersOnInnerError,
        "changes_are_kept_when_an_inner_middleware_fails",
    ),
    (DropsChangesOn500, "changes_are_kept_on_an_error_status"),
    (DropsChangesOn500, "a_logout_holds_whatever_the_answer_is"),
    (DropsChangesOn500, "a_rotation_holds_whatever_the_answer_is"),
    (LogoutLostOnPanic, "a_logout_holds_on_a_panic"),
    (CommitsChangesOnPanic, "a_panic_keeps_no_change"),
    (
        RemovesCookieOnMiss,
        "a_lookup_that_finds_nothing_removes_no_cookie",
    ),
    (RemovalWithoutPath, "a_removal_repeats_the_attributes"),
    (CookieIsNotHttpOnly, "the_cookie_has_the_default_attributes"),
    (CookieFromLosers, "of_parallel_rotations_one_wins"),
    (SecondSetCookie, "the_cookie_is_sent_when_it_changes"),
    (CookieOnEveryUse, "the_cookie_is_sent_when_it_changes"),
    (NoCookieOnTouch, "activity_is_noted_with_the_cookie"),
    (OverwritesSetCookie, "headers_of_others_stay"),
    (OverwritesVary, "headers_of_others_stay"),
    (NoVary, "every_use_varies_by_cookie"),
    (VaryWhenUnused, "an_unused_session_costs_nothing"),
    (VaryWhenUnused, "every_use_varies_by_cookie"),
    (
        CacheableSetCookie,
        "an_answer_with_the_cookie_is_kept_out_of_caches",
    ),
    (LosesHeadersOnStreams, "a_stream_uses_the_session"),
    (LosesHeadersOnHead, "head_is_get_without_the_body"),
    (AsksForForgedCookies, "a_forged_cookie_asks_nothing"),
    (AsksWhenUnused, "an_unused_session_costs_nothing"),
    (AsksWhenUnused, "requests_that_need_no_store_are_answered"),
    (LoadsTwice, "a_read_costs_one_load"),
    (LoadsBeforeSaving, "a_write_costs_a_load_and_a_save"),
    (StoresEmptySessions, "what_stores_nothing_begins_no_session"),
    (
        NoneWhenStoreIsDown,
        "an_optional_session_is_missing_only_without_the_middleware",
    ),
    (AnonymousWhenStoreIsDown, "a_failing_load_is_a_503"),
    (ErrorTextInBody, "a_failing_load_is_a_503"),
    (AnswersAlthoughSavingFailed, "a_failing_save_is_a_503"),
    (
        AnswersAlthoughSavingFailed,
        "a_session_that_cannot_be_stored_is_a_503",
    ),
    (NoDeadline, "a_hanging_store_is_a_503_in_time"),
    (OwnClock, "sessions_end_when_their_time_is_up"),
    (ClockIsOff, "info_describes_the_session"),
    (AdoptsEndedIds, "an_ended_id_is_never_brought_to_life"),
    (AdoptsUnknownIds, "an_unknown_id_is_never_brought_to_life"),
    (FirstOfTwoCookies, "of_several_cookies_the_live_one_is_used"),
    (FirstOfTwoCookies, "of_several_live_sessions_none_is_used"),
    (BrokenNeighbourHides, "broken_neighbours_hide_nothing"),
    (DecodesCookieNames, "a_similar_name_is_another_cookie"),
    (
        SkipsForgedCookies,
        "the_65th_cookie_of_our_length_is_not_looked_at",
    ),
    (LosesTokens, "a_bearer_token_follows_the_session"),
    (
        ReadsAuthorizationAlone,
        "a_token_travels_in_headers_of_choice",
    ),
    (LosesTokensOnReads, "a_bearer_token_follows_the_session"),
    (LosesTokensOnReads, "a_token_is_signed_anew"),
    (AsksForForgedCookies, "a_forged_token_asks_nothing"),
    (TokenFromTheUrl, "a_token_comes_from_its_header_alone"),
    (CookieTakenForToken, "a_cookie_is_no_token"),
    (FirstOfTwoTokens, "of_several_tokens_the_live_one_is_used"),
    (VariesByCookieAlone, "every_use_varies_by_the_tokens_header"),
    (
        CacheableSetCookie,
        "an_answer_with_a_token_is_kept_out_of_caches",
    ),
    (ExcludedPathHasSession, "an_excluded_path_has_no_session"),
    (RefusesItself, "a_middleware_inside_itself_is_one_session"),
    (
        InnerManagerIsIgnored,
        "an_inner_middleware_of_another_manager_is_an_error",
    ),
    (
        LosesDataOnRotation,
        "regenerating_gives_the_session_a_new_id",
    ),
    (LosesDataOnRotation, "regenerate_then_set_does_both"),
    (
        LogoutDoesNotFollow,
        "ending_ends_the_session_under_every_id",
    ),
    (ForgetsUsers, "a_login_binds_the_user_to_a_new_id"),
    (ForgetsUsers, "another_users_login_starts_with_empty_data"),
    (ForgetsUsers, "a_login_with_a_dead_id_starts_afresh"),
    (TooLargeIsInternal, "a_login_with_long_words_is_a_413"),
    (ForgetsLifetimes, "a_remembered_login_lives_longer"),
    (ForgetsTheIndex, "a_users_sessions_are_listed"),
    (ForgetsTheIndex, "a_user_ends_their_sessions"),
    (EverythingIsOk, "without_a_user_sessions_are_a_401"),
    (ForgetsTheIndex, "a_login_beyond_the_cap_ends_the_oldest"),
    (ForgetsTheIndex, "a_login_beyond_the_cap_is_refused"),
    (ForgetsTheIndex, "the_cap_holds_for_logins_at_once"),
    (ForgetsTheIndex, "ending_all_others_lets_none_escape"),
    (LosesQueries, "slow_routes_wait_and_store"),
    (LosesBodies, "values_are_stored_and_removed"),
    (LosesBodies, "any_json_comes_back_as_it_was"),
    (ForgetsUpdates, "increments_count_and_refuse"),
    (TooLargeIsInternal, "a_session_over_its_cap_is_refused"),
    (RefusesForms, "the_content_type_of_a_request_is_ignored"),
    (DecodesPathsTwice, "keys_are_decoded_once"),
    (DecodesPathsTwice, "what_cannot_be_read_is_a_400"),
    (ReadsAnyBody, "a_body_over_2_mib_is_a_413"),
    (EverythingIsJson, "the_page_is_html"),
    (EverythingIsOk, "paths_that_are_no_route_are_a_404"),
    (EverythingIsOk, "other_methods_are_a_405"),
    (FlashShownTwice, "a_flash_message_is_seen_once"),
    (FlashLost, "a_flash_message_is_seen_once"),
    (FlashLost, "flash_messages_left_at_once_all_arrive"),
    (TooLargeIsInternal, "too_long_a_flash_message_is_a_413"),
    (NoCsrfCheck, "a_csrf_token_is_asked_for"),
    (CsrfTokenComparedByPrefix, "a_csrf_token_is_asked_for"),
    (CsrfTokenSurvivesLogin, "a_login_renews_the_csrf_token"),
    (
        CsrfTokenDiesOnRotation,
        "a_rotation_renews_the_csrf_token_slowly",
    ),
    (OverwritesOnConflict, "values_move_in_one_step"),
    (LosesBodies, "a_profile_is_of_its_type"),
    (PeekCountsAsActivity, "a_peek_is_no_activity"),
    (StaleUserIsFresh, "sensitive_things_need_a_fresh_login"),
    (ForgetsTheIndex, "ending_everywhere_ends_this_one_too"),
    (
        ForgetsLifetimesOnRotation,
        "a_remembered_login_lives_longer",
    ),
    (
        WatchMissesTheEnd,
        "who_watches_a_session_is_told_of_its_end",
    ),
    (StoreOfItsOwn, "servers_with_one_store_share_their_sessions"),
    (OverwritesOnConflict, "parallel_increments_are_all_counted"),
    (
        OverwritesOnConflict,
        "parallel_writes_of_different_keys_are_all_kept",
    ),
    (OverwritesOnConflict, "a_slow_write_revives_nothing"),
    (
        OverwritesOnConflict,
        "a_write_before_the_rotation_moves_with_it",
    ),
    (
        OverwritesOnConflict,
        "a_write_after_the_rotation_is_dropped",
    ),
    (
        OverwritesOnConflict,
        "a_logout_beats_the_rotation_that_it_meets",
    ),
    (TouchNeverMisses, "a_slow_read_brings_no_cookie_back"),
    (FirstOfTwoCookies, "a_login_with_two_live_cookies_holds"),
    (ForgetsSuccessors, "a_login_sent_twice_is_one_session"),
    (RemovesCookieOnMiss, "a_second_logout_removes_no_cookie"),
    (ForgetsTouches, "a_request_just_before_the_limit_is_in_time"),
    (LoadsWithATouch, "a_failing_touch_fails_no_request"),
    (
        LogoutLostWhenItsClientLeaves,
        "a_logout_is_done_though_its_client_leaves",
    ),
    (
        TakesEveryEndingForItsOwn,
        "who_was_ended_from_elsewhere_begins_anew",
    ),
];

#[test]
fn an_intact_adapter_passes_every_check() {
    let failures = CHECKS
        .iter()
        .filter_map(|check| Some((check, failure(None, check)?)));
    let failures: Vec<_> = failures.collect();
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn every_defect_is_noticed_by_its_check() {
    let missed: Vec<_> = NOTICED_BY
        .iter()
        .filter(|(defect, check)| failure(Some(*defect), check).is_none())
        .collect();
    assert!(missed.is_empty(), "these checks pass: {missed:#?}");
}

#[test]
fn every_check_can_fail() {
    for check in CHECKS {
        assert!(
            NOTICED_BY.iter().any(|(_, by)| by == check),
            "no defect shows that {check} can fail"
        );
    }
}

/// What a check says names the answer that was given and the one that is expected.
#[test]
fn failures_say_what_to_do() {
    let said = |defect, check| failure(Some(defect), check).unwrap();
    let vary = said(NoVary, "every_use_varies_by_cookie");
    assert!(vary.contains("`Vary` of `GET /api/stream?n=1`"), "{vary}");
    let second = said(SecondSetCookie, "the_cookie_is_sent_when_it_changes");
    assert!(
        second.contains("one Set-Cookie of the session's at most"),
        "{second}"
    );
}

#[test]
fn the_readme_names_every_check() {
    let readme = include_str!("../README.md");
    for check in CHECKS {
        assert!(readme.contains(&format!("| `{check}` |")), "{check}");
    }
}

/// How `check` fails on an adapter with a defect; `None` if it passes.
fn failure(defect: Option<Defect>, check: &'static str) -> Option<String> {
    panic_of(move || store::run(adapter::check(check, &Harness(defect))))
}
