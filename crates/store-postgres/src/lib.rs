//! The event store and the key ring on Postgres.
