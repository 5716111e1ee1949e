//! Who calls, and about what: one listing in the province pack, with
//! departments that stand in every relation to it.

use tally::client::{Client, command_id};
use tally::data_dir::DataDir;
use tally::role::Role;
use tally_auth::CallerKind;
use tally_catalog::pack::BuiltIn;
use tally_domain::policy::Pack;
use tally_proto::tally::collection::v1 as collection;
use tally_proto::tally::lists::v1 as lists;
use tally_rpc::FaultReport;
use tally_tests::harness::{
    BlackListing, COMPANY, Channels, Harness, OTHER_COMPANY, basis, document, list_black, mailbox,
    push,
};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

/// City level: pushed the record, listed the subject, stated the link.
pub const INITIATOR: &str = "11990100MB0002081H";
/// City level in another city: a directive is addressed to it.
pub const ADDRESSEE: &str = "11990200MB0002217D";
/// Of the initiator's division, and nothing more.
pub const NEIGHBOUR: &str = "11990100MB00020309";
/// Province level, above all of them.
pub const SUPERIOR: &str = "11990000MB00011264";
/// County level, below the initiator's division.
pub const INFERIOR: &str = "11990102MB0003092R";
/// It has a certificate, and the policy pack does not have it.
pub const STRANGER: &str = "11990000MB0000107X";

const DEPARTMENTS: [&str; 6] = [
    INITIATOR, ADDRESSEE, NEIGHBOUR, SUPERIOR, INFERIOR, STRANGER,
];

/// The list type, record type and measure that the fixtures are about.
pub const LIST_TYPE: &str = "wage-arrears";
/// See [`LIST_TYPE`].
pub const RECORD_TYPE: &str = "wage-arrears";
/// See [`LIST_TYPE`].
pub const MEASURE: &str = "exclude-from-tenders";
/// Basis of the list.
pub const LISTING: &str = "tally-wage-rules/9";
/// Basis of such records.
pub const RECORDING: &str = "tally-credit-regulations/11";
/// A basis that every department may cite.
pub const ANYONE: &str = "tally-credit-regulations/12";

/// One caller.
pub struct Caller {
    /// What its certificate makes of it; nothing without a certificate.
    pub kind: Option<CallerKind>,
    /// Its department.
    pub department: Option<&'static str>,
    /// Its connections.
    pub channels: Channels,
}

/// What the calls are about. Every id is that of the fixture, or of nothing.
#[derive(Clone)]
pub struct Facts {
    /// The record, of [`INITIATOR`].
    pub record_id: String,
    /// The entry, of [`INITIATOR`].
    pub entry_id: String,
    /// The directive of [`MEASURE`] to [`ADDRESSEE`], and its feedback.
    pub directive_id: String,
    /// A refused row in quarantine, of [`INITIATOR`].
    pub quarantine_id: String,
}

impl Facts {
    /// The same with ids that nothing has.
    pub fn of_nothing() -> Self {
        Self {
            record_id: command_id(),
            entry_id: command_id(),
            directive_id: command_id(),
            quarantine_id: command_id(),
        }
    }
}

/// The mesh with the province pack, and all that calls are about.
pub struct Stage {
    /// The mesh.
    pub mesh: Harness,
    /// Its pack.
    pub pack: Pack,
    /// The fixtures.
    pub facts: Facts,
    /// Everyone.
    pub callers: Vec<Caller>,
}

impl Stage {
    /// Sets everything up.
    pub async fn set() -> Self {
        let pack = BuiltIn::Province.load().expect("the pack is consistent");
        let mesh = Harness::province("2026-03-02T01:00:00Z").await;
        let facts = facts(&mesh).await;
        let callers = callers(&mesh).await;
        mesh.settle().await;
        Self {
            mesh,
            pack,
            facts,
            callers,
        }
    }
}

async fn callers(mesh: &Harness) -> Vec<Caller> {
    let mut callers = Vec::new();
    for department in DEPARTMENTS {
        let urn = format!("urn:tally:department:{department}");
        callers.push(Caller {
            kind: Some(CallerKind::System),
            department: Some(department),
            channels: mesh.channels(&urn).await,
        });
        callers.push(Caller {
            kind: Some(CallerKind::Officer),
            department: Some(department),
            channels: mesh.channels(&format!("{urn}:officer:9")).await,
        });
    }
    for (kind, urn) in [
        (CallerKind::Operator, "urn:tally:operator:matrix"),
        (CallerKind::Mesh, "urn:tally:mesh:matrix"),
    ] {
        callers.push(Caller {
            kind: Some(kind),
            department: None,
            channels: mesh.channels(urn).await,
        });
    }
    callers.push(Caller {
        kind: None,
        department: None,
        channels: bare(mesh),
    });
    callers
}

/// Connections without a certificate.
fn bare(mesh: &Harness) -> Channels {
    let dir = DataDir::new(mesh.dir.path());
    let tls = dir.client_tls(tally::data_dir::OPERATOR).expect("issued");
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(tls.ca_pem));
    Channels(Role::ALL.map(|role| {
        Endpoint::from_shared(mesh.endpoint(role))
            .expect("an address")
            .tls_config(tls.clone())
            .expect("an authority")
            .connect_lazy()
    }))
}

/// A record as its reporter states it.
pub fn content(number: &str) -> collection::RecordContent {
    let field = |(name, value): (&str, &str)| collection::Field {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let fields = [
        ("party_name", "Example Ltd"),
        ("workers", "12"),
        ("amount", "3.5"),
        ("pay_by", "2026-03-20"),
    ];
    collection::RecordContent {
        subject: COMPANY.to_owned(),
        record_type: RECORD_TYPE.to_owned(),
        document_number: number.to_owned(),
        decided_on: "2026-02-27".to_owned(),
        legal_basis: basis(RECORDING),
        fields: fields.into_iter().map(field).collect(),
        ..Default::default()
    }
}

async fn facts(mesh: &Harness) -> Facts {
    let system = mesh.system(INITIATOR).await;
    let first = mesh.officer(INITIATOR, "1").await;
    let second = mesh.officer(INITIATOR, "2").await;
    let (record_id, _) = push(&system, content("order 1")).await;
    let quarantine_id = quarantined(&system).await;
    let listing = BlackListing {
        list_type: LIST_TYPE.to_owned(),
        basis: LISTING.to_owned(),
        ..BlackListing::today(COMPANY, &record_id, "2027-03-01")
    };
    let (entry_id, _) = list_black(&first, &second, &listing).await;
    let link = lists::LinkIdentifiersRequest {
        command_id: command_id(),
        subject: OTHER_COMPANY.to_owned(),
        linked_subject: crate::requests::THIRD_COMPANY.to_owned(),
        evidence: document("evidence 1"),
        legal_basis: basis(ANYONE),
    };
    first.lists().link_identifiers(link).await.expect("linked");
    mesh.settle().await;
    let directives = mailbox(&mesh.system(ADDRESSEE).await).await;
    let directive = directives
        .into_iter()
        .filter_map(|item| item.directive)
        .find(|directive| directive.measure == MEASURE)
        .expect("a directive to the addressee");
    Facts {
        record_id,
        entry_id,
        directive_id: directive.directive_id,
        quarantine_id,
    }
}

async fn quarantined(system: &Client) -> String {
    let mut bad = content("order 2");
    bad.fields.clear();
    let request = collection::PushRecordRequest {
        command_id: command_id(),
        record: Some(bad),
        quarantine: true,
        ..Default::default()
    };
    let refused = system.collection().push_record(request).await;
    let fault = FaultReport::from(&refused.expect_err("it lacks its fields"));
    fault.metadata["quarantine_id"].clone()
}
