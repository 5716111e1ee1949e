//! The conformance suite of buses: the ways from an owner's log to readers in
//! other processes.
//!
//! A bus's tests implement [`BusFixture`] and call
//! [`bus_conformance!`](crate::bus_conformance). The same cases run in process,
//! where readers read the owner's log itself: what cannot happen there runs as
//! what comes closest to it.

mod bench;
mod delivery;
mod divergence;
mod faults;
mod freshness;
mod going_back;
mod loss;
mod owner;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Clock;
use crate::relay::Transport;
use crate::shard::{LogName, Shard, ShardCount};
use crate::store::LogSource;

pub use super::reader::{about, append_to};
pub use bench::{BusBench, Process, SHARDS, SUBJECT, traced};
pub use owner::Owner;

/// The log that is carried.
pub const LOG: LogName = super::bench::LOG;

/// What a reader's process opens its end of the bus with.
#[derive(Clone)]
pub struct SourceSetup {
    /// The owner, as other processes can ask it.
    pub owner: Arc<dyn LogSource>,
    /// Clock of the reader's process.
    pub clock: Arc<dyn Clock>,
    /// How often the owner is asked for its heads.
    pub poll: Duration,
    /// How long nothing comes, although the owner has more, before it is read
    /// from the owner.
    pub stalled_after: Duration,
    /// Records of a shard that are held for a reader.
    pub records_max: usize,
}

/// A bus of its own, empty at first.
#[async_trait]
pub trait BusFixture: Send + Sync + 'static {
    /// A bus for a log with so many shards.
    async fn create(shards: ShardCount) -> Self
    where
        Self: Sized;

    /// What the owner's relay sends by; nothing where readers read the owner's
    /// log itself.
    async fn transport(&self) -> Option<Arc<dyn Transport>>;

    /// The log as a reader's process finds it.
    async fn source(&self, setup: SourceSetup) -> Arc<dyn LogSource>;

    /// Loses all that it carries, as a topic that is deleted and made anew.
    async fn lose_all(&self);

    /// Loses what it carries of a shard so far, as retention does it.
    async fn expire(&self, shard: Shard);

    /// The most records of a shard that a source held at once, if it holds any.
    fn held_max(&self, source: &dyn LogSource, shard: Shard) -> Option<usize>;
}

/// Makes the list of cases into functions, and into the macro that tests them.
macro_rules! cases {
    ($d:tt $($module:ident { $($name:ident)+ })+) => {
        /// The cases. Each panics where the bus does not conform.
        pub mod case {
            $($(
                #[doc = concat!("Case `", stringify!($name), "`.")]
                pub async fn $name<F: super::BusFixture>() {
                    let bench = super::BusBench::open::<F>().await;
                    super::super::bench::bounded(async {
                        super::$module::$name(&bench).await;
                        bench.end().await;
                    })
                    .await;
                }
            )+)+
        }

        /// Makes one test of each case of the buses' conformance suite, for a
        /// [`BusFixture`](crate::conformance::bus::BusFixture) type.
        #[macro_export]
        macro_rules! bus_conformance {
            ($d fixture:ty) => {
                $($(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $name() {
                        $crate::conformance::bus::case::$name::<$d fixture>().await;
                    }
                )+)+
            };
        }
    };
}

cases! { $
    delivery {
        records_arrive_in_order_and_byte_for_byte
        all_shards_arrive
        a_reader_goes_on_from_its_checkpoint
        a_wrong_hint_costs_time_only
        published_twice_is_applied_once
        trace_context_arrives
        a_slow_reader_costs_bounded_memory
        a_second_reader_reads_all_too
    }
    loss {
        a_gap_is_filled_from_the_owner
        expired_retention_is_filled_from_the_owner
        a_topic_made_anew_in_mid_flow
        a_topic_lost_in_silence
    }
    faults {
        a_crash_between_delivery_and_checkpoint
        a_failed_delivery_is_sent_again
        a_relay_of_an_older_lease_is_fenced
        an_owner_that_is_away_delays_nothing_that_has_come
    }
    freshness {
        a_stopped_relay_stops_seen_at
        an_owner_that_is_away_stops_seen_at
        an_answer_that_takes_long_makes_nobody_younger
        seen_at_follows_the_reader_and_not_the_topic
    }
    divergence {
        a_diverged_log_stops_the_reader_at_start
        a_diverged_log_stops_a_running_reader
        a_diverged_log_is_noticed_in_silence
        a_restored_log_that_grew_past_the_reader
        a_reader_behind_the_restore_point_goes_on
    }
    going_back {
        a_diverged_reader_goes_back_to_what_is_common
        a_subject_that_only_an_officer_can_settle_is_held
        nobody_goes_back_to_a_log_that_never_was_the_same
        a_subject_whose_parked_events_are_lost_is_held
    }
}
