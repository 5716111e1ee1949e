//! What the conformance suite cannot ask of every store: schemas, connections,
//! partitions, tampering.

#[path = "../common/mod.rs"]
mod common;
mod cuts;
mod damage;
mod months;
mod opening;
mod rows;

use tally_store_postgres::{OpenError, PostgresOptions, PostgresStore};

/// Why it is refused.
async fn refusal(options: PostgresOptions) -> OpenError {
    match PostgresStore::open(options).await {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}
