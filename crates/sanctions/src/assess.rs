//! Holds reported decisions against the checks that their records cite.
//!
//! Pure but for [`CollectionProcess`], which follows `collection`. A record is
//! never refused for its citation: the decision was taken, and is reported.

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use tally_domain::date::{LegalDate, parse_legal_date};
use tally_domain::department::DepartmentId;
use tally_domain::policy::{CheckedDecision, Pack};
use tally_eventlog::append::RowKey;
use tally_eventlog::consumer::{
    Lost, Poison, ProcessManager, Projection, ReactError, Settled, ViewRows,
};
use tally_eventlog::event::Recorded;
use tally_eventlog::execute::{LoadError, Task};
use tally_eventlog::ids::Cause;
use tally_eventlog::pb::LegalBasisRef;
use tally_proto::tally::collection::v1 as collection;
use tally_proto::tally::sanctions::v1 as pb;
use tally_service::command::stored_actor;
use tally_service::{Deps, logs, process_context, process_key};

use crate::answered::Answered;
use crate::decision::{Command, Decision, Verdict};
use crate::process::{effect_error, policy_of};

/// Event types of `collection`.
pub mod event_type {
    /// A record was accepted.
    pub const ACCEPTED: &str = "tally.collection.v1.RecordAccepted";
    /// Its department corrected it.
    pub const CORRECTED: &str = "tally.collection.v1.RecordCorrected";
    /// Its department withdrew it.
    pub const WITHDRAWN: &str = "tally.collection.v1.RecordWithdrawn";

    /// All that this version knows, also what it passes over.
    pub const ALL: &[&str] = &[
        ACCEPTED,
        CORRECTED,
        WITHDRAWN,
        "tally.collection.v1.RowQuarantined",
        "tally.collection.v1.RowCorrected",
        "tally.collection.v1.RowTaken",
        "tally.collection.v1.RowResubmitted",
        "tally.collection.v1.RowDiscarded",
        "tally.collection.v1.RefusalsCounted",
    ];
}

/// A decision as its record reports it.
#[derive(Debug, Clone, Copy)]
pub struct Reported<'a> {
    /// Whom it is about, as text.
    pub subject: &'a str,
    /// Day of the decision.
    pub decided_on: LegalDate,
    /// When it was first reported.
    pub reported_at: Timestamp,
    /// The check that it cites; empty: none.
    pub check_id: &'a str,
}

/// What a citation is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worth {
    /// The verdict.
    pub verdict: Verdict,
    /// Entries on which sanctions were said to be in force.
    pub entry_ids: Vec<String>,
    /// Those sanctions.
    pub measures: Vec<String>,
}

/// What the citation of a decision is worth, given the check of that id by the
/// department that decided.
pub fn worth(duty: &CheckedDecision, reported: Reported<'_>, check: Option<&Answered>) -> Worth {
    let mut worth = Worth {
        verdict: Verdict::NotChecked,
        entry_ids: Vec::new(),
        measures: Vec::new(),
    };
    if reported.check_id.is_empty() {
        return worth;
    }
    let Some(Answered { recorded, answer }) = check else {
        worth.verdict = Verdict::CheckUnknown;
        return worth;
    };
    let asked = &recorded.envelope.subject;
    let about = asked == reported.subject
        || answer
            .linked
            .iter()
            .any(|linked| linked == reported.subject);
    worth.verdict = if !about {
        Verdict::CheckOtherSubject
    } else if !duty.purposes.contains(&answer.purpose) {
        Verdict::CheckWrongPurpose
    } else {
        match in_time(duty, reported, recorded.recorded_at, &answer.on) {
            Ok(()) => said(answer, &mut worth),
            Err(verdict) => verdict,
        }
    };
    worth
}

/// Whether the check was made before the decision, and not too long before. Of one
/// day and the same, the earlier hour is believed until the report came.
fn in_time(
    duty: &CheckedDecision,
    reported: Reported<'_>,
    checked_at: Timestamp,
    on: &str,
) -> Result<(), Verdict> {
    // A day that cannot be read says nothing of what came first.
    let on = parse_legal_date(on).map_err(|_| Verdict::Undetermined)?;
    if on > reported.decided_on || checked_at > reported.reported_at {
        return Err(Verdict::CheckAfterDecision);
    }
    let hours = reported.decided_on.duration_since(on).as_hours();
    if hours > 24 * i64::from(duty.valid_days) {
        return Err(Verdict::CheckTooOld);
    }
    Ok(())
}

fn said(answer: &pb::CheckAnswered, worth: &mut Worth) -> Verdict {
    let told = match answer.outcome() {
        pb::CheckOutcome::Clear => return Verdict::CheckedClear,
        // Without what was said of each entry nothing can be said of measures.
        pb::CheckOutcome::InForce => answer.said.len() == answer.entry_ids.len(),
        pb::CheckOutcome::Undetermined | pb::CheckOutcome::Unspecified => false,
    };
    if !told {
        return Verdict::Undetermined;
    }
    for (entry_id, said) in answer.entry_ids.iter().zip(&answer.said) {
        if said.sanctions.is_empty() {
            continue;
        }
        worth.entry_ids.push(entry_id.clone());
        worth.measures.extend(said.sanctions.iter().cloned());
    }
    worth.measures.sort_unstable();
    worth.measures.dedup();
    if worth.entry_ids.is_empty() {
        Verdict::CheckedClear
    } else {
        Verdict::MeasureInForce
    }
}

/// Follows `collection`, and keeps nothing of it.
pub struct CollectionProjection;

impl Projection for CollectionProjection {
    fn views(&self) -> &'static [&'static str] {
        &[]
    }

    fn knows(&self, event_type: &str) -> bool {
        event_type::ALL.contains(&event_type)
    }

    fn reads(&self, _: &Recorded) -> Result<Vec<RowKey>, Poison> {
        Ok(Vec::new())
    }

    fn apply(&self, _: &Recorded, _: &mut ViewRows) -> Result<(), Poison> {
        Ok(())
    }
}

/// Effects of records that report a decision which needs a check first.
pub struct CollectionProcess {
    deps: Deps,
}

impl CollectionProcess {
    /// Effects on the log of `deps`.
    pub fn new(deps: Deps) -> Self {
        Self { deps }
    }

    /// The decision that a record reports, with what its citation is worth;
    /// nothing where no duty to check holds or held.
    async fn assess(
        &self,
        pack: &Pack,
        event: &Recorded,
        content: collection::StoredContent,
        known: &Decision,
    ) -> Result<Option<pb::Decision>, ReactError> {
        let is_of = |duty: &CheckedDecision| duty.record_type == content.record_type;
        // Most records report no such decision.
        if !known.exists() && !pack.decisions.values().any(is_of) {
            return Ok(None);
        }
        let (department, _) = stored_actor(event.envelope.actor.as_ref());
        let department = DepartmentId::parse(&department)
            .map_err(|_| Poison::new("the department of a record cannot be read"))?;
        let decided_on = parse_legal_date(&content.decided_on)
            .map_err(|_| Poison::new("the day of a decision cannot be read"))?;
        let mut decision = pb::Decision {
            record_id: event.envelope.stream_id.clone(),
            subject: event.envelope.subject.clone(),
            department: department.to_string(),
            document_number: content.document_number,
            decided_on: content.decided_on,
            check_id: content.check_id,
            ..Default::default()
        };
        let Some(duty) = pack.check_before(&content.record_type, &department, decided_on) else {
            return Ok(known.found().map(|found| pb::Decision {
                kind: found.kind.clone(),
                legal_basis: found.legal_basis.clone(),
                verdict: Verdict::NotNeeded.into(),
                ..decision
            }));
        };
        let check = match decision.check_id.as_str() {
            "" => None,
            id => Answered::find(&*self.deps.store, department.as_str(), id).await?,
        };
        let reported = Reported {
            subject: &event.envelope.subject,
            decided_on,
            reported_at: known.reported_at().unwrap_or(event.recorded_at),
            check_id: &decision.check_id,
        };
        let worth = worth(duty, reported, check.as_ref());
        decision.set_verdict(worth.verdict);
        decision.entry_ids = worth.entry_ids;
        decision.measures = worth.measures;
        decision.kind.clone_from(&duty.id);
        decision.legal_basis = Some(LegalBasisRef {
            id: duty.legal_basis.id.clone(),
            version: duty.legal_basis.version,
        });
        Ok(Some(decision))
    }

    async fn known(&self, record_id: &str) -> Result<Decision, ReactError> {
        let loaded = self
            .deps
            .executor
            .load::<Decision>(logs::SANCTIONS, &[record_id])
            .await;
        let loaded = loaded.map_err(|error| match error {
            LoadError::Store(error) => ReactError::from(error),
            LoadError::Decode(error) => Poison::from(error).into(),
        })?;
        let first = loaded.into_iter().next();
        Ok(first.map(|loaded| loaded.state).unwrap_or_default())
    }
}

/// What a record says as it was accepted or corrected.
fn content(event: &Recorded) -> Result<collection::StoredContent, Poison> {
    let content = if event.envelope.event_type == event_type::ACCEPTED {
        event.payload::<collection::RecordAccepted>()?.content
    } else {
        event.payload::<collection::RecordCorrected>()?.content
    };
    content.ok_or_else(|| Poison::new("the record has no content"))
}

#[async_trait]
impl ProcessManager for CollectionProcess {
    async fn react(&self, event: &Recorded, _: &ViewRows, cause: Cause) -> Result<(), ReactError> {
        let at = event.recorded_at;
        let event_type = event.envelope.event_type.as_str();
        let fresh = event_type == event_type::ACCEPTED;
        let command = match event_type {
            event_type::ACCEPTED | event_type::CORRECTED => {
                let policy = policy_of(&self.deps, &event.envelope.pack_version).await?;
                // Without such decisions in the pack no record is even decoded.
                if fresh && policy.pack.decisions.is_empty() {
                    return Ok(());
                }
                let known = match fresh {
                    true => Decision::default(),
                    false => self.known(&event.envelope.stream_id).await?,
                };
                let content = content(event)?;
                match self.assess(&policy.pack, event, content, &known).await? {
                    Some(decision) => Command::Assess {
                        decision: Box::new(decision),
                        at,
                    },
                    None => return Ok(()),
                }
            }
            event_type::WITHDRAWN if self.known(&event.envelope.stream_id).await?.exists() => {
                Command::Withdraw { at }
            }
            _ => return Ok(()),
        };
        let id = cause.derived_id(0);
        let task = Task::<Decision> {
            stream_id: event.envelope.stream_id.clone(),
            subject: event.envelope.subject.clone(),
            command,
            key: process_key(id),
            context: process_context(event, id),
            note: Bytes::new(),
            fresh,
            guards: Vec::new(),
        };
        let executed = self.deps.executor.execute(logs::SANCTIONS, task).await;
        executed.map_err(effect_error)?;
        Ok(())
    }

    async fn settle(&self, _: &Lost, _: bool) -> Result<Vec<Settled>, ReactError> {
        // A decision that was assessed was made, whether or not its record is left: it
        // is assessed again where the record is pushed again.
        Ok(Vec::new())
    }
}
