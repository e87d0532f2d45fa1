//! The store, the same on SQLite and on PostgreSQL: each behaviour is a function that
//! runs on both. What only one of them can show is in the modules below.

mod child;
mod journal;
mod keeping;
mod leases;
mod place;
mod postgres;
mod read_only;
mod requests;
mod secrecy;
mod sqlite;
mod stalls;

/// Runs each function, in a module, on a new database of either kind.
macro_rules! on_both {
    ($($behaviour:ident::$name:ident),* $(,)?) => {
        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    super::$behaviour::$name(super::place::Place::sqlite()).await;
                }
            )*
        }

        mod on_postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    let Some(place) = super::place::Place::postgres().await else { return };
                    super::$behaviour::$name(place).await;
                }
            )*
        }
    };
}

on_both! {
    keeping::a_credential_reads_back_as_it_was_put,
    keeping::a_name_is_kept_once_and_its_versions_are_counted,
    keeping::concurrent_puts_of_one_name_each_count,
    keeping::of_concurrent_replacements_of_a_version_one_wins,
    keeping::a_deleted_credential_is_gone,
    keeping::a_list_has_pages_and_filters,
    keeping::a_list_stays_in_order_while_it_is_read,
    keeping::the_last_use_only_moves_forward,
    leases::one_replica_holds_a_lease,
    leases::what_is_due_and_not_leased_is_found,
    keeping::an_intent_goes_when_its_key_is_kept,
    keeping::concurrent_fulfilments_all_reach_the_database,
    keeping::what_is_kept_is_counted,
    keeping::an_overdue_intent_is_flagged_and_can_still_be_fulfilled,
    keeping::intents_are_listed_and_dismissed,
    keeping::a_name_that_no_database_holds_is_refused_and_never_found,
    keeping::everything_is_there_after_a_restart,
    keeping::several_starts_at_once_migrate_once,
    secrecy::s15_no_plain_text_reaches_the_disk,
    secrecy::s15_no_plain_text_is_left_by_a_process_that_is_killed,
    secrecy::s15_a_ciphertext_opens_in_no_other_row_and_no_other_version,
    secrecy::s15_a_damaged_record_is_an_error_for_itself_alone,
    secrecy::s15_a_start_without_a_key_that_is_in_use_names_it,
    secrecy::s16_all_records_come_under_the_first_key_while_they_are_used,
    secrecy::s16_replicas_rotate_in_two_phases,
    secrecy::s16_a_rotation_that_is_killed_is_taken_up_again,
    secrecy::s16_what_no_key_opens_does_not_keep_the_others_from_rotating,
    requests::r8_every_replica_learns_how_a_call_ended,
    requests::r8_each_part_of_a_key_tells_requests_apart,
    requests::r8_of_concurrent_calls_one_is_the_first,
    requests::r8_a_call_that_nobody_ended_in_time_is_unknown_for_good,
    requests::r8_what_was_told_to_be_unknown_is_never_free_again,
    requests::r8_of_a_late_end_and_those_who_ask_all_are_told_the_same,
    requests::r8_records_are_kept_for_their_time,
    requests::r8_after_a_restart_nothing_of_the_process_before_is_taken_up,
    requests::r8_a_store_that_is_away_takes_neither_a_record_nor_its_end,
    requests::r8_an_end_is_kept_though_its_record_is_gone,
    requests::s15_no_record_shows_for_whom_it_is_nor_what_was_answered,
    requests::s15_an_answer_opens_in_no_other_record,
    requests::s16_answers_come_under_the_first_key_with_all_else,
    requests::s16_an_answer_under_a_key_that_is_not_known_yet_is_no_new_call,
    journal::s14_a_key_goes_to_the_journal_and_from_there_to_the_database,
    journal::s14_a_key_in_the_journal_outlives_the_process,
    journal::s14_a_journalled_key_is_not_kept_twice,
    journal::s14_a_later_key_is_not_replaced_by_one_from_the_journal,
    journal::s14_a_deleted_key_does_not_come_back_from_the_journal,
    journal::s14_without_a_journal_the_caller_learns_that_a_key_is_nowhere,
    journal::s14_a_journal_belongs_to_one_process,
    journal::s14_a_broken_frame_is_kept_aside_and_the_others_are_used,
}
