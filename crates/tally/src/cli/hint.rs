//! What to do next after a refusal, where the message of the mesh cannot say it: the mesh does not
//! know this program's commands.

use tally_auth::{CallerKind, Rules};
use tally_rpc::FaultReport;
use tally_rpc::fault::reason::RIGHT_MISSING;

/// The next step after `report`, if there is one that holds in general.
pub fn after(report: &FaultReport) -> Option<String> {
    if report.reason == RIGHT_MISSING {
        let right = report.metadata.get("right")?;
        let holders = holders(right, &report.message)?;
        return Some(format!(
            "`{right}` is for {holders}: choose such a certificate with --as, or issue one with `tally cert issue`"
        ));
    }
    let mut reasons = report.violations.iter().map(|fault| fault.reason.as_str());
    let kind = std::iter::once(report.reason.as_str())
        .chain(&mut reasons)
        .find_map(kind_of)?;
    Some(format!(
        "`tally policy show --kind {kind}` prints what the active pack has"
    ))
}

/// The kind of item of the policy pack that a reason says is not there.
fn kind_of(reason: &str) -> Option<&'static str> {
    match reason {
        "RECORD_TYPE_UNKNOWN" => Some("record_type"),
        "LIST_TYPE_UNKNOWN" => Some("list_type"),
        "PURPOSE_UNKNOWN" => Some("measure"),
        "LEGAL_BASIS_UNKNOWN" => Some("legal_basis"),
        _ => None,
    }
}

/// Who holds `right`; `None` where the certificate is of such a kind, but of another department:
/// then the message says whose it has to be.
fn holders(right: &str, message: &str) -> Option<String> {
    let rules = Rules::from_descriptors().ok()?;
    let rule = rules
        .paths()
        .filter_map(|path| rules.get(path))
        .find(|rule| rule.right == right)?;
    let others = CallerKind::ALL
        .into_iter()
        .filter(|kind| !rule.admits(*kind));
    let named = |kind: CallerKind| message.ends_with(&format!(" the {}'s", kind.as_str()));
    if !others.into_iter().any(named) {
        return None;
    }
    let names: Vec<_> = rule
        .callers
        .iter()
        .filter_map(|kind| match kind {
            CallerKind::System => Some("a department's system"),
            CallerKind::Officer => Some("an officer"),
            CallerKind::Operator => Some("the operator"),
            CallerKind::Mesh => None,
        })
        .collect();
    (!names.is_empty()).then(|| names.join(" or "))
}

#[cfg(test)]
mod tests {
    use tally_domain::fault::FieldFault;
    use tally_rpc::Fault;
    use tonic::Status;

    use super::*;

    fn hint(fault: Fault) -> Option<String> {
        after(&FaultReport::from(&Status::from(fault)))
    }

    fn denied(right: &str, kind: &str) -> Fault {
        Fault::permission(right, format!("the right {right} is not the {kind}'s"))
    }

    #[test]
    fn a_missing_right_names_who_has_it() {
        let nominate = hint(denied("lists.nominate", "system")).expect("a hint");
        assert!(nominate.contains("is for an officer:"), "{nominate}");
        let push = hint(denied("collection.push", "operator")).expect("a hint");
        assert!(
            push.contains("a department's system or an officer"),
            "{push}"
        );
    }

    #[test]
    fn what_the_pack_lacks_leads_to_what_it_has() {
        let fault = FieldFault::new("list_type", "LIST_TYPE_UNKNOWN", "no such list type");
        let hint = hint(Fault::invalid(vec![fault])).expect("a hint");
        assert!(
            hint.contains("tally policy show --kind list_type"),
            "{hint}"
        );
    }

    #[test]
    fn other_refusals_speak_for_themselves() {
        let other = "the entry is another department's";
        assert_eq!(hint(Fault::permission("lists.remove", other)), None);
        assert_eq!(
            hint(Fault::rejected("ENTRY_STATE", "the entry is listed")),
            None
        );
    }
}
