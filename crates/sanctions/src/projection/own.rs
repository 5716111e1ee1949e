//! Directives and mailboxes.

use tally_eventlog::aggregate::{Aggregate as _, Codec as _};
use tally_eventlog::append::RowKey;
use tally_eventlog::consumer::{Poison, Projection, ViewRows};
use tally_eventlog::event::Recorded;
use tally_eventlog::shard::Shard;
use tally_proto::tally::sanctions::v1 as pb;

use super::{corrections, decisions, mailbox_row, row};
use crate::codec::event_type;
use crate::correction::Correction;
use crate::decision::Decision;
use crate::directive::{Directive, Event, EventKind};
use crate::view;

const KNOWN: [&str; 11] = [
    event_type::TRIGGERED,
    event_type::RECEIVED,
    event_type::STARTED,
    event_type::EXECUTED,
    event_type::DECLINED,
    event_type::SUSPENDED,
    event_type::RESUMED,
    event_type::LIFTED,
    event_type::LIFT_CONFIRMED,
    event_type::CORRECTION_OPENED,
    event_type::DECISION_ASSESSED,
];

/// Views `sanctions.directive`, `.entry_directives`, `.mailbox`,
/// `.mailbox_head`, `.correction`, `.decision` and `.decision_count`, from the own log.
pub struct SelfProjection;

impl Projection for SelfProjection {
    fn views(&self) -> &'static [&'static str] {
        &[
            view::DIRECTIVE,
            view::ENTRY_DIRECTIVES,
            view::MAILBOX,
            view::MAILBOX_HEAD,
            view::CORRECTION,
            view::DECISION,
            view::DECISION_COUNT,
        ]
    }

    fn knows(&self, event_type: &str) -> bool {
        KNOWN.contains(&event_type)
    }

    fn reads(&self, event: &Recorded) -> Result<Vec<RowKey>, Poison> {
        if event.envelope.category == Decision::CATEGORY {
            return decisions::reads(event);
        }
        if event.envelope.category != Directive::CATEGORY {
            return Ok(Vec::new());
        }
        let decoded = Directive::decode(event)?;
        let mut reads = vec![directive_row(event)];
        if let EventKind::Triggered(directive) = &decoded.kind {
            reads.push(entry_row(event.shard, &directive.entry_id));
        }
        if item_kind(&decoded).is_some() {
            reads.push(head_row(event.shard, &decoded.department));
        }
        Ok(reads)
    }

    fn apply(&self, event: &Recorded, rows: &mut ViewRows) -> Result<(), Poison> {
        if event.envelope.category == Correction::CATEGORY {
            return corrections::open(event, rows);
        }
        if event.envelope.category == Decision::CATEGORY {
            return decisions::assessed(event, rows);
        }
        if event.envelope.category != Directive::CATEGORY {
            return Ok(());
        }
        let decoded = Directive::decode(event)?;
        let key = directive_row(event);
        let present = match &decoded.kind {
            EventKind::Triggered(directive) => {
                let key = entry_row(event.shard, &directive.entry_id);
                let mut made: pb::EntryDirectivesRow = rows.get(&key)?.unwrap_or_default();
                made.directive_ids.push(directive.directive_id.clone());
                rows.put(key, &made);
                (**directive).clone()
            }
            kind => {
                let row: Option<pb::DirectiveRow> = rows.get(&key)?;
                let mut present = row
                    .and_then(|row| row.directive)
                    .ok_or_else(|| Poison::new("the directive was never made"))?;
                advance(&mut present, kind);
                present
            }
        };
        if let Some(kind) = item_kind(&decoded) {
            deliver(event, &decoded.department, kind, &present, rows)?;
        }
        rows.put(
            key,
            &pb::DirectiveRow {
                directive: Some(present),
            },
        );
        Ok(())
    }
}

/// The directive's row after an event.
fn advance(directive: &mut pb::Directive, event: &EventKind) {
    let state = match event {
        EventKind::Triggered(_) => return,
        // An acknowledgement of what is suspended shows when it is resumed.
        EventKind::Received if directive.state() == pb::DirectiveState::Suspended => return,
        EventKind::Received => pb::DirectiveState::Received,
        EventKind::Started => pb::DirectiveState::Executing,
        EventKind::Executed { .. } => pb::DirectiveState::Executed,
        EventKind::Declined { .. } => pb::DirectiveState::Declined,
        EventKind::Suspended | EventKind::Withheld => pb::DirectiveState::Suspended,
        EventKind::Resumed { stage } => stage.to_proto(),
        EventKind::Lifted { reason, .. } => {
            directive.set_lift_reason(*reason);
            pb::DirectiveState::Lifted
        }
        EventKind::LiftConfirmed { .. } => pb::DirectiveState::LiftConfirmed,
    };
    directive.set_state(state);
}

/// What the mailbox says of an event; nothing where the department itself acted.
fn item_kind(event: &Event) -> Option<pb::MailboxItemKind> {
    match event.kind {
        EventKind::Triggered(_) => Some(pb::MailboxItemKind::Triggered),
        EventKind::Suspended | EventKind::Withheld => Some(pb::MailboxItemKind::Suspended),
        EventKind::Resumed { .. } => Some(pb::MailboxItemKind::Resumed),
        EventKind::Lifted { .. } => Some(pb::MailboxItemKind::Lifted),
        _ => None,
    }
}

fn deliver(
    event: &Recorded,
    department: &str,
    kind: pb::MailboxItemKind,
    directive: &pb::Directive,
    rows: &mut ViewRows,
) -> Result<(), Poison> {
    let key = head_row(event.shard, department);
    let mut head: pb::MailboxHeadRow = rows.get(&key)?.unwrap_or_default();
    head.number += 1;
    rows.put(key, &head);
    let item = pb::MailboxRow {
        kind: kind.into(),
        position: event.position,
        leaf_hash: bytes::Bytes::copy_from_slice(&event.leaf),
        directive: Some(directive.clone()),
    };
    rows.put(mailbox_row(event.shard, department, head.number), &item);
    Ok(())
}

fn directive_row(event: &Recorded) -> RowKey {
    row(
        view::DIRECTIVE,
        event.shard,
        event.envelope.stream_id.as_bytes(),
    )
}

/// Key of the directives that were made for an entry.
pub fn entry_row(shard: Shard, entry_id: &str) -> RowKey {
    row(view::ENTRY_DIRECTIVES, shard, entry_id.as_bytes())
}

fn head_row(shard: Shard, department: &str) -> RowKey {
    row(view::MAILBOX_HEAD, shard, department.as_bytes())
}
