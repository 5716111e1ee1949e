//! A store in memory with the service's consumers and timer on it, and a hand
//! that writes directives as sanctions would.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use prost::Message;
use tally_auth::Caller;
use tally_domain::department::{DepartmentId, OfficerId};
use tally_domain::policy::Pack;
use tally_eventlog::append::{Append, CommandKey, ExpectedVersion, StreamAppend};
use tally_eventlog::clock::MovableClock;
use tally_eventlog::consumer::{Consumer, ConsumerHandle, ConsumerOptions};
use tally_eventlog::event::{EventContext, NewEvent, StreamName, uuid_bytes};
use tally_eventlog::execute::Executor;
use tally_eventlog::group::GroupOptions;
use tally_eventlog::lease::Held;
use tally_eventlog::memory::MemoryStore;
use tally_eventlog::pb::{self as log, DocumentRef};
use tally_eventlog::sealing::{KeyRing, MasterKey, MemoryKeyStore};
use tally_eventlog::shard::{LogName, ShardCount};
use tally_eventlog::store::{EventStore, LogSource};
use tally_eventlog::timer::Timer;
use tally_proto::tally::catalog::v1 as catalog;
use tally_proto::tally::sanctions::v1 as sanctions;
use tally_service::catalogue::{event_type, item_to_proto, meta_to_proto};
use tally_service::wiring::Readers;
use tally_service::{Catalogue, Deps, Sources, logs};
use tokio_util::sync::CancellationToken;
use tonic::Request;
use uuid::Uuid;

pub const PROVINCE: &str = "11990000MB0000107X";
pub const CITY: &str = "11990100MB0000203C";
pub const COUNTY: &str = "11990102MB000030XF";
/// How often it is waited for the consumers, some seconds each.
const LOOKS_MAX: u32 = 20;

pub const REPORT_BY: &str = "2026-03-16";

pub struct Mesh {
    pub store: Arc<MemoryStore>,
    pub clock: Arc<MovableClock>,
    pub deps: Deps,
    pub readers: Readers,
    handles: Vec<ConsumerHandle>,
    stop: CancellationToken,
}

impl Mesh {
    pub async fn start() -> Self {
        let start = "2026-03-02T01:00:00Z".parse().expect("a timestamp");
        let clock = Arc::new(MovableClock::starting_at(start));
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
        let deps = Deps {
            log: logs::FEEDBACK,
            store: store.clone(),
            sources: Sources::all_in(store.clone()),
            executor: Executor {
                store: store.clone(),
                clock: clock.clone(),
            },
            keyring: Arc::new(KeyRing::new(
                Arc::new(MemoryKeyStore::new()),
                MasterKey::generate().expect("random bytes"),
            )),
            catalogue: Catalogue::follow(store.clone(), stop.clone())
                .await
                .expect("readable"),
            clock: clock.clone(),
        };
        let mut readers = Readers::default();
        let mut handles = Vec::new();
        for spec in tally_feedback::consumers(&deps) {
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
                    ..Default::default()
                },
            };
            let handle = consumer.start(stop.clone());
            readers.insert(handle.progress().clone());
            handles.push(handle);
        }
        for spec in tally_feedback::timers(&deps) {
            let timer = Timer {
                store: store.clone(),
                handler: spec.handler,
                progress: readers.get(spec.consumer),
                clock: clock.clone(),
                // Only a moved clock makes it look: tests wait for what it does.
                interval: Duration::from_secs(3_600),
            };
            timer.start(stop.clone());
        }
        Self {
            store,
            clock,
            deps,
            readers,
            handles,
            stop,
        }
    }

    /// Writes that sanctions made a directive.
    pub async fn directive(&self, subject: &str, department: &str) -> Uuid {
        let id = Uuid::now_v7();
        let directive = sanctions::Directive {
            directive_id: id.to_string(),
            subject: subject.to_owned(),
            list_type: "serious-violation".to_owned(),
            measure: "revoke-honour".to_owned(),
            department: department.to_owned(),
            initiator: PROVINCE.to_owned(),
            report_by: REPORT_BY.to_owned(),
            legal_basis: Some(log::LegalBasisRef {
                id: "tally-credit-regulations/26".to_owned(),
                version: 1,
            }),
            ..Default::default()
        };
        let event = sanctions::DirectiveTriggered {
            directive: Some(directive),
        };
        self.sanctions(id, subject, "tally.sanctions.v1.DirectiveTriggered", &event)
            .await;
        id
    }

    /// Writes that a department acknowledged and executed a directive.
    pub async fn executed(&self, id: Uuid, subject: &str, department: &str) {
        let department = || department.to_owned();
        let received = sanctions::DirectiveReceived {
            department: department(),
        };
        let event_type = "tally.sanctions.v1.DirectiveReceived";
        self.sanctions(id, subject, event_type, &received).await;
        let executed = sanctions::DirectiveExecuted {
            department: department(),
            ..Default::default()
        };
        let event_type = "tally.sanctions.v1.DirectiveExecuted";
        self.sanctions(id, subject, event_type, &executed).await;
    }

    /// Writes a directive that its department executed.
    pub async fn executed_directive(&self, subject: &str, department: &str) -> Uuid {
        let id = self.directive(subject, department).await;
        self.executed(id, subject, department).await;
        id
    }

    /// Writes an event of sanctions.
    pub async fn sanctions(
        &self,
        id: Uuid,
        subject: &str,
        event_type: &'static str,
        event: &impl Message,
    ) {
        let stream = StreamName::new("directive", id.to_string());
        append(
            &*self.store,
            logs::SANCTIONS,
            stream,
            subject,
            event_type,
            event,
        )
        .await;
    }

    /// Waits until both consumers have all that there is.
    pub async fn caught_up(&self) {
        for name in [
            tally_feedback::SANCTIONS_CONSUMER,
            tally_feedback::SELF_CONSUMER,
        ] {
            let progress = self.readers.get(name);
            // Each look waits some seconds.
            let mut looks = 0;
            while !self.deps.sources.caught_up_everywhere(&progress).await {
                looks += 1;
                assert!(looks < LOOKS_MAX, "{name} does not catch up");
            }
        }
    }

    /// Moves the clock, once the timer has seen what there is.
    pub fn advance_to(&self, to: &str) {
        let to: Timestamp = to.parse().expect("a timestamp");
        self.clock.advance_to(to).expect("forward");
    }

    /// Waits until the shard of a subject has so many records of feedback.
    pub async fn feedback_records(&self, subject: &str, count: u64) {
        let shard = self.store.shards().of(subject);
        let mut size = self.store.watch(logs::FEEDBACK, shard);
        let reached = size.wait_for(|size| *size >= count);
        tokio::time::timeout(Duration::from_secs(60), reached)
            .await
            .expect("in time")
            .expect("open");
    }

    pub async fn stop(self) {
        self.stop.cancel();
        for handle in self.handles {
            handle.join().await;
        }
    }
}

async fn load_pack(store: &dyn EventStore) {
    let pack = tally_catalog::pack::embedded().expect("the embedded pack is sound");
    load(store, &pack).await;
}

/// Loads a pack, which is active from then on.
pub async fn load(store: &dyn EventStore, pack: &Pack) {
    let version = pack.meta.version.clone();
    let items = pack.items();
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
        &activated,
    )
    .await;
}

async fn append(
    store: &dyn EventStore,
    log: LogName,
    stream: StreamName,
    subject: &str,
    event_type: &'static str,
    event: &impl Message,
) {
    let id = Uuid::now_v7();
    let key = if subject.is_empty() {
        stream.id.clone()
    } else {
        subject.to_owned()
    };
    let context = EventContext {
        actor: log::Actor::default(),
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
        effective_at: "2026-03-02T01:00:00Z".parse().expect("a timestamp"),
        context: Arc::new(context),
        legal_basis: None,
    };
    let append = Append {
        command: Some(CommandKey {
            department: String::new(),
            id,
            digest: [0; 32],
        }),
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

pub fn department(id: &str) -> DepartmentId {
    id.parse().expect("valid")
}

pub fn system(id: &str) -> Caller {
    Caller::system(department(id))
}

pub fn officer(id: &str) -> Caller {
    Caller::of_officer(department(id), OfficerId(Uuid::from_u128(7)))
}

/// A request by a caller, as the layer in front makes it.
pub fn by<T>(caller: Caller, message: T) -> Request<T> {
    let mut request = Request::new(message);
    caller.attach(request.extensions_mut());
    request
}

pub fn command_id() -> String {
    Uuid::now_v7().to_string()
}

pub fn document() -> Option<DocumentRef> {
    Some(DocumentRef {
        number: "No. 7 of 2026".to_owned(),
        ..Default::default()
    })
}

/// Log id of the log of feedback, for cursors.
pub async fn log_id(store: &MemoryStore) -> Bytes {
    uuid_bytes(store.heads(logs::FEEDBACK).await.expect("readable")[0].log_id)
}
