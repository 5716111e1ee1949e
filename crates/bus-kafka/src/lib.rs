//! Records between roles over Apache Kafka.
//!
//! Kafka is transport and not the archive: whatever a topic lacks, repeats or
//! mixes up, a reader applies the owner's log, in its order, each record once.
//!
//! - The owner of a log calls [`prepare_topic`] as [`Access::Owner`] and starts a
//!   [`Relay`](tally_eventlog::relay::Relay) over a [`KafkaTransport`], which is
//!   [`keeping`](KafkaTransport::keeping) the topic.
//! - What outsiders are told goes by a relay of its own over
//!   [`KafkaTransport::published`], to a topic of its own.
//! - Every other process calls it as [`Access::Reader`] and reads through a
//!   [`KafkaSource`].

mod context;
mod delivery;
mod feed;
mod look;
mod message;
mod options;
mod source;
mod tail;
mod topics;
mod transport;

pub use look::{TopicSettings, TopicState, look_at_topics};
pub use options::{KafkaOptions, OptionsError, SourceOptions, TopicOptions};
pub use source::KafkaSource;
pub use tail::{ShardTail, TopicTail};
pub use topics::{Access, TopicError, log_topic, prepare_topic, published_topic};
pub use transport::KafkaTransport;
