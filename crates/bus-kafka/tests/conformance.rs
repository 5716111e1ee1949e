//! The buses' conformance suite on Apache Kafka.

mod common;

tally_eventlog::bus_conformance!(common::Kafka);
