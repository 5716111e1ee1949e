//! Who makes a call.

use std::sync::Arc;

use http::Extensions;
use tally_domain::department::{Actor, DepartmentId, OfficerId};
use tally_proto::tally::options::v1 as pb;
use tally_rpc::Fault;
use tally_rpc::fault::reason;

/// What a certificate makes of its holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallerKind {
    /// A department's system.
    System,
    /// An officer of a department.
    Officer,
    /// The operator of the mesh. It runs the platform and decides nothing.
    Operator,
    /// Another role of the mesh.
    Mesh,
}

impl CallerKind {
    /// Every kind.
    pub const ALL: [CallerKind; 4] = [
        CallerKind::System,
        CallerKind::Officer,
        CallerKind::Operator,
        CallerKind::Mesh,
    ];

    /// The kind as it is written in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            CallerKind::System => "system",
            CallerKind::Officer => "officer",
            CallerKind::Operator => "operator",
            CallerKind::Mesh => "mesh",
        }
    }

    pub(crate) fn of_contract(kind: pb::CallerKind) -> Option<CallerKind> {
        match kind {
            pb::CallerKind::Unspecified => None,
            pb::CallerKind::System => Some(CallerKind::System),
            pb::CallerKind::Officer => Some(CallerKind::Officer),
            pb::CallerKind::Operator => Some(CallerKind::Operator),
            pb::CallerKind::Mesh => Some(CallerKind::Mesh),
        }
    }
}

/// Who makes a call, as [`crate::AuthLayer`] found it in the certificate.
///
/// An officer appears by the random id only; the number stays in the certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// What the certificate makes of its holder.
    pub kind: CallerKind,
    /// The department; present for systems and officers.
    pub department: Option<DepartmentId>,
    /// The officer; present for officers.
    pub officer: Option<OfficerId>,
}

impl Caller {
    /// A department's system.
    pub fn system(department: DepartmentId) -> Caller {
        Caller {
            kind: CallerKind::System,
            department: Some(department),
            officer: None,
        }
    }

    /// An officer of a department.
    pub fn of_officer(department: DepartmentId, officer: OfficerId) -> Caller {
        Caller {
            kind: CallerKind::Officer,
            department: Some(department),
            officer: Some(officer),
        }
    }

    /// The operator.
    pub fn operator() -> Caller {
        Caller {
            kind: CallerKind::Operator,
            department: None,
            officer: None,
        }
    }

    /// Another role of the mesh.
    pub fn mesh() -> Caller {
        Caller {
            kind: CallerKind::Mesh,
            department: None,
            officer: None,
        }
    }

    /// The caller of `request`.
    ///
    /// # Errors
    ///
    /// `UNAUTHENTICATED` if no [`crate::AuthLayer`] stood in front: the service was
    /// wired without one, and refuses rather than serve nobody in particular.
    pub fn of<T>(request: &tonic::Request<T>) -> Result<&Caller, Fault> {
        Caller::in_extensions(request.extensions()).ok_or_else(|| {
            Fault::unauthenticated(reason::CERTIFICATE_UNKNOWN, "the call has no known caller")
        })
    }

    /// Puts the caller where [`Caller::of`] finds it, as the layer does; for
    /// tests of a service without a network.
    pub fn attach(self, extensions: &mut Extensions) {
        extensions.insert(Arc::new(self));
    }

    /// The caller among a request's extensions, for a layer behind [`crate::AuthLayer`].
    pub fn in_extensions(extensions: &Extensions) -> Option<&Caller> {
        extensions.get::<Arc<Caller>>().map(Arc::as_ref)
    }

    /// The department in whose name the call is made.
    ///
    /// # Errors
    ///
    /// `PERMISSION_DENIED` for an operator or a role: use a department's certificate.
    pub fn department(&self) -> Result<&DepartmentId, Fault> {
        self.department.as_ref().ok_or_else(|| {
            Fault::permission(
                "department",
                format!(
                    "only a department may do this, not the {}",
                    self.kind.as_str()
                ),
            )
        })
    }

    /// The officer who decides.
    ///
    /// # Errors
    ///
    /// `PERMISSION_DENIED` for everyone else: an officer uses the officer's own certificate.
    pub fn officer(&self) -> Result<OfficerId, Fault> {
        self.officer.ok_or_else(|| {
            Fault::permission(
                "officer",
                format!(
                    "only an officer may do this, not the {}",
                    self.kind.as_str()
                ),
            )
        })
    }

    /// The caller as the actor of an event.
    ///
    /// # Errors
    ///
    /// `PERMISSION_DENIED` for an operator or a role: they cause no events in a
    /// department's name.
    pub fn to_actor(&self) -> Result<Actor, Fault> {
        let department = self.department()?.clone();
        Ok(match self.officer {
            Some(officer) => Actor::officer(department, officer),
            None => Actor::system(department),
        })
    }
}

#[cfg(test)]
mod tests {
    use tally_domain::department::Role;
    use tonic::Code;
    use uuid::Uuid;

    use super::*;

    fn bureau() -> DepartmentId {
        "11990000MB0000001M".parse().expect("valid")
    }

    #[test]
    fn a_request_without_the_layer_has_no_caller() {
        let fault = Caller::of(&tonic::Request::new(())).expect_err("nobody");
        assert_eq!(fault.code(), Code::Unauthenticated);
    }

    #[test]
    fn an_attached_caller_is_found() {
        let mut request = tonic::Request::new(());
        Caller::operator().attach(request.extensions_mut());
        assert_eq!(Caller::of(&request).ok(), Some(&Caller::operator()));
    }

    #[test]
    fn an_officer_acts_as_an_officer_and_a_system_as_a_system() {
        let id = OfficerId(Uuid::from_u128(7));
        let officer = Caller::of_officer(bureau(), id)
            .to_actor()
            .expect("an actor");
        assert_eq!(officer.deciding_officer(), Some(id));
        let system = Caller::system(bureau());
        assert_eq!(
            system.to_actor().map(|actor| actor.role).ok(),
            Some(Role::System)
        );
        assert_eq!(
            system.officer().expect_err("no officer").code(),
            Code::PermissionDenied
        );
    }

    #[test]
    fn the_operator_acts_for_no_department() {
        for caller in [Caller::operator(), Caller::mesh()] {
            assert_eq!(
                caller.to_actor().expect_err("no department").code(),
                Code::PermissionDenied
            );
        }
    }
}
