//! Who calls, and what a caller of that kind may call.
//!
//! A caller is what its certificate says ([`Identity`]) and never what a request
//! says. The rules are options of the contracts' methods ([`Rules`]); a method
//! without a rule is denied to everyone. [`AuthLayer`] puts both together in
//! front of every service. What a department is competent for is decided behind
//! it, by the policy pack.

pub mod caller;
pub mod competence;
pub mod directory;
pub mod identity;
pub mod layer;
pub mod pki;
pub mod rules;

pub use caller::{Caller, CallerKind};
pub use competence::Competence;
pub use directory::OfficerDirectory;
pub use identity::{Identity, IdentityFault, OfficerNumber};
pub use layer::{AuthLayer, AuthService};
pub use rules::{Rule, Rules, RulesFault};
