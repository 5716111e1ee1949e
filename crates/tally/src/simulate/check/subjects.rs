//! What follows from listings, subject by subject: the directives that the
//! memoranda give, once each, in the order of the listing's events; a place in a
//! mailbox for each; a report due for each. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;

use super::faults::{FaultKind, Faults};

/// A measure and the department that it is asked of.
pub type Measured = (String, String);

/// Something about a subject.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SubjectRow {
    /// What it is.
    #[prost(enumeration = "About", tag = "1")]
    pub about: i32,
    /// Whom.
    #[prost(string, tag = "2")]
    pub subject: String,
    /// Shard.
    #[prost(uint32, tag = "3")]
    pub shard: u32,
    /// Position in its log, of a mailbox's item in that of `sanctions`.
    #[prost(uint64, tag = "4")]
    pub position: u64,
    /// Id of the event.
    #[prost(bytes = "bytes", tag = "5")]
    pub event: Bytes,
    /// Id of the event that it was drawn from.
    #[prost(bytes = "bytes", tag = "6")]
    pub cause: Bytes,
    /// The entry, where it is about one.
    #[prost(string, tag = "7")]
    pub entry: String,
    /// The directive, where it is about one.
    #[prost(string, tag = "8")]
    pub directive: String,
    /// Measure of a directive; list type of an entry of the ledger.
    #[prost(string, tag = "9")]
    pub what: String,
    /// Department of a directive or a mailbox; first day of an entry of the ledger.
    #[prost(string, tag = "10")]
    pub whose: String,
}

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum About {
    /// The ledger: an entry that was to be listed.
    Ours = 0,
    /// `lists`: the entry was listed.
    Listed = 1,
    /// `lists`: something else.
    OtherOfLists = 2,
    /// `sanctions`: a directive was made.
    Triggered = 3,
    /// `sanctions`: one was suspended, resumed or lifted.
    Changed = 4,
    /// `feedback`: a report is due.
    Due = 5,
    /// An item of a mailbox.
    Item = 6,
}

/// How much was judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consequences {
    /// Entries of the ledger that are listed.
    pub listings: u64,
    /// Directives that follow from them.
    pub directives: u64,
    /// Items of mailboxes.
    pub items: u64,
}

/// What the judgement goes by.
pub struct Rule<'a> {
    /// The directives that a listing on a list gives from a day on, by the pack alone.
    pub due: &'a dyn Fn(&str, &str) -> Vec<Measured>,
    /// Departments whose mailboxes were read.
    pub read: &'a BTreeSet<String>,
}

/// Judges all that is known of some subjects.
pub fn judge(
    rows: Vec<SubjectRow>,
    rule: &Rule<'_>,
    counts: &mut Consequences,
    faults: &mut Faults,
) {
    let mut subjects: BTreeMap<String, Vec<SubjectRow>> = BTreeMap::new();
    for row in rows {
        subjects.entry(row.subject.clone()).or_default().push(row);
    }
    for rows in subjects.into_values() {
        let subject = Subject::new(&rows);
        subject.follows_its_listings(rule, counts, faults);
        subject.is_in_order(faults);
        subject.is_delivered(rule, counts, faults);
        subject.is_reported_on(faults);
    }
}

/// All about one subject.
struct Subject<'a> {
    rows: &'a [SubjectRow],
    /// Entries of the ledger.
    ours: HashMap<&'a str, &'a SubjectRow>,
}

impl<'a> Subject<'a> {
    fn new(rows: &'a [SubjectRow]) -> Self {
        let ours = rows.iter().filter(|row| row.about() == About::Ours);
        Self {
            rows,
            ours: ours.map(|row| (row.entry.as_str(), row)).collect(),
        }
    }

    fn of(&self, about: About) -> impl Iterator<Item = &'a SubjectRow> {
        self.rows.iter().filter(move |row| row.about() == about)
    }

    fn follows_its_listings(
        &self,
        rule: &Rule<'_>,
        counts: &mut Consequences,
        faults: &mut Faults,
    ) {
        let mut directives: HashMap<&str, BTreeMap<Measured, u64>> = HashMap::new();
        for row in self.of(About::Triggered) {
            let of_entry = directives.entry(row.entry.as_str()).or_default();
            *of_entry
                .entry((row.what.clone(), row.whose.clone()))
                .or_default() += 1;
        }
        let listed: BTreeSet<&str> = self
            .of(About::Listed)
            .map(|row| row.entry.as_str())
            .collect();
        for (entry, ours) in &self.ours {
            let mut found = directives.remove(entry).unwrap_or_default();
            let due = match listed.contains(entry) {
                true => (rule.due)(&ours.what, &ours.whose),
                false => Vec::new(),
            };
            counts.listings += u64::from(listed.contains(entry));
            for measured in due {
                counts.directives += 1;
                let (measure, department) = &measured;
                let Some(left) = found.get_mut(&measured).filter(|left| **left > 0) else {
                    faults.add(FaultKind::Missing, || {
                        format!("entry {entry} gives {department} no directive of {measure}")
                    });
                    continue;
                };
                *left -= 1;
            }
            for ((measure, department), left) in found {
                for _ in 0..left {
                    faults.add(FaultKind::TooMany, || {
                        format!(
                            "entry {entry} gives {department} a directive of {measure} too many"
                        )
                    });
                }
            }
        }
    }

    /// What was drawn from one log is in its order; that of `feedback` from `sanctions`.
    fn is_in_order(&self, faults: &mut Faults) {
        let places = |abouts: &'static [About]| -> HashMap<&'a Bytes, u64> {
            let rows = self.rows.iter().filter(|row| abouts.contains(&row.about()));
            rows.map(|row| (&row.event, row.position)).collect()
        };
        let lists = places(&[About::Listed, About::OtherOfLists]);
        let sanctions = places(&[About::Triggered, About::Changed]);
        let drawn = |abouts: &'static [About]| {
            let rows = self
                .rows
                .iter()
                .filter(move |row| abouts.contains(&row.about()));
            let mut rows: Vec<&SubjectRow> = rows.collect();
            rows.sort_by_key(|row| row.position);
            rows
        };
        let chains = [
            (
                "sanctions",
                drawn(&[About::Triggered, About::Changed]),
                lists,
            ),
            ("feedback", drawn(&[About::Due]), sanctions),
        ];
        for (log, drawn, causes) in chains {
            let mut latest = 0;
            for row in drawn {
                let directive = &row.directive;
                match causes.get(&row.cause) {
                    Some(position) if *position < latest => faults.add(FaultKind::Order, || {
                        format!(
                            "{log}/{}/{} about directive {directive} was drawn from position {position}, after one from {latest}",
                            row.shard, row.position
                        )
                    }),
                    Some(position) => latest = *position,
                    None if row.about() == About::Changed => {}
                    None => faults.add(FaultKind::TooMany, || {
                        format!(
                            "{log}/{}/{} about directive {directive} was drawn from nothing that is there",
                            row.shard, row.position
                        )
                    }),
                }
            }
        }
    }

    fn is_delivered(&self, rule: &Rule<'_>, counts: &mut Consequences, faults: &mut Faults) {
        let mut items: HashMap<(&str, u64), u64> = HashMap::new();
        for item in self.of(About::Item) {
            counts.items += 1;
            *items
                .entry((item.directive.as_str(), item.position))
                .or_default() += 1;
        }
        let said = self.of(About::Triggered).chain(self.of(About::Changed));
        for row in said.filter(|row| rule.read.contains(&row.whose)) {
            let (directive, position) = (row.directive.as_str(), row.position);
            match items.remove(&(directive, position)) {
                Some(1) => {}
                Some(times) => faults.add(FaultKind::Twice, || {
                    format!("{times} items of mailboxes say what position {position} does of directive {directive}")
                }),
                None => faults.add(FaultKind::Missing, || {
                    format!("no item of {}'s mailbox says what position {position} does of directive {directive}", row.whose)
                }),
            }
        }
        for (directive, position) in items.into_keys() {
            faults.add(FaultKind::TooMany, || {
                format!("an item of a mailbox says of directive {directive} what position {position} does not")
            });
        }
    }

    fn is_reported_on(&self, faults: &mut Faults) {
        let mut due: HashMap<&str, u64> = HashMap::new();
        for row in self.of(About::Due) {
            *due.entry(row.directive.as_str()).or_default() += 1;
        }
        for row in self.of(About::Triggered) {
            let directive = &row.directive;
            match due.get(directive.as_str()) {
                Some(1) => {}
                Some(times) => faults.add(FaultKind::Twice, || {
                    format!("a report on directive {directive} is due {times} times")
                }),
                None => faults.add(FaultKind::Missing, || {
                    format!("no report on directive {directive} is due")
                }),
            }
        }
    }
}

#[cfg(test)]
mod tests;
