//! What a cell of the matrix must come to, from the contract's rule and the
//! policy pack alone. It reads the pack's items itself and calls none of the
//! functions by which the services decide.

use tally_auth::{CallerKind, Competence, Rule};
use tally_domain::department::DepartmentId;
use tally_domain::policy::{Department, Level, Pack, SharedWith};

use crate::cast::{ADDRESSEE, Caller, INITIATOR, LIST_TYPE, MEASURE, RECORD_TYPE};

/// What a call must come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// There is no connection.
    Unconnected,
    /// It gets past every check of rights.
    Allowed,
    /// It is answered, without what the caller may not see.
    Hidden,
    /// `PERMISSION_DENIED`, naming this right.
    Denied(String),
    /// `NOT_FOUND` as of an id that nothing has, naming the right to see it.
    Unseen(&'static str),
}

/// The verdict for a caller on a call of that service.
pub fn verdict(service: &str, rule: &Rule, caller: &Caller, pack: &Pack) -> Verdict {
    let Some(kind) = caller.kind else {
        return Verdict::Unconnected;
    };
    let denied = || Verdict::Denied(rule.right.clone());
    if !rule.admits(kind) {
        return denied();
    }
    // Neither of these has a department, and competence is a department's.
    if matches!(kind, CallerKind::Operator | CallerKind::Mesh) {
        return Verdict::Allowed;
    }
    let department = caller.department.expect("systems and officers have one");
    if has(rule.competence, department, pack) {
        return Verdict::Allowed;
    }
    if rule.narrows {
        return Verdict::Hidden;
    }
    match seeing(service, rule.competence) {
        Some((sight, right)) if !has(sight, department, pack) => {
            // Whoever takes no part at all is told that, before anything is looked up.
            let changes = !matches!(rule.competence, Competence::DirectiveParty);
            if service.contains("sanctions") && changes && found(pack, department).is_none() {
                denied()
            } else {
                Verdict::Unseen(right)
            }
        }
        _ => denied(),
    }
}

/// By what competence, and under which right, the thing can be seen that a call
/// of this competence is about.
fn seeing(service: &str, competence: Competence) -> Option<(Competence, &'static str)> {
    use Competence as C;
    let feedback = service.contains("feedback");
    match competence {
        C::RecordOwner | C::RecordReader => Some((C::RecordReader, "collection.get")),
        C::Own if service.contains("collection") => Some((C::Own, "collection.quarantine.get")),
        C::EntryInitiator | C::EntryReader | C::Objection => Some((C::EntryReader, "lists.get")),
        C::FeedbackReader => Some((C::FeedbackReader, "feedback.get")),
        C::Addressee | C::DirectiveInitiator if feedback => {
            Some((C::FeedbackReader, "feedback.get"))
        }
        C::Addressee | C::MeasurePower | C::DirectiveParty => {
            Some((C::DirectiveParty, "sanctions.get"))
        }
        _ => None,
    }
}

/// Whether a department has a competence about the fixtures.
fn has(competence: Competence, department: &str, pack: &Pack) -> bool {
    use Competence as C;
    let list = pack.list_type(LIST_TYPE).expect("in the pack");
    let record = pack.record_type(RECORD_TYPE).expect("in the pack");
    let of_province =
        || found(pack, department).is_some_and(|found| found.level == Level::Province);
    let named = |ids: &[DepartmentId]| ids.iter().any(|id| id.as_str() == department);
    match competence {
        C::None => true,
        C::Member => found(pack, department).is_some(),
        C::Own | C::RecordOwner | C::EntryInitiator | C::DirectiveInitiator => {
            department == INITIATOR
        }
        C::Reporter => named(&record.reporters),
        C::RecordReader => department == INITIATOR || shared(&record.shared_with, department, pack),
        C::Initiator => named(&list.initiators),
        C::EntryReader => {
            let answers = pack.memoranda.values().any(|memorandum| {
                let mut measures = memorandum.measures.iter();
                memorandum.list_type == LIST_TYPE
                    && measures.any(|measure| named(&measure.departments))
            });
            department == INITIATOR
                || of_province()
                || answers
                || shared(&list.shared_with, department, pack)
        }
        C::Objection | C::LinkOwner => department == INITIATOR || of_province(),
        C::Link => of_province() || pack.list_types.values().any(|list| named(&list.initiators)),
        C::Addressee => department == ADDRESSEE,
        C::MeasurePower => {
            let powers = found(pack, department).map(|found| &found.powers);
            department == ADDRESSEE
                && powers.is_some_and(|powers| powers.iter().any(|power| power == MEASURE))
        }
        C::DirectiveParty => [ADDRESSEE, INITIATOR].contains(&department),
        C::Division => in_division(pack, department),
        C::FeedbackReader => [ADDRESSEE, INITIATOR].contains(&department) || of_province(),
    }
}

fn shared(shared_with: &SharedWith, department: &str, pack: &Pack) -> bool {
    match shared_with {
        SharedWith::All => found(pack, department).is_some(),
        SharedWith::Division => in_division(pack, department),
        SharedWith::Listed(ids) => ids.iter().any(|id| id.as_str() == department),
    }
}

/// Whether the department is of the initiator's division or of one above it.
fn in_division(pack: &Pack, department: &str) -> bool {
    let division = |of| found(pack, of).map(|found| found.division.as_str());
    let (Some(above), Some(below)) = (division(department), division(INITIATOR)) else {
        return department == INITIATOR;
    };
    let significant = above.strip_suffix("0000").or(above.strip_suffix("00"));
    below.starts_with(significant.unwrap_or(above))
}

fn found<'a>(pack: &'a Pack, department: &str) -> Option<&'a Department> {
    let mut departments = pack.departments.values();
    departments.find(|found| found.id.as_str() == department)
}
