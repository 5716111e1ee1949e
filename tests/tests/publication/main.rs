//! What outsiders may follow: public fields of organisations' records and
//! lists, until they end, and nothing else.

mod lists;
mod records;
mod topics;

use std::collections::BTreeMap;

use prost::Message as _;
use tally::client::{Client, command_id};
use tally_domain::legal::LegalBasisRef;
use tally_domain::policy::{FieldRule, FieldValue, Pack};
use tally_domain::subject::SubjectType;
use tally_proto::tally::collection::v1 as collection;
use tally_proto::tally::collection::v1::PublicationKind as Kind;
use tally_proto::tally::lists::v1 as pb_lists;
use tally_proto::tally::lists::v1::ListPublicationKind as ListKind;
use tally_proto::tally::log::v1::{Cursor, ShardCursor};
use tally_tests::harness::*;

/// Texts that must never be in a follower's stream.
const NAME: &str = "Zhuge Testperson";
const NUMBER: &str = "999999200002291230";
const REMARK: &str = "internal remark 48151623";
const UNPUBLISHED: &str = "unpublished text 62342";

/// The law on records and listings of natural persons in this pack.
const PERSONS: &str = "tally-person-rules/1";
/// A published list of organisations and persons.
const LIST_OF_PERSONS: &str = "violation-of-persons";

/// The small pack with a type that registers subjects, one that is not
/// published, and natural persons in the penalties and on a list.
fn pack() -> Pack {
    let mut pack = tally_catalog::pack::embedded().expect("the embedded pack is consistent");
    pack.meta.version += "+following";
    let penalty = pack.record_types["administrative-penalty"].clone();

    let mut registration = penalty.clone();
    registration.id = "registration".to_owned();
    registration.published = false;
    registration.serious = false;
    registration.registers_subject = true;
    registration.registers_when = Some(FieldValue {
        field: "kind".to_owned(),
        value: "new".to_owned(),
    });
    registration.fields.push(FieldRule {
        name: "kind".to_owned(),
        required: true,
        ..penalty.fields[0].clone()
    });
    let mut inner = penalty.clone();
    inner.id = "inner-note".to_owned();
    inner.published = false;

    let ordinary = LegalBasisRef::new("tally-credit-regulations/12", 1);
    let mut law = pack.legal_bases[&ordinary].clone();
    law.id = PERSONS.to_owned();
    law.subject_types = vec![SubjectType::NaturalPerson];
    let mut with_persons = penalty;
    with_persons.subject_types.push(SubjectType::NaturalPerson);
    with_persons.natural_person_basis = Some(law.reference());
    // No memorandum names it: the laws of measures are not about persons.
    let mut list = pack.list_types["serious-violation"].clone();
    list.id = LIST_OF_PERSONS.to_owned();
    list.subject_types.push(SubjectType::NaturalPerson);
    list.natural_person_basis = Some(law.reference());
    pack.list_types.insert(list.id.clone(), list);
    pack.legal_bases.insert(law.reference(), law);

    for record_type in [registration, inner, with_persons] {
        pack.record_types
            .insert(record_type.id.clone(), record_type);
    }
    assert_eq!(pack.faults(), []);
    pack
}

async fn scene() -> Scene {
    loaded(Scene::start().await).await
}

async fn loaded(scene: Scene) -> Scene {
    scene.mesh.load(&pack()).await;
    scene
}

fn with(
    mut record: collection::RecordContent,
    fields: &[(&str, &str)],
) -> collection::RecordContent {
    for (name, value) in fields {
        record.fields.push(collection::Field {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        });
    }
    record
}

/// A penalty with everything in it that must not come out.
fn full_penalty(subject: &str, number: &str) -> collection::RecordContent {
    let fields = [
        ("legal_representative", NAME),
        ("legal_representative_id", NUMBER),
        ("penalty_content", "a fine"),
        ("remarks", REMARK),
    ];
    with(penalty(subject, number, "2026-03-01"), &fields)
}

fn of_type(record_type: &str, record: collection::RecordContent) -> collection::RecordContent {
    collection::RecordContent {
        record_type: record_type.to_owned(),
        ..record
    }
}

async fn correct(client: &Client, record_id: &str, record: collection::RecordContent) {
    let request = collection::CorrectRecordRequest {
        command_id: command_id(),
        record_id: record_id.to_owned(),
        record: Some(record),
        reason: "a slip".to_owned(),
    };
    let corrected = client.collection().correct_record(request).await;
    corrected.expect("corrected");
}

async fn withdraw(client: &Client, record_id: &str) {
    let request = collection::WithdrawRecordRequest {
        command_id: command_id(),
        record_id: record_id.to_owned(),
        reason: "revoked".to_owned(),
        document: document("revocation 1"),
    };
    let withdrawn = client.collection().withdraw_record(request).await;
    withdrawn.expect("withdrawn");
}

/// A follower: its cursor, and all that it was sent.
#[derive(Default)]
struct Follower {
    cursor: Cursor,
    bytes: Vec<u8>,
}

impl Follower {
    fn keep(&mut self, log_id: &[u8], place: Option<ShardCursor>, bytes: Vec<u8>) {
        let place = place.expect("every item has a cursor");
        self.cursor.log_id = log_id.to_vec().into();
        self.cursor
            .shards
            .retain(|known| known.shard != place.shard);
        self.cursor.shards.push(place);
        self.bytes.extend(bytes);
    }

    /// What is new of published records: by record, what is said, and the content.
    async fn records(
        &mut self,
        client: &Client,
    ) -> BTreeMap<String, (Kind, Option<collection::PublishedRecord>)> {
        let request = collection::FollowPublicationsRequest {
            cursor: Some(self.cursor.clone()),
            until_head: true,
            record_types: Vec::new(),
        };
        let answer = client.collection().follow_publications(request).await;
        let mut items = answer.expect("followed").into_inner();
        let mut told = BTreeMap::new();
        while let Some(item) = items.message().await.expect("the stream goes on") {
            self.keep(&item.log_id, item.cursor.clone(), item.encode_to_vec());
            if item.kind() == Kind::Checkpoint {
                assert_eq!((item.record_id.as_str(), &item.record), ("", &None));
                continue;
            }
            let kind = item.kind();
            let again = told.insert(item.record_id, (kind, item.record));
            assert_eq!(again, None, "one item per record");
        }
        told
    }

    /// The same of lists.
    async fn lists(&mut self, client: &Client) -> Vec<pb_lists::FollowPublicationsResponse> {
        let request = pb_lists::FollowPublicationsRequest {
            cursor: Some(self.cursor.clone()),
            until_head: true,
        };
        let answer = client.lists().follow_publications(request).await;
        let mut items = answer.expect("followed").into_inner();
        let mut told = Vec::new();
        while let Some(item) = items.message().await.expect("the stream goes on") {
            self.keep(&item.log_id, item.cursor.clone(), item.encode_to_vec());
            if item.kind() != ListKind::Checkpoint {
                told.push(item);
            }
        }
        told
    }

    fn assert_was_never_sent(&self, needles: &[&str]) {
        for needle in needles {
            let mut windows = self.bytes.windows(needle.len());
            let found = windows.any(|window| window == needle.as_bytes());
            assert!(!found, "{needle} was sent");
        }
    }
}

fn kinds<T>(told: &BTreeMap<String, (Kind, T)>) -> BTreeMap<&str, Kind> {
    told.iter()
        .map(|(id, (kind, _))| (id.as_str(), *kind))
        .collect()
}
