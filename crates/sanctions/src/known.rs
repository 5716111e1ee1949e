//! What is known of a subject from `lists`: how its events change the row, and
//! what the row says today. Pure.

use jiff::{SignedDuration, Timestamp};
use tally_domain::date::{LegalDate, parse_legal_date};
use tally_domain::department::DepartmentId;
use tally_domain::legal::LegalBasisRef;
use tally_domain::policy::Pack;
use tally_domain::subject::SubjectType;
use tally_eventlog::consumer::Poison;
use tally_eventlog::event::{Recorded, from_proto_time, to_proto_time, uuid_bytes};
use tally_eventlog::pb as log;
use tally_proto::tally::lists::v1 as lists;
use tally_proto::tally::sanctions::v1 as pb;

use crate::basis::ListsBasis;

/// Event types of `lists`.
pub mod event_type {
    /// A first officer nominated.
    pub const NOMINATED: &str = "tally.lists.v1.EntryNominated";
    /// The subject was told.
    pub const NOTIFIED: &str = "tally.lists.v1.SubjectNotified";
    /// The subject answered or waived.
    pub const REPRESENTATION: &str = "tally.lists.v1.RepresentationReceived";
    /// A second officer listed.
    pub const LISTED: &str = "tally.lists.v1.EntryListed";
    /// The nomination was dropped.
    pub const DROPPED: &str = "tally.lists.v1.EntryDropped";
    /// An objection was accepted.
    pub const SUSPENDED: &str = "tally.lists.v1.EntrySuspended";
    /// The listing stands.
    pub const UPHELD: &str = "tally.lists.v1.EntryUpheld";
    /// The listing was wrong.
    pub const CORRECTED_OUT: &str = "tally.lists.v1.EntryCorrectedOut";
    /// Taken off before its term.
    pub const REMOVED: &str = "tally.lists.v1.EntryRemoved";
    /// The term is over.
    pub const EXPIRED: &str = "tally.lists.v1.EntryExpired";
    /// An officer has to look at a red entry.
    pub const REMOVAL_PROPOSED: &str = "tally.lists.v1.RemovalProposed";
    /// An officer asked that a red entry be taken off.
    pub const REMOVAL_REQUESTED: &str = "tally.lists.v1.RemovalRequested";
    /// A provisional day for the subject's answer was fixed.
    pub const DEADLINE_FIXED: &str = "tally.lists.v1.DeadlineFixed";
    /// The record that an entry rests on was withdrawn: an officer has to look.
    pub const GROUND_WITHDRAWN: &str = "tally.lists.v1.GroundWithdrawn";
    /// Two identifiers are one organisation.
    pub const LINKED: &str = "tally.lists.v1.IdentifierLinked";
    /// They are not, or no longer.
    pub const UNLINKED: &str = "tally.lists.v1.IdentifierUnlinked";

    /// All that this version knows, also what it passes over.
    pub const ALL: [&str; 16] = [
        NOMINATED,
        NOTIFIED,
        REPRESENTATION,
        LISTED,
        DROPPED,
        SUSPENDED,
        UPHELD,
        CORRECTED_OUT,
        REMOVED,
        EXPIRED,
        REMOVAL_PROPOSED,
        REMOVAL_REQUESTED,
        DEADLINE_FIXED,
        GROUND_WITHDRAWN,
        LINKED,
        UNLINKED,
    ];

    /// Those that change what is known of a subject.
    pub fn concerns(event_type: &str) -> bool {
        !matches!(
            event_type,
            NOMINATED
                | NOTIFIED
                | REPRESENTATION
                | DROPPED
                | REMOVAL_PROPOSED
                | REMOVAL_REQUESTED
                | DEADLINE_FIXED
                | GROUND_WITHDRAWN
        )
    }
}

/// Takes an event of `lists` into the row of its subject.
///
/// # Errors
///
/// [`Poison`]: the event does not follow from what is known.
pub fn apply(row: &mut pb::SubjectRow, event: &Recorded) -> Result<(), Poison> {
    let recorded_at = Some(to_proto_time(event.recorded_at));
    match event.envelope.event_type.as_str() {
        event_type::LISTED => {
            let listed: lists::EntryListed = event.payload()?;
            let entry_id = &event.envelope.stream_id;
            if row.entries.iter().any(|entry| entry.entry_id == *entry_id) {
                return Ok(());
            }
            row.entries.push(pb::KnownEntry {
                entry_id: entry_id.clone(),
                list_type: listed.list_type,
                initiator: department(event),
                term_from: listed.term_from,
                term_until: listed.term_until,
                legal_basis: event.envelope.legal_basis.clone(),
                standing: pb::Standing::Listed.into(),
                stopped_at: 0,
                pack_version: event.envelope.pack_version.clone(),
                listed_at: recorded_at,
                stops: Vec::new(),
            });
        }
        event_type::UPHELD => {
            let entry = known(row, &event.envelope.stream_id)?;
            entry.set_standing(pb::Standing::Listed);
            if let Some(stop) = entry.stops.last_mut() {
                stop.resumed_at = recorded_at;
            }
        }
        event_type::SUSPENDED => stop(row, event, pb::Standing::Suspended)?,
        event_type::CORRECTED_OUT | event_type::REMOVED | event_type::EXPIRED => {
            stop(row, event, pb::Standing::Ended)?;
        }
        event_type::LINKED => {
            let linked: lists::IdentifierLinked = event.payload()?;
            row.links
                .retain(|link| link.subject != linked.linked_subject);
            row.links.push(pb::KnownLink {
                subject: linked.linked_subject,
                // The mesh writes one of the two, and is no department.
                department: linked.department,
                legal_basis: event.envelope.legal_basis.clone(),
            });
        }
        event_type::UNLINKED => {
            let other = event.payload::<lists::IdentifierUnlinked>()?.linked_subject;
            row.links.retain(|link| link.subject != other);
        }
        _ => {}
    }
    Ok(())
}

/// Whose act the event records.
fn department(event: &Recorded) -> String {
    let actor = event.envelope.actor.as_ref();
    actor
        .map(|actor| actor.department.clone())
        .unwrap_or_default()
}

/// True if a link leads to the other identifier on `day`: what rests on a legal
/// basis ends with it.
pub fn leads_on(link: &pb::KnownLink, pack: &Pack, day: LegalDate) -> bool {
    let basis = link.legal_basis.as_ref();
    on_basis(
        basis,
        &link.department,
        pack,
        day,
        SubjectType::Organisation,
    )
}

fn on_basis(
    basis: Option<&log::LegalBasisRef>,
    department: &str,
    pack: &Pack,
    day: LegalDate,
    subject_type: SubjectType,
) -> bool {
    let (Some(basis), Ok(department)) = (basis, DepartmentId::parse(department)) else {
        return false;
    };
    let basis = LegalBasisRef::new(basis.id.clone(), basis.version);
    pack.in_force(&basis, day, &department, subject_type)
        .is_ok()
}

fn stop(row: &mut pb::SubjectRow, event: &Recorded, standing: pb::Standing) -> Result<(), Poison> {
    let entry = known(row, &event.envelope.stream_id)?;
    let stopped_at = event.position + 1;
    entry.set_standing(standing);
    entry.stopped_at = stopped_at;
    entry.stops.push(pb::Stop {
        stopped_at,
        recorded_at: Some(to_proto_time(event.recorded_at)),
        resumed_at: None,
        log_id: uuid_bytes(event.log_id),
    });
    Ok(())
}

fn known<'a>(
    row: &'a mut pb::SubjectRow,
    entry_id: &str,
) -> Result<&'a mut pb::KnownEntry, Poison> {
    row.entries
        .iter_mut()
        .find(|entry| entry.entry_id == entry_id)
        .ok_or_else(|| Poison::new(format!("entry {entry_id} was never listed")))
}

/// True if what was recorded at `recorded_at`, having seen `basis` of `lists`,
/// applied the entry while it must not have been applied. `skew` is how
/// much the clocks of the two logs may differ: what may have been late counts as
/// late, since a correction too many asks somebody to look, and one too few leaves
/// a wrong unnoticed.
pub fn is_stale(
    entry: &pb::KnownEntry,
    basis: ListsBasis,
    recorded_at: Timestamp,
    skew: SignedDuration,
) -> bool {
    let latest = recorded_at.saturating_add(skew).unwrap_or(recorded_at);
    let earliest = recorded_at.saturating_sub(skew).unwrap_or(recorded_at);
    entry.stops.iter().any(|stop| {
        let time = |at: &Option<prost_types::Timestamp>| at.as_ref().and_then(from_proto_time);
        let after = time(&stop.recorded_at).is_none_or(|stopped| latest >= stopped);
        let before = time(&stop.resumed_at).is_none_or(|resumed| earliest < resumed);
        !basis.has_seen(stop) && after && before
    })
}

/// How an entry stands on a day, computed at the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Listed, not suspended, within its term, on a legal basis in force.
    InForce,
    /// Nothing may be applied until it is upheld.
    Suspended,
    /// Over.
    Ended,
    /// Its term begins later.
    NotBegun,
    /// Its term is over, whether or not that has been recorded.
    TermOver,
    /// The listing's legal basis is not in force.
    BasisNotInForce,
    /// Never heard of.
    Unknown,
}

impl Standing {
    /// What it means, for people.
    pub fn explain(self) -> &'static str {
        match self {
            Self::InForce => "it is in force",
            Self::Suspended => "it is suspended",
            Self::Ended => "it was corrected out, removed or has expired",
            Self::NotBegun => "its term begins later",
            Self::TermOver => "its term is over",
            Self::BasisNotInForce => "the legal basis of the listing is not in force",
            Self::Unknown => "it is not known here",
        }
    }

    /// How `entry` stands on `day` by `pack`.
    pub fn of(
        entry: &pb::KnownEntry,
        pack: &Pack,
        day: LegalDate,
        subject_type: SubjectType,
    ) -> Self {
        match entry.standing() {
            pb::Standing::Listed => {}
            pb::Standing::Suspended => return Self::Suspended,
            pb::Standing::Ended => return Self::Ended,
            pb::Standing::Unspecified => return Self::Unknown,
        }
        let Ok(from) = parse_legal_date(&entry.term_from) else {
            return Self::Unknown;
        };
        if day < from {
            return Self::NotBegun;
        }
        if is_over(entry, day) {
            return Self::TermOver;
        }
        let basis = entry.legal_basis.as_ref();
        if on_basis(basis, &entry.initiator, pack, day, subject_type) {
            Self::InForce
        } else {
            Self::BasisNotInForce
        }
    }
}

/// True if the entry's last day is before `day`. A last day that cannot be read
/// is over: nothing is applied on a doubt.
pub fn is_over(entry: &pb::KnownEntry, day: LegalDate) -> bool {
    !entry.term_until.is_empty()
        && !parse_legal_date(&entry.term_until).is_ok_and(|until| until >= day)
}
