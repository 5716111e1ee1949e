//! The paths of a mesh with a process for each role, on Postgres and Kafka.

mod bare_hops;
mod directives;
pub mod growth;
mod ingest;
mod kafka;
mod relay;
mod replay;
mod roles;
pub mod schema;

use crate::arguments::{Arguments, Only};
use crate::report::Report;
use ingest::{Filled, Kind};

/// Runs ours and bare in turns.
pub async fn measure(arguments: &Arguments, report: &mut Report) {
    let only = arguments.only;
    for round in 1..=arguments.rounds {
        eprintln!("Postgres and Kafka, round {round} of {}", arguments.rounds);
        let records = arguments.records;
        if only.includes(Only::Ingest) {
            for kind in [Kind::Plain, Kind::Personal, Kind::Relayed] {
                ingest::ingest(kind, records, report).await;
            }
        }
        if only.includes(Only::Relay) {
            let filled = Filled::fill(records).await;
            relay::relay(&filled, arguments.produced, report).await;
            replay::replay(&filled, report).await;
        }
    }
    if only.includes(Only::Checks) {
        eprintln!("Postgres and Kafka, directives and checks");
        directives::measure(arguments.listings, arguments.checks, report).await;
    }
}
