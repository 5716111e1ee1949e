//! Lists in one process: memory store, real readers and timers, the small pack.

mod interposed;
mod policy;
mod requests;

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use tally_domain::department::Actor;
use tally_eventlog::append::{Append, ExpectedVersion, StreamAppend};
use tally_eventlog::clock::{Clock, MovableClock};
use tally_eventlog::consumer::{Consumer, ConsumerHandle, ConsumerOptions};
use tally_eventlog::event::{EventContext, NewEvent, Recorded, StreamName, actor_to_proto};
use tally_eventlog::execute::Executor;
use tally_eventlog::group::GroupOptions;
use tally_eventlog::lease::Held;
use tally_eventlog::memory::MemoryStore;
use tally_eventlog::sealing::{KeyRing, MasterKey, MemoryKeyStore};
use tally_eventlog::shard::{LogName, Shard, ShardCount};
use tally_eventlog::store::{EventStore, LogSource};
use tally_eventlog::timer::Timer;
use tally_lists::Lists;
use tally_proto::tally::collection::v1 as collection;
use tally_proto::tally::lists::v1 as pb;
use tally_proto::tally::lists::v1::lists_service_server::ListsService as _;
use tally_service::wiring::Readers;
use tally_service::{Deps, Sources, logs};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

pub use interposed::Interposed;
pub use policy::load;
pub use requests::*;

pub const PROVINCE: &str = "11990000MB0000107X";
pub const CITY: &str = "11990100MB0000203C";
pub const COUNTY: &str = "11990102MB000030XF";
pub const MOUTAI: &str = "cn-uscc:9152000071430580XT";
pub const MOUTAI_CODE: &str = "cn-orgcode:71430580X";
pub const SINOPEC: &str = "cn-uscc:91110000710926094P";
pub const BYD: &str = "cn-uscc:91440300192317458F";

/// Nothing that is waited for in a test takes this long.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Mesh {
    pub deps: Deps,
    pub store: Arc<MemoryStore>,
    pub clock: Arc<MovableClock>,
    pub readers: Readers,
    pub lists: Lists,
    _consumers: Vec<ConsumerHandle>,
    _stop: DropGuard,
}

impl Mesh {
    /// Starts at noon of Monday 2026-03-02, in the pack's time zone.
    pub async fn start() -> Self {
        let clock = Arc::new(MovableClock::starting_at(at("2026-03-02T04:00:00Z")));
        let shared: Arc<dyn Clock> = clock.clone();
        let options = GroupOptions::default();
        let shards = ShardCount::default();
        let store = Arc::new(MemoryStore::open(
            &logs::ALL,
            shards,
            shared.clone(),
            options,
            None,
        ));
        let master = MasterKey::generate().expect("randomness");
        let deps = Deps {
            log: logs::LISTS,
            store: store.clone(),
            sources: Sources::all_in(store.clone()),
            executor: Executor {
                store: store.clone(),
                clock: shared.clone(),
            },
            keyring: Arc::new(KeyRing::new(Arc::new(MemoryKeyStore::new()), master)),
            catalogue: policy::small_pack(),
            clock: shared.clone(),
        };
        let stop = CancellationToken::new();
        let mut readers = Readers::default();
        let mut consumers = Vec::new();
        for spec in tally_lists::consumers(&deps) {
            let consumer = Consumer {
                name: spec.name,
                log: spec.source,
                source: store.clone(),
                store: store.clone(),
                projection: spec.projection,
                process: spec.process,
                clock: shared.clone(),
                held: Held::all(1),
                options: ConsumerOptions::default(),
            };
            let handle = consumer.start(stop.clone());
            readers.insert(handle.progress().clone());
            consumers.push(handle);
        }
        for spec in tally_lists::timers(&deps) {
            let timer = Timer {
                store: store.clone(),
                handler: spec.handler,
                progress: readers.get(spec.consumer),
                clock: shared.clone(),
                interval: Duration::from_millis(10),
            };
            timer.start(stop.clone());
        }
        let lists = Lists::new(deps.clone(), &readers);
        Self {
            deps,
            store,
            clock,
            readers,
            lists,
            _consumers: consumers,
            _stop: stop.drop_guard(),
        }
    }

    /// Loads a pack in which that basis ended the day before the start.
    pub fn lapse(&self, basis_id: &str) {
        let mut pack = tally_catalog::pack::embedded().expect("its own tests pass");
        pack.meta.version = "2026.2".into();
        for basis in pack.legal_bases.values_mut() {
            if basis.id == basis_id {
                basis.in_force.until = Some(jiff::civil::date(2026, 3, 1));
            }
        }
        load(&self.deps.catalogue, &pack);
    }

    pub fn shard(&self, subject: &str) -> Shard {
        self.store.shards().of(subject)
    }

    /// Puts a record into the log of collection, as collection would.
    pub async fn push(&self, subject: &str, record_type: &str) -> String {
        let record_id = Uuid::now_v7().to_string();
        let accepted = collection::RecordAccepted {
            content: Some(collection::StoredContent {
                record_type: record_type.into(),
                document_number: format!("Document {record_id}"),
                ..collection::StoredContent::default()
            }),
            ..collection::RecordAccepted::default()
        };
        let event_type = "tally.collection.v1.RecordAccepted";
        self.record(
            subject,
            &record_id,
            ExpectedVersion::NoStream,
            event_type,
            &accepted,
        )
        .await;
        record_id
    }

    /// Withdraws a record, and waits until lists knows.
    pub async fn withdraw(&self, subject: &str, record_id: &str) {
        self.withdraw_unseen(subject, record_id).await;
        self.known(tally_lists::COLLECTION, subject).await;
    }

    /// Withdraws a record in the log of collection.
    pub async fn withdraw_unseen(&self, subject: &str, record_id: &str) {
        let event_type = "tally.collection.v1.RecordWithdrawn";
        let withdrawn = collection::RecordWithdrawn::default();
        self.record(
            subject,
            record_id,
            ExpectedVersion::Any,
            event_type,
            &withdrawn,
        )
        .await;
    }

    async fn record(
        &self,
        subject: &str,
        record_id: &str,
        expected: ExpectedVersion,
        event_type: &'static str,
        payload: &impl Message,
    ) {
        let command_id = Uuid::now_v7();
        let context = EventContext {
            actor: actor_to_proto(&Actor::system(COUNTY.parse().expect("valid"))),
            pack_version: "2026.1".into(),
            command_id,
            causation_id: command_id,
            correlation_id: command_id,
            traceparent: String::new(),
        };
        let event = NewEvent {
            event_id: Uuid::now_v7(),
            event_type,
            subject: subject.into(),
            payload: payload.encode_to_vec().into(),
            effective_at: self.clock.now(),
            context: Arc::new(context),
            legal_basis: None,
        };
        let stream = StreamName::new("record", record_id);
        let append = Append {
            streams: vec![StreamAppend {
                stream,
                expected,
                events: vec![event],
            }],
            ..Append::to(logs::COLLECTION, self.shard(subject))
        };
        self.store
            .append(vec![append])
            .await
            .pop()
            .expect("one result")
            .expect("appended");
    }

    /// Waits until a consumer has what its log holds about the subject now.
    pub async fn known(&self, consumer: &'static str, subject: &str) {
        let progress = self.readers.get(consumer);
        let shard = self.shard(subject);
        let size = *self.store.watch(progress.log(), shard).borrow();
        assert!(
            progress.wait_for(shard, size, PATIENCE).await,
            "{consumer} is stuck"
        );
    }

    /// All records of a shard of a log.
    pub async fn records(&self, log: LogName, subject: &str) -> Vec<Recorded> {
        let records = self
            .store
            .read(log, self.shard(subject), 0, 10_000)
            .await
            .expect("readable");
        records
            .iter()
            .map(|stored| Recorded::decode(log, stored).expect("decodes"))
            .collect()
    }

    /// Waits for the first record of that type on the subject's shard of lists.
    pub async fn happens(&self, subject: &str, event_type: &str) -> Recorded {
        let mut grown = self.store.watch(logs::LISTS, self.shard(subject));
        let found = async {
            loop {
                grown.borrow_and_update();
                let records = self.records(logs::LISTS, subject).await;
                if let Some(found) = records
                    .into_iter()
                    .find(|record| record.envelope.event_type == event_type)
                {
                    return found;
                }
                grown.changed().await.expect("the store is open");
            }
        };
        tokio::time::timeout(PATIENCE, found)
            .await
            .unwrap_or_else(|_| panic!("no {event_type}"))
    }

    /// Nominates, notifies and waives; ready for a second officer.
    pub async fn represented(&self, subject: &str, term: (&str, &str)) -> String {
        let ground_record_id = self.push(subject, "administrative-penalty").await;
        let nominate = nominate(subject, &ground_record_id, term);
        let nominated = self
            .lists
            .nominate(by(CITY, 1, nominate))
            .await
            .expect("nominated");
        let entry_id = nominated.into_inner().entry_id;
        self.lists
            .notify(by(CITY, 1, notify(&entry_id)))
            .await
            .expect("notified");
        let waived = pb::RepresentRequest {
            command_id: id(),
            entry_id: entry_id.clone(),
            document: None,
            waived: true,
        };
        self.lists
            .represent(by(CITY, 1, waived))
            .await
            .expect("represented");
        entry_id
    }

    /// Lists on the black list, by officers 1 and 2 of the city.
    pub async fn listed(&self, subject: &str, term: (&str, &str)) -> String {
        let entry_id = self.represented(subject, term).await;
        self.lists
            .list(by(CITY, 2, list(&entry_id)))
            .await
            .expect("listed");
        entry_id
    }

    /// Lists on the red list, by officers 1 and 2 of the city.
    pub async fn listed_red(&self, subject: &str) -> String {
        let ground_record_id = self.push(subject, "administrative-licence").await;
        let nominate = pb::NominateRequest {
            list_type: "honest-taxpayer".into(),
            legal_basis: basis("tally-tax-honour-rules/4"),
            ..nominate(subject, &ground_record_id, ("2026-01-01", ""))
        };
        let nominated = self
            .lists
            .nominate(by(CITY, 1, nominate))
            .await
            .expect("nominated");
        let entry_id = nominated.into_inner().entry_id;
        self.lists
            .list(by(CITY, 2, list(&entry_id)))
            .await
            .expect("listed");
        entry_id
    }

    pub async fn entry(&self, entry_id: &str) -> pb::Entry {
        let request = pb::GetEntryRequest {
            entry_id: entry_id.into(),
        };
        let reply = self
            .lists
            .get_entry(by_operator(request))
            .await
            .expect("found");
        reply.into_inner().entry.expect("present")
    }

    pub async fn subject_entries(&self, subject: &str) -> pb::GetSubjectEntriesResponse {
        let request = pb::GetSubjectEntriesRequest {
            subject: subject.into(),
        };
        self.lists
            .get_subject_entries(by_operator(request))
            .await
            .expect("answered")
            .into_inner()
    }
}
