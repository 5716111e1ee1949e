//! What is in force, computed at the question. Pure.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use tally_domain::date::LegalDate;
use tally_domain::department::DepartmentId;
use tally_domain::policy::ListPolarity;
use tally_domain::subject::SubjectType;
use tally_eventlog::sequence::Hasher;
use tally_eventlog::shard::Shard;
use tally_proto::tally::sanctions::v1 as pb;
use tally_service::Policy;

use crate::basis::ListsBasis;
use crate::known::{Standing, leads_on};
use crate::memoranda::Window;
use crate::token::Token;

/// Identifiers of one organisation that a check follows. More than this are a
/// mistake in the links, and the answer is then undetermined.
pub const LINKED_MAX: usize = 16;

/// How far the reader of `lists` was on a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderSeen {
    /// What it had applied.
    pub lists: ListsBasis,
    /// Wall-clock time at which it had all there was.
    pub seen_at: Option<Timestamp>,
    /// True if it has stopped for good.
    pub stopped: bool,
    /// True if an event of the subject waits to be applied.
    pub parked: bool,
}

/// What is known of one identifier.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Its shard.
    pub shard: Shard,
    /// How far the reader was, before the row was read.
    pub reader: ReaderSeen,
    /// The row; nothing if it cannot be decoded.
    pub row: Option<pb::SubjectRow>,
}

/// What is known, by identifier.
pub type Known = HashMap<String, Seen, Hasher>;

/// A question with what it is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Whom.
    pub subject: &'a str,
    /// What kind of subject.
    pub subject_type: SubjectType,
    /// Who asks.
    pub department: &'a DepartmentId,
    /// For what.
    pub purpose: &'a str,
    /// The active policy.
    pub policy: &'a Policy,
    /// Today.
    pub today: LegalDate,
    /// Wall-clock time.
    pub wall: Timestamp,
    /// The oldest that what is known of `lists` may be.
    pub freshness: Duration,
    /// Whether what the caller's token names has been seen.
    pub token: Token,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Outcome.
    pub outcome: pb::CheckOutcome,
    /// What is in force; empty if it cannot be said.
    pub entries: Vec<pb::EntryInForce>,
    /// What may be done if it cannot be said.
    pub when_undetermined: Vec<pb::UndeterminedMeasure>,
    /// Why it cannot be said.
    pub undetermined_reason: &'static str,
    /// Shards that were looked at, in order, and how far the reader was there.
    pub shards: Vec<(Shard, ListsBasis)>,
    /// Identifiers that were looked at beside the one asked for.
    pub linked: Vec<String>,
}

/// Answers a question from what is known, by identifier.
pub fn evaluate(asked: &Asked<'_>, known: &Known) -> Verdict {
    let (identifiers, complete) = identifiers_of(asked, known);
    let mut shards: Vec<(Shard, ListsBasis)> = identifiers
        .iter()
        .map(|(_, seen)| (seen.shard, seen.reader.lists))
        .collect();
    shards.sort_unstable();
    shards.dedup();
    let linked = identifiers.iter().skip(1);
    let linked = linked.map(|(linked, _)| (*linked).to_owned()).collect();
    let window = Window {
        pack: &asked.policy.pack,
        day: asked.today,
        department: asked.department,
        purpose: asked.purpose,
        subject_type: asked.subject_type,
    };
    if let Some(undetermined_reason) = doubt(asked, &identifiers, complete) {
        return Verdict {
            outcome: pb::CheckOutcome::Undetermined,
            entries: Vec::new(),
            when_undetermined: window.when_undetermined(),
            undetermined_reason,
            shards,
            linked,
        };
    }
    let entries: Vec<pb::EntryInForce> = identifiers
        .iter()
        .flat_map(|(subject, seen)| {
            let entries = seen.row.iter().flat_map(|row| &row.entries);
            entries.filter_map(|entry| in_force(asked, window, subject, entry))
        })
        .collect();
    let outcome = if entries.is_empty() {
        pb::CheckOutcome::Clear
    } else {
        pb::CheckOutcome::InForce
    };
    Verdict {
        outcome,
        entries,
        when_undetermined: Vec::new(),
        undetermined_reason: "",
        shards,
        linked,
    }
}

/// The identifiers of a subject: itself first, then those linked to it on a
/// legal basis in force, and to them. False: there are more than are followed.
fn identifiers_of<'a>(asked: &Asked<'a>, known: &'a Known) -> (Vec<(&'a str, &'a Seen)>, bool) {
    // Most have no links, and then there is nothing to follow.
    if let Some((asked, seen)) = known.get_key_value(asked.subject)
        && seen.row.as_ref().is_none_or(|row| row.links.is_empty())
    {
        return (vec![(asked.as_str(), seen)], true);
    }
    let mut found = Vec::with_capacity(1);
    let mut waiting = VecDeque::from([asked.subject]);
    let mut met = HashSet::from([asked.subject]);
    while let Some(identifier) = waiting.pop_front() {
        let Some(seen) = known.get(identifier) else {
            return (found, false);
        };
        if found.len() == LINKED_MAX {
            return (found, false);
        }
        found.push((identifier, seen));
        let links = seen.row.iter().flat_map(|row| &row.links);
        let leading = links.filter(|link| leads_on(link, &asked.policy.pack, asked.today));
        let linked = leading.map(|link| link.subject.as_str());
        waiting.extend(linked.filter(|linked| met.insert(linked)));
    }
    (found, true)
}

/// Why nothing can be said; the caller's own condition comes first.
fn doubt(asked: &Asked<'_>, identifiers: &[(&str, &Seen)], complete: bool) -> Option<&'static str> {
    match asked.token {
        Token::Reached => {}
        Token::NotReached => return Some("TOKEN_NOT_REACHED"),
        Token::Diverged => return Some("TOKEN_DIVERGED"),
    }
    if !complete {
        return Some("TOO_MANY_LINKS");
    }
    identifiers.iter().find_map(|(_, seen)| {
        if seen.reader.stopped {
            return Some("READER_STOPPED");
        }
        if seen.reader.parked {
            return Some("SUBJECT_PARKED");
        }
        if seen.row.is_none() {
            return Some("ROW_UNREADABLE");
        }
        // A clock that was set back must not make old knowledge fresh for long.
        let fresh = seen.reader.seen_at.is_some_and(|seen_at| {
            asked.wall.duration_since(seen_at).unsigned_abs() <= asked.freshness
        });
        (!fresh).then_some("READER_BEHIND")
    })
}

fn in_force(
    asked: &Asked<'_>,
    window: Window<'_>,
    subject: &str,
    entry: &pb::KnownEntry,
) -> Option<pb::EntryInForce> {
    let pack = &*asked.policy.pack;
    if Standing::of(entry, pack, asked.today, asked.subject_type) != Standing::InForce {
        return None;
    }
    let list = pack.list_type(&entry.list_type);
    Some(pb::EntryInForce {
        entry_id: entry.entry_id.clone(),
        list_type: entry.list_type.clone(),
        red: list.is_some_and(|list| list.polarity == ListPolarity::Red),
        subject: subject.to_owned(),
        by_link: subject != asked.subject,
        term_from: entry.term_from.clone(),
        term_until: entry.term_until.clone(),
        initiator: entry.initiator.clone(),
        legal_basis: entry.legal_basis.clone(),
        measures: window.measures(&entry.list_type),
    })
}
