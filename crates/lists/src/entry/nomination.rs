//! What a nomination must satisfy. All faults of the message are found, not the first.

use jiff::Timestamp;
use tally_domain::date::{LegalDate, Term};
use tally_domain::fault::FieldFault;
use tally_domain::legal::LegalBasisRef;
use tally_domain::policy::{BasisFault, ListType, TermFault};
use tally_domain::subject::{Subject, SubjectType};
use tally_service::subject::natural_persons_off;

use super::{Nomination, Officer, Rejection};

/// What is known of the record that a nomination rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ground {
    /// Whom it is about.
    pub subject: String,
    /// Its type.
    pub record_type: String,
    /// Number of its decision document.
    pub document_number: String,
    /// Whether its department withdrew it.
    pub withdrawn: bool,
}

/// A nomination as an officer asks for it, with what pack and records say.
#[derive(Debug, Clone, PartialEq)]
pub struct Nominate {
    /// The first officer.
    pub by: Officer,
    /// Whom.
    pub subject: Subject,
    /// The list type in the active pack.
    pub list_type: Option<ListType>,
    /// Id of the record it rests on.
    pub ground_record_id: String,
    /// That record, if it is known.
    pub ground: Option<Ground>,
    /// Which criterion is met.
    pub criterion: String,
    /// The legal basis given.
    pub basis: LegalBasisRef,
    /// Whether it is in force today for department and subject.
    pub basis_verdict: Result<(), BasisFault>,
    /// First day.
    pub term_from: LegalDate,
    /// Last day.
    pub term_until: Option<LegalDate>,
    /// Today's legal date.
    pub today: LegalDate,
    /// Version of the active pack.
    pub pack_version: String,
    /// Now.
    pub at: Timestamp,
}

impl Nominate {
    /// The nomination, if nothing is wrong with it.
    pub(super) fn judge(&self) -> Result<Nomination, Rejection> {
        let Some(list_type) = &self.list_type else {
            let message = "the active policy pack has no such list type; name one that it has";
            let fault = FieldFault::new("list_type", "LIST_TYPE_UNKNOWN", message);
            return Err(Rejection::Invalid(vec![fault]));
        };
        if !list_type.initiators.contains(&self.by.department) {
            return Err(Rejection::NotInitiator {
                list_type: list_type.id.clone(),
            });
        }
        let mut faults = Vec::new();
        if !list_type.in_force.contains(self.today) {
            let message = "the list type is not in force today; name one that is";
            faults.push(FieldFault::new(
                "list_type",
                "LIST_TYPE_NOT_IN_FORCE",
                message,
            ));
        }
        self.judge_basis(list_type, &mut faults);
        let ground = self.judge_ground(list_type, &mut faults);
        let term = self.judge_term(list_type, &mut faults);
        match (ground, term) {
            (Some(ground), Some(term)) if faults.is_empty() => Ok(Nomination {
                by: self.by.clone(),
                subject: self.subject.to_string(),
                list_type: list_type.id.clone(),
                ground_record_id: self.ground_record_id.clone(),
                ground_document_number: ground.document_number.clone(),
                criterion: self.criterion.clone(),
                term,
                pack_version: self.pack_version.clone(),
            }),
            _ => Err(Rejection::Invalid(faults)),
        }
    }

    fn judge_basis(&self, list_type: &ListType, faults: &mut Vec<FieldFault>) {
        let subject_type = self.subject.subject_type();
        match list_type.basis_for(subject_type) {
            None if subject_type == SubjectType::NaturalPerson => {
                faults.push(natural_persons_off("subject"));
            }
            None => faults.push(FieldFault::new(
                "subject",
                "SUBJECT_TYPE_NOT_COVERED",
                format!("subjects of type {subject_type} cannot be on this list"),
            )),
            Some(needed) if *needed != self.basis => faults.push(FieldFault::new(
                "legal_basis",
                "LEGAL_BASIS_OTHER",
                format!("this list rests on {needed}; cite that"),
            )),
            Some(_) => {}
        }
        if let Err(fault) = &self.basis_verdict {
            let message = format!("{fault}; cite a basis that covers the listing today");
            faults.push(FieldFault::new("legal_basis", basis_reason(fault), message));
        }
    }

    fn judge_ground(&self, list_type: &ListType, faults: &mut Vec<FieldFault>) -> Option<&Ground> {
        let mut refuse = |reason, message: &str| {
            faults.push(FieldFault::new("ground_record_id", reason, message));
        };
        let Some(ground) = &self.ground else {
            refuse(
                "GROUND_UNKNOWN",
                "no such record is known here; push it first, or try again once it is",
            );
            return None;
        };
        if ground.subject != self.subject.to_string() {
            refuse(
                "GROUND_OTHER_SUBJECT",
                "the record is about another subject; name one about this one",
            );
        }
        if !list_type.grounds.contains(&ground.record_type) {
            refuse(
                "GROUND_TYPE",
                "a record of its type cannot ground this list; name one that can",
            );
        }
        if ground.withdrawn {
            refuse(
                "GROUND_WITHDRAWN",
                "the record was withdrawn; name one that stands",
            );
        }
        Some(ground)
    }

    fn judge_term(&self, list_type: &ListType, faults: &mut Vec<FieldFault>) -> Option<Term> {
        if let Some(Err(fault)) = list_type
            .term
            .map(|rule| rule.check(self.term_from, self.term_until))
        {
            faults.push(FieldFault::new(
                "term_until",
                term_reason(&fault),
                fault.to_string(),
            ));
            return None;
        }
        match Term::new(self.term_from, self.term_until) {
            Ok(term) => Some(term),
            Err(fault) => {
                faults.push(fault.at("term_until"));
                None
            }
        }
    }
}

/// Stable reason of a fault of a legal basis.
pub(crate) fn basis_reason(fault: &BasisFault) -> &'static str {
    match fault {
        BasisFault::Unknown { .. } => "LEGAL_BASIS_UNKNOWN",
        BasisFault::NotYetInForce { .. } | BasisFault::Expired { .. } => "LEGAL_BASIS_NOT_IN_FORCE",
        BasisFault::Department { .. } => "LEGAL_BASIS_DEPARTMENT",
        BasisFault::SubjectType { .. } => "LEGAL_BASIS_SUBJECT_TYPE",
    }
}

fn term_reason(fault: &TermFault) -> &'static str {
    match fault {
        TermFault::NoLastDay => "TERM_NO_LAST_DAY",
        TermFault::Reversed { .. } => "TERM_REVERSED",
        TermFault::TooShort { .. } => "TERM_TOO_SHORT",
        TermFault::TooLong { .. } => "TERM_TOO_LONG",
    }
}
