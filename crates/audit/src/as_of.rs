//! What was in force on a day, as known at a time: a fold over the log of lists
//! in both times. Pure; reading the log is the caller's.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, ToSpan as _};
use tally_domain::date::{LegalDate, Term, parse_legal_date};
use tally_domain::department::DepartmentId;
use tally_domain::legal::LegalBasisRef;
use tally_domain::subject::{Subject, SubjectType};
use tally_eventlog::event::{DecodeError, Recorded};
use tally_eventlog::pb as log;
use tally_proto::tally::audit::v1 as pb;
use tally_proto::tally::lists::v1 as lists;
use tally_service::Policy;

/// Event types of lists.
mod event_type {
    pub const LISTED: &str = "tally.lists.v1.EntryListed";
    pub const SUSPENDED: &str = "tally.lists.v1.EntrySuspended";
    pub const UPHELD: &str = "tally.lists.v1.EntryUpheld";
    pub const CORRECTED_OUT: &str = "tally.lists.v1.EntryCorrectedOut";
    pub const REMOVED: &str = "tally.lists.v1.EntryRemoved";
    pub const EXPIRED: &str = "tally.lists.v1.EntryExpired";
    pub const LINKED: &str = "tally.lists.v1.IdentifierLinked";
    pub const UNLINKED: &str = "tally.lists.v1.IdentifierUnlinked";

    /// Event types that change nothing about what is in force.
    pub const PASSED_OVER: &[&str] = &[
        "tally.lists.v1.EntryNominated",
        "tally.lists.v1.SubjectNotified",
        "tally.lists.v1.RepresentationReceived",
        "tally.lists.v1.EntryDropped",
        "tally.lists.v1.RemovalProposed",
        "tally.lists.v1.RemovalRequested",
        "tally.lists.v1.DeadlineFixed",
        "tally.lists.v1.GroundWithdrawn",
    ];
}

/// Why an event could not be folded.
#[derive(Debug)]
pub(crate) enum FoldFault {
    /// It cannot be read.
    Decode(DecodeError),
    /// A newer version wrote it: an answer that passed it over could be wrong.
    UnknownType(String),
}

impl From<DecodeError> for FoldFault {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

/// What holds from when on. What was learned later overrides what was known
/// from that effective time on, also where that lies in the past.
#[derive(Debug, Clone)]
struct Timeline<T>(Vec<(Timestamp, T)>);

impl<T> Default for Timeline<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Timeline<T> {
    fn record(&mut self, from: Timestamp, value: T) {
        self.0.retain(|(at, _)| *at < from);
        self.0.push((from, value));
    }

    /// What held just before `end`.
    fn before(&self, end: Timestamp) -> Option<&T> {
        let known = self.0.iter().rev().find(|(at, _)| *at < end);
        known.map(|(_, value)| value)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Listed,
    Suspended,
    Over,
}

#[derive(Debug, Clone)]
struct Listing {
    subject: String,
    list_type: String,
    term_from: String,
    term_until: String,
    basis: Basis,
}

/// On what an act rests, and whose act it was.
#[derive(Debug, Clone)]
struct Basis {
    department: String,
    legal_basis: Option<log::LegalBasisRef>,
}

impl Basis {
    fn of(event: &Recorded) -> Self {
        let actor = event.envelope.actor.as_ref();
        Self {
            department: actor
                .map(|actor| actor.department.clone())
                .unwrap_or_default(),
            legal_basis: event.envelope.legal_basis.clone(),
        }
    }

    /// True if the basis was in force on a day; what cannot be read holds nothing.
    fn holds(&self, date: LegalDate, subject_type: SubjectType, policy: &Policy) -> bool {
        let (Some(basis), Ok(department)) =
            (&self.legal_basis, self.department.parse::<DepartmentId>())
        else {
            return false;
        };
        let basis = LegalBasisRef::new(basis.id.clone(), basis.version);
        let in_force = policy
            .pack
            .in_force(&basis, date, &department, subject_type);
        in_force.is_ok()
    }
}

#[derive(Debug, Default)]
struct Entry {
    listing: Option<Listing>,
    status: Timeline<Status>,
}

/// What the log of lists says, fed with its records in order.
#[derive(Debug, Default)]
pub(crate) struct Fold {
    /// Only events about this subject; nothing: about everyone.
    subject: Option<String>,
    entries: BTreeMap<String, Entry>,
    /// On what each link rests, or that it was taken back.
    links: BTreeMap<(String, String), Timeline<Option<Basis>>>,
}

impl Fold {
    /// A fold over everyone.
    pub(crate) fn everyone() -> Self {
        Self::default()
    }

    /// A fold over one subject.
    pub(crate) fn about(subject: &str) -> Self {
        Self {
            subject: Some(subject.to_owned()),
            ..Self::default()
        }
    }

    /// Takes an event.
    ///
    /// # Errors
    ///
    /// [`FoldFault`]: verify the log, or ask a newer version.
    pub(crate) fn apply(&mut self, event: &Recorded) -> Result<(), FoldFault> {
        let envelope = &event.envelope;
        let other = self
            .subject
            .as_ref()
            .is_some_and(|subject| *subject != envelope.subject);
        if other {
            return Ok(());
        }
        let status = match envelope.event_type.as_str() {
            event_type::LISTED => {
                let listed: lists::EntryListed = event.payload()?;
                let listing = listing(event, listed);
                self.entries
                    .entry(envelope.stream_id.clone())
                    .or_default()
                    .listing = Some(listing);
                Status::Listed
            }
            event_type::UPHELD => Status::Listed,
            event_type::SUSPENDED => Status::Suspended,
            event_type::CORRECTED_OUT | event_type::REMOVED | event_type::EXPIRED => Status::Over,
            event_type::LINKED => {
                let linked: lists::IdentifierLinked = event.payload()?;
                let basis = Basis {
                    // The mesh writes one of the two, and is no department.
                    department: linked.department,
                    legal_basis: envelope.legal_basis.clone(),
                };
                self.link(event, linked.linked_subject, Some(basis));
                return Ok(());
            }
            event_type::UNLINKED => {
                let unlinked: lists::IdentifierUnlinked = event.payload()?;
                self.link(event, unlinked.linked_subject, None);
                return Ok(());
            }
            passed if event_type::PASSED_OVER.contains(&passed) => return Ok(()),
            unknown => return Err(FoldFault::UnknownType(unknown.to_owned())),
        };
        let entry = self.entries.entry(envelope.stream_id.clone()).or_default();
        entry.status.record(event.effective_at, status);
        Ok(())
    }

    fn link(&mut self, event: &Recorded, linked: String, basis: Option<Basis>) {
        let pair = (event.envelope.subject.clone(), linked);
        self.links
            .entry(pair)
            .or_default()
            .record(event.effective_at, basis);
    }

    /// The identifiers that were linked to this one at the end of the day, on a
    /// legal basis that was in force.
    pub(crate) fn linked(&self, subject: &str, day: &Day, policy: &Policy) -> BTreeSet<String> {
        let of_subject = self.links.iter().filter(|((from, _), _)| from == subject);
        let held = of_subject.filter(|(_, timeline)| {
            let basis = timeline.before(day.end).and_then(Option::as_ref);
            basis.is_some_and(|basis| basis.holds(day.date, SubjectType::Organisation, policy))
        });
        held.map(|((_, to), _)| to.clone()).collect()
    }

    /// The entries that were in force at the end of the day.
    pub(crate) fn in_force(&self, day: &Day, policy: &Policy) -> Vec<pb::EntryAsOf> {
        let mut found = Vec::new();
        for (entry_id, entry) in &self.entries {
            let Some(listing) = &entry.listing else {
                continue;
            };
            let listed = entry.status.before(day.end) == Some(&Status::Listed);
            if listed && within_term(listing, day.date) && on_legal_basis(listing, day.date, policy)
            {
                found.push(as_of(entry_id, listing));
            }
        }
        found
    }
}

/// A legal date and the moment at which it is over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Day {
    date: LegalDate,
    end: Timestamp,
}

impl Day {
    /// That day in the policy's time zone.
    pub(crate) fn new(date: LegalDate, policy: &Policy) -> Self {
        let end = date
            .checked_add(1.day())
            .map_or(Timestamp::MAX, |next| policy.start_of(next));
        Self { date, end }
    }
}

fn listing(event: &Recorded, listed: lists::EntryListed) -> Listing {
    Listing {
        subject: event.envelope.subject.clone(),
        list_type: listed.list_type,
        term_from: listed.term_from,
        term_until: listed.term_until,
        basis: Basis::of(event),
    }
}

/// A term that cannot be read contains no day: nothing is in force by mistake.
fn within_term(listing: &Listing, date: LegalDate) -> bool {
    let Ok(from) = parse_legal_date(&listing.term_from) else {
        return false;
    };
    let until = match listing.term_until.as_str() {
        "" => None,
        text => match parse_legal_date(text) {
            Ok(until) => Some(until),
            Err(_) => return false,
        },
    };
    Term { from, until }.contains(date)
}

fn on_legal_basis(listing: &Listing, date: LegalDate, policy: &Policy) -> bool {
    let subject = listing.subject.parse::<Subject>();
    subject.is_ok_and(|subject| listing.basis.holds(date, subject.subject_type(), policy))
}

fn as_of(entry_id: &str, listing: &Listing) -> pb::EntryAsOf {
    pb::EntryAsOf {
        entry_id: entry_id.to_owned(),
        subject: listing.subject.clone(),
        list_type: listing.list_type.clone(),
        term_from: listing.term_from.clone(),
        term_until: listing.term_until.clone(),
        initiator: listing.basis.department.clone(),
        by_link: false,
        legal_basis: listing.basis.legal_basis.clone(),
    }
}

#[cfg(test)]
mod tests;
