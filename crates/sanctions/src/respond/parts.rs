//! What the answers of departments have in common.

use tally_domain::department::DepartmentId;
use tally_domain::subject::Subject;
use tally_proto::tally::sanctions::v1 as pb;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::reply::load_fault;
use tally_service::{Deps, logs};
use uuid::Uuid;

use crate::directive::{Directive, Rejection};

/// A directive as its stream says, which is never behind.
///
/// # Errors
///
/// There is no such directive, or the store cannot be read.
pub async fn load(deps: &Deps, directive_id: &str) -> Result<Directive, Fault> {
    let loaded = deps
        .executor
        .load::<Directive>(logs::SANCTIONS, &[directive_id])
        .await
        .map_err(load_fault)?;
    let state = loaded
        .into_iter()
        .next()
        .map(|loaded| loaded.state)
        .unwrap_or_default();
    if state.made.is_none() {
        return Err(Rejection::Unknown.into());
    }
    Ok(state)
}

/// Refuses a department that is no party of the directive: neither has to answer
/// it nor listed the subject.
///
/// # Errors
///
/// [`Rejection::Unknown`], as if there were none.
pub fn seen_by(directive: &pb::Directive, reader: &DepartmentId) -> Result<(), Rejection> {
    let reader = reader.as_str();
    if directive.department != reader && directive.initiator != reader {
        return Err(Rejection::Unknown);
    }
    Ok(())
}

/// A UUID as it is written in stream ids.
pub fn uuid(faults: &mut Faults, field: &str, text: &str) -> Option<String> {
    match Uuid::try_parse(text) {
        Ok(id) => Some(id.to_string()),
        Err(_) => {
            faults.add(field, "UUID_INVALID", "an id is a UUID, as it was received");
            None
        }
    }
}

/// Whom a directive is about.
///
/// # Errors
///
/// It was never made, or was stored wrong.
pub(super) fn subject_of(directive: &Directive) -> Result<Subject, Fault> {
    let (made, _) = directive.made.as_ref().ok_or(Rejection::Unknown)?;
    made.subject
        .parse()
        .map_err(|_| Fault::internal("the subject of a directive cannot be read"))
}

/// All parts of a request, or all that is wrong with it.
///
/// # Errors
///
/// Every fault.
pub(super) fn complete<T>(parts: Option<T>, faults: Faults) -> Result<T, Fault> {
    match parts {
        Some(parts) if faults.is_empty() => Ok(parts),
        _ => Err(Fault::invalid(faults.into_vec())),
    }
}
