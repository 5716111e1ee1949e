//! A mesh for tests: a data directory, certificates, the small policy pack,
//! and the steps of the main job as short calls.

use std::time::Duration;

use jiff::Timestamp;
use tally::client::{Client, command_id};
use tally::data_dir::{DataDir, OPERATOR};
use tally::mesh::{Mesh, MeshOptions};
use tally::pack_client::load_pack;
use tally_auth::identity::Identity;
use tally_proto::tally::collection::v1 as collection;
use tally_proto::tally::feedback::v1 as feedback;
use tally_proto::tally::lists::v1 as lists;
use tally_proto::tally::log::v1::{DocumentRef, LegalBasisRef, Receipt};
use tally_proto::tally::node::v1 as node;
use tally_proto::tally::sanctions::v1 as sanctions;
use tempfile::TempDir;

/// The market supervision department of the small pack: province level, lists black.
pub const MARKET: &str = "11990000MB0000107X";
/// The tax department of the small pack: city level, lists red and black, powers for both sanctions.
pub const TAX: &str = "11990100MB0000203C";
/// The public resources department of the small pack: county level, powers for both sanctions.
pub const RESOURCES: &str = "11990102MB000030XF";
/// A company (a public example of GB 32100).
pub const COMPANY: &str = "cn-uscc:9152000071430580XT";
/// Another.
pub const OTHER_COMPANY: &str = "cn-uscc:91110000710926094P";

/// Basis of collecting records.
pub const COLLECTING: &str = "tally-credit-regulations/12";
/// Basis of asking before a decision.
pub const ASKING: &str = "tally-credit-regulations/18";
/// Basis of the black list.
pub const BLACK_LISTING: &str = "tally-credit-regulations/20";
/// Basis of the red list.
pub const RED_LISTING: &str = "tally-tax-honour-rules/4";
/// A basis that lapsed on 2015-12-31.
pub const LAPSED: &str = "tally-interim-measures/3";

/// A legal basis of the small pack.
pub fn basis(id: &str) -> Option<LegalBasisRef> {
    Some(LegalBasisRef {
        id: id.to_owned(),
        version: 1,
    })
}

/// A document by its number.
pub fn document(number: &str) -> Option<DocumentRef> {
    Some(DocumentRef {
        number: number.to_owned(),
        ..Default::default()
    })
}

/// A running mesh and what belongs to it.
pub struct Harness {
    /// The mesh.
    pub mesh: Mesh,
    /// Its data directory.
    pub dir: TempDir,
}

impl Harness {
    /// A mesh with a movable clock that starts at `start`, and the small pack.
    ///
    /// # Panics
    ///
    /// If anything fails: it is a test.
    pub async fn start(start: &str) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let start: Timestamp = start.parse().expect("a timestamp");
        let options = MeshOptions {
            test_clock: Some(start),
            ..MeshOptions::in_dir(DataDir::new(dir.path()))
        };
        Self::with(options, dir).await
    }

    /// A mesh with these options, and the small pack.
    ///
    /// # Panics
    ///
    /// If anything fails: it is a test.
    pub async fn with(options: MeshOptions, dir: TempDir) -> Self {
        let mesh = Mesh::start(options).await.expect("a fresh mesh starts");
        let harness = Self { mesh, dir };
        let pack = tally_catalog::pack::embedded().expect("the embedded pack is consistent");
        load_pack(&harness.client(OPERATOR).await, &pack)
            .await
            .expect("the pack loads");
        harness
    }

    /// Issues a certificate for a department's system, named `name`, and connects.
    ///
    /// # Panics
    ///
    /// If anything fails: it is a test.
    pub async fn system(&self, department: &str) -> Client {
        self.issued(
            &format!("urn:tally:department:{department}"),
            &format!("system-{department}"),
        )
        .await
    }

    /// The same for an officer.
    ///
    /// # Panics
    ///
    /// If anything fails: it is a test.
    pub async fn officer(&self, department: &str, number: &str) -> Client {
        let urn = format!("urn:tally:department:{department}:officer:{number}");
        self.issued(&urn, &format!("officer-{department}-{number}"))
            .await
    }

    /// The operator.
    pub async fn operator(&self) -> Client {
        self.client(OPERATOR).await
    }

    async fn issued(&self, urn: &str, name: &str) -> Client {
        let identity = Identity::parse(urn).expect("a valid identity");
        let dir = DataDir::new(self.dir.path());
        dir.issue(&identity, name).expect("the authority issues");
        self.client(name).await
    }

    async fn client(&self, name: &str) -> Client {
        Client::of_dir(self.dir.path(), name)
            .await
            .expect("the mesh answers")
    }

    /// Moves the clock.
    ///
    /// # Panics
    ///
    /// If it cannot be moved there.
    pub async fn advance(&self, to: &str) {
        let to: Timestamp = to.parse().expect("a timestamp");
        let to = Some(tally_eventlog::event::to_proto_time(to));
        let request = node::AdvanceClockRequest { to };
        self.operator()
            .await
            .node()
            .advance_clock(request)
            .await
            .expect("the clock moves forward");
    }

    /// Waits until every consumer has applied all there is, and what follows
    /// from it. Fails the test if that takes longer than a minute.
    ///
    /// # Panics
    ///
    /// If it takes too long.
    pub async fn settle(&self) {
        use tally_eventlog::store::LogSource as _;
        let settled = async {
            // An effect makes new records for other consumers: settled is when
            // nothing grew during a whole round.
            loop {
                let before = self.sizes();
                for progress in self.mesh.readers.iter() {
                    for shard in self.mesh.store.shards().all() {
                        let size = *self.mesh.store.watch(progress.log(), shard).borrow();
                        progress
                            .wait_for(shard, size, Duration::from_secs(60))
                            .await;
                    }
                }
                if self.sizes() == before {
                    return;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), settled)
            .await
            .expect("the mesh settles within a minute");
    }

    fn sizes(&self) -> Vec<u64> {
        use tally_eventlog::store::LogSource as _;
        let store = &self.mesh.store;
        tally_service::logs::ALL
            .iter()
            .flat_map(|log| {
                store
                    .shards()
                    .all()
                    .map(|shard| *store.watch(*log, shard).borrow())
            })
            .collect()
    }

    /// Stops the mesh and gives its directory back.
    ///
    /// # Panics
    ///
    /// If it does not stop cleanly.
    pub async fn stop(self) -> TempDir {
        self.mesh.stop().await.expect("the mesh stops cleanly");
        self.dir
    }
}

/// A penalty record about a subject.
pub fn penalty(subject: &str, number: &str, decided_on: &str) -> collection::RecordContent {
    let field = |name: &str, value: &str| collection::Field {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    collection::RecordContent {
        subject: subject.to_owned(),
        record_type: "administrative-penalty".to_owned(),
        document_number: number.to_owned(),
        decided_on: decided_on.to_owned(),
        legal_basis: basis(COLLECTING),
        fields: vec![
            field("party_name", "Example Ltd"),
            field("penalty_category", "fine"),
        ],
        ..Default::default()
    }
}

/// Pushes a record and returns its id and receipt.
///
/// # Panics
///
/// If it is refused.
pub async fn push(client: &Client, record: collection::RecordContent) -> (String, Receipt) {
    let request = collection::PushRecordRequest {
        command_id: command_id(),
        record: Some(record),
    };
    let answer = client
        .collection()
        .push_record(request)
        .await
        .expect("the record is accepted")
        .into_inner();
    let accepted = answer.accepted.expect("an accepted record");
    (accepted.record_id, accepted.receipt.expect("a receipt"))
}

/// What a black listing needs.
#[derive(Debug, Clone)]
pub struct BlackListing {
    /// Whom.
    pub subject: String,
    /// Record it rests on.
    pub ground: String,
    /// First day.
    pub from: String,
    /// Last day.
    pub until: String,
    /// Day on which the subject was told.
    pub served_on: String,
}

/// Nominates, notifies, takes the subject's waiver and lists, with two officers.
///
/// # Panics
///
/// If a step is refused.
pub async fn list_black(
    first: &Client,
    second: &Client,
    listing: &BlackListing,
) -> (String, Receipt) {
    let entry_id = nominate(first, listing).await;
    let request = lists::NotifyRequest {
        command_id: command_id(),
        entry_id: entry_id.clone(),
        served_on: listing.served_on.clone(),
        proof_of_service: document("service 1"),
    };
    first.lists().notify(request).await.expect("notified");
    let request = lists::RepresentRequest {
        command_id: command_id(),
        entry_id: entry_id.clone(),
        document: None,
        waived: true,
    };
    first.lists().represent(request).await.expect("waived");
    let request = lists::ListRequest {
        command_id: command_id(),
        entry_id: entry_id.clone(),
        decision: document("listing 1"),
    };
    let listed = second
        .lists()
        .list(request)
        .await
        .expect("listed by a second officer")
        .into_inner();
    (entry_id, listed.receipt.expect("a receipt"))
}

/// Nominates a subject for the black list.
///
/// # Panics
///
/// If it is refused.
pub async fn nominate(officer: &Client, listing: &BlackListing) -> String {
    let request = nomination(listing);
    officer
        .lists()
        .nominate(request)
        .await
        .expect("nominated")
        .into_inner()
        .entry_id
}

/// The request of a nomination for the black list.
pub fn nomination(listing: &BlackListing) -> lists::NominateRequest {
    lists::NominateRequest {
        command_id: command_id(),
        subject: listing.subject.clone(),
        list_type: "serious-violation".to_owned(),
        ground_record_id: listing.ground.clone(),
        criterion: "serious violation established by a final decision".to_owned(),
        legal_basis: basis(BLACK_LISTING),
        term_from: listing.from.clone(),
        term_until: listing.until.clone(),
    }
}

/// Accepts an objection against an entry.
///
/// # Panics
///
/// If it is refused.
pub async fn accept_objection(officer: &Client, entry_id: &str) -> Receipt {
    let request = lists::AcceptObjectionRequest {
        command_id: command_id(),
        entry_id: entry_id.to_owned(),
        objection: document("objection 1"),
    };
    let answer = officer
        .lists()
        .accept_objection(request)
        .await
        .expect("the objection is accepted");
    answer.into_inner().receipt.expect("a receipt")
}

/// A check for procurement.
pub fn question(subject: &str) -> sanctions::CheckRequest {
    sanctions::CheckRequest {
        check_id: command_id(),
        subject: subject.to_owned(),
        purpose: "procurement".to_owned(),
        case_number: "case 1".to_owned(),
        legal_basis: basis(ASKING),
        at_least: None,
    }
}

/// The token that makes an answer see a receipt of `lists`.
pub fn token(receipt: &Receipt) -> sanctions::ConsistencyToken {
    let shard = sanctions::ShardBasis {
        shard: receipt.shard,
        lists: receipt.position + 1,
        sanctions: 0,
    };
    sanctions::ConsistencyToken {
        shards: vec![shard],
        pack_version: String::new(),
    }
}

/// Asks, having seen at least a receipt of `lists`.
///
/// # Panics
///
/// If it is refused.
pub async fn check_after(
    client: &Client,
    subject: &str,
    receipt: &Receipt,
) -> sanctions::CheckResponse {
    let request = sanctions::CheckRequest {
        at_least: Some(token(receipt)),
        ..question(subject)
    };
    client
        .sanctions()
        .check(request)
        .await
        .expect("the check is answered")
        .into_inner()
}

/// All that is in a department's mailbox now.
///
/// # Panics
///
/// If the stream fails.
pub async fn mailbox(client: &Client) -> Vec<sanctions::SubscribeResponse> {
    let request = sanctions::SubscribeRequest {
        cursor: None,
        until_head: true,
    };
    let mut stream = client
        .sanctions()
        .subscribe(request)
        .await
        .expect("subscribed")
        .into_inner();
    let mut items = Vec::new();
    while let Some(item) = stream.message().await.expect("the stream goes on") {
        items.push(item);
    }
    items
}

/// Reports on a directive.
///
/// # Panics
///
/// If it is refused.
pub async fn report(client: &Client, directive_id: &str, done_on: &str) -> Receipt {
    let request = feedback::ReportRequest {
        command_id: command_id(),
        directive_id: directive_id.to_owned(),
        outcome: feedback::ReportedOutcome::Executed.into(),
        document: document("decision 1"),
        done_on: done_on.to_owned(),
        ..Default::default()
    };
    client
        .feedback()
        .report(request)
        .await
        .expect("reported")
        .into_inner()
        .receipt
        .expect("a receipt")
}
