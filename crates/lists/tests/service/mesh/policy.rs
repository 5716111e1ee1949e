//! The catalogue as a service follows it, with the small pack.

use std::sync::Arc;

use prost::Message;
use tally_domain::policy::Pack;
use tally_eventlog::event::{Recorded, to_proto_time};
use tally_eventlog::pb as log;
use tally_eventlog::shard::Shard;
use tally_proto::tally::catalog::v1 as catalog;
use tally_service::catalogue::{event_type, item_to_proto, meta_to_proto};
use tally_service::{Catalogue, logs};
use uuid::Uuid;

use super::at;

/// The catalogue after the small pack was loaded.
pub fn small_pack() -> Arc<Catalogue> {
    let pack = tally_catalog::pack::embedded().expect("its own tests pass");
    let catalogue = Catalogue::default();
    load(&catalogue, &pack);
    Arc::new(catalogue)
}

/// Loads a pack, which is active from then on.
pub fn load(catalogue: &Catalogue, pack: &Pack) {
    let items = pack.items();
    let activated = catalog::PackActivated {
        meta: Some(meta_to_proto(&pack.meta)),
        digest: pack.digest().to_vec().into(),
        items: items.len() as u32,
    };
    for item in &items {
        let loaded = catalog::PackItemLoaded {
            pack_version: pack.meta.version.clone(),
            item: Some(item_to_proto(item)),
        };
        catalogue
            .apply(&policy_event(event_type::PACK_ITEM_LOADED, &loaded))
            .expect("an item");
    }
    catalogue
        .apply(&policy_event(event_type::PACK_ACTIVATED, &activated))
        .expect("a pack");
}

fn policy_event(event_type: &str, payload: &impl Message) -> Recorded {
    let now = at("2026-01-01T00:00:00Z");
    Recorded {
        log: logs::CATALOG,
        log_id: Uuid::nil(),
        shard: Shard(0),
        position: 0,
        recorded_at: now,
        effective_at: now,
        leaf: [0; 32],
        envelope: log::Envelope {
            event_type: event_type.into(),
            effective_at: Some(to_proto_time(now)),
            payload: payload.encode_to_vec().into(),
            ..log::Envelope::default()
        },
    }
}
