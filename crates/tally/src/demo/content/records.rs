//! Records of every type that a department reports, a few of them late,
//! repeated or faulty.

use std::collections::{HashMap, HashSet};

use jiff::civil::{Date, date};
use jiff::{Span, ToSpan as _};
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use tally_domain::policy::{Backfill, FieldKind, FieldRule, RecordType};
use tally_proto::tally::collection::v1::{Field, RecordContent};
use tally_proto::tally::log::v1::LegalBasisRef;

use super::{Expect, LISTED, Organisation, Planned, Push, identifiers, is_about_government};
use crate::demo::world::{Dept, Timing, World};

/// Days before the push on which decisions are taken.
const DAYS: i64 = 120;

/// Every so many records names a person, where its type has a place for one.
const PERSONAL_EVERY: u32 = 8;

const SURNAMES: [&str; 12] = [
    "慕", "欧", "司", "诸", "尉", "闻", "濮", "淳", "钟", "令", "宇", "轩",
];
const GIVEN: [&str; 16] = [
    "沐", "宸", "汐", "玥", "珩", "翊", "晗", "霖", "钰", "瑾", "璇", "琰", "澜", "煜", "曦", "黛",
];

/// Which of the values that the catalogue offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pick {
    /// The first, which is the best where they are in an order.
    First,
    /// The last.
    Last,
    /// Any.
    Any,
}

/// Days of decision for a type of record.
#[derive(Debug, Default)]
struct Days {
    in_time: Vec<Date>,
    late: Vec<Date>,
}

/// Makes the records of one department.
pub struct Maker<'a> {
    world: &'a World,
    dept: Dept,
    today: Date,
    items: Vec<&'a RecordType>,
    days: HashMap<&'a str, Days>,
    companies: Vec<usize>,
    government: Vec<usize>,
    organisations: &'a [Organisation],
    rng: Xoshiro256PlusPlus,
    serial: u32,
    /// Names and numbers of persons in what was made.
    pub secrets: HashSet<String>,
}

impl<'a> Maker<'a> {
    /// Of that department, about these organisations, pushed on `today`.
    pub fn new(
        world: &'a World,
        dept: Dept,
        today: Date,
        organisations: &'a [Organisation],
        rng: Xoshiro256PlusPlus,
    ) -> Self {
        let items: Vec<&RecordType> = world.reported_by(dept).collect();
        let mut days = HashMap::new();
        for item in &items {
            let of_item: &mut Days = days.entry(item.id.as_str()).or_default();
            for before in 1..DAYS {
                let day = earlier(today, before.days());
                match world.timing(item, day, today) {
                    Timing::InTime => of_item.in_time.push(day),
                    Timing::Late => of_item.late.push(day),
                    Timing::Backfill => {}
                }
            }
        }
        let (government, companies) =
            (0..organisations.len()).partition(|at| organisations[*at].government);
        Self {
            world,
            dept,
            today,
            items,
            days,
            companies,
            government,
            organisations,
            rng,
            serial: 0,
            secrets: HashSet::new(),
        }
    }

    /// The record for which an organisation is going to be listed.
    pub fn ground(&mut self, index: usize, planned: &Planned) -> Push {
        let item = self.item(&planned.ground_type);
        let pick = if planned.red { Pick::First } else { Pick::Last };
        let decided_on = self.decision(item);
        let record = self.record(item, index, decided_on, pick);
        self.push(item, record, Expect::Accepted)
    }

    /// One more record; rarely a repeated or a faulty one.
    pub fn next(&mut self, before: &[Push]) -> Push {
        match self.rng.random_range(0..100) {
            0 => self.faulty(),
            1 | 2 => self.again(before),
            _ => self.any(),
        }
    }

    /// A record of any type that the department reports, about nobody in particular.
    pub fn any(&mut self) -> Push {
        let item = self.any_item();
        self.plain(item)
    }

    /// A record of that type about nobody in particular.
    pub fn plain(&mut self, item: &'a RecordType) -> Push {
        let index = self.subject(item);
        let decided_on = self.decision(item);
        let mut record = self.record(item, index, decided_on, Pick::Any);
        // Personal fields only where nobody is listed for it: keeps what is shown of listings plain.
        if index >= LISTED && self.serial.is_multiple_of(PERSONAL_EVERY) {
            self.add_person(item, &mut record);
        }
        self.push(item, record, Expect::Accepted)
    }

    /// A record of that type about a subject that has a code, and naming nobody.
    pub fn for_table(&mut self, item: &'a RecordType) -> Push {
        let index = self.subject_with_code(item);
        let decided_on = self.decision(item);
        let record = self.record(item, index, decided_on, Pick::Any);
        self.push(item, record, Expect::Accepted)
    }

    /// A serious record about that organisation, decided just before; nothing
    /// if the department reports none.
    pub fn serious(&mut self, index: usize) -> Option<(Dept, RecordContent)> {
        let item = *self.items.iter().find(|item| item.serious)?;
        let decided_on = earlier(self.today, 3.days());
        Some((self.dept, self.record(item, index, decided_on, Pick::Any)))
    }

    /// The type of that id, which the department reports.
    pub fn item(&self, id: &str) -> &'a RecordType {
        let found = self.items.iter().find(|item| item.id == id);
        found.expect("asked for types that the department reports")
    }

    fn push(&self, item: &RecordType, record: RecordContent, expect: Expect) -> Push {
        let personal = record.fields.iter().any(|field| {
            let rule = item.field(&field.name);
            rule.is_some_and(|rule| rule.kind.is_personal())
        });
        Push {
            timing: self.world.timing_of(&record, self.today),
            record,
            expect,
            personal,
        }
    }

    /// Half of all are of the forms that are public: licences and penalties.
    fn any_item(&mut self) -> &'a RecordType {
        let world = self.world;
        let public = |item: &&&RecordType| world.pack.forms_for(&item.id).next().is_some();
        let public: Vec<&RecordType> = self.items.iter().filter(public).copied().collect();
        let from = match self.rng.random_bool(0.5) && !public.is_empty() {
            true => &public,
            false => &self.items,
        };
        from.choose(&mut self.rng)
            .expect("every department reports something")
    }

    fn subject(&mut self, item: &RecordType) -> usize {
        let about_government = is_about_government(self.world, &item.id);
        let from = match about_government {
            true => &self.government,
            false => &self.companies,
        };
        loop {
            let at = *from.choose(&mut self.rng).expect("there are both kinds");
            // A serious record about anyone who is listed would have officers look at the entry again.
            if !item.serious || at >= LISTED {
                return at;
            }
        }
    }

    fn subject_with_code(&mut self, item: &RecordType) -> usize {
        loop {
            let at = self.subject(item);
            if self.organisations[at].subject.starts_with("cn-uscc:") {
                return at;
            }
        }
    }

    /// The day of a decision: rarely one whose term is over, or from before the
    /// beginning where such are taken.
    fn decision(&mut self, item: &RecordType) -> Date {
        let days = &self.days[item.id.as_str()];
        let (rng, today) = (&mut self.rng, self.today);
        match (rng.random_range(0..40), item.collected_from, item.backfill) {
            (0, Some(from), Some(Backfill::StillValid)) => {
                earlier(from, rng.random_range(1..400).days())
            }
            (1..=3, ..) => *days.late.choose(rng).unwrap_or(&today),
            _ => *days.in_time.choose(rng).unwrap_or(&today),
        }
    }

    fn again(&mut self, before: &[Push]) -> Push {
        let first: Vec<usize> = (0..before.len())
            .filter(|at| before[*at].expect == Expect::Accepted)
            .collect();
        let Some(of) = first.choose(&mut self.rng).copied() else {
            return self.any();
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
        let item = self.any_item();
        let index = self.subject_with_code(item);
        let decided_on = self.decision(item);
        let mut record = self.record(item, index, decided_on, Pick::Any);
        let kind = self.rng.random_range(0..7);
        match kind {
            0 => record.subject = identifiers::broken(&record.subject),
            1 => record.record_type = "hearsay".to_owned(),
            2 => {
                let required = item.fields.iter().find(|rule| rule.required);
                let required = required.map_or("", |rule| &rule.name);
                record.fields.retain(|field| field.name != required);
            }
            3 => record.legal_basis = self.lapsed_basis(),
            4 => record.decided_on = "2030-01-01".to_owned(),
            5 => record.fields.push(field("rumour", "it is said".to_owned())),
            _ => {
                record.subject = identifiers::broken(&record.subject);
                record.decided_on = "2025-02-30".to_owned();
                record.document_number = String::new();
                record.legal_basis = None;
            }
        }
        let faults_min = if kind == 6 { 4 } else { 1 };
        self.push(item, record, Expect::Refused { faults_min })
    }

    /// A basis that is law no more.
    fn lapsed_basis(&self) -> Option<LegalBasisRef> {
        let mut bases = self.world.pack.legal_bases.values();
        let lapsed = bases.find(|basis| !basis.in_force.contains(self.today))?;
        Some(to_proto(&lapsed.reference()))
    }

    fn record(
        &mut self,
        item: &RecordType,
        index: usize,
        decided_on: Date,
        pick: Pick,
    ) -> RecordContent {
        self.serial += 1;
        let organisation = &self.organisations[index];
        let mut fields = Vec::new();
        for rule in item.fields.iter().filter(|rule| !rule.kind.is_personal()) {
            // What may be left out is, but for amounts, of which half are given.
            let given = rule.required || rule.kind == FieldKind::Money && self.rng.random_bool(0.5);
            if given {
                let value = self.value(rule, organisation, decided_on, pick);
                fields.push(field(&rule.name, value));
            }
        }
        let (year, serial) = (decided_on.year(), self.serial);
        // Old decisions are reported where they are still valid, years later.
        let lately = decided_on.max(earlier(self.today, 1.year()));
        RecordContent {
            subject: organisation.subject.clone(),
            record_type: item.id.clone(),
            document_number: format!("示例{}〔{year}〕{serial}号", self.dept.index() + 1),
            decided_on: decided_on.to_string(),
            valid_from: decided_on.to_string(),
            valid_until: later(lately, 3.years()).to_string(),
            legal_basis: Some(to_proto(&item.legal_basis)),
            fields,
            check_id: String::new(),
        }
    }

    fn value(
        &mut self,
        rule: &FieldRule,
        organisation: &Organisation,
        decided_on: Date,
        pick: Pick,
    ) -> String {
        let choice = match pick {
            Pick::First => rule.choices.first(),
            Pick::Last => rule.choices.last(),
            Pick::Any => rule.choices.choose(&mut self.rng),
        };
        if let Some(choice) = choice {
            return choice.clone();
        }
        let department = self.world.department(self.dept);
        match (rule.kind, rule.name.as_str()) {
            (FieldKind::Identifier, _) => format!("cn-uscc:{}", department.id),
            (FieldKind::Date, _) => later(decided_on, 60.days()).to_string(),
            (FieldKind::Integer, "year") => decided_on.year().to_string(),
            (FieldKind::Integer, _) => self.rng.random_range(1..300).to_string(),
            (FieldKind::Money, _) => {
                let hundredths: u32 = self.rng.random_range(10..5_000);
                format!("{}.{:02}", hundredths / 100, hundredths % 100)
            }
            (_, "party_name") => organisation.name.clone(),
            (_, "authority" | "source" | "buyer") => department.name.clone(),
            (_, name) => format!("{} no. {}", name.replace('_', " "), self.serial),
        }
    }

    fn add_person(&mut self, item: &RecordType, record: &mut RecordContent) {
        for rule in &item.fields {
            let value = match rule.kind {
                FieldKind::PersonalText => self.name(),
                FieldKind::PersonalId => identifiers::resident_id(&mut self.rng),
                _ => continue,
            };
            self.secrets.insert(value.clone());
            record.fields.push(field(&rule.name, value));
        }
    }

    fn name(&mut self) -> String {
        let mut part = |from: &[&'static str]| *from.choose(&mut self.rng).unwrap_or(&"佚");
        format!("{}{}{}", part(&SURNAMES), part(&GIVEN), part(&GIVEN))
    }
}

/// A record of that type in which the department reports what it decided on
/// `today` about one of the organisations.
pub fn decision_of(
    world: &World,
    dept: Dept,
    record_type: &str,
    today: Date,
    organisations: &[Organisation],
    about: usize,
) -> RecordContent {
    let rng = Xoshiro256PlusPlus::seed_from_u64(about as u64);
    let mut maker = Maker::new(world, dept, today, organisations, rng);
    let item = maker.item(record_type);
    maker.record(item, about, today, Pick::Any)
}

fn field(name: &str, value: String) -> Field {
    Field {
        name: name.to_owned(),
        value,
    }
}

fn to_proto(basis: &tally_domain::legal::LegalBasisRef) -> LegalBasisRef {
    LegalBasisRef {
        id: basis.id.clone(),
        version: basis.version,
    }
}

fn later(from: Date, span: Span) -> Date {
    from.checked_add(span).unwrap_or(date(9999, 12, 31))
}

fn earlier(from: Date, span: Span) -> Date {
    from.checked_sub(span).unwrap_or(date(1, 1, 1))
}
