//! What outsiders are told over topics: the items of the streams that they may
//! follow, as CloudEvents. Not a field more than there; where the log is, is in
//! the attributes.

mod items;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use tally_eventlog::event::{Recorded, StoredRecord, from_proto_time};
use tally_eventlog::pb::ShardCursor;
use tally_eventlog::relay::{Outgoing, Outward};
use tally_eventlog::shard::LogName;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::follow::Selection;

/// A topic for outsiders.
pub struct Publication {
    /// Its name, after the mesh's prefix and `published`.
    pub topic: &'static str,
    /// Name of its relay.
    pub relay: &'static str,
    /// The log that it tells of.
    pub log: LogName,
    /// What it tells.
    pub outward: Arc<dyn Outward>,
}

/// What becomes of directives, for the province.
pub const FEEDBACK: &str = "feedback";
/// Newly registered organisations, for one department.
pub const REGISTRATIONS: &str = "registrations";
/// Changes of lists, for the public.
pub const LIST_CHANGES: &str = "list-changes";

/// An item that is told.
pub trait Published: Send + 'static {
    /// What it says; nothing where it only says how far the log was read.
    fn told(&self) -> Option<Told>;
}

/// What an item says.
#[derive(Debug, Clone)]
pub struct Told {
    /// What happened: the last part of the event's type.
    pub what: String,
    /// What it happened to: an id that says nothing of anybody.
    pub id: String,
    /// Id of the log.
    pub log_id: Bytes,
    /// The place.
    pub cursor: Option<ShardCursor>,
    /// When it was recorded.
    pub recorded_at: Option<prost_types::Timestamp>,
    /// The rest.
    pub data: Value,
}

impl Publication {
    /// A topic that tells the items of a selection.
    pub fn new<S>(topic: &'static str, relay: &'static str, log: LogName, selection: S) -> Self
    where
        S: Selection,
        S::Item: Published,
    {
        Self {
            topic,
            relay,
            log,
            outward: Arc::new(Teller {
                topic,
                log,
                selection: Mutex::new(selection),
            }),
        }
    }
}

/// Tells the items of a selection.
struct Teller<S> {
    topic: &'static str,
    log: LogName,
    selection: Mutex<S>,
}

#[async_trait]
impl<S> Outward for Teller<S>
where
    S: Selection,
    S::Item: Published,
{
    async fn messages(&self, records: &[StoredRecord]) -> Result<Vec<Outgoing>, String> {
        let decoded = records.iter();
        let decoded = decoded.map(|record| Recorded::decode(self.log, record));
        let decoded: Result<_, _> = decoded.collect();
        let decoded = decoded.map_err(|error| error.to_string())?;
        let items = self.selection.lock().await.items(decoded).await;
        let items = items.map_err(|fault| fault.to_string())?;
        let told = items.iter().filter_map(|(position, item)| {
            let told = item.told()?;
            Some(self.event(*position, told))
        });
        told.collect()
    }
}

impl<S> Teller<S> {
    /// A CloudEvent in the binary mode of the Kafka binding.
    fn event(&self, position: u64, told: Told) -> Result<Outgoing, String> {
        let log_id = Uuid::from_slice(&told.log_id).map_err(|error| error.to_string())?;
        let shard = told.cursor.map_or(0, |cursor| cursor.shard);
        let recorded_at = told.recorded_at.as_ref().and_then(from_proto_time);
        let recorded_at = recorded_at.ok_or("an item without a time")?;
        let headers = vec![
            ("ce_specversion", "1.0".to_owned()),
            // The same when it is told again: whoever knows it passes over it.
            ("ce_id", format!("{log_id}/{shard}/{position}")),
            ("ce_source", format!("/tally/{}", self.log)),
            ("ce_type", format!("tally.{}.v1.{}", self.topic, told.what)),
            ("ce_subject", told.id.clone()),
            ("ce_time", recorded_at.to_string()),
            ("content-type", "application/json".to_owned()),
        ];
        Ok(Outgoing {
            position,
            // Not the organisation: the end of an entry must not name it again.
            key: told.id,
            headers,
            value: told.data.to_string().into(),
        })
    }
}
