//! The catalogue of a province: what may be reported, by whom, and how far back.

use std::collections::BTreeSet;

use tally::client::{Client, command_id};
use tally_catalog::pack::BuiltIn;
use tally_domain::policy::{Pack, RecordType};
use tally_proto::tally::collection::v1 as collection;
use tally_rpc::FaultReport;
use tally_tests::harness::*;
use tally_tests::records::{field, minimal};
use tonic::Code;

const START: &str = "2026-03-02T01:00:00Z";
const DECIDED: &str = "2026-02-27";

fn pack() -> Pack {
    BuiltIn::Province.load().expect("the pack is consistent")
}

async fn pushed(
    client: &Client,
    record: collection::RecordContent,
) -> Result<collection::AcceptedRecord, FaultReport> {
    let request = collection::PushRecordRequest {
        command_id: command_id(),
        record: Some(record),
        ..Default::default()
    };
    let answer = client.collection().push_record(request).await;
    let answer = answer.map_err(|status| FaultReport::from(&status))?;
    Ok(answer.into_inner().accepted.expect("an accepted record"))
}

/// Fields at fault with their reasons.
fn faults(report: &FaultReport) -> BTreeSet<(String, String)> {
    let violations = report.violations.iter();
    violations
        .map(|violation| (violation.field.clone(), violation.reason.clone()))
        .collect()
}

fn fault(field: impl Into<String>, reason: &str) -> (String, String) {
    (field.into(), reason.to_owned())
}

/// A system of the first reporter of an item.
async fn reporter(mesh: &Harness, record_type: &RecordType) -> Client {
    mesh.system(record_type.reporters[0].as_str()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_item_is_taken_from_each_of_its_reporters() {
    let mesh = Harness::province(START).await;
    let pack = pack();
    for department in pack.departments.keys() {
        let system = mesh.system(department.as_str()).await;
        let reported = pack
            .record_types
            .values()
            .filter(|record_type| record_type.reporters.contains(department));
        for record_type in reported {
            let number = format!("{} {department}", record_type.id);
            let record = minimal(record_type, COMPANY, &number, DECIDED);
            let accepted = pushed(&system, record.clone()).await;
            let accepted = accepted.unwrap_or_else(|report| panic!("{number}: {report}"));
            let request = collection::GetRecordRequest {
                record_id: accepted.record_id,
                case_number: String::new(),
            };
            let held = system.collection().get_record(request).await;
            let held = held.expect("its own record").into_inner();
            assert_eq!(held.department, department.to_string());
            let kept = held.record.expect("a record");
            assert_eq!(kept.record_type, record.record_type);
            let names = |record: &collection::RecordContent| -> BTreeSet<String> {
                record
                    .fields
                    .iter()
                    .map(|field| field.name.clone())
                    .collect()
            };
            assert_eq!(names(&kept), names(&record), "{number}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_of_every_item_is_asked_for_at_once() {
    let mesh = Harness::province(START).await;
    let mut choices = 0;
    for record_type in pack().record_types.values() {
        let system = reporter(&mesh, record_type).await;
        let mut record = minimal(record_type, COMPANY, "number 1", DECIDED);
        record.fields = vec![field("no_such_field", "1")];
        let refused = pushed(&system, record)
            .await
            .expect_err("nothing required is there");
        let required = record_type.fields.iter().filter(|rule| rule.required);
        let mut expected: BTreeSet<_> = required
            .map(|rule| fault(format!("record.fields.{}", rule.name), "FIELD_REQUIRED"))
            .collect();
        expected.insert(fault("record.fields[0]", "FIELD_UNKNOWN"));
        assert_eq!(faults(&refused), expected, "{}", record_type.id);

        for rule in record_type
            .fields
            .iter()
            .filter(|rule| !rule.choices.is_empty())
        {
            choices += 1;
            let mut record = minimal(record_type, COMPANY, "number 2", DECIDED);
            record.fields.retain(|field| field.name != rule.name);
            record.fields.push(field(&rule.name, "?"));
            let refused = pushed(&system, record).await.expect_err("not a choice");
            let expected = fault(format!("record.fields.{}", rule.name), "VALUE_NOT_A_CHOICE");
            assert_eq!(
                faults(&refused),
                BTreeSet::from([expected]),
                "{}",
                record_type.id
            );
        }
    }
    assert!(
        choices > 10,
        "only {choices} fields with choices were tried"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_outside_the_catalogue() {
    let mesh = Harness::province(START).await;
    let pack = pack();
    for record_type in pack.record_types.values() {
        let other = pack
            .departments
            .keys()
            .find(|department| !record_type.reporters.contains(department));
        let other = other.expect("no item is reported by everyone");
        let system = mesh.system(other.as_str()).await;
        let record = minimal(record_type, COMPANY, "number 1", DECIDED);
        let denied = pushed(&system, record).await.expect_err("not a reporter");
        assert_eq!(denied.code, Code::PermissionDenied, "{}", record_type.id);

        // No item of this pack switches natural persons on.
        let system = reporter(&mesh, record_type).await;
        let person = "cn-resident-id:999999200002291230";
        let record = minimal(record_type, person, "number 1", DECIDED);
        let refused = pushed(&system, record).await.expect_err("a person");
        let on_subject = faults(&refused)
            .into_iter()
            .any(|(_, reason)| reason == "NATURAL_PERSON_OFF");
        assert!(on_subject, "{}: {refused}", record_type.id);
    }
    let record_type = pack.record_types.values().next().expect("an item");
    let system = reporter(&mesh, record_type).await;
    let mut record = minimal(record_type, COMPANY, "number 1", DECIDED);
    record.record_type = "no-such-item".to_owned();
    let refused = pushed(&system, record)
        .await
        .expect_err("not in the catalogue");
    assert!(faults(&refused).contains(&fault("record.record_type", "RECORD_TYPE_UNKNOWN")));
}

#[tokio::test(flavor = "multi_thread")]
async fn backfill_is_taken_as_far_as_the_item_says() {
    let mesh = Harness::province(START).await;
    let pack = pack();
    let licence = pack.record_type("administrative-licence").expect("an item");
    let system = reporter(&mesh, licence).await;
    let mut old = minimal(licence, COMPANY, "licence of 2016", "2016-05-04");
    old.valid_until = "2026-03-01".to_owned();
    let refused = pushed(&system, old.clone())
        .await
        .expect_err("ended yesterday");
    let expected = fault("record.valid_until", "BACKFILL_NOT_VALID");
    assert_eq!(faults(&refused), BTreeSet::from([expected]));
    old.valid_until = "2026-03-02".to_owned();
    pushed(&system, old).await.expect("valid until today");

    let penalty = pack.record_type("administrative-penalty").expect("an item");
    let old = minimal(penalty, COMPANY, "penalty of 2017", "2017-06-30");
    let refused = pushed(&system, old.clone())
        .await
        .expect_err("too old by now");
    let expected = fault("record.decided_on", "BACKFILL_TOO_OLD");
    assert_eq!(faults(&refused), BTreeSet::from([expected]));
    // While three years were not over, it was taken.
    let then = Harness::province("2020-06-30T01:00:00Z").await;
    pushed(&reporter(&then, penalty).await, old)
        .await
        .expect("on the last day of the three years");
    // What was decided since the item is collected is no backfill, however late it comes.
    let late = minimal(penalty, COMPANY, "penalty 1", "2017-07-01");
    pushed(&system, late).await.expect("the first day");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_is_shared_with_named_departments_is_seen_by_them_alone() {
    let mesh = Harness::province(START).await;
    let pack = pack();
    let debt = pack.record_type("government-debt").expect("an item");
    // Another bureau of the province than those it is shared with.
    let integrity = "11990000MB000145XF";
    let record = minimal(debt, COMPANY, "debt 1", DECIDED);
    let accepted = pushed(&mesh.system(integrity).await, record).await;
    let record_id = accepted.expect("accepted").record_id;
    let mut readers = BTreeSet::new();
    for department in pack.departments.keys() {
        let request = collection::GetRecordRequest {
            record_id: record_id.clone(),
            case_number: String::new(),
        };
        let system = mesh.system(department.as_str()).await;
        match system.collection().get_record(request).await {
            Ok(_) => assert!(readers.insert(department.to_string())),
            Err(status) => assert_eq!(FaultReport::from(&status).reason, "RECORD_UNKNOWN"),
        }
    }
    let named = ["11990000MB000129X8", "11990000MB0001011X", integrity];
    assert_eq!(readers, named.map(str::to_owned).into());
}
