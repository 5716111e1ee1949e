//! Consumer `lists.self`: entries, subjects and due dates, from the own log.

use bytes::Bytes;
use tally_domain::date::{LegalDate, parse_legal_date};
use tally_eventlog::aggregate::{Aggregate, Codec};
use tally_eventlog::append::RowKey;
use tally_eventlog::consumer::{Poison, Projection, ViewRows};
use tally_eventlog::event::{Recorded, to_proto_time};
use tally_eventlog::pb::LegalBasisRef;
use tally_proto::tally::lists::v1 as pb;
use tally_service::provisional;

use super::{ENTRY_VIEW, PROVISIONAL_VIEW, SUBJECT_VIEW, TIMER_VIEW, row};
use crate::codec::{event_type, state_to_proto};
use crate::entry::{self, Entry, Fact, State};
use crate::link::{self, Link};

/// Key of an entry's due date: the day after its last day, then its id.
pub fn timer_key(term_until: LegalDate, entry_id: &str) -> Bytes {
    // On the calendar's last day nothing comes after it.
    let due = term_until.tomorrow().unwrap_or(term_until);
    let mut key = due.to_string().into_bytes();
    key.push(0);
    key.extend_from_slice(entry_id.as_bytes());
    key.into()
}

/// Projects the log of lists.
#[derive(Debug, Clone, Copy, Default)]
pub struct EntriesProjection;

impl Projection for EntriesProjection {
    fn views(&self) -> &'static [&'static str] {
        &[ENTRY_VIEW, SUBJECT_VIEW, TIMER_VIEW, PROVISIONAL_VIEW]
    }

    fn knows(&self, event_type: &str) -> bool {
        event_type::ALL.contains(&event_type)
    }

    fn reads(&self, event: &Recorded) -> Result<Vec<RowKey>, Poison> {
        let subject = || row(SUBJECT_VIEW, event.shard, &event.envelope.subject);
        let entry = || row(ENTRY_VIEW, event.shard, &event.envelope.stream_id);
        Ok(match event.envelope.event_type.as_str() {
            event_type::ENTRY_NOMINATED => vec![entry(), subject()],
            event_type::IDENTIFIER_LINKED | event_type::IDENTIFIER_UNLINKED => vec![subject()],
            _ => vec![entry()],
        })
    }

    fn apply(&self, event: &Recorded, rows: &mut ViewRows) -> Result<(), Poison> {
        if event.envelope.category == Link::CATEGORY {
            return project_link(event, &Link::decode(event)?, rows);
        }
        project_entry(event, &Entry::decode(event)?, rows)
    }
}

fn project_link(event: &Recorded, link: &link::Event, rows: &mut ViewRows) -> Result<(), Poison> {
    let key = row(SUBJECT_VIEW, event.shard, &event.envelope.subject);
    let mut subject: pb::SubjectRow = rows.get(&key)?.unwrap_or_default();
    match &link.fact {
        link::Fact::Linked { linked_subject, .. } => {
            if !subject.linked_subjects.contains(linked_subject) {
                subject.linked_subjects.push(linked_subject.clone());
            }
        }
        link::Fact::Unlinked { linked_subject, .. } => {
            subject
                .linked_subjects
                .retain(|linked| linked != linked_subject);
        }
    }
    rows.put(key, &subject);
    Ok(())
}

fn project_entry(
    event: &Recorded,
    change: &entry::Event,
    rows: &mut ViewRows,
) -> Result<(), Poison> {
    let entry_id = &event.envelope.stream_id;
    let key = row(ENTRY_VIEW, event.shard, entry_id);
    let entry = match &change.fact {
        Fact::Nominated(nomination) => {
            let subject_key = row(SUBJECT_VIEW, event.shard, &event.envelope.subject);
            let mut subject: pb::SubjectRow = rows.get(&subject_key)?.unwrap_or_default();
            subject.entry_ids.push(entry_id.clone());
            rows.put(subject_key, &subject);
            nominated(entry_id, change, nomination)
        }
        fact => {
            let stored: Option<pb::EntryRow> = rows.get(&key)?;
            let mut entry = stored
                .and_then(|stored| stored.entry)
                .ok_or_else(|| Poison::new("the entry was never nominated"))?;
            project_timer(event, fact, &entry, rows)?;
            let before = provisional_key(event, &entry)?;
            advance(&mut entry, fact);
            project_provisional(event, before, &entry, rows)?;
            entry
        }
    };
    rows.put(key, &pb::EntryRow { entry: Some(entry) });
    Ok(())
}

fn nominated(entry_id: &str, change: &entry::Event, nomination: &entry::Nomination) -> pb::Entry {
    let basis = LegalBasisRef {
        id: change.basis.id.clone(),
        version: change.basis.version,
    };
    pb::Entry {
        entry_id: entry_id.to_owned(),
        subject: nomination.subject.clone(),
        list_type: nomination.list_type.clone(),
        department: nomination.by.department.to_string(),
        state: pb::EntryState::Nominated.into(),
        term_from: nomination.term.from.to_string(),
        term_until: nomination
            .term
            .until
            .map(|until| until.to_string())
            .unwrap_or_default(),
        legal_basis: Some(basis),
        ground_record_id: nomination.ground_record_id.clone(),
        removal_proposed_by: Vec::new(),
        representation_until: String::new(),
        nominated_at: Some(to_proto_time(change.at)),
        ground_withdrawn: false,
        representation_provisional: false,
    }
}

fn advance(entry: &mut pb::Entry, fact: &Fact) {
    let state = match fact {
        Fact::Nominated(_) => State::Nominated,
        Fact::Notified(notice) => {
            entry.representation_until = notice.representation_until.to_string();
            entry.representation_provisional = notice.provisional;
            State::Notified
        }
        Fact::Represented { .. } => State::Represented,
        Fact::Listed(_) | Fact::Upheld(_) => State::Listed,
        Fact::Dropped { .. } => State::Dropped,
        Fact::Suspended { .. } => State::Suspended,
        Fact::CorrectedOut(_) => State::CorrectedOut,
        Fact::Removed(_) => State::Removed,
        Fact::Expired { .. } => State::Expired,
        Fact::RemovalRequested { .. } => return,
        Fact::DeadlineFixed {
            representation_until,
            provisional,
        } => {
            entry.representation_until = representation_until.to_string();
            entry.representation_provisional = *provisional;
            return;
        }
        Fact::GroundWithdrawn { .. } => {
            entry.ground_withdrawn = true;
            return;
        }
        Fact::RemovalProposed { record_id, .. } => {
            entry.removal_proposed_by.push(record_id.clone());
            return;
        }
    };
    entry.state = state_to_proto(state).into();
}

/// A listed entry with a last day is due after it; what has ended is not.
fn project_timer(
    event: &Recorded,
    fact: &Fact,
    entry: &pb::Entry,
    rows: &mut ViewRows,
) -> Result<(), Poison> {
    if entry.term_until.is_empty() {
        return Ok(());
    }
    let term_until = parse_legal_date(&entry.term_until)
        .map_err(|error| Poison::new(format!("term_until: {error}")))?;
    let key = RowKey {
        view: TIMER_VIEW,
        shard: event.shard,
        key: timer_key(term_until, &entry.entry_id),
    };
    match fact {
        Fact::Listed(_) => {
            let due = pb::TimerRow {
                entry_id: entry.entry_id.clone(),
                subject: entry.subject.clone(),
                term_until: entry.term_until.clone(),
            };
            rows.put(key, &due);
        }
        Fact::CorrectedOut(_) | Fact::Removed(_) | Fact::Expired { .. } => rows.delete(key),
        _ => {}
    }
    Ok(())
}

/// Row of an entry whose day for a representation is provisional while the
/// subject may still answer; nothing for others.
fn provisional_key(event: &Recorded, entry: &pb::Entry) -> Result<Option<RowKey>, Poison> {
    if !entry.representation_provisional || entry.state() != pb::EntryState::Notified {
        return Ok(None);
    }
    let until = parse_legal_date(&entry.representation_until)
        .map_err(|error| Poison::new(format!("representation_until: {error}")))?;
    Ok(Some(RowKey {
        view: PROVISIONAL_VIEW,
        shard: event.shard,
        key: provisional::key(until, &entry.entry_id),
    }))
}

fn project_provisional(
    event: &Recorded,
    before: Option<RowKey>,
    entry: &pb::Entry,
    rows: &mut ViewRows,
) -> Result<(), Poison> {
    let after = provisional_key(event, entry)?;
    if before == after {
        return Ok(());
    }
    if let Some(key) = before {
        rows.delete(key);
    }
    if let Some(key) = after {
        let row = pb::ProvisionalRow {
            entry_id: entry.entry_id.clone(),
            subject: entry.subject.clone(),
        };
        rows.put(key, &row);
    }
    Ok(())
}
