//! Values that two or more of the mesh's services use: who a subject is, which
//! department and officer act, on which legal basis, on which day.
//!
//! Nothing here does I/O, reads a clock or draws a random number; what changes
//! with the law (terms, measures, catalogues, holiday notices) arrives as data
//! from the policy pack.

pub mod calendar;
pub mod date;
pub mod department;
pub mod document;
pub mod fault;
pub mod identifier;
pub mod legal;
pub mod money;
pub mod policy;
pub mod subject;

pub mod text;

pub use calendar::{Day, Deadline, HolidayNotice, WorkingDays};
pub use date::{LegalDate, Term};
pub use department::{Actor, DepartmentId, OfficerId, Role};
pub use document::{DocumentNumber, DocumentRef};
pub use fault::FieldFault;
pub use identifier::{Identifier, IdentifierFault, IdentifierWarning, ResidentId, Scheme};
pub use legal::{InForce, LegalBasisRef};
pub use money::Money;
pub use subject::{PersonId, Subject, SubjectType};
