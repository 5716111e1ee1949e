//! A listing meets the memoranda: which measures, by which departments, on
//! which legal basis. Pure, and the same whenever it is derived again.

use std::collections::HashSet;

use jiff::Timestamp;
use tally_domain::date::LegalDate;
use tally_domain::department::DepartmentId;
use tally_domain::policy::{
    Measure, MeasureKind, Memorandum, MemorandumMeasure, Pack, Strength, WhenUndetermined,
};
use tally_domain::subject::{Subject, SubjectType};
use tally_eventlog::event::from_proto_time;
use tally_eventlog::ids::named_id;
use tally_eventlog::pb::LegalBasisRef;
use tally_proto::tally::sanctions::v1 as pb;
use tally_service::Policy;

use crate::known;

/// Id of the directive of an entry, a measure and a department.
pub fn directive_id(entry_id: &str, measure: &str, department: &str) -> String {
    named_id("directive", &[entry_id, measure, department]).to_string()
}

/// The directives of an entry, by the pack that the listing was judged by and
/// on the day it was recorded. None if the term was over by then.
pub fn directives_of(
    policy: &Policy,
    subject: &Subject,
    entry: &pb::KnownEntry,
) -> Vec<pb::Directive> {
    let pack = &*policy.pack;
    let listed_at = entry
        .listed_at
        .as_ref()
        .and_then(from_proto_time)
        .unwrap_or(Timestamp::UNIX_EPOCH);
    let day = policy.today(listed_at);
    if known::is_over(entry, day) {
        return Vec::new();
    }
    let subject_type = subject.subject_type();
    let mut seen = HashSet::new();
    let mut directives = Vec::new();
    for memorandum in pack.memoranda_for(&entry.list_type, day) {
        let acknowledge = policy.deadline(day, memorandum.acknowledge_within_working_days);
        let report = policy.deadline(day, memorandum.report_within_working_days);
        for agreed in &memorandum.measures {
            let Some(measure) = pack.measure(&agreed.measure) else {
                continue;
            };
            for department in &agreed.departments {
                if !may_apply(pack, day, measure, agreed, department, subject_type) {
                    continue;
                }
                let directive_id = directive_id(&entry.entry_id, &measure.id, department.as_str());
                // A pack assigns a measure to a department once per day.
                if !seen.insert(directive_id.clone()) {
                    continue;
                }
                directives.push(pb::Directive {
                    directive_id,
                    subject: subject.to_string(),
                    entry_id: entry.entry_id.clone(),
                    list_type: entry.list_type.clone(),
                    measure: measure.id.clone(),
                    memorandum: memorandum.id.clone(),
                    department: department.to_string(),
                    initiator: entry.initiator.clone(),
                    state: pb::DirectiveState::Triggered.into(),
                    legal_basis: Some(basis(agreed)),
                    term_from: entry.term_from.clone(),
                    term_until: entry.term_until.clone(),
                    acknowledge_by: acknowledge.date.to_string(),
                    report_by: report.date.to_string(),
                    provisional: acknowledge.provisional || report.provisional,
                    mandatory: agreed.strength == Strength::Mandatory,
                    standing: measure.kind == MeasureKind::Standing,
                    lift_reason: pb::LiftReason::Unspecified.into(),
                });
            }
        }
    }
    directives
}

/// True if the department has the power, and both the basis it was given in the
/// memorandum and the measure's own are in force.
fn may_apply(
    pack: &Pack,
    day: LegalDate,
    measure: &Measure,
    agreed: &MemorandumMeasure,
    department: &DepartmentId,
    subject_type: SubjectType,
) -> bool {
    let has_power = pack
        .department(department)
        .is_some_and(|found| found.has_power(&measure.id));
    // The measure's own basis need not name every department that carries it out.
    let measure_holds = pack.legal_basis(&measure.legal_basis).is_some_and(|basis| {
        basis.in_force.contains(day) && basis.subject_types.contains(&subject_type)
    });
    has_power
        && measure_holds
        && pack
            .in_force(&agreed.legal_basis, day, department, subject_type)
            .is_ok()
}

fn basis(agreed: &MemorandumMeasure) -> LegalBasisRef {
    LegalBasisRef {
        id: agreed.legal_basis.id.clone(),
        version: agreed.legal_basis.version,
    }
}

/// Who asks what for, on which day.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    /// The active pack.
    pub pack: &'a Pack,
    /// Today.
    pub day: LegalDate,
    /// The asking department.
    pub department: &'a DepartmentId,
    /// Purpose of its decision.
    pub purpose: &'a str,
    /// What is asked about.
    pub subject_type: SubjectType,
}

impl<'a> Window<'a> {
    /// The measures that the department applies for this purpose to whom is on
    /// a list of that type.
    pub fn measures(self, list_type: &str) -> Vec<pb::MeasureInForce> {
        self.assigned(|memorandum| memorandum.list_type == list_type)
            .map(|(memorandum, agreed, measure)| pb::MeasureInForce {
                measure: measure.id.clone(),
                memorandum: memorandum.id.clone(),
                mandatory: agreed.strength == Strength::Mandatory,
                standing: measure.kind == MeasureKind::Standing,
                legal_basis: Some(basis(agreed)),
            })
            .collect()
    }

    /// What the department may do about each of its measures for this purpose
    /// when it cannot be said whether it applies.
    pub fn when_undetermined(self) -> Vec<pb::UndeterminedMeasure> {
        let mut seen = HashSet::new();
        self.assigned(|_| true)
            .filter(|(_, _, measure)| seen.insert(measure.id.as_str()))
            .map(|(_, _, measure)| pb::UndeterminedMeasure {
                measure: measure.id.clone(),
                action: match measure.when_undetermined {
                    WhenUndetermined::Proceed => "proceed",
                    WhenUndetermined::Hold => "hold",
                    WhenUndetermined::Refer => "refer",
                }
                .to_owned(),
            })
            .collect()
    }

    fn assigned<F: Fn(&Memorandum) -> bool>(
        self,
        wanted: F,
    ) -> impl Iterator<Item = (&'a Memorandum, &'a MemorandumMeasure, &'a Measure)> + use<'a, F>
    {
        self.pack
            .memoranda
            .values()
            .filter(move |memorandum| memorandum.in_force.contains(self.day) && wanted(memorandum))
            .flat_map(|memorandum| {
                memorandum
                    .measures
                    .iter()
                    .map(move |agreed| (memorandum, agreed))
            })
            .filter(move |(_, agreed)| agreed.departments.contains(self.department))
            .filter_map(move |(memorandum, agreed)| {
                let measure = self.pack.measure(&agreed.measure)?;
                Some((memorandum, agreed, measure))
            })
            .filter(move |(_, agreed, measure)| {
                measure
                    .purposes
                    .iter()
                    .any(|purpose| purpose == self.purpose)
                    && may_apply(
                        self.pack,
                        self.day,
                        measure,
                        agreed,
                        self.department,
                        self.subject_type,
                    )
            })
    }
}

/// True if a measure of the pack has this purpose.
pub fn knows_purpose(pack: &Pack, purpose: &str) -> bool {
    pack.measures
        .values()
        .any(|measure| measure.purposes.iter().any(|known| known == purpose))
}

#[cfg(test)]
mod tests;
