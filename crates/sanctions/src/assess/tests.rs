use tally_domain::legal::{InForce, LegalBasisRef as Basis};
use tally_eventlog::pb::Envelope;
use tally_eventlog::shard::Shard;
use uuid::Uuid;

use super::*;

const SUBJECT: &str = "cn-uscc:9152000071430580XT";
const LINKED: &str = "cn-orgcode:71430580X";
const CHECK: &str = "00000000-0000-7000-8000-000000000001";

fn day(text: &str) -> LegalDate {
    text.parse().expect("a date")
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// Licences need a check for `licence` that is no older than 30 days.
fn duty() -> CheckedDecision {
    CheckedDecision {
        id: "licence-decision".to_owned(),
        version: 1,
        name: "Grant of a licence".to_owned(),
        name_zh: None,
        departments: vec!["11990000MB0000107X".parse().expect("a department")],
        record_type: "administrative-licence".to_owned(),
        purposes: vec!["licence".to_owned(), "food-licence".to_owned()],
        valid_days: 30,
        legal_basis: Basis::new("regulations/18", 1),
        in_force: InForce {
            from: day("2018-01-01"),
            until: None,
        },
    }
}

/// A decision of 10 March, reported on the 11th.
fn reported(check_id: &str) -> Reported<'_> {
    Reported {
        subject: SUBJECT,
        decided_on: day("2026-03-10"),
        reported_at: at("2026-03-11T02:00:00Z"),
        check_id,
    }
}

/// A clear check for a licence on 9 March.
fn clear() -> Answered {
    Answered {
        recorded: Recorded {
            log: logs::SANCTIONS_ACCESS,
            log_id: Uuid::nil(),
            shard: Shard(0),
            position: 0,
            recorded_at: at("2026-03-09T02:00:00Z"),
            effective_at: at("2026-03-09T02:00:00Z"),
            leaf: [0; 32],
            envelope: Envelope {
                subject: SUBJECT.to_owned(),
                ..Default::default()
            },
        },
        answer: pb::CheckAnswered {
            check_id: CHECK.to_owned(),
            purpose: "licence".to_owned(),
            outcome: pb::CheckOutcome::Clear.into(),
            on: "2026-03-09".to_owned(),
            ..Default::default()
        },
    }
}

fn on(text: &str) -> Answered {
    let mut check = clear();
    check.answer.on = text.to_owned();
    check.recorded.recorded_at = at(&format!("{text}T02:00:00Z"));
    check
}

/// A check that was told of entries, each with sanctions and incentives.
fn in_force(said: &[(&[&str], &[&str])]) -> Answered {
    let mut check = clear();
    check.answer.set_outcome(pb::CheckOutcome::InForce);
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    for (index, (sanctions, incentives)) in said.iter().enumerate() {
        check.answer.entry_ids.push(format!("e{index}"));
        check.answer.entry_subjects.push(SUBJECT.to_owned());
        check.answer.said.push(pb::EntrySaid {
            list_type: "serious".to_owned(),
            sanctions: texts(sanctions),
            incentives: texts(incentives),
        });
    }
    check
}

fn verdict(check: &Answered) -> Verdict {
    worth(&duty(), reported(CHECK), Some(check)).verdict
}

#[test]
fn a_clear_check_before_the_decision_is_what_is_asked_for() {
    assert_eq!(verdict(&clear()), Verdict::CheckedClear);
    let mut other_purpose_of_the_kind = clear();
    other_purpose_of_the_kind.answer.purpose = "food-licence".to_owned();
    assert_eq!(verdict(&other_purpose_of_the_kind), Verdict::CheckedClear);
}

#[test]
fn no_citation_and_an_unknown_one_are_told_apart() {
    let none = worth(&duty(), reported(""), Some(&clear()));
    assert_eq!(none.verdict, Verdict::NotChecked);
    let unknown = worth(&duty(), reported(CHECK), None);
    assert_eq!(unknown.verdict, Verdict::CheckUnknown);
}

#[test]
fn a_check_of_another_subject_counts_only_over_a_link_of_its_day() {
    let mut check = clear();
    check.recorded.envelope.subject = LINKED.to_owned();
    assert_eq!(verdict(&check), Verdict::CheckOtherSubject);
    check.answer.linked = vec![SUBJECT.to_owned()];
    assert_eq!(verdict(&check), Verdict::CheckedClear);
}

#[test]
fn another_purpose_does_not_count() {
    let mut check = clear();
    check.answer.purpose = "procurement".to_owned();
    assert_eq!(verdict(&check), Verdict::CheckWrongPurpose);
}

#[test]
fn it_is_made_before_the_decision_and_not_too_long_before() {
    assert_eq!(verdict(&on("2026-02-07")), Verdict::CheckTooOld);
    assert_eq!(verdict(&on("2026-02-08")), Verdict::CheckedClear);
    assert_eq!(verdict(&on("2026-03-10")), Verdict::CheckedClear);
    assert_eq!(verdict(&on("2026-03-11")), Verdict::CheckAfterDecision);
}

#[test]
fn a_check_after_the_report_was_not_before_the_decision() {
    let mut check = on("2026-03-10");
    check.recorded.recorded_at = at("2026-03-11T02:00:01Z");
    assert_eq!(verdict(&check), Verdict::CheckAfterDecision);
}

#[test]
fn a_sanction_that_was_said_in_force_is_named() {
    let check = in_force(&[(&["refuse", "limit"], &[]), (&[], &[]), (&["limit"], &[])]);
    let worth = worth(&duty(), reported(CHECK), Some(&check));
    assert_eq!(worth.verdict, Verdict::MeasureInForce);
    assert_eq!(worth.entry_ids, ["e0", "e2"]);
    assert_eq!(worth.measures, ["limit", "refuse"]);
}

#[test]
fn incentives_and_entries_without_a_measure_for_it_are_no_sanction() {
    let check = in_force(&[(&[], &["green-channel"]), (&[], &[])]);
    let worth = worth(&duty(), reported(CHECK), Some(&check));
    assert_eq!(worth.verdict, Verdict::CheckedClear);
    assert!(worth.entry_ids.is_empty());
}

#[test]
fn what_could_not_be_said_is_no_clearance() {
    let mut check = clear();
    check.answer.set_outcome(pb::CheckOutcome::Undetermined);
    assert_eq!(verdict(&check), Verdict::Undetermined);
    // Recorded before it was kept what was said of each entry.
    let mut check = in_force(&[(&["refuse"], &[])]);
    check.answer.said.clear();
    assert_eq!(verdict(&check), Verdict::Undetermined);
}
