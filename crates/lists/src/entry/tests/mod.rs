//! Every transition, and every refusal of one.

mod ending;
mod fixing;
mod listing;
mod nominating;

use jiff::civil::date;
use tally_domain::calendar::Deadline;
use tally_domain::legal::InForce;
use tally_domain::policy::{BasisFault, ListPolarity, ListType, SharedWith, TermRule};
use tally_domain::subject::SubjectType;
use tally_eventlog::aggregate::{Given, given};
use tally_rpc::Fault;

use super::*;
use crate::testing::*;

fn entry<const N: usize>(events: [Event; N]) -> Given<Entry> {
    given::<Entry>(events)
}

fn list_type() -> ListType {
    ListType {
        id: "serious-violation".into(),
        version: 1,
        name: "Serious violations".into(),
        name_zh: None,
        polarity: ListPolarity::Black,
        initiators: vec![department(PROVINCE), department(CITY)],
        shared_with: SharedWith::All,
        grounds: vec!["administrative-penalty".into()],
        legal_basis: basis(),
        subject_types: vec![SubjectType::Organisation],
        natural_person_basis: None,
        term: Some(TermRule::Explicit {
            months_max: Some(36),
        }),
        representation_working_days: 5,
        published: true,
        in_force: InForce::new(date(2005, 1, 1), None).expect("in order"),
    }
}

fn nominate() -> Nominate {
    Nominate {
        by: officer(CITY, 1),
        subject: SUBJECT.parse().expect("valid"),
        list_type: Some(list_type()),
        ground_record_id: RECORD_ID.into(),
        ground: Some(Ground {
            subject: SUBJECT.into(),
            record_type: "administrative-penalty".into(),
            document_number: "Penalty 1".into(),
            withdrawn: false,
        }),
        criterion: "repeated evasion".into(),
        basis: basis(),
        basis_verdict: Ok(()),
        term_from: term().from,
        term_until: term().until,
        today: date(2026, 3, 2),
        pack_version: "2026.1".into(),
        at: noon(),
    }
}

fn refused(nominate: Nominate) -> Vec<&'static str> {
    match entry([]).when(Command::Nominate(Box::new(nominate))) {
        Err(Rejection::Invalid(faults)) => faults.iter().map(|fault| fault.reason).collect(),
        other => panic!("expected faults of the message, got {other:?}"),
    }
}

fn notify(by: Officer, polarity: ListPolarity, today: LegalDate) -> Command {
    Command::Notify {
        by,
        polarity,
        notice: notice(),
        today,
        at: noon(),
    }
}

fn check(polarity: ListPolarity) -> ListingCheck {
    ListingCheck {
        polarity,
        list_type_open: true,
        basis: Ok(()),
        ground_withdrawn: false,
        representation_until: Some(date(2026, 3, 9)),
        term_starts_at: at("2026-01-04T16:00:00Z"),
    }
}

fn list(by: Officer, check: ListingCheck, today: LegalDate) -> Command {
    Command::List {
        by,
        decision: document("Listing 5"),
        check: Box::new(check),
        today,
        at: noon(),
    }
}

fn object(by: Officer, province_level: bool) -> Command {
    Command::AcceptObjection {
        by,
        province_level,
        objection: document("Objection 1"),
        at: noon(),
    }
}

fn uphold(by: Officer) -> Command {
    uphold_on(ListPolarity::Black, by)
}

fn uphold_on(polarity: ListPolarity, by: Officer) -> Command {
    Command::Uphold {
        by,
        polarity,
        decision: decision(),
        at: noon(),
    }
}

fn correct_out(by: Officer) -> Command {
    correct_out_of(ListPolarity::Black, by)
}

fn correct_out_of(polarity: ListPolarity, by: Officer) -> Command {
    Command::CorrectOut {
        by,
        polarity,
        decision: decision(),
    }
}

fn remove(by: Officer) -> Command {
    remove_from(ListPolarity::Black, by)
}

fn remove_from(polarity: ListPolarity, by: Officer) -> Command {
    Command::Remove {
        by,
        polarity,
        decision: decision(),
        at: noon(),
    }
}

fn request_removal(polarity: ListPolarity, by: Officer) -> Command {
    Command::RequestRemoval {
        by,
        polarity,
        request: decision(),
        at: noon(),
    }
}

fn expire(today: LegalDate) -> Command {
    Command::Expire {
        today,
        at: at("2027-01-04T16:00:00Z"),
    }
}

fn propose(record_id: &str) -> Command {
    let record_type = "administrative-penalty".to_owned();
    Command::ProposeRemoval {
        record_id: record_id.into(),
        record_type,
        at: noon(),
    }
}

const AFTER: LegalDate = date(2026, 3, 10);
const BEFORE: LegalDate = date(2026, 3, 9);
