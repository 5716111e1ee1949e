//! A store in memory whose clock is moved, and a hand that writes what the
//! services would.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use prost::Message;
use tally_audit::{Audit, RebuildTarget};
use tally_auth::Caller;
use tally_eventlog::append::{Append, ExpectedVersion, RowKey, StreamAppend, ViewWrite};
use tally_eventlog::clock::MovableClock;
use tally_eventlog::consumer::{Consumer, ConsumerHandle, Poison, Projection, ViewRows};
use tally_eventlog::event::{EventContext, NewEvent, Recorded, StreamName};
use tally_eventlog::group::GroupOptions;
use tally_eventlog::lease::Held;
use tally_eventlog::memory::MemoryStore;
use tally_eventlog::pb as log;
use tally_eventlog::sealing::{KeyRing, MasterKey, MemoryKeyStore};
use tally_eventlog::shard::{LogName, ShardCount};
use tally_eventlog::store::{EventStore, LogSource};
use tally_proto::tally::catalog::v1 as catalog;
use tally_proto::tally::lists::v1 as lists;
use tally_service::catalogue::{event_type, item_to_proto, meta_to_proto};
use tally_service::log_service::Logs;
use tally_service::{Sources, logs};
use tokio_util::sync::CancellationToken;
use tonic::Request;
use uuid::Uuid;

pub const PROVINCE: &str = "11990000MB0000107X";
pub const MOUTAI: &str = "cn-uscc:9152000071430580XT";
pub const MOUTAI_BY_CODE: &str = "cn-orgcode:71430580X";
pub const SINOPEC: &str = "cn-uscc:91110000710926094P";
/// A subject whose events the consumer under test cannot apply.
pub const POISON: &str = "cn-uscc:91440300192317458F";

/// The view of the consumer under test: events by subject.
pub const VIEW: &str = "test.count";
/// How often it is waited for the consumer, some seconds each.
const LOOKS_MAX: u32 = 20;
const CONSUMER: &str = "test.lists";

pub struct Mesh {
    pub store: Arc<MemoryStore>,
    pub clock: Arc<MovableClock>,
    pub audit: Audit,
    consumer: ConsumerHandle,
    stop: CancellationToken,
}

impl Mesh {
    pub async fn start() -> Self {
        let clock = Arc::new(MovableClock::starting_at(at("2012-01-10T01:00:00Z")));
        let shards = ShardCount::new(4).expect("in range");
        let options = GroupOptions::default();
        let store = Arc::new(MemoryStore::open(
            &logs::ALL,
            shards,
            clock.clone(),
            options,
            None,
        ));
        load_pack(&*store).await;
        let stop = CancellationToken::new();
        let consumer = Consumer {
            name: CONSUMER,
            log: logs::LISTS,
            source: store.clone(),
            store: store.clone(),
            projection: Arc::new(CountBySubject),
            process: None,
            clock: clock.clone(),
            held: Held::all(1),
            options: Default::default(),
        };
        let consumer = consumer.start(stop.clone());
        let target = RebuildTarget {
            consumer: CONSUMER,
            log: logs::LISTS,
            source: store.clone(),
            projection: Arc::new(CountBySubject),
            store: store.clone(),
        };
        let key = MasterKey::generate().expect("random bytes");
        let audit = Audit {
            logs: sources(&store),
            targets: vec![target],
            lists_writer: Some(store.clone()),
            keyring: Arc::new(KeyRing::new(Arc::new(MemoryKeyStore::new()), key)),
            clock: clock.clone(),
        };
        Self {
            store,
            clock,
            audit,
            consumer,
            stop,
        }
    }

    pub fn advance_to(&self, to: &str) {
        self.clock.advance_to(at(to)).expect("forward");
    }

    /// Writes an event of lists.
    pub async fn lists(
        &self,
        subject: &str,
        stream: StreamName,
        event_type: &'static str,
        effective_at: &str,
        event: &impl Message,
    ) {
        append(
            &*self.store,
            logs::LISTS,
            stream,
            subject,
            event_type,
            effective_at,
            event,
        )
        .await;
    }

    /// Writes that a subject is listed from 2011-02-18 to 2013-02-17.
    pub async fn listed(&self, subject: &str) -> StreamName {
        let entry = StreamName::new("entry", Uuid::now_v7().to_string());
        let listed = lists::EntryListed {
            list_type: "serious-violation".to_owned(),
            term_from: "2011-02-18".to_owned(),
            term_until: "2013-02-17".to_owned(),
            ..Default::default()
        };
        let from = "2011-02-17T16:00:00Z";
        self.lists(
            subject,
            entry.clone(),
            "tally.lists.v1.EntryListed",
            from,
            &listed,
        )
        .await;
        entry
    }

    /// Waits until the consumer has all that there is.
    pub async fn caught_up(&self) {
        let progress = self.consumer.progress();
        let sources = Sources::all_in(self.store.clone());
        // Each look waits some seconds.
        let mut looks = 0;
        while !sources.caught_up_everywhere(progress).await {
            looks += 1;
            assert!(looks < LOOKS_MAX, "it does not catch up");
        }
    }

    /// Sets or deletes a row of the view behind the consumer's back.
    pub async fn corrupt(&self, subject: &str, value: Option<&'static [u8]>) {
        let shard = self.store.shards().of(subject);
        let row = RowKey {
            view: VIEW,
            shard,
            key: Bytes::copy_from_slice(subject.as_bytes()),
        };
        let views = vec![ViewWrite {
            row,
            value: value.map(Bytes::from_static),
        }];
        let append = Append {
            views,
            ..Append::to(logs::LISTS, shard)
        };
        self.store
            .append(vec![append])
            .await
            .pop()
            .expect("one result")
            .expect("written");
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.consumer.join().await;
    }
}

/// Counts the events of each subject.
struct CountBySubject;

impl Projection for CountBySubject {
    fn views(&self) -> &'static [&'static str] {
        &[VIEW]
    }

    fn knows(&self, _event_type: &str) -> bool {
        true
    }

    fn reads(&self, event: &Recorded) -> Result<Vec<RowKey>, Poison> {
        Ok(vec![count_row(event)])
    }

    fn apply(&self, event: &Recorded, rows: &mut ViewRows) -> Result<(), Poison> {
        if event.envelope.subject == POISON {
            return Err(Poison::new("refused by the test"));
        }
        let row = count_row(event);
        let count: u64 = rows.get(&row)?.unwrap_or_default();
        rows.put(row, &(count + 1));
        Ok(())
    }
}

fn count_row(event: &Recorded) -> RowKey {
    let key = Bytes::copy_from_slice(event.envelope.subject.as_bytes());
    RowKey {
        view: VIEW,
        shard: event.shard,
        key,
    }
}

/// All logs of a store.
pub fn sources(store: &Arc<MemoryStore>) -> Logs {
    logs::ALL
        .into_iter()
        .map(|log| (log, store.clone() as Arc<dyn LogSource>))
        .collect()
}

pub fn at(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

/// A request by the operator, as the layer in front makes it.
pub fn by_operator<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    Caller::operator().attach(request.extensions_mut());
    request
}

async fn load_pack(store: &dyn EventStore) {
    let pack = tally_catalog::pack::embedded().expect("the embedded pack is sound");
    let version = pack.meta.version.clone();
    let items = pack.items();
    let at = "2012-01-10T01:00:00Z";
    let stream = || StreamName::new("pack", version.clone());
    for item in &items {
        let loaded = catalog::PackItemLoaded {
            pack_version: version.clone(),
            item: Some(item_to_proto(item)),
        };
        append(
            store,
            logs::CATALOG,
            stream(),
            "",
            event_type::PACK_ITEM_LOADED,
            at,
            &loaded,
        )
        .await;
    }
    let activated = catalog::PackActivated {
        meta: Some(meta_to_proto(&pack.meta)),
        items: u32::try_from(items.len()).expect("few"),
        digest: Bytes::copy_from_slice(&pack.digest()),
    };
    append(
        store,
        logs::CATALOG,
        stream(),
        "",
        event_type::PACK_ACTIVATED,
        at,
        &activated,
    )
    .await;
}

pub async fn append(
    store: &dyn EventStore,
    log: LogName,
    stream: StreamName,
    subject: &str,
    event_type: &'static str,
    effective_at: &str,
    event: &impl Message,
) {
    let id = Uuid::now_v7();
    let key = if subject.is_empty() {
        stream.id.clone()
    } else {
        subject.to_owned()
    };
    let context = EventContext {
        actor: log::Actor {
            department: PROVINCE.to_owned(),
            ..Default::default()
        },
        pack_version: "2026.1".to_owned(),
        command_id: id,
        causation_id: id,
        correlation_id: id,
        traceparent: String::new(),
    };
    let event = NewEvent {
        event_id: id,
        event_type,
        subject: subject.to_owned(),
        payload: event.encode_to_vec().into(),
        effective_at: at(effective_at),
        context: Arc::new(context),
        legal_basis: Some("tally-credit-regulations/20@1".parse().expect("a basis")),
    };
    let append = Append {
        streams: vec![StreamAppend {
            stream,
            expected: ExpectedVersion::Any,
            events: vec![event],
        }],
        ..Append::to(log, store.shards().of(&key))
    };
    store
        .append(vec![append])
        .await
        .pop()
        .expect("one result")
        .expect("appended");
}
