use std::sync::Arc;

use jiff::civil::date;
use tally_domain::policy::{Backfill, Pack};
use tally_proto::tally::log::v1::LegalBasisRef as BasisProto;

use super::*;

const BUREAU: &str = "11990000MB0000107X";
const PENALTY: &str = "administrative-penalty";

fn pack() -> Pack {
    tally_catalog::pack::embedded().expect("the embedded pack is consistent")
}

fn record() -> pb::RecordContent {
    let field = |name: &str, value: &str| pb::Field {
        name: name.into(),
        value: value.into(),
    };
    pb::RecordContent {
        subject: "cn-uscc:9152000071430580XT".into(),
        record_type: PENALTY.into(),
        document_number: "罚〔2026〕1号".into(),
        decided_on: "2026-02-12".into(),
        valid_from: String::new(),
        valid_until: String::new(),
        legal_basis: Some(BasisProto {
            id: "tally-credit-regulations/12".into(),
            version: 1,
        }),
        fields: vec![
            field("party_name", "甲公司"),
            field("penalty_category", "罚款"),
        ],
        check_id: String::new(),
    }
}

fn judged_by(
    pack: Pack,
    held: Option<&LegalBasisRef>,
    record: pb::RecordContent,
) -> Result<Draft, Vec<(String, &'static str)>> {
    let policy = Policy::new(Arc::new(pack)).expect("its time zone is known");
    let department: DepartmentId = BUREAU.parse().expect("valid");
    let judge = Judge {
        policy: &policy,
        today: date(2026, 3, 2),
        department: &department,
        held_basis: held,
    };
    let mut faults = Faults::default();
    match judge.judge(Some(record), &mut faults) {
        Some((_, draft)) => Ok(draft),
        None => Err(faults
            .into_vec()
            .into_iter()
            .map(|fault| (fault.field, fault.reason))
            .collect()),
    }
}

fn judged(record: pb::RecordContent) -> Result<Draft, Vec<(String, &'static str)>> {
    judged_by(pack(), None, record)
}

fn refused(record: pb::RecordContent, field: &str, reason: &str) {
    let faults = judged(record).err().expect("it is refused");
    assert!(
        faults
            .iter()
            .any(|fault| fault.0 == field && fault.1 == reason),
        "{faults:?}"
    );
}

#[test]
fn a_good_record_is_published_within_seven_working_days() {
    let draft = judged(record()).expect("it is good");
    // Spring Festival of 2026 lies between.
    let terms = draft.terms.expect("it is no backfill");
    assert_eq!(
        (terms.publish_by.date, terms.publish_by.provisional),
        (date(2026, 2, 28), false)
    );
    assert_eq!(terms.push_by, terms.publish_by);
    assert_eq!(draft.effective_at.to_string(), "2026-02-11T16:00:00Z");
    assert!(!draft.is_personal());
    let stored = draft.seal(None);
    assert_eq!(
        (stored.valid_from.as_str(), stored.valid_until.as_str()),
        ("2026-02-12", "")
    );
}

#[test]
fn everything_that_is_wrong_is_named_at_once() {
    let record = pb::RecordContent {
        subject: "cn-uscc:91520000714305800T".into(),
        record_type: PENALTY.into(),
        document_number: " ".into(),
        decided_on: "2026-03-03".into(),
        valid_from: "2026-13-01".into(),
        valid_until: "2026".into(),
        legal_basis: None,
        fields: vec![],
        check_id: "the one of Monday".into(),
    };
    let faults = judged(record).err().expect("it is refused");
    let expected = [
        ("record.subject", "IDENTIFIER_CHECK_CHARACTER"),
        ("record.document_number", "DOCUMENT_NUMBER_EMPTY"),
        ("record.decided_on", "DATE_IN_FUTURE"),
        ("record.valid_from", "DATE_NO_SUCH_DAY"),
        ("record.valid_until", "DATE_FORM"),
        ("record.legal_basis", "LEGAL_BASIS_REQUIRED"),
        ("record.check_id", "CHECK_ID_INVALID"),
        ("record.fields.party_name", "FIELD_REQUIRED"),
        ("record.fields.penalty_category", "FIELD_REQUIRED"),
    ];
    assert_eq!(
        faults,
        expected.map(|(field, reason)| (field.to_owned(), reason))
    );
}

#[test]
fn a_basis_is_judged_whatever_else_is_wrong() {
    let unknown = Some(BasisProto {
        id: "nowhere/1".into(),
        version: 1,
    });
    for (also, record) in [
        (
            "RECORD_TYPE_UNKNOWN",
            pb::RecordContent {
                record_type: "rumour".into(),
                ..record()
            },
        ),
        (
            "IDENTIFIER_CHECK_CHARACTER",
            pb::RecordContent {
                subject: "cn-uscc:91520000714305800T".into(),
                ..record()
            },
        ),
        (
            "DATE_IN_FUTURE",
            pb::RecordContent {
                decided_on: "2026-03-03".into(),
                ..record()
            },
        ),
    ] {
        let record = pb::RecordContent {
            legal_basis: unknown.clone(),
            ..record
        };
        let faults = judged(record).err().expect("it is refused");
        let reasons: Vec<&str> = faults.iter().map(|fault| fault.1).collect();
        assert!(
            reasons.contains(&also) && reasons.contains(&"LEGAL_BASIS_UNKNOWN"),
            "{reasons:?}"
        );
    }
}

#[test]
fn nothing_outside_the_catalogue_is_collected() {
    let other = pb::RecordContent {
        record_type: "rumour".into(),
        ..record()
    };
    refused(other, "record.record_type", "RECORD_TYPE_UNKNOWN");
}

#[test]
fn a_term_does_not_end_before_it_starts() {
    let reversed = pb::RecordContent {
        valid_until: "2026-02-11".into(),
        ..record()
    };
    refused(reversed, "record.valid_until", "DATES_REVERSED");
}

#[test]
fn no_record_without_its_own_basis_in_force_on_the_day_of_the_decision() {
    let cite = |id: &str, version| {
        Some(BasisProto {
            id: id.into(),
            version,
        })
    };
    let none = pb::RecordContent {
        legal_basis: None,
        ..record()
    };
    refused(none, "record.legal_basis", "LEGAL_BASIS_REQUIRED");
    let unknown = pb::RecordContent {
        legal_basis: cite("tally-credit-regulations/12", 9),
        ..record()
    };
    refused(unknown, "record.legal_basis", "LEGAL_BASIS_UNKNOWN");
    let other = pb::RecordContent {
        legal_basis: cite("tally-credit-regulations/25", 1),
        ..record()
    };
    refused(other, "record.legal_basis", "LEGAL_BASIS_OTHER");
    let lapsed = pb::RecordContent {
        legal_basis: cite("tally-interim-measures/3", 1),
        ..record()
    };
    refused(lapsed, "record.legal_basis", "LEGAL_BASIS_NOT_IN_FORCE");
    let early = pb::RecordContent {
        decided_on: "2004-12-31".into(),
        ..record()
    };
    refused(early, "record.legal_basis", "LEGAL_BASIS_NOT_IN_FORCE");
    let first_day = pb::RecordContent {
        decided_on: "2005-01-01".into(),
        ..record()
    };
    assert!(judged(first_day).is_ok());
}

/// A pack in which the regulations changed on 2026-03-01.
fn changed_pack() -> Pack {
    let mut pack = pack();
    let old = LegalBasisRef::new("tally-credit-regulations/12", 1);
    let basis = pack.legal_bases.get_mut(&old).expect("in the pack");
    let mut new = basis.clone();
    basis.in_force.until = Some(date(2026, 2, 28));
    new.version = 2;
    new.in_force.from = date(2026, 3, 1);
    let reference = new.reference();
    pack.legal_bases.insert(reference.clone(), new);
    pack.record_types
        .get_mut(PENALTY)
        .expect("in the pack")
        .legal_basis = reference;
    pack
}

#[test]
fn a_decision_rests_on_the_version_of_its_day() {
    assert!(judged_by(changed_pack(), None, record()).is_ok());
    let mut new = record();
    new.legal_basis = Some(BasisProto {
        id: "tally-credit-regulations/12".into(),
        version: 2,
    });
    assert!(judged_by(changed_pack(), None, new).is_err());
}

#[test]
fn nothing_is_collected_once_the_items_basis_has_lapsed() {
    let mut pack = pack();
    let basis = LegalBasisRef::new("tally-credit-regulations/12", 1);
    pack.legal_bases
        .get_mut(&basis)
        .expect("in the pack")
        .in_force
        .until = Some(date(2026, 2, 28));
    let faults = judged_by(pack.clone(), None, record())
        .err()
        .expect("lapsed today");
    assert_eq!(
        faults,
        [("record.legal_basis".to_owned(), "LEGAL_BASIS_NOT_IN_FORCE")]
    );
    // What is wrong stays correctable.
    assert!(judged_by(pack, Some(&basis), record()).is_ok());
}

#[test]
fn natural_persons_are_off_until_the_item_has_a_basis_of_its_own_for_them() {
    for person in [
        "cn-resident-id:999999200002291230",
        "person:5f0c954e-0f2c-4b8e-9d59-6a1f4f0f7c11",
    ] {
        let person = pb::RecordContent {
            subject: person.into(),
            ..record()
        };
        refused(person.clone(), "record.subject", "NATURAL_PERSON_OFF");

        let mut on = pack();
        let item = on.record_types.get_mut(PENALTY).expect("in the pack");
        item.subject_types.push(SubjectType::NaturalPerson);
        assert!(judged_by(on.clone(), None, person.clone()).is_err());
        let basis = item_basis(&mut on);
        let faults = judged_by(on.clone(), None, person.clone())
            .err()
            .expect("no basis for persons yet");
        assert_eq!(
            faults,
            [(
                "record.legal_basis".to_owned(),
                "LEGAL_BASIS_OTHER_SUBJECT_TYPE"
            )]
        );
        on.legal_bases
            .get_mut(&basis)
            .expect("in the pack")
            .subject_types
            .push(SubjectType::NaturalPerson);
        assert!(judged_by(on, None, person).is_ok());
    }
}

fn item_basis(pack: &mut Pack) -> LegalBasisRef {
    let item = pack.record_types.get_mut(PENALTY).expect("in the pack");
    item.natural_person_basis = Some(item.legal_basis.clone());
    item.legal_basis.clone()
}

#[test]
fn a_wrong_number_of_a_person_is_not_repeated() {
    let number = "999999200002291231";
    for subject in [
        format!("cn-resident-id:{number}"),
        format!("cn-uscc:{number}"),
        number.to_owned(),
    ] {
        let record = pb::RecordContent {
            subject,
            ..record()
        };
        let faults = format!("{:?}", judged(record).err().expect("it is refused"));
        assert!(!faults.contains(number), "{faults}");
    }
}

#[test]
fn what_was_read_in_another_encoding_is_refused() {
    let mut broken = record();
    broken.subject = "name-region:甲\u{fffd}司|110000".into();
    refused(broken.clone(), "record.subject", "TEXT_UNREADABLE");
    broken.document_number = "罚\u{fffd}1号".into();
    refused(broken, "record.document_number", "TEXT_UNREADABLE");
}

#[test]
fn a_deadline_past_the_last_notice_is_provisional() {
    let mut pack = pack();
    pack.holidays.remove(&2026);
    let draft = judged_by(pack, None, record()).expect("it is good");
    assert!(draft.terms.expect("a term").publish_by.provisional);
}

#[test]
fn old_decisions_are_taken_as_far_as_the_catalogue_item_says() {
    let mut pack = pack();
    let item = pack.record_types.get_mut(PENALTY).expect("in the pack");
    item.collected_from = Some(date(2026, 2, 13));
    item.backfill = Some(Backfill::Years(3));
    let draft = judged_by(pack.clone(), None, record()).expect("it is recent enough");
    assert_eq!(draft.terms, None, "backfill has no term");
    let old = pb::RecordContent {
        decided_on: "2023-03-01".into(),
        ..record()
    };
    let faults = judged_by(pack.clone(), None, old.clone()).err();
    let faults = faults.expect("it is too old");
    assert_eq!(
        faults,
        [("record.decided_on".to_owned(), "BACKFILL_TOO_OLD")]
    );
    let held = LegalBasisRef::new("tally-credit-regulations/12", 1);
    assert!(
        judged_by(pack.clone(), Some(&held), old.clone()).is_ok(),
        "what was taken once stays correctable"
    );

    let item = pack.record_types.get_mut(PENALTY).expect("in the pack");
    item.backfill = Some(Backfill::StillValid);
    assert!(judged_by(pack.clone(), None, old.clone()).is_ok());
    let over = pb::RecordContent {
        valid_until: "2024-03-01".into(),
        ..old
    };
    assert_eq!(
        judged_by(pack, None, over).err().expect("it is over"),
        [("record.valid_until".to_owned(), "BACKFILL_NOT_VALID")]
    );
}

#[test]
fn without_a_sealer_nothing_personal_is_kept_in_clear() {
    let mut personal = record();
    personal.fields.push(pb::Field {
        name: "legal_representative".into(),
        value: "王芳".into(),
    });
    let draft = judged(personal).expect("it is good");
    assert!(draft.is_personal());
    let stored = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| draft.seal(None)));
    assert!(
        stored.is_err(),
        "a forgotten sealer is a bug that tests find"
    );
}
