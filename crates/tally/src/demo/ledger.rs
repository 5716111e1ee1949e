//! What the clients know by themselves, to compare the server's answers with.

use std::collections::BTreeMap;

use jiff::civil::Date;
use tally_domain::policy::Pack;
use tally_proto::tally::feedback::v1::ReportedOutcome;
use tally_proto::tally::log::v1::{Cursor, ShardCursor};
use tally_proto::tally::sanctions::v1::{Directive, LiftReason};

use super::cast::Dept;
use super::content::{self, LISTED, Plan, RED};
use super::schedule::Schedule;

/// Listed in error: its objection leads to a correction.
pub const WRONG: usize = RED;
/// Its objection is without ground: the listing is upheld.
pub const UPHELD: usize = RED + 1;
/// Its term ends within the demo.
pub const SHORT: usize = RED + 2;
/// Taken off the red list after a serious new record.
pub const REMOVED: usize = 0;

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
    pub list_type: &'static str,
    /// By whom.
    pub initiator: Dept,
    /// How its subject answers.
    pub answer: Answer,
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
    /// True for the red list.
    pub fn is_red(&self) -> bool {
        content::is_red(self.index)
    }

    /// True if nothing special happens to it.
    pub fn is_ordinary(&self) -> bool {
        ![WRONG, UPHELD, SHORT, REMOVED].contains(&self.index)
    }

    /// True if it has effect on that day.
    pub fn in_force_on(&self, day: Date) -> bool {
        self.standing == Standing::Listed
            && self.term_from <= day
            && self.term_until.is_none_or(|until| day <= until)
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

/// What a department has read from its mailbox.
#[derive(Debug, Clone, Default)]
pub struct Mailbox {
    /// Where it goes on reading.
    pub cursor: Cursor,
    /// Items read.
    pub items: u64,
    /// Items whose number did not follow the one before.
    pub gaps: u64,
}

impl Mailbox {
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

/// Records of one department and type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecordCounts {
    /// Accepted.
    pub accepted: u64,
    /// Corrected.
    pub corrected: u64,
    /// Withdrawn.
    pub withdrawn: u64,
}

/// What the clients know.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Per department, the record ids by place in its pushes.
    pub record_ids: [Vec<String>; 3],
    /// By department's id and record type.
    pub records: BTreeMap<(String, String), RecordCounts>,
    /// The listings.
    pub listings: Vec<Listing>,
    /// Per department.
    pub mailboxes: [Mailbox; 3],
    /// By directive id.
    pub notes: BTreeMap<String, Note>,
    /// Checks that were answered.
    pub checks: u64,
    /// When the wrong listing was corrected out.
    pub corrected_at: Option<jiff::Timestamp>,
    /// When the first entry was nominated.
    pub nominated_at: Option<jiff::Timestamp>,
}

impl Ledger {
    /// Before anything has happened.
    pub fn new(plan: &Plan, schedule: &Schedule) -> Self {
        let listing = |index: usize| {
            let answer = answer(index);
            let first = content::is_red(index) || answer != Answer::None;
            Listing {
                index,
                subject: plan.organisations[index].subject.clone(),
                list_type: if content::is_red(index) {
                    "honest-taxpayer"
                } else {
                    "serious-violation"
                },
                initiator: content::initiator(index),
                answer,
                term_from: if first {
                    schedule.first
                } else {
                    schedule.second
                },
                term_until: match index {
                    _ if content::is_red(index) => None,
                    SHORT => Some(schedule.short_until),
                    _ => Some(schedule.long_until),
                },
                entry_id: String::new(),
                standing: Standing::Nominated,
            }
        };
        Self {
            listings: (0..LISTED).map(listing).collect(),
            ..Self::default()
        }
    }

    /// The counts of a department's records of a type.
    pub fn records_of(&mut self, dept: Dept, record_type: &str) -> &mut RecordCounts {
        self.records
            .entry((dept.id().to_owned(), record_type.to_owned()))
            .or_default()
    }

    /// Ids of the entries that have effect for a subject on a day.
    pub fn in_force(&self, subject: &str, day: Date) -> Vec<&Listing> {
        let of_subject = self
            .listings
            .iter()
            .filter(|listing| listing.subject == subject);
        of_subject
            .filter(|listing| listing.in_force_on(day))
            .collect()
    }

    /// The notes on a listing's directives.
    pub fn notes_of(&self, listing: usize) -> impl Iterator<Item = &Note> {
        self.notes
            .values()
            .filter(move |note| note.listing == listing)
    }
}

/// How the subject of that index answers.
fn answer(index: usize) -> Answer {
    match index {
        WRONG | UPHELD => Answer::Waived,
        SHORT => Answer::None,
        _ => [Answer::Waived, Answer::Document, Answer::None][index % 3],
    }
}

/// How a department handles the directive of a listing and measure. Nothing is
/// declined where something special happens to the entry, so that there is
/// always something to take back.
pub fn temperament(listing: &Listing, dept: Dept, measure: &str) -> Temperament {
    use Temperament::{Declining, Prompt, Silent, Slow};
    let standing = usize::from(matches!(measure, "green-channel" | "exclude-from-funds"));
    if !listing.is_ordinary() {
        return match dept {
            Dept::Resources => [Silent, Slow][standing],
            Dept::Market | Dept::Tax => Prompt,
        };
    }
    let pattern = [
        Prompt, Declining, Prompt, Slow, Prompt, Silent, Prompt, Prompt,
    ];
    pattern[(listing.index * 5 + dept.index() * 3 + standing) % pattern.len()]
}

/// The directives that a listing on `day` must give rise to, by the pack alone.
pub fn directives_due(pack: &Pack, list_type: &str, day: Date) -> Vec<(String, Dept)> {
    let mut due = Vec::new();
    for memorandum in pack.memoranda_for(list_type, day) {
        for measure in &memorandum.measures {
            for id in &measure.departments {
                let able = pack
                    .department(id)
                    .is_some_and(|dept| dept.has_power(&measure.measure));
                due.extend(
                    Dept::by_id(id.as_str())
                        .filter(|_| able)
                        .map(|dept| (measure.measure.clone(), dept)),
                );
            }
        }
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let plan = Plan::new(1, content::ORGANISATIONS_MIN, content::RECORDS_MIN);
        Ledger::new(&plan, &Schedule::default())
    }

    #[test]
    fn every_temperament_and_every_answer_occurs() {
        let pack = tally_catalog::pack::embedded().expect("the embedded pack is consistent");
        let ledger = ledger();
        let mut temperaments = std::collections::BTreeSet::new();
        for listing in &ledger.listings {
            for (measure, dept) in directives_due(&pack, listing.list_type, listing.term_from) {
                temperaments.insert(temperament(listing, dept, &measure));
            }
        }
        assert_eq!(temperaments.len(), 4);
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
    fn a_missing_number_is_a_gap() {
        let mut mailbox = Mailbox::default();
        let at = |number| ShardCursor {
            shard: 2,
            number,
            ..Default::default()
        };
        mailbox.advance(bytes::Bytes::new(), at(1));
        mailbox.advance(bytes::Bytes::new(), at(2));
        assert_eq!(mailbox.gaps, 0);
        mailbox.advance(bytes::Bytes::new(), at(4));
        assert_eq!(
            (mailbox.gaps, mailbox.items, mailbox.cursor.shards.len()),
            (1, 3, 1)
        );
    }

    #[test]
    fn an_entry_has_effect_within_its_term_only() {
        let mut listing = ledger().listings[SHORT].clone();
        let days = Schedule::default();
        assert!(!listing.in_force_on(days.second));
        listing.standing = Standing::Listed;
        assert!(!listing.in_force_on(days.first));
        assert!(listing.in_force_on(days.short_until));
        assert!(!listing.in_force_on(days.expiry));
    }
}
