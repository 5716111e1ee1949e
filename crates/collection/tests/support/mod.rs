//! A mesh of one service in memory, called through its generated client
//! without a network.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use tally_auth::Caller;
use tally_domain::department::DepartmentId;
use tally_domain::policy::Pack;
use tally_eventlog::clock::{Clock, MovableClock};
use tally_eventlog::consumer::{Consumer, ConsumerHandle, ConsumerOptions};
use tally_eventlog::event::Recorded;
use tally_eventlog::execute::Executor;
use tally_eventlog::group::GroupOptions;
use tally_eventlog::lease::Held;
use tally_eventlog::memory::{MemoryFaults, MemoryStore};
use tally_eventlog::sealing::{KeyRing, MasterKey, MemoryKeyStore};
use tally_eventlog::shard::{LogName, Shard, ShardCount};
use tally_eventlog::store::EventStore;
use tally_proto::tally::catalog::v1 as catalog_pb;
use tally_proto::tally::collection::v1 as pb;
use tally_proto::tally::collection::v1::collection_service_client::CollectionServiceClient;
use tally_proto::tally::collection::v1::collection_service_server::{
    CollectionService, CollectionServiceServer,
};
use tally_proto::tally::log::v1 as log_pb;
use tally_rpc::FaultReport;
use tally_service::catalogue::{event_type, item_to_proto, meta_to_proto};
use tally_service::wiring::Readers;
use tally_service::{Catalogue, Deps, Sources, logs};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status};
use uuid::Uuid;

/// Within this a view has all that is in the log. No claim about speed.
const CAUGHT_UP: Duration = Duration::from_secs(60);

/// Reports penalties and licences.
pub const BUREAU: &str = "11990000MB0000107X";
/// Reports penalties, but no licences.
pub const COUNTY: &str = "11990102MB000030XF";
pub const COMPANY: &str = "cn-uscc:9152000071430580XT";
pub const PENALTY: &str = "administrative-penalty";

pub struct Mesh {
    pub deps: Deps,
    pub clock: Arc<MovableClock>,
    pub faults: MemoryFaults,
    pub readers: Readers,
    _consumers: Vec<ConsumerHandle>,
}

impl Mesh {
    pub async fn start() -> Self {
        let movable = Arc::new(MovableClock::starting_at(
            "2026-03-02T02:00:00Z".parse().expect("a timestamp"),
        ));
        let clock: Arc<dyn Clock> = movable.clone();
        let options = GroupOptions::default();
        let store = MemoryStore::open(
            &logs::ALL,
            ShardCount::default(),
            clock.clone(),
            options,
            None,
        );
        let faults = store.faults();
        let store: Arc<dyn EventStore> = Arc::new(store);
        let master = MasterKey::generate().expect("random bytes");
        let deps = Deps {
            log: logs::COLLECTION,
            sources: Sources::all_in(store.clone()),
            executor: Executor {
                store: store.clone(),
                clock: clock.clone(),
            },
            keyring: Arc::new(KeyRing::new(Arc::new(MemoryKeyStore::default()), master)),
            catalogue: Arc::new(catalogue()),
            store,
            clock,
        };
        let mut readers = Readers::default();
        let mut consumers = Vec::new();
        for spec in tally_collection::consumers(&deps) {
            let consumer = Consumer {
                name: spec.name,
                log: spec.source,
                source: deps.store.clone(),
                store: deps.store.clone(),
                projection: spec.projection,
                process: spec.process,
                clock: deps.clock.clone(),
                held: Held::all(1),
                options: ConsumerOptions::default(),
            };
            let handle = consumer.start(CancellationToken::new());
            readers.insert(handle.progress().clone());
            consumers.push(handle);
        }
        Self {
            deps,
            clock: movable,
            faults,
            readers,
            _consumers: consumers,
        }
    }

    pub fn client(
        &self,
    ) -> CollectionServiceClient<CollectionServiceServer<impl CollectionService + use<>>> {
        CollectionServiceClient::new(tally_collection::server(self.deps.clone(), &self.readers))
    }

    pub async fn push(
        &self,
        caller: Caller,
        command_id: Uuid,
        record: pb::RecordContent,
    ) -> Result<pb::AcceptedRecord, FaultReport> {
        let request = pb::PushRecordRequest {
            command_id: command_id.to_string(),
            record: Some(record),
            ..Default::default()
        };
        let response = self
            .client()
            .push_record(by(caller, request))
            .await
            .map_err(report)?;
        Ok(response.into_inner().accepted.expect("accepted"))
    }

    pub async fn get(
        &self,
        caller: Caller,
        record_id: &str,
        case_number: &str,
    ) -> Result<pb::GetRecordResponse, FaultReport> {
        let request = pb::GetRecordRequest {
            record_id: record_id.into(),
            case_number: case_number.into(),
        };
        Ok(self
            .client()
            .get_record(by(caller, request))
            .await
            .map_err(report)?
            .into_inner())
    }

    pub async fn correct(
        &self,
        caller: Caller,
        request: pb::CorrectRecordRequest,
    ) -> Result<log_pb::Receipt, FaultReport> {
        let response = self
            .client()
            .correct_record(by(caller, request))
            .await
            .map_err(report)?;
        Ok(response.into_inner().receipt.expect("a receipt"))
    }

    pub async fn withdraw(
        &self,
        caller: Caller,
        request: pb::WithdrawRecordRequest,
    ) -> Result<log_pb::Receipt, FaultReport> {
        let response = self
            .client()
            .withdraw_record(by(caller, request))
            .await
            .map_err(report)?;
        Ok(response.into_inner().receipt.expect("a receipt"))
    }

    pub async fn counts(&self, department: &str) -> Vec<(String, u64, u64, u64)> {
        let request = pb::GetCountsRequest {
            department: department.into(),
        };
        let began = Instant::now();
        let answer = loop {
            let request = by(Caller::operator(), request.clone());
            match self.client().get_counts(request).await {
                // The view is behind the log.
                Err(status)
                    if status.code() == Code::Unavailable && began.elapsed() < CAUGHT_UP => {}
                answer => break answer.expect("counts"),
            }
        };
        let counts = answer.into_inner().counts.into_iter();
        counts
            .map(|count| {
                (
                    count.record_type,
                    count.accepted,
                    count.corrected,
                    count.withdrawn,
                )
            })
            .collect()
    }

    /// Pushes over the stream: the answers, and how it ended.
    pub async fn push_all(
        &self,
        caller: Caller,
        requests: impl Stream<Item = pb::PushRecordsRequest> + Send + 'static,
    ) -> (Vec<pb::PushRecordsResponse>, Result<(), FaultReport>) {
        let mut answers = Vec::new();
        let response = self
            .client()
            .push_records(by(caller, requests))
            .await
            .expect("it starts");
        let mut responses = response.into_inner();
        while let Some(answer) = responses.next().await {
            match answer {
                Ok(answer) => answers.push(answer),
                Err(status) => return (answers, Err(report(status))),
            }
        }
        (answers, Ok(()))
    }

    /// Ends the basis of penalties before the day of [`penalty`]'s decision,
    /// by a new pack.
    pub fn end_basis(&self) {
        let mut pack = tally_catalog::pack::embedded().expect("the embedded pack is consistent");
        pack.meta.version = "2026.2".into();
        let basis = pack.legal_bases.values_mut();
        for basis in basis.filter(|basis| basis.id == "tally-credit-regulations/12") {
            basis.in_force.until = Some(jiff::civil::date(2026, 2, 1));
        }
        self.activate(&pack);
    }

    /// Every event of a record: without the counts of refused rows.
    pub async fn records(&self) -> Vec<Recorded> {
        let mut events = self.log(logs::COLLECTION).await;
        events.retain(|event| event.envelope.category == "record");
        events
    }

    /// The figures that somebody sees, on one page.
    pub async fn timeliness(
        &self,
        caller: Caller,
        request: pb::GetTimelinessRequest,
    ) -> Result<pb::GetTimelinessResponse, FaultReport> {
        let response = self.client().get_timeliness(by(caller, request)).await;
        Ok(response.map_err(report)?.into_inner())
    }

    /// Moves the clock.
    pub fn advance(&self, to: &str) {
        let to = to.parse().expect("a timestamp");
        self.clock.advance_to(to).expect("forward");
    }

    /// Makes another pack the active one.
    pub fn activate(&self, pack: &Pack) {
        activate(&self.deps.catalogue, pack, self.clock.now());
    }

    /// Every record of a log.
    pub async fn log(&self, log: LogName) -> Vec<Recorded> {
        let mut records = Vec::new();
        for shard in self.deps.store.shards().all() {
            records.extend(self.shard(log, shard).await);
        }
        records
    }

    async fn shard(&self, log: LogName, shard: Shard) -> Vec<Recorded> {
        let stored = self
            .deps
            .store
            .read_durable(log, shard, 0, usize::MAX)
            .await
            .expect("it can be read");
        stored
            .iter()
            .map(|stored| Recorded::decode(log, stored).expect("a record"))
            .collect()
    }
}

/// The small pack, active.
fn catalogue() -> Catalogue {
    let catalogue = Catalogue::default();
    let pack = tally_catalog::pack::embedded().expect("the embedded pack is consistent");
    activate(&catalogue, &pack, Timestamp::UNIX_EPOCH);
    catalogue
}

fn activate(catalogue: &Catalogue, pack: &Pack, at: Timestamp) {
    let items = pack.items();
    let count = u32::try_from(items.len()).expect("few items");
    for item in &items {
        let loaded = catalog_pb::PackItemLoaded {
            pack_version: pack.meta.version.clone(),
            item: Some(item_to_proto(item)),
        };
        catalogue
            .apply(&event(at, event_type::PACK_ITEM_LOADED, &loaded))
            .expect("an item");
    }
    let activated = catalog_pb::PackActivated {
        meta: Some(meta_to_proto(&pack.meta)),
        digest: pack.digest().to_vec().into(),
        items: count,
    };
    catalogue
        .apply(&event(at, event_type::PACK_ACTIVATED, &activated))
        .expect("a pack");
}

fn event(at: Timestamp, event_type: &str, payload: &impl prost::Message) -> Recorded {
    Recorded {
        log: logs::CATALOG,
        log_id: Uuid::nil(),
        shard: Shard(0),
        position: 0,
        recorded_at: at,
        effective_at: at,
        leaf: [0; 32],
        envelope: log_pb::Envelope {
            event_type: event_type.into(),
            payload: payload.encode_to_vec().into(),
            ..Default::default()
        },
    }
}

pub fn by<T>(caller: Caller, message: T) -> Request<T> {
    let mut request = Request::new(message);
    caller.attach(request.extensions_mut());
    request
}

pub fn report(status: Status) -> FaultReport {
    FaultReport::from(&status)
}

pub fn system(department: &str) -> Caller {
    Caller::system(department.parse::<DepartmentId>().expect("valid"))
}

pub fn id() -> Uuid {
    Uuid::now_v7()
}

pub fn field(name: &str, value: &str) -> pb::Field {
    pb::Field {
        name: name.into(),
        value: value.into(),
    }
}

/// A good penalty; the number makes it a record of its own.
pub fn penalty(number: usize) -> pb::RecordContent {
    pb::RecordContent {
        subject: COMPANY.into(),
        record_type: PENALTY.into(),
        document_number: format!("罚〔2026〕{number}号"),
        decided_on: "2026-02-12".into(),
        valid_from: String::new(),
        valid_until: String::new(),
        legal_basis: Some(log_pb::LegalBasisRef {
            id: "tally-credit-regulations/12".into(),
            version: 1,
        }),
        fields: vec![
            field("party_name", "甲公司"),
            field("penalty_category", "罚款"),
            field("fine", "1.50"),
        ],
        check_id: String::new(),
    }
}
