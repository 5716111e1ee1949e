//! What the clients know by themselves, to compare the server's answers with.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};
use tally_proto::tally::feedback::v1::ReportedOutcome;
use tally_proto::tally::log::v1::{Cursor, ShardCursor};
use tally_proto::tally::sanctions::v1::{DecisionVerdict, Directive, LiftReason};

use super::content::{Plan, Special};
use super::counts::RecordCounts;
use super::schedule::Schedule;
use super::world::{Dept, World};

/// How the subject of a black listing answers its notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It states that it has nothing to say.
    Waived,
    /// It answers in a document.
    Document,
    /// It does not answer: the days for it have to pass.
    None,
}

/// Where a listing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Not yet listed.
    Nominated,
    /// Listed.
    Listed,
    /// An objection was accepted.
    Suspended,
    /// Corrected out, removed or expired.
    Ended,
}

/// One of the listings.
#[derive(Debug, Clone)]
pub struct Listing {
    /// Place in the plan.
    pub index: usize,
    /// Whom.
    pub subject: String,
    /// Which list.
    pub list_type: String,
    /// True for a red list.
    pub red: bool,
    /// By whom.
    pub initiator: Dept,
    /// How its subject answers.
    pub answer: Answer,
    /// True if nothing special happens to it.
    pub ordinary: bool,
    /// First day of its term.
    pub term_from: Date,
    /// Last day of its term; none: no end.
    pub term_until: Option<Date>,
    /// Its id, once it is nominated.
    pub entry_id: String,
    /// Where it stands.
    pub standing: Standing,
}

impl Listing {
    /// True if it has effect on that day.
    pub fn in_force_on(&self, day: Date) -> bool {
        self.standing == Standing::Listed && self.holds_on(day)
    }

    /// True if that day is within its term.
    pub fn holds_on(&self, day: Date) -> bool {
        self.term_from <= day && self.term_until.is_none_or(|until| day <= until)
    }
}

/// How a department handles a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Temperament {
    /// Acknowledges, checks, executes, reports.
    Prompt,
    /// Acknowledges, declines with its grounds, reports that.
    Declining,
    /// Acknowledges, and leaves it there.
    Slow,
    /// Does nothing.
    Silent,
}

/// How far the report on a directive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// None was made.
    None,
    /// Made.
    Submitted,
    /// Accepted by the initiator.
    Accepted,
    /// Returned by the initiator.
    Returned,
}

/// What its department knows of a directive.
#[derive(Debug, Clone)]
pub struct Note {
    /// As it was received.
    pub directive: Directive,
    /// Responding department.
    pub dept: Dept,
    /// The listing: place in the ledger.
    pub listing: usize,
    /// How the department handles it.
    pub temperament: Temperament,
    /// The check before it was executed.
    pub check_id: String,
    /// What was reported.
    pub outcome: Option<ReportedOutcome>,
    /// How far the report is.
    pub report: Report,
    /// Reports made, amended ones included.
    pub submissions: u64,
    /// Reports returned.
    pub returns: u64,
    /// True while the mailbox last said to stop.
    pub suspended: bool,
    /// Why it was lifted, once it was.
    pub lifted: Option<LiftReason>,
    /// It was lifted before any report.
    pub closed: bool,
    /// The report was overdue.
    pub escalated: bool,
}

/// What a department has read from its mailbox, and what it did.
#[derive(Debug, Clone, Default)]
pub struct Book {
    /// Where it goes on reading.
    pub cursor: Cursor,
    /// Items read.
    pub items: u64,
    /// Items whose number did not follow the one before.
    pub gaps: u64,
    /// Its directives, by id.
    pub notes: BTreeMap<String, Note>,
    /// Checks that were answered.
    pub checks: u64,
}

impl Book {
    /// Moves on behind an item.
    pub fn advance(&mut self, log_id: bytes::Bytes, at: ShardCursor) {
        self.items += 1;
        self.cursor.log_id = log_id;
        let shards = &mut self.cursor.shards;
        let known = shards.iter_mut().find(|known| known.shard == at.shard);
        let before = known.as_ref().map_or(0, |known| known.number);
        self.gaps += u64::from(at.number != before + 1);
        match known {
            Some(known) => *known = at,
            None => shards.push(at),
        }
    }
}

/// What the clients know.
#[derive(Debug)]
pub struct Ledger {
    /// Per department, the record ids by place in its pushes.
    pub record_ids: Vec<Vec<String>>,
    /// By department and record type.
    pub records: BTreeMap<(Dept, String), RecordCounts>,
    /// Decisions that need a check first, by department and what their citation is worth.
    pub decisions: BTreeMap<(Dept, DecisionVerdict), u64>,
    /// The listings.
    pub listings: Vec<Listing>,
    /// The special ones among them.
    pub special: Special,
    /// Per department.
    pub books: Vec<Book>,
    /// When the wrong listing was corrected out.
    pub corrected_at: Option<Timestamp>,
    /// When the first entry was nominated.
    pub nominated_at: Option<Timestamp>,
}

impl Ledger {
    /// Before anything has happened.
    pub fn new(world: &World, plan: &Plan, schedule: &Schedule) -> Self {
        let special = plan.special;
        let listing = |(index, planned): (usize, &super::content::Planned)| {
            let answer = match answer(index, special) {
                // Nobody waits for a subject that has more days for its answer than that.
                Answer::None if !schedule.has_passed_by_second(world, &planned.list_type) => {
                    Answer::Document
                }
                answer => answer,
            };
            let at_once = planned.red || answer != Answer::None;
            let term_from = match at_once {
                true => schedule.first,
                false => schedule.second,
            };
            let Special {
                removed,
                wrong,
                upheld,
                short,
                open,
            } = special;
            Listing {
                index,
                subject: plan.organisations[index].subject.clone(),
                list_type: planned.list_type.clone(),
                red: planned.red,
                initiator: planned.initiator,
                answer,
                ordinary: ![removed, wrong, upheld, short, open].contains(&index),
                term_from,
                term_until: match index {
                    _ if planned.red => None,
                    _ if index == short => Some(schedule.short_until),
                    // A year is a term that every list of the pack allows.
                    _ => term_from.checked_add(1.year()).ok(),
                },
                entry_id: String::new(),
                standing: Standing::Nominated,
            }
        };
        let departments = world.depts().len();
        Self {
            record_ids: vec![Vec::new(); departments],
            records: BTreeMap::new(),
            decisions: BTreeMap::new(),
            listings: plan.listings.iter().enumerate().map(listing).collect(),
            special,
            books: vec![Book::default(); departments],
            corrected_at: None,
            nominated_at: None,
        }
    }

    /// Ids of the entries that have effect for a subject on a day.
    pub fn in_force(&self, subject: &str, day: Date) -> Vec<&Listing> {
        let listings = self.listings.iter();
        let of_subject = listings.filter(|listing| listing.subject == subject);
        of_subject
            .filter(|listing| listing.in_force_on(day))
            .collect()
    }

    /// What is known of every directive.
    pub fn notes(&self) -> impl Iterator<Item = &Note> {
        self.books.iter().flat_map(|book| book.notes.values())
    }

    /// The notes on a listing's directives.
    pub fn notes_of(&self, listing: usize) -> impl Iterator<Item = &Note> {
        self.notes().filter(move |note| note.listing == listing)
    }

    /// Checks that were answered.
    pub fn checks(&self) -> u64 {
        self.books.iter().map(|book| book.checks).sum()
    }
}

/// How the subject of that listing answers.
fn answer(index: usize, special: Special) -> Answer {
    match index {
        _ if [special.wrong, special.upheld].contains(&index) => Answer::Waived,
        _ if index == special.short => Answer::None,
        _ => [Answer::Waived, Answer::Document, Answer::None][index % 3],
    }
}

/// How a department handles the directive of a listing and measure. Nothing is
/// declined where something special happens to the entry, so that there is
/// always something to take back.
pub fn temperament(world: &World, listing: &Listing, dept: Dept, measure: &str) -> Temperament {
    use Temperament::{Declining, Prompt, Silent, Slow};
    let measures = world.pack.measures.keys();
    let measure = measures.take_while(|id| *id != measure).count();
    let turn = listing.index * 5 + dept.index() * 3 + measure;
    if !listing.ordinary {
        return [Prompt, Slow, Prompt, Silent][turn % 4];
    }
    let pattern = [
        Prompt, Declining, Prompt, Slow, Prompt, Silent, Prompt, Prompt,
    ];
    pattern[turn % pattern.len()]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::demo::content::{ORGANISATIONS_MIN, RECORDS_MIN};
    use crate::demo::world::province;

    fn ledger() -> Ledger {
        let (world, days) = (province(), Schedule::default());
        let plan = Plan::new(&world, days.first, 1, ORGANISATIONS_MIN, RECORDS_MIN);
        Ledger::new(&world, &plan, &days)
    }

    #[test]
    fn every_temperament_and_every_answer_occurs() {
        let (world, ledger) = (province(), ledger());
        let of = |listing: &Listing| -> BTreeSet<Temperament> {
            let due = world.directives_due(&listing.list_type, listing.term_from);
            due.iter()
                .map(|due| temperament(&world, listing, due.dept, &due.measure))
                .collect()
        };
        let all: BTreeSet<_> = ledger.listings.iter().flat_map(of).collect();
        assert_eq!(all.len(), 4);
        let wrong = &ledger.listings[ledger.special.wrong];
        assert!(of(wrong).is_superset(&[Temperament::Prompt, Temperament::Slow].into()));
        for answer in [Answer::Waived, Answer::Document, Answer::None] {
            assert!(
                ledger
                    .listings
                    .iter()
                    .any(|listing| listing.answer == answer)
            );
        }
    }

    #[test]
    fn terms_are_those_that_the_lists_allow() {
        let (world, ledger) = (province(), ledger());
        for listing in &ledger.listings {
            let list = world.pack.list_type(&listing.list_type).expect("a list");
            match list.term {
                None => assert_eq!(listing.term_until, None),
                Some(rule) => {
                    let checked = rule.check(listing.term_from, listing.term_until);
                    assert_eq!(checked, Ok(()), "{}", listing.list_type);
                }
            }
        }
    }

    #[test]
    fn a_missing_number_is_a_gap() {
        let mut book = Book::default();
        let at = |number| ShardCursor {
            shard: 2,
            number,
            ..Default::default()
        };
        book.advance(bytes::Bytes::new(), at(1));
        book.advance(bytes::Bytes::new(), at(2));
        assert_eq!(book.gaps, 0);
        book.advance(bytes::Bytes::new(), at(4));
        assert_eq!((book.gaps, book.items, book.cursor.shards.len()), (1, 3, 1));
    }

    #[test]
    fn an_entry_has_effect_within_its_term_only() {
        let ledger = ledger();
        let mut listing = ledger.listings[ledger.special.short].clone();
        let days = Schedule::default();
        assert!(!listing.in_force_on(days.second));
        listing.standing = Standing::Listed;
        assert!(!listing.in_force_on(days.first));
        assert!(listing.in_force_on(days.short_until));
        assert!(!listing.in_force_on(days.expiry));
    }
}
