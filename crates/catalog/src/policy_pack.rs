//! The aggregate of a policy pack: loaded once per version, as an event per
//! item and one that makes it active.

use bytes::Bytes;
use jiff::Timestamp;
use prost::Message as _;
use tally_domain::policy::{PackItem, PackMeta};
use tally_eventlog::aggregate::{Aggregate, Codec, Encoded};
use tally_eventlog::event::{DecodeError, Recorded};
use tally_proto::tally::catalog::v1 as pb;
use tally_rpc::Fault;
use tally_service::catalogue::{
    event_type, item_from_proto, item_to_proto, meta_from_proto, meta_to_proto,
};

/// A pack of one version.
#[derive(Debug, Clone, Default)]
pub struct PolicyPack {
    digest: Option<Vec<u8>>,
}

/// What is asked of a pack.
#[derive(Debug, Clone)]
pub enum Command {
    /// Load it. The service has verified its items, digest and consistency.
    Load {
        /// The pack's head.
        meta: PackMeta,
        /// Its items, in canonical order.
        items: Vec<PackItem>,
        /// SHA-256 over the canonical items.
        digest: Vec<u8>,
        /// When.
        at: Timestamp,
    },
}

/// What happened to a pack.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// An item was loaded.
    ItemLoaded {
        /// Version of the pack.
        pack_version: String,
        /// The item.
        item: PackItem,
        /// When.
        at: Timestamp,
    },
    /// The pack became the active one.
    Activated {
        /// The pack's head.
        meta: PackMeta,
        /// SHA-256 over the canonical items.
        digest: Vec<u8>,
        /// Number of items.
        items: u32,
        /// When.
        at: Timestamp,
    },
}

/// Why a pack is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// This version was loaded with other content.
    OtherContent,
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::OtherContent => Fault::already_exists(
                "PACK_VERSION_EXISTS",
                "a pack of this version is loaded with other content; give the changed pack a new version",
            ),
        }
    }
}

impl Aggregate for PolicyPack {
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    const CATEGORY: &'static str = "pack";

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        let Command::Load {
            meta,
            items,
            digest,
            at,
        } = command;
        match &self.digest {
            Some(loaded) if loaded == digest => return Ok(Vec::new()),
            Some(_) => return Err(Rejection::OtherContent),
            None => {}
        }
        let loaded = items.iter().map(|item| Event::ItemLoaded {
            pack_version: meta.version.clone(),
            item: item.clone(),
            at: *at,
        });
        let activated = Event::Activated {
            meta: meta.clone(),
            digest: digest.clone(),
            items: items.len() as u32,
            at: *at,
        };
        Ok(loaded.chain([activated]).collect())
    }

    fn evolve(&mut self, event: &Event) {
        if let Event::Activated { digest, .. } = event {
            self.digest = Some(digest.clone());
        }
    }
}

impl Codec for PolicyPack {
    fn encode(event: &Event) -> Encoded {
        let (event_type, payload, at) = match event {
            Event::ItemLoaded {
                pack_version,
                item,
                at,
            } => {
                let message = pb::PackItemLoaded {
                    pack_version: pack_version.clone(),
                    item: Some(item_to_proto(item)),
                };
                (event_type::PACK_ITEM_LOADED, message.encode_to_vec(), at)
            }
            Event::Activated {
                meta,
                digest,
                items,
                at,
            } => {
                let message = pb::PackActivated {
                    meta: Some(meta_to_proto(meta)),
                    digest: Bytes::copy_from_slice(digest),
                    items: *items,
                };
                (event_type::PACK_ACTIVATED, message.encode_to_vec(), at)
            }
        };
        Encoded {
            event_type,
            payload: payload.into(),
            effective_at: *at,
            legal_basis: None,
        }
    }

    fn decode(recorded: &Recorded) -> Result<Event, DecodeError> {
        let fault = |reason: String| DecodeError {
            log: recorded.log,
            shard: recorded.shard,
            position: recorded.position,
            reason,
        };
        let at = recorded.effective_at;
        match recorded.envelope.event_type.as_str() {
            event_type::PACK_ITEM_LOADED => {
                let message: pb::PackItemLoaded = recorded.payload()?;
                let item = item_from_proto(message.item.unwrap_or_default()).map_err(fault)?;
                Ok(Event::ItemLoaded {
                    pack_version: message.pack_version,
                    item,
                    at,
                })
            }
            event_type::PACK_ACTIVATED => {
                let message: pb::PackActivated = recorded.payload()?;
                Ok(Event::Activated {
                    meta: meta_from_proto(message.meta.unwrap_or_default()),
                    digest: message.digest.to_vec(),
                    items: message.items,
                    at,
                })
            }
            other => Err(fault(format!("{other} is no event of a policy pack"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use tally_eventlog::aggregate::given;

    use super::*;

    fn load(digest: u8) -> Command {
        let pack = crate::pack::embedded().expect("the embedded pack is consistent");
        Command::Load {
            meta: pack.meta.clone(),
            items: pack.items(),
            digest: vec![digest; 32],
            at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_pack_becomes_active_after_its_items() {
        let events = given::<PolicyPack>([]).when(load(1)).expect("loads");
        let (last, items) = events.split_last().expect("events");
        assert!(
            matches!(last, Event::Activated { items: count, .. } if *count as usize == items.len())
        );
        assert!(
            items
                .iter()
                .all(|event| matches!(event, Event::ItemLoaded { .. }))
        );
    }

    #[test]
    fn the_same_pack_again_changes_nothing_and_another_is_refused() {
        let events = given::<PolicyPack>([]).when(load(1)).expect("loads");
        assert_eq!(
            given::<PolicyPack>(events.clone()).when(load(1)),
            Ok(Vec::new())
        );
        assert_eq!(
            given::<PolicyPack>(events).when(load(2)),
            Err(Rejection::OtherContent)
        );
    }
}
