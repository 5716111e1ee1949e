use tally_eventlog::aggregate::{Codec as _, given};
use tally_proto::tally::collection::v1::stored_field::Value;
use tally_proto::tally::log::v1::Sealed;

use super::*;

const BUREAU: &str = "11990000MB0000107X";
const OTHER: &str = "11990100MB0000203C";
const COMPANY: &str = "cn-uscc:9152000071430580XT";

fn text(name: &str, text: &str) -> pb::StoredField {
    pb::StoredField {
        name: name.to_owned(),
        value: Some(Value::Text(text.to_owned())),
    }
}

fn sealed(name: &str, ciphertext: &'static [u8]) -> pb::StoredField {
    let sealed = Sealed {
        ciphertext: ciphertext.into(),
        ..Sealed::default()
    };
    pb::StoredField {
        name: name.to_owned(),
        value: Some(Value::Sealed(sealed)),
    }
}

fn content() -> pb::StoredContent {
    pb::StoredContent {
        record_type: "administrative-penalty".to_owned(),
        document_number: "罚〔2026〕1号".to_owned(),
        decided_on: "2026-01-05".to_owned(),
        valid_from: "2026-01-05".to_owned(),
        valid_until: String::new(),
        fields: vec![
            text("party_name", "甲公司"),
            sealed("legal_representative", b"one"),
        ],
        check_id: String::new(),
    }
}

fn accepted(content: pb::StoredContent) -> Arc<Accepted> {
    Arc::new(Accepted {
        department: BUREAU.to_owned(),
        subject: COMPANY.to_owned(),
        legal_basis: LegalBasisRef::new("regulations/12", 1),
        effective_at: Timestamp::UNIX_EPOCH,
        body: pb::RecordAccepted {
            content: Some(content),
            publish_by: "2026-01-14".to_owned(),
            push_by: "2026-01-16".to_owned(),
            ..Default::default()
        },
    })
}

fn corrected(content: pb::StoredContent) -> Corrected {
    Corrected {
        department: BUREAU.to_owned(),
        subject: COMPANY.to_owned(),
        legal_basis: LegalBasisRef::new("regulations/12", 1),
        effective_at: Timestamp::UNIX_EPOCH,
        body: pb::RecordCorrected {
            content: Some(content),
            reason: "a typing error".to_owned(),
            corrected_on: "2026-03-02".to_owned(),
        },
    }
}

fn other_name() -> pb::StoredContent {
    pb::StoredContent {
        fields: vec![
            text("party_name", "乙公司"),
            sealed("legal_representative", b"one"),
        ],
        ..content()
    }
}

fn withdraw(department: &str) -> Command {
    Command::Withdraw {
        department: department.to_owned(),
        at: Timestamp::UNIX_EPOCH,
        on: jiff::civil::date(2026, 3, 2),
        reason: "revoked on reconsideration".to_owned(),
        document: DocumentRef {
            number: "复〔2026〕2号".to_owned(),
            ..DocumentRef::default()
        },
    }
}

fn withdrawn() -> Event {
    let events = given::<Record>([Event::Accepted(accepted(content()))]).when(withdraw(BUREAU));
    events.expect("its own record").remove(0)
}

fn was_accepted() -> Event {
    Event::Accepted(accepted(content()))
}

#[test]
fn a_new_record_is_accepted() {
    let outcome = given::<Record>([]).when(Command::Accept(accepted(content())));
    assert_eq!(outcome, Ok(vec![was_accepted()]));
}

#[test]
fn an_identical_record_changes_nothing() {
    let outcome = given::<Record>([was_accepted()]).when(Command::Accept(accepted(content())));
    assert_eq!(outcome, Ok(vec![]));
}

#[test]
fn another_way_to_write_the_number_is_the_same_record() {
    let again = pb::StoredContent {
        document_number: "罚[2026]1号".to_owned(),
        ..content()
    };
    let outcome = given::<Record>([was_accepted()]).when(Command::Accept(accepted(again)));
    assert_eq!(outcome, Ok(vec![]));
}

#[test]
fn a_different_record_is_refused_and_every_difference_named() {
    let mut different = pb::StoredContent {
        decided_on: "2026-01-06".to_owned(),
        valid_until: "2027-01-01".to_owned(),
        fields: vec![sealed("legal_representative", b"two"), text("fine", "1")],
        check_id: "another".to_owned(),
        ..content()
    };
    different.valid_from = "2026-01-06".to_owned();
    let mut different = (*accepted(different)).clone();
    different.legal_basis.version = 2;
    let outcome = given::<Record>([was_accepted()]).when(Command::Accept(different.into()));
    let fields = [
        "record.decided_on",
        "record.valid_from",
        "record.valid_until",
        "record.legal_basis",
        "record.check_id",
        "record.fields.party_name",
        "record.fields.legal_representative",
        "record.fields.fine",
    ];
    let fields = fields.map(str::to_owned).to_vec();
    assert_eq!(outcome, Err(Rejection::ExistsDifferent { fields }));
}

#[test]
fn after_a_correction_the_corrected_content_counts() {
    let events = || {
        [
            was_accepted(),
            Event::Corrected(corrected(other_name()).into()),
        ]
    };
    let repeated = given::<Record>(events()).when(Command::Accept(accepted(other_name())));
    assert_eq!(repeated, Ok(vec![]));
    let first = given::<Record>(events()).when(Command::Accept(accepted(content())));
    let fields = vec!["record.fields.party_name".to_owned()];
    assert_eq!(first, Err(Rejection::ExistsDifferent { fields }));
}

#[test]
fn a_withdrawn_record_does_not_come_back() {
    for again in [content(), other_name()] {
        let outcome =
            given::<Record>([was_accepted(), withdrawn()]).when(Command::Accept(accepted(again)));
        assert_eq!(outcome, Err(Rejection::Withdrawn));
    }
}

#[test]
fn its_department_corrects_it() {
    let correction = Arc::new(corrected(other_name()));
    let outcome = given::<Record>([was_accepted()]).when(Command::Correct(correction.clone()));
    assert_eq!(outcome, Ok(vec![Event::Corrected(correction.clone())]));
    let state = given::<Record>([was_accepted(), Event::Corrected(correction)]).state;
    assert_eq!(
        (state.corrections(), state.content()),
        (1, Some(&other_name()))
    );
}

#[test]
fn a_correction_changes_something() {
    let same = Command::Correct(corrected(content()).into());
    assert_eq!(
        given::<Record>([was_accepted()]).when(same),
        Err(Rejection::NothingChanged)
    );
    let basis = Corrected {
        legal_basis: LegalBasisRef::new("regulations/12", 2),
        ..corrected(content())
    };
    assert!(
        given::<Record>([was_accepted()])
            .when(Command::Correct(basis.into()))
            .is_ok()
    );
}

#[test]
fn a_correction_does_not_make_it_another_record() {
    let mut other = corrected(pb::StoredContent {
        record_type: "administrative-licence".to_owned(),
        document_number: "罚〔2026〕2号".to_owned(),
        ..content()
    });
    other.subject = "cn-uscc:91110000710926094P".to_owned();
    let outcome = given::<Record>([was_accepted()]).when(Command::Correct(other.into()));
    let fields = [
        "record.subject",
        "record.record_type",
        "record.document_number",
    ];
    let fields = fields.map(str::to_owned).to_vec();
    assert_eq!(outcome, Err(Rejection::OtherRecord { fields }));
}

#[test]
fn nobody_but_its_department_changes_it() {
    let correction = Corrected {
        department: OTHER.to_owned(),
        ..corrected(other_name())
    };
    let outcome = given::<Record>([was_accepted()]).when(Command::Correct(correction.into()));
    assert_eq!(
        outcome,
        Err(Rejection::OtherDepartment {
            right: RIGHT_CORRECT
        })
    );
    let outcome = given::<Record>([was_accepted()]).when(withdraw(OTHER));
    assert_eq!(
        outcome,
        Err(Rejection::OtherDepartment {
            right: RIGHT_WITHDRAW
        })
    );
}

#[test]
fn what_does_not_exist_cannot_be_changed() {
    assert_eq!(
        given::<Record>([]).when(withdraw(BUREAU)),
        Err(Rejection::Unknown)
    );
    let correction = Command::Correct(corrected(content()).into());
    assert_eq!(
        given::<Record>([]).when(correction),
        Err(Rejection::Unknown)
    );
}

#[test]
fn a_withdrawal_carries_the_basis_and_the_type_and_is_the_end() {
    let Event::Withdrawn(event) = withdrawn() else {
        panic!("a withdrawal")
    };
    assert_eq!(event.legal_basis, LegalBasisRef::new("regulations/12", 1));
    assert_eq!(event.body.record_type, "administrative-penalty");
    assert_eq!(event.body.withdrawn_on, "2026-03-02");
    let ended = || given::<Record>([was_accepted(), withdrawn()]);
    assert!(ended().state.is_withdrawn());
    assert_eq!(ended().when(withdraw(BUREAU)), Err(Rejection::Withdrawn));
    let correction = Command::Correct(corrected(other_name()).into());
    assert_eq!(ended().when(correction), Err(Rejection::Withdrawn));
}

#[test]
fn every_event_survives_the_log() {
    let events = [
        was_accepted(),
        Event::Corrected(corrected(other_name()).into()),
        withdrawn(),
    ];
    for event in events {
        let encoded = Record::encode(&event);
        let envelope = tally_eventlog::pb::Envelope {
            event_type: encoded.event_type.to_owned(),
            subject: COMPANY.to_owned(),
            actor: Some(tally_eventlog::pb::Actor {
                department: BUREAU.to_owned(),
                ..Default::default()
            }),
            legal_basis: encoded
                .legal_basis
                .as_ref()
                .map(crate::codec::basis_to_proto),
            payload: encoded.payload,
            ..Default::default()
        };
        let recorded = tally_eventlog::event::Recorded {
            log: tally_service::logs::COLLECTION,
            log_id: uuid::Uuid::nil(),
            shard: tally_eventlog::shard::Shard(0),
            position: 0,
            recorded_at: Timestamp::UNIX_EPOCH,
            effective_at: encoded.effective_at,
            leaf: [0; 32],
            envelope,
        };
        assert_eq!(Record::decode(&recorded).expect("its own event"), event);
        assert!(crate::codec::EVENT_TYPES.contains(&encoded.event_type));
        let mut unknown = recorded;
        unknown.envelope.event_type = "tally.collection.v1.RecordScored".to_owned();
        assert!(Record::decode(&unknown).is_err());
    }
}

#[test]
fn refusals_say_what_to_do_and_whose_right_is_missing() {
    let fault = Fault::from(Rejection::OtherDepartment {
        right: RIGHT_CORRECT,
    });
    assert_eq!(fault.code(), tonic::Code::PermissionDenied);
    let different = Rejection::ExistsDifferent {
        fields: vec!["record.a".into(), "record.b".into()],
    };
    let named: Vec<String> = different
        .field_faults()
        .into_iter()
        .map(|fault| fault.field)
        .collect();
    assert_eq!(named, ["record.a", "record.b"]);
    assert_eq!(Fault::from(different).code(), tonic::Code::AlreadyExists);
    assert_eq!(
        Fault::from(Rejection::Unknown).code(),
        tonic::Code::NotFound
    );
    assert_eq!(
        Fault::from(Rejection::NothingChanged).reason(),
        "NOTHING_CHANGED"
    );
}
