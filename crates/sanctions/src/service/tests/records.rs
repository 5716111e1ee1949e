//! Events of other roles, appended as they would.

use std::sync::Arc;

use jiff::Timestamp;
use prost::Message;
use tally_domain::policy::Pack;
use tally_eventlog::append::{Append, ExpectedVersion, StreamAppend};
use tally_eventlog::event::{EventContext, NewEvent, StreamName, actor_to_proto};
use tally_eventlog::pb::Actor;
use tally_eventlog::shard::LogName;
use tally_eventlog::store::EventStore;
use tally_proto::tally::catalog::v1 as catalog;
use tally_service::catalogue::{event_type as catalogue_event, item_to_proto, meta_to_proto};
use tally_service::logs;
use uuid::Uuid;

use super::mesh::PACK;

/// Loads the built-in pack.
pub async fn load_pack(store: &dyn EventStore, now: Timestamp) {
    let pack = tally_catalog::pack::embedded().expect("the built-in pack");
    load(store, now, &pack).await;
}

/// Loads a pack, which is active from then on.
pub async fn load(store: &dyn EventStore, now: Timestamp, pack: &Pack) {
    let version = &pack.meta.version;
    let items = pack.items();
    let count = items.len() as u32;
    for item in items {
        let loaded = catalog::PackItemLoaded {
            pack_version: version.clone(),
            item: Some(item_to_proto(&item)),
        };
        append(
            store,
            logs::CATALOG,
            version,
            ("pack", version),
            event(now, catalogue_event::PACK_ITEM_LOADED, "", loaded),
        )
        .await;
    }
    let activated = catalog::PackActivated {
        meta: Some(meta_to_proto(&pack.meta)),
        digest: pack.digest().to_vec().into(),
        items: count,
    };
    append(
        store,
        logs::CATALOG,
        version,
        ("pack", version),
        event(now, catalogue_event::PACK_ACTIVATED, "", activated),
    )
    .await;
}

pub fn event(
    now: Timestamp,
    event_type: &'static str,
    department: &str,
    payload: impl Message,
) -> NewEvent {
    let id = Uuid::new_v4();
    let actor = Actor {
        department: department.to_owned(),
        ..actor_to_proto(&tally_domain::department::Actor::process())
    };
    let context = EventContext {
        actor,
        pack_version: PACK.to_owned(),
        command_id: id,
        causation_id: id,
        correlation_id: id,
        traceparent: String::new(),
    };
    NewEvent {
        event_id: id,
        event_type,
        subject: String::new(),
        payload: payload.encode_to_vec().into(),
        effective_at: now,
        context: Arc::new(context),
        legal_basis: None,
    }
}

pub async fn append(
    store: &dyn EventStore,
    log: LogName,
    shard_key: &str,
    stream: (&'static str, &str),
    event: NewEvent,
) {
    let append = Append {
        streams: vec![StreamAppend {
            stream: StreamName::new(stream.0, stream.1),
            expected: ExpectedVersion::Any,
            events: vec![event],
        }],
        ..Append::to(log, store.shards().of(shard_key))
    };
    store
        .append(vec![append])
        .await
        .pop()
        .expect("one result")
        .expect("appended");
}
