//! The conformance suite: named cases that every event store passes.
//!
//! A store's tests implement [`Fixture`] and call
//! [`event_store_conformance!`](crate::event_store_conformance), which makes
//! one test of each case, so that the same names appear for each store.

mod appends;
pub(crate) mod bench;
pub mod bus;
mod checkpoints;
mod clock;
mod commands;
mod consumers;
mod crashes;
mod decisions;
mod failures;
mod faulty;
mod groups;
mod parking;
mod positions;
mod reader;
mod records;
mod views;

use std::sync::Arc;

use async_trait::async_trait;

use crate::group::GroupOptions;
use crate::shard::{LogName, ShardCount};
use crate::store::EventStore;

pub use bench::Bench;
pub use clock::{Stall, TestClock};

/// What a store is opened with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Its logs.
    pub logs: Vec<LogName>,
    /// Its shards.
    pub shards: ShardCount,
    /// Its clock.
    pub clock: Arc<TestClock>,
    /// Bounds of its group commit.
    pub group: GroupOptions,
}

/// A place for one store, empty at first.
#[async_trait]
pub trait Fixture: Send + Sync + 'static {
    /// A place of its own.
    async fn create() -> Self
    where
        Self: Sized;

    /// Opens the store on what is at this place.
    ///
    /// Where it had been opened before, that one ends now as by a crash: not
    /// closed, its writer stopped wherever it is, without another commit.
    async fn open(&mut self, setup: &Setup) -> Arc<dyn EventStore>;

    /// Ends the store in the same way; what is at this place has then been put back
    /// from a backup.
    async fn restore(&mut self, setup: &Setup);
}

/// Makes the list of cases into functions, and into the macro that tests them.
macro_rules! cases {
    ($d:tt $($module:ident { $($name:ident)+ })+) => {
        /// The cases. Each panics where the store does not conform.
        pub mod case {
            $($(
                #[doc = concat!("Case `", stringify!($name), "`.")]
                pub async fn $name(fixture: impl super::Fixture) {
                    let bench = super::Bench::open(Box::new(fixture)).await;
                    super::bench::bounded(super::$module::$name(bench)).await;
                }
            )+)+
        }

        /// Makes one test of each case of the conformance suite, for a
        /// [`Fixture`](crate::conformance::Fixture) type.
        #[macro_export]
        macro_rules! event_store_conformance {
            ($d fixture:ty) => {
                $($(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                    async fn $name() {
                        use $crate::conformance::{Fixture, case};
                        case::$name(<$d fixture as Fixture>::create().await).await;
                    }
                )+)+
            };
        }
    };
}

cases! { $
    appends {
        concurrent_appends_lose_nothing
        expected_versions_in_batch_order
        loser_leaves_neighbours_untouched
        no_stream_twice_in_one_batch
        a_stream_twice_in_one_append
        a_stream_named_after_its_command
        logs_are_apart
    }
    groups {
        waiting_appends_share_a_transaction
        big_batches_are_split
        queue_bound_refuses_with_busy
        hundreds_at_once
        nothing_asked_nothing_done
    }
    positions {
        positions_are_contiguous_in_commit_order
        a_reader_starts_anywhere
        watch_sees_every_growth
    }
    commands {
        repeated_command_id_returns_the_first_result
        repeated_command_id_within_a_batch
        command_id_with_other_content_is_refused
        command_ids_are_per_department
        refused_commands_are_not_remembered
        forgotten_commands
    }
    crashes {
        crash_between_append_and_reply
        crash_before_the_commit
        unknown_outcome_is_resolved_by_retry
        abandoned_caller_leaves_the_log_whole
    }
    checkpoints {
        checkpoint_and_views_commit_with_the_events
        checkpoint_cas_fences
        checkpoints_move_in_batch_order
        guards_refuse_outdated_decisions
        ends_of_logs_that_were_relied_on
    }
    views {
        last_write_of_a_row_wins
        scan_is_ordered_and_bounded
        rows_are_answered_in_the_order_asked
        snapshot_is_one_moment
    }
    records {
        record_bytes_are_the_same_everywhere
        recorded_at_never_goes_back
        merkle_root_matches_leaves
        leaf_is_hash_of_bytes
        log_id_is_kept
        a_restored_log_has_another_id_from_there_on
    }
    consumers {
        crash_between_view_and_checkpoint
        crash_between_two_appends_of_a_fan_out
        redelivery_is_a_duplicate
        gap_is_noticed
        a_log_of_another_store_is_read
        diverged_log_stops_the_reader
        older_lease_is_fenced
        unknown_event_type_stops_the_shard
        idle_checkpoint_moves_seen_at
        what_comes_while_it_gathers_waits
    }
    failures {
        a_failed_effect_holds_the_checkpoint
        a_log_that_was_rewritten_stops_the_reader
    }
    parking {
        poison_parks_the_subject_and_order_is_kept
        replay_of_a_parked_subject
        replay_stops_at_the_next_poison
        what_is_parked_is_listed_with_its_reasons
        more_than_20_parked_in_1000_stops_the_shard
        parked_subjects_are_counted_over_a_window
        what_comes_again_is_not_counted_twice
        poison_about_no_subject_stops_the_shard
    }
    faulty {
        a_store_that_fails_meanwhile_forgets_nothing_parked
    }
    decisions {
        losing_command_is_decided_again
        losing_command_may_be_refused_on_the_new_state
        aborted_after_bounded_tries
        repeat_of_a_command_that_would_now_be_refused
        timer_fires_once_and_effective_on_the_due_date
        derived_ids_are_remembered
    }
}
