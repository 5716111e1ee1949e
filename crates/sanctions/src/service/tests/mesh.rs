//! The role on a store in memory, with its real consumers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use prost::Message;
use tally_domain::department::OfficerId;
use tally_eventlog::clock::Clock;
use tally_eventlog::consumer::{Consumer, ConsumerHandle, ConsumerOptions};
use tally_eventlog::event::{NewEvent, Recorded};
use tally_eventlog::execute::Executor;
use tally_eventlog::group::GroupOptions;
use tally_eventlog::lease::Held;
use tally_eventlog::memory::MemoryStore;
use tally_eventlog::pb::{DocumentRef, LegalBasisRef};
use tally_eventlog::sealing::{KeyRing, MasterKey, MemoryKeyStore};
use tally_eventlog::shard::{LogName, Shard, ShardCount};
use tally_eventlog::store::EventStore;
use tally_proto::tally::lists::v1 as lists;
use tally_service::jws::{JwkSet, SigningKey};
use tally_service::{Catalogue, Sources};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::super::*;
use super::records::{append, event, load_pack};
use crate::known::event_type;

pub const PROVINCE: &str = "11990000MB0000107X";
pub const CITY: &str = "11990100MB0000203C";
pub const COUNTY: &str = "11990102MB000030XF";
pub const MOUTAI: &str = "cn-uscc:9152000071430580XT";
pub const MOUTAI_CODE: &str = "cn-orgcode:71430580X";
pub const PACK: &str = "2026.1";

/// A clock that tests set.
pub struct TestClock {
    now: Mutex<Timestamp>,
    tick_nanos: AtomicU64,
    moved: watch::Sender<u64>,
}

impl TestClock {
    /// From now on no two questions get the same answer.
    pub fn tick(&self) {
        self.tick_nanos.store(1, Ordering::Relaxed);
    }

    pub fn advance(&self, by: Duration) {
        *self.now.lock().expect("no panic while locked") += by;
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let mut now = self.now.lock().expect("no panic while locked");
        *now += Duration::from_nanos(self.tick_nanos.load(Ordering::Relaxed));
        *now
    }

    fn wall(&self) -> Timestamp {
        self.now()
    }

    fn moved(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }
}

pub struct Mesh {
    pub service: Sanctions,
    pub store: Arc<dyn EventStore>,
    pub clock: Arc<TestClock>,
    handles: Vec<ConsumerHandle>,
    pub stop: CancellationToken,
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Mesh {
    pub async fn start() -> Self {
        let start = "2026-03-02T02:00:00Z".parse().expect("valid");
        let clock = Arc::new(TestClock {
            now: Mutex::new(start),
            tick_nanos: AtomicU64::new(0),
            moved: watch::Sender::new(0),
        });
        let options = GroupOptions::default();
        let store: Arc<dyn EventStore> = Arc::new(MemoryStore::open(
            &logs::ALL,
            ShardCount::default(),
            clock.clone(),
            options,
            None,
        ));
        let stop = CancellationToken::new();
        load_pack(&*store, clock.now()).await;
        let master = MasterKey::generate().expect("randomness");
        let catalogue = Catalogue::follow(store.clone(), stop.clone())
            .await
            .expect("readable");
        let deps = Deps {
            log: logs::SANCTIONS,
            store: store.clone(),
            sources: Sources::all_in(store.clone()),
            executor: Executor {
                store: store.clone(),
                clock: clock.clone(),
            },
            keyring: Arc::new(KeyRing::new(Arc::new(MemoryKeyStore::new()), master)),
            catalogue,
            clock: clock.clone(),
        };
        let mut readers = Readers::default();
        let mut handles = Vec::new();
        for spec in crate::consumers(&deps) {
            let consumer = Consumer {
                name: spec.name,
                log: spec.source,
                source: store.clone(),
                store: store.clone(),
                projection: spec.projection,
                process: spec.process,
                clock: clock.clone(),
                held: Held::all(1),
                options: ConsumerOptions {
                    idle_checkpoint: spec.idle_checkpoint,
                    gather: spec.gather,
                    ..ConsumerOptions::default()
                },
            };
            let handle = consumer.start(stop.clone());
            readers.insert(handle.progress().clone());
            handles.push(handle);
        }
        let subscriptions = OpenStreams::new(stop.clone());
        let (key, _) = SigningKey::generate().expect("randomness");
        let signer = Arc::new(Signer::new(key, JwkSet::default()));
        let service = Sanctions::new(
            deps,
            &readers,
            CheckOptions::default(),
            subscriptions,
            Some(signer),
        );
        let mesh = Self {
            service,
            store,
            clock,
            handles,
            stop,
        };
        mesh.settled().await;
        mesh
    }

    pub fn deps(&self) -> &Deps {
        &self.service.deps
    }

    pub fn reader_of_lists(&self) -> Arc<Progress> {
        self.service.tokens.lists().clone()
    }

    pub fn progress(&self, consumer: &str) -> &Progress {
        let handle = self
            .handles
            .iter()
            .find(|handle| handle.progress().consumer() == consumer);
        handle.expect("started").progress()
    }

    /// Waits until every consumer has all that there is, in the order in which
    /// they follow each other, and has said when it looked.
    pub async fn settled(&self) {
        for handle in &self.handles {
            let progress = handle.progress();
            for shard in self.store.shards().all() {
                let size = *self.store.watch(progress.log(), shard).borrow();
                assert!(
                    progress
                        .wait_for(shard, size, Duration::from_secs(20))
                        .await,
                    "a consumer stands still"
                );
                let mut seen = progress.watch(shard);
                seen.wait_for(|state| state.seen_at.is_some())
                    .await
                    .expect("it runs");
            }
        }
    }

    pub fn shard(&self, subject: &str) -> Shard {
        self.store.shards().of(subject)
    }

    /// Appends an event of lists by the province's officer.
    pub async fn lists(
        &self,
        subject: &str,
        stream: (&'static str, &str),
        event_type: &'static str,
        payload: impl Message,
    ) {
        let now = self.clock.now();
        let event = NewEvent {
            subject: subject.to_owned(),
            legal_basis: Some(tally_domain::legal::LegalBasisRef::new(
                "tally-credit-regulations/20",
                1,
            )),
            ..event(now, event_type, PROVINCE, payload)
        };
        append(&*self.store, logs::LISTS, subject, stream, event).await;
    }

    pub async fn list(&self, subject: &str, entry_id: &str, until: &str) {
        let listed = lists::EntryListed {
            list_type: "serious-violation".to_owned(),
            term_from: "2026-02-01".to_owned(),
            term_until: until.to_owned(),
            ..lists::EntryListed::default()
        };
        self.lists(subject, ("entry", entry_id), event_type::LISTED, listed)
            .await;
    }

    pub async fn suspend(&self, entry_id: &str) {
        self.suspend_of(MOUTAI, entry_id).await;
    }

    pub async fn suspend_of(&self, subject: &str, entry_id: &str) {
        self.lists(
            subject,
            ("entry", entry_id),
            event_type::SUSPENDED,
            lists::EntrySuspended::default(),
        )
        .await;
    }

    pub async fn uphold(&self, entry_id: &str) {
        self.lists(
            MOUTAI,
            ("entry", entry_id),
            event_type::UPHELD,
            lists::EntryUpheld::default(),
        )
        .await;
    }

    pub async fn remove(&self, entry_id: &str) {
        self.lists(
            MOUTAI,
            ("entry", entry_id),
            event_type::REMOVED,
            lists::EntryRemoved::default(),
        )
        .await;
    }

    /// All events of a log, by shard and position.
    pub async fn events(&self, log: LogName) -> Vec<Recorded> {
        let mut events = Vec::new();
        for shard in self.store.shards().all() {
            let records = self
                .store
                .read(log, shard, 0, usize::MAX >> 1)
                .await
                .expect("readable");
            events.extend(
                records
                    .iter()
                    .map(|record| Recorded::decode(log, record).expect("decodes")),
            );
        }
        events
    }

    /// The whole mailbox of a department from a cursor on.
    pub async fn mailbox(
        &self,
        department: &str,
        cursor: Option<tally_eventlog::pb::Cursor>,
    ) -> Result<Vec<pb::SubscribeResponse>, Status> {
        let request = by(
            system(department),
            pb::SubscribeRequest {
                cursor,
                until_head: true,
            },
        );
        let items = self.service.subscribe(request).await?.into_inner();
        items.collect::<Vec<_>>().await.into_iter().collect()
    }

    pub async fn check(&self, check: pb::CheckRequest) -> Result<pb::CheckResponse, Status> {
        Ok(self
            .service
            .check(by(system(CITY), check))
            .await?
            .into_inner())
    }

    pub fn id(&self) -> String {
        let seconds = u64::try_from(self.clock.now().as_second()).expect("after 1970");
        Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, 0)).to_string()
    }

    pub fn question(&self, subject: &str) -> pb::CheckRequest {
        pb::CheckRequest {
            check_id: self.id(),
            subject: subject.to_owned(),
            purpose: "procurement".to_owned(),
            case_number: "P-1".to_owned(),
            legal_basis: Some(LegalBasisRef {
                id: "tally-credit-regulations/18".to_owned(),
                version: 1,
            }),
            at_least: None,
        }
    }
}

pub fn system(department: &str) -> Caller {
    Caller::system(department.parse().expect("valid"))
}

pub fn officer(department: &str) -> Caller {
    Caller::of_officer(
        department.parse().expect("valid"),
        OfficerId(Uuid::from_u128(7)),
    )
}

pub fn by<T>(caller: Caller, message: T) -> Request<T> {
    let mut request = Request::new(message);
    caller.attach(request.extensions_mut());
    request
}

pub fn document() -> Option<DocumentRef> {
    Some(DocumentRef {
        number: "T 2026 1".to_owned(),
        ..DocumentRef::default()
    })
}
