//! Penalties and licences, a few of them repeated or faulty.

use std::collections::HashSet;

use jiff::civil::{Date, date};
use jiff::{Span, ToSpan as _};
use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IndexedRandom as _;
use tally_proto::tally::collection::v1::{Field, RecordContent};
use tally_proto::tally::log::v1::LegalBasisRef;

use super::{Expect, LISTED, Organisation, Push, RED, identifiers, is_red};
use crate::demo::cast::Dept;

/// Record type of penalties.
const PENALTY: &str = "administrative-penalty";
/// Record type of licences.
const LICENCE: &str = "administrative-licence";
/// Basis on which both are reported.
const BASIS: &str = "tally-credit-regulations/12";
/// A basis that has lapsed.
const LAPSED_BASIS: &str = "tally-interim-measures/3";

/// First day of the decisions; the last is [`SPAN_DAYS`] later, before the demo's first day.
const FIRST_DECISION: Date = date(2023, 3, 1);
const SPAN_DAYS: i64 = 1_080;

const SURNAMES: [&str; 12] = [
    "慕", "欧", "司", "诸", "尉", "闻", "濮", "淳", "钟", "令", "宇", "轩",
];
const GIVEN: [&str; 16] = [
    "沐", "宸", "汐", "玥", "珩", "翊", "晗", "霖", "钰", "瑾", "璇", "琰", "澜", "煜", "曦", "黛",
];

/// Makes the records of one department.
pub struct Maker<'a> {
    dept: Dept,
    organisations: &'a [Organisation],
    rng: Xoshiro256PlusPlus,
    secrets: &'a mut HashSet<String>,
    serial: u32,
}

impl<'a> Maker<'a> {
    /// Of that department, about these organisations.
    pub fn new(
        dept: Dept,
        organisations: &'a [Organisation],
        rng: Xoshiro256PlusPlus,
        secrets: &'a mut HashSet<String>,
    ) -> Self {
        Self {
            dept,
            organisations,
            rng,
            secrets,
            serial: 0,
        }
    }

    /// The record for which an organisation is going to be listed.
    pub fn ground(&mut self, index: usize) -> Push {
        let record = self.record(index, is_red(index));
        Push {
            record,
            expect: Expect::Accepted,
            personal: false,
        }
    }

    /// One more record; rarely a repeated or a faulty one.
    pub fn next(&mut self, before: &[Push]) -> Push {
        match self.rng.random_range(0..100) {
            0 => self.faulty(),
            1 | 2 => self.again(before),
            _ => self.plain(),
        }
    }

    fn plain(&mut self) -> Push {
        let licence = self.dept != Dept::Resources && self.rng.random_bool(0.6);
        // A penalty would open a proposal to take an honest taxpayer off its list.
        let first = if licence { 0 } else { RED };
        let index = self.rng.random_range(first..self.organisations.len());
        let mut record = self.record(index, licence);
        // Personal fields only where nobody is listed for it: keeps what is shown of listings plain.
        let personal = index >= LISTED && self.rng.random_range(0..8) == 0;
        if personal {
            self.add_person(&mut record, !licence);
        }
        Push {
            record,
            expect: Expect::Accepted,
            personal,
        }
    }

    fn again(&mut self, before: &[Push]) -> Push {
        let first: Vec<usize> = (0..before.len())
            .filter(|at| before[*at].expect == Expect::Accepted)
            .collect();
        let Some(of) = first.choose(&mut self.rng).copied() else {
            return self.plain();
        };
        let expect = if self.rng.random_bool(0.5) {
            Expect::Same { of }
        } else {
            Expect::Retried { of }
        };
        Push {
            expect,
            ..before[of].clone()
        }
    }

    fn faulty(&mut self) -> Push {
        let index = (LISTED..self.organisations.len())
            .find(|at| self.organisations[*at].subject.starts_with("cn-uscc:"))
            .unwrap_or(LISTED);
        let mut record = self.record(index, false);
        let kind = self.rng.random_range(0..6);
        match kind {
            0 => record.subject = identifiers::broken(&record.subject),
            1 => record.record_type = "hearsay".to_owned(),
            2 => record
                .fields
                .retain(|field| field.name != "penalty_category"),
            3 => record.legal_basis = basis(LAPSED_BASIS),
            4 => record.decided_on = "2030-01-01".to_owned(),
            _ => {
                record.subject = identifiers::broken(&record.subject);
                record.decided_on = "2025-02-30".to_owned();
                record.document_number = String::new();
                record.legal_basis = None;
            }
        }
        let faults_min = if kind == 5 { 4 } else { 1 };
        Push {
            record,
            expect: Expect::Refused { faults_min },
            personal: false,
        }
    }

    fn record(&mut self, index: usize, licence: bool) -> RecordContent {
        self.serial += 1;
        let decided_on = day(self.rng.random_range(0..SPAN_DAYS));
        let organisation = &self.organisations[index];
        let prefix = self.dept.document_prefix();
        let kind = if licence { "许" } else { "罚" };
        let document_number = format!("{prefix}{kind}〔{}〕{}号", decided_on.year(), self.serial);
        let fields = if licence {
            licence_fields(&organisation.name, self.serial, decided_on)
        } else {
            let fine_hundredths: u32 = self.rng.random_range(10..5_000);
            penalty_fields(&organisation.name, fine_hundredths, decided_on)
        };
        RecordContent {
            subject: organisation.subject.clone(),
            record_type: if licence { LICENCE } else { PENALTY }.to_owned(),
            document_number,
            decided_on: decided_on.to_string(),
            valid_from: decided_on.to_string(),
            valid_until: later(decided_on, 3.years()).to_string(),
            legal_basis: basis(BASIS),
            fields,
            check_id: String::new(),
        }
    }

    fn add_person(&mut self, record: &mut RecordContent, with_number: bool) {
        let mut part = |from: &[&'static str]| *from.choose(&mut self.rng).unwrap_or(&"佚");
        let name = format!("{}{}{}", part(&SURNAMES), part(&GIVEN), part(&GIVEN));
        self.secrets.insert(name.clone());
        record.fields.push(field("legal_representative", name));
        if with_number {
            let number = identifiers::resident_id(&mut self.rng);
            self.secrets.insert(number.clone());
            record.fields.push(field("legal_representative_id", number));
        }
    }
}

/// A serious record about an organisation, decided just before the demo's first day.
pub fn serious(organisation: &Organisation) -> RecordContent {
    let decided_on = date(2026, 2, 27);
    RecordContent {
        subject: organisation.subject.clone(),
        record_type: PENALTY.to_owned(),
        document_number: format!("{}罚〔2026〕特1号", Dept::Market.document_prefix()),
        decided_on: decided_on.to_string(),
        valid_from: decided_on.to_string(),
        valid_until: later(decided_on, 1.year()).to_string(),
        legal_basis: basis(BASIS),
        fields: penalty_fields(&organisation.name, 9_900, decided_on),
        check_id: String::new(),
    }
}

/// The record with another content of the penalty.
pub fn correction_of(record: &RecordContent) -> RecordContent {
    let mut corrected = record.clone();
    corrected.fields.retain(|field| field.name != "remarks");
    corrected
        .fields
        .push(field("remarks", "amount confirmed after review".to_owned()));
    corrected
}

fn penalty_fields(party: &str, fine_hundredths: u32, decided_on: Date) -> Vec<Field> {
    let fine = format!("{}.{:02}", fine_hundredths / 100, fine_hundredths % 100);
    vec![
        field("party_name", party.to_owned()),
        field(
            "violation_type",
            "operating without the required filing".to_owned(),
        ),
        field(
            "violation_facts",
            "found at an inspection of the premises".to_owned(),
        ),
        field(
            "penalty_ground",
            "Tally Province Credit Regulations".to_owned(),
        ),
        field("penalty_category", "fine".to_owned()),
        field(
            "penalty_content",
            format!("a fine of {fine} times ten thousand yuan"),
        ),
        field("fine", fine),
        field("published_until", later(decided_on, 1.year()).to_string()),
    ]
}

fn licence_fields(party: &str, serial: u32, decided_on: Date) -> Vec<Field> {
    vec![
        field("party_name", party.to_owned()),
        field("licence_category", "ordinary".to_owned()),
        field("certificate_name", "operating licence".to_owned()),
        field("certificate_number", format!("L-{serial:06}")),
        field(
            "licence_content",
            "retail trade in prepacked food".to_owned(),
        ),
        field("valid_from", decided_on.to_string()),
        field("valid_until", later(decided_on, 3.years()).to_string()),
    ]
}

fn field(name: &str, value: String) -> Field {
    Field {
        name: name.to_owned(),
        value,
    }
}

fn basis(id: &str) -> Option<LegalBasisRef> {
    Some(LegalBasisRef {
        id: id.to_owned(),
        version: 1,
    })
}

fn day(number: i64) -> Date {
    later(FIRST_DECISION, number.days())
}

fn later(from: Date, span: Span) -> Date {
    from.checked_add(span)
        .expect("years of this century stay within the calendar")
}
