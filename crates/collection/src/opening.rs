//! Sealed fields are opened only here, and each opening is in the log before
//! anybody sees what was opened.

use std::sync::Arc;

use jiff::Timestamp;
use prost::Message as _;
use tally_auth::Caller;
use tally_eventlog::append::{Append, ExpectedVersion, StreamAppend};
use tally_eventlog::event::{NewEvent, StreamName};
use tally_eventlog::sealing::Opened;
use tally_proto::tally::collection::v1 as pb;
use tally_proto::tally::log::v1::Sealed;
use tally_rpc::Fault;
use tally_service::command::actor_of;
use tally_service::reply::{append_fault, keyring_fault};
use tally_service::{CommandScope, Deps, logs};
use uuid::Uuid;

use crate::codec::SEALED_OPENED;

/// Stream category of openings, in the log `collection-access`: one stream per
/// record, or per quarantined row.
pub const CATEGORY: &str = "opening";

/// Sealed fields of a stream, and why they are looked at.
pub(crate) struct Opening<'a> {
    /// Who looks.
    pub caller: &'a Caller,
    /// Category of the stream.
    pub category: &'static str,
    /// Its id.
    pub id: Uuid,
    /// Whom it is about: also the shard key. Empty: the id is the shard key.
    pub subject: &'a str,
    /// The caller's case number.
    pub case_number: String,
    /// The fields, by name.
    pub sealed: Vec<(&'a str, &'a Sealed)>,
}

impl Opening<'_> {
    /// Logs the opening, then opens. A field whose key was erased is nothing.
    ///
    /// # Errors
    ///
    /// It could not be logged, and nothing was opened; or it cannot be opened.
    pub async fn open(self, deps: &Deps) -> Result<Vec<(String, Option<String>)>, Fault> {
        self.log(deps).await?;
        let opened = deps
            .keyring
            .open(&self.sealed)
            .await
            .map_err(keyring_fault)?;
        let named = self.sealed.iter().zip(opened).map(|((name, _), opened)| {
            let text = match opened {
                Opened::Text(text) => Some(text),
                Opened::Erased => None,
            };
            ((*name).to_owned(), text)
        });
        Ok(named.collect())
    }

    async fn log(&self, deps: &Deps) -> Result<(), Fault> {
        let now = deps.clock.now();
        let payload = pb::SealedOpened {
            stream: format!("{}/{}", self.category, self.id),
            fields: self
                .sealed
                .iter()
                .map(|(name, _)| (*name).to_owned())
                .collect(),
            case_number: self.case_number.clone(),
        };
        // A question has no command id of its own; asking twice is looking twice.
        let scope = CommandScope {
            actor: actor_of(self.caller),
            id: new_id(now),
        };
        let pack_version = deps
            .catalogue
            .try_active()
            .map(|policy| policy.version().to_owned());
        let event = NewEvent {
            event_id: scope.id,
            event_type: SEALED_OPENED,
            subject: self.subject.to_owned(),
            payload: payload.encode_to_vec().into(),
            effective_at: now,
            context: Arc::clone(&scope.context(&pack_version.unwrap_or_default())),
            legal_basis: None,
        };
        let id = self.id.to_string();
        let shard_key = if self.subject.is_empty() {
            &id
        } else {
            self.subject
        };
        let shard = deps.store.shards().of(shard_key);
        let append = Append {
            streams: vec![StreamAppend {
                stream: StreamName::new(CATEGORY, id),
                expected: ExpectedVersion::Any,
                events: vec![event],
            }],
            ..Append::to(logs::COLLECTION_ACCESS, shard)
        };
        let appended = deps
            .store
            .append(vec![append])
            .await
            .pop()
            .expect("one answer per append");
        appended.map(|_| ()).map_err(append_fault)
    }
}

/// A UUIDv7 of the clock's time.
pub(crate) fn new_id(now: Timestamp) -> Uuid {
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos))
}
