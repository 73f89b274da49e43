//! The adapter suite: what every framework's adapter has to do, over HTTP.
//!
//! An adapter's author binds the [application](crate::app) to their framework, which takes some eighty lines,
//! implements [`AdapterHarness`], which starts a server of it, and calls
//! [`adapter_suite!`](crate::adapter_suite), which turns every check into a test. A check talks to the server
//! as a browser does, and looks at what the store was asked, at the answers, and at what requests find
//! afterwards. It panics with a message that says what is wrong.
//!
//! The store that a server is given is a [`SpyStore`]. It notes every call, and a check can make it fail, or
//! hold a call until something else has happened: so the overlaps of the races are forced, and counted.

mod clock;
mod cookies;
mod everyday;
mod failures;
mod harness;
mod headers;
mod outcomes;
mod promises;
mod races;
mod refusals;
mod session;
mod spy;
mod tokens;
mod usage;
mod users;
mod values;
mod visitor;

pub use clock::TestClock;
pub use cookies::*;
pub use everyday::*;
pub use failures::*;
pub use harness::{AdapterHarness, SECRET};
pub use headers::*;
pub use outcomes::*;
pub use promises::*;
pub use races::*;
pub use refusals::*;
pub use session::*;
pub use spy::{Call, Gate, Mood, STORE_ERROR, SpyStore};
pub use tokens::*;
pub use usage::*;
pub use users::*;
pub use values::*;

/// Makes every check of the adapter suite a test of its own.
///
/// Takes an expression that makes an [`AdapterHarness`]; each test evaluates it anew, inside a tokio runtime
/// with two workers. Two suites in one file need a module each.
#[macro_export]
macro_rules! adapter_suite {
    ($harness:expr) => {
        $crate::__adapter_checks! { $crate::__adapter_tests, ($harness) }
    };
}

/// Expands to one test per check.
#[doc(hidden)]
#[macro_export]
macro_rules! __adapter_tests {
    (($harness:expr) $($check:ident)*) => { $(
        #[test]
        fn $check() {
            $crate::store::run(async { $crate::adapter::$check(&$harness).await });
        }
    )* };
}

/// The one list of checks: passes their names on to another macro, behind the argument it is given.
#[doc(hidden)]
#[macro_export]
macro_rules! __adapter_checks {
    ($then:path, $argument:tt) => {
        $then! { $argument
            an_unused_session_costs_nothing
            a_read_costs_one_load
            a_write_costs_a_load_and_a_save
            what_stores_nothing_begins_no_session
            an_excluded_path_has_no_session
            an_optional_session_is_missing_only_without_the_middleware
            a_stream_uses_the_session
            a_middleware_inside_itself_is_one_session
            an_inner_middleware_of_another_manager_is_an_error

            a_forged_cookie_asks_nothing
            a_similar_name_is_another_cookie
            broken_neighbours_hide_nothing
            of_several_cookies_the_live_one_is_used
            of_several_live_sessions_none_is_used
            the_65th_cookie_of_our_length_is_not_looked_at
            an_unknown_id_is_never_brought_to_life
            an_ended_id_is_never_brought_to_life
            a_lookup_that_finds_nothing_removes_no_cookie

            the_cookie_has_the_default_attributes
            a_removal_repeats_the_attributes
            every_use_varies_by_cookie
            the_cookie_is_sent_when_it_changes
            an_answer_with_the_cookie_is_kept_out_of_caches
            headers_of_others_stay
            activity_is_noted_with_the_cookie
            head_is_get_without_the_body

            a_bearer_token_follows_the_session
            a_token_travels_in_headers_of_choice
            a_token_is_signed_anew
            a_forged_token_asks_nothing
            a_token_comes_from_its_header_alone
            a_cookie_is_no_token
            of_several_tokens_the_live_one_is_used
            every_use_varies_by_the_tokens_header
            an_answer_with_a_token_is_kept_out_of_caches

            changes_are_kept_on_an_error_status
            changes_are_kept_when_the_handler_fails
            changes_are_kept_when_an_inner_middleware_fails
            a_panic_keeps_no_change
            a_logout_holds_whatever_the_answer_is
            a_logout_holds_on_a_panic
            a_rotation_holds_whatever_the_answer_is

            a_failing_load_is_a_503
            a_failing_save_is_a_503
            a_session_that_cannot_be_stored_is_a_503
            a_hanging_store_is_a_503_in_time
            requests_that_need_no_store_are_answered
            sessions_end_when_their_time_is_up

            a_login_with_two_live_cookies_holds
            a_login_sent_twice_is_one_session
            a_second_logout_removes_no_cookie
            a_request_just_before_the_limit_is_in_time
            a_failing_touch_fails_no_request
            a_logout_is_done_though_its_client_leaves
            who_was_ended_from_elsewhere_begins_anew

            info_describes_the_session
            regenerating_gives_the_session_a_new_id
            regenerate_then_set_does_both
            ending_ends_the_session_under_every_id
            slow_routes_wait_and_store
            the_page_is_html

            a_login_binds_the_user_to_a_new_id
            another_users_login_starts_with_empty_data
            a_login_with_a_dead_id_starts_afresh
            a_login_with_long_words_is_a_413
            a_remembered_login_lives_longer
            a_users_sessions_are_listed
            a_user_ends_their_sessions
            without_a_user_sessions_are_a_401
            a_login_beyond_the_cap_ends_the_oldest
            a_login_beyond_the_cap_is_refused

            values_are_stored_and_removed
            any_json_comes_back_as_it_was
            keys_are_decoded_once
            the_content_type_of_a_request_is_ignored
            increments_count_and_refuse
            a_session_over_its_cap_is_refused

            a_flash_message_is_seen_once
            too_long_a_flash_message_is_a_413
            flash_messages_left_at_once_all_arrive
            a_csrf_token_is_asked_for
            a_login_renews_the_csrf_token
            a_rotation_renews_the_csrf_token_slowly
            values_move_in_one_step
            a_profile_is_of_its_type
            who_watches_a_session_is_told_of_its_end
            a_peek_is_no_activity
            sensitive_things_need_a_fresh_login
            ending_everywhere_ends_this_one_too

            what_cannot_be_read_is_a_400
            a_body_over_2_mib_is_a_413
            paths_that_are_no_route_are_a_404
            other_methods_are_a_405

            servers_with_one_store_share_their_sessions
            parallel_increments_are_all_counted
            parallel_writes_of_different_keys_are_all_kept
            a_slow_write_revives_nothing
            a_write_before_the_rotation_moves_with_it
            a_write_after_the_rotation_is_dropped
            a_slow_read_brings_no_cookie_back
            of_parallel_rotations_one_wins
            a_logout_beats_the_rotation_that_it_meets
            the_cap_holds_for_logins_at_once
            ending_all_others_lets_none_escape
        }
    };
}

macro_rules! list_and_dispatch {
    (() $($check:ident)*) => {
        /// The names of all checks.
        pub const CHECKS: &[&str] = &[$(stringify!($check)),*];

        /// Runs one check, by its name. Panics if the adapter fails it, or if there is no such check.
        ///
        /// It needs a tokio runtime with timers and connections, such as [`run`](crate::store::run) has.
        pub async fn check<H: AdapterHarness>(check: &str, harness: &H) {
            // The futures are boxed because the match would otherwise be as large as all of them.
            match check {
                $(stringify!($check) => Box::pin($check(harness)).await,)*
                _ => panic!("the adapter suite has no check `{check}`"),
            }
        }
    };
}

__adapter_checks! { list_and_dispatch, () }
