use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use jiff::Timestamp;
use prost::Message as _;
use tally_domain::policy::{Pack, PackMeta};
use tally_eventlog::append::{Append, ExpectedVersion, StreamAppend};
use tally_eventlog::clock::SystemClock;
use tally_eventlog::event::{EventContext, NewEvent, StoredRecord, StreamName};
use tally_eventlog::group::GroupOptions;
use tally_eventlog::memory::MemoryStore;
use tally_eventlog::pb as log_pb;
use tally_eventlog::sequence::Head;
use tally_eventlog::shard::{LogName, ShardCount};
use tally_eventlog::store::{EventStore as _, FormerId, Remote};
use tally_proto::tally::catalog::v1 as pb;
use uuid::Uuid;

use super::*;
use crate::catalogue::{event_type, meta_to_proto};

const SHARD: Shard = Shard(0);
const WAIT: Duration = Duration::from_secs(20);

/// The catalogue's log as another process sees it: it can be away, and come back
/// as another one.
struct Away {
    store: Mutex<Arc<MemoryStore>>,
    away: AtomicBool,
    doubts: AtomicU64,
    sizes: Vec<watch::Sender<u64>>,
}

impl Away {
    fn store(&self) -> Result<Arc<MemoryStore>, StoreError> {
        match self.away.load(Ordering::SeqCst) {
            true => Err(StoreError::new("away")),
            false => Ok(self.store.lock().expect("no panic").clone()),
        }
    }

    fn grows(&self) {
        self.sizes[0].send_modify(|size| *size += 1);
    }
}

#[async_trait]
impl LogSource for Away {
    fn shards(&self) -> ShardCount {
        self.store.lock().expect("no panic").shards()
    }

    async fn read(
        &self,
        log: LogName,
        shard: Shard,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        self.store()?.read(log, shard, from, limit).await
    }

    async fn heads(&self, log: LogName) -> Result<Vec<Head>, StoreError> {
        self.store()?.heads(log).await
    }

    async fn former_ids(&self, log: LogName) -> Result<Vec<FormerId>, StoreError> {
        self.store()?.former_ids(log).await
    }

    fn watch(&self, _: LogName, shard: Shard) -> watch::Receiver<u64> {
        self.sizes[usize::from(shard.0)].subscribe()
    }

    fn remote(&self) -> Option<&dyn Remote> {
        Some(self)
    }
}

impl Remote for Away {
    fn follow(&self, _: LogName, _: Shard, _: u64, _: Option<u64>) {}

    fn unfollow(&self, _: LogName, _: Shard) {}

    fn hint(&self, _: LogName, _: Shard, _: u64) -> Option<u64> {
        None
    }

    fn complete_at(&self, _: LogName, _: Shard, _: u64) -> Option<Timestamp> {
        None
    }

    fn doubts(&self, _: LogName, _: Shard) -> u64 {
        self.doubts.load(Ordering::SeqCst)
    }
}

async fn append(store: &MemoryStore, event_type: &'static str, payload: Vec<u8>) {
    let id = Uuid::now_v7();
    let event = NewEvent {
        event_id: id,
        event_type,
        subject: String::new(),
        payload: payload.into(),
        effective_at: Timestamp::UNIX_EPOCH,
        context: Arc::new(EventContext {
            actor: log_pb::Actor::default(),
            pack_version: String::new(),
            command_id: id,
            causation_id: id,
            correlation_id: id,
            traceparent: String::new(),
        }),
        legal_basis: None,
    };
    let append = Append {
        streams: vec![StreamAppend {
            stream: StreamName::new("pack", id.to_string()),
            expected: ExpectedVersion::NoStream,
            events: vec![event],
        }],
        ..Append::to(logs::CATALOG, SHARD)
    };
    let outcome = store.append(vec![append]).await.remove(0);
    outcome.expect("it holds");
}

async fn activate(store: &MemoryStore, version: &str) {
    let meta = PackMeta {
        id: "pack".to_owned(),
        version: version.to_owned(),
        time_zone: "UTC".to_owned(),
        title: "title".to_owned(),
        name_zh: None,
    };
    let activated = pb::PackActivated {
        meta: Some(meta_to_proto(&meta)),
        digest: Pack::empty(meta).digest().to_vec().into(),
        items: 0,
    };
    append(store, event_type::PACK_ACTIVATED, activated.encode_to_vec()).await;
}

/// A catalogue that has read pack 1.
async fn following() -> (Arc<Away>, Arc<Catalogue>, CancellationToken) {
    let shards = ShardCount::new(1).expect("in range");
    let options = GroupOptions::default();
    let clock = Arc::new(SystemClock::default());
    let store = MemoryStore::open(&[logs::CATALOG], shards, clock, options, None);
    activate(&store, "1").await;
    let away = Arc::new(Away {
        store: Mutex::new(Arc::new(store)),
        away: AtomicBool::new(false),
        doubts: AtomicU64::new(0),
        sizes: vec![watch::Sender::new(1)],
    });
    let stop = CancellationToken::new();
    let catalogue = Catalogue::follow(away.clone(), stop.clone()).await;
    let catalogue = catalogue.expect("it can be read");
    assert_eq!(active(&catalogue), "1");
    (away, catalogue, stop)
}

fn active(catalogue: &Catalogue) -> String {
    let active = catalogue.try_active();
    active.map_or_else(String::new, |policy| policy.version().to_owned())
}

#[tokio::test]
async fn what_could_not_be_read_is_read_although_nothing_more_comes() {
    let (away, catalogue, stop) = following().await;
    let store = away.store().expect("it is here");
    away.away.store(true, Ordering::SeqCst);
    activate(&store, "2").await;
    away.grows();
    assert!(catalogue.wait_for_version("2", PAUSE / 4).await.is_none());
    away.away.store(false, Ordering::SeqCst);
    assert!(catalogue.wait_for_version("2", WAIT).await.is_some());
    stop.cancel();
}

#[tokio::test]
async fn a_log_that_was_restored_is_read_anew() {
    let (away, catalogue, stop) = following().await;
    let store = away.store().expect("it is here");
    activate(&store, "lost").await;
    away.grows();
    assert!(catalogue.wait_for_version("lost", WAIT).await.is_some());
    let clock = Arc::new(SystemClock::default());
    let restored = store.restored(1, clock, GroupOptions::default());
    activate(&restored, "2").await;
    *away.store.lock().expect("no panic") = Arc::new(restored);
    away.doubts.fetch_add(1, Ordering::SeqCst);
    assert!(catalogue.wait_for_version("2", WAIT).await.is_some());
    assert_eq!(active(&catalogue), "2");
    assert!(catalogue.version("lost").is_none(), "it never was");
    assert!(catalogue.version("1").is_some());
    stop.cancel();
}

#[tokio::test]
async fn an_event_that_this_version_does_not_know_is_not_passed_over() {
    let (away, catalogue, stop) = following().await;
    let store = away.store().expect("it is here");
    append(&store, "tally.catalog.v9.PackBurned", Vec::new()).await;
    activate(&store, "2").await;
    away.grows();
    // Whoever has been read twice more has met the event twice.
    assert!(catalogue.wait_for_version("2", 3 * PAUSE).await.is_none());
    assert_eq!(active(&catalogue), "1");
    stop.cancel();
}
