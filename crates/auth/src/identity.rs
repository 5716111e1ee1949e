//! Whom a certificate names.
//!
//! A certificate names its holder by one URI among its subject alternative names
//! (RFC 5280 section 4.2.1.6); the namespace `urn:tally` is ours.

use std::fmt;

use tally_domain::department::DepartmentId;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::caller::CallerKind;

const NAMESPACE: &str = "urn:tally:";

/// Longest officer's number, operator's name or role, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Whom a certificate names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// `urn:tally:department:<USCC>`: a department's system.
    Department(DepartmentId),
    /// `urn:tally:department:<USCC>:officer:<number>`.
    Officer {
        /// The officer's department.
        department: DepartmentId,
        /// The officer's number in it.
        number: OfficerNumber,
    },
    /// `urn:tally:operator:<name>`.
    Operator(String),
    /// `urn:tally:mesh:<role>`: another role of the mesh.
    Mesh(String),
}

/// An officer's number within a department. It is personal: it is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct OfficerNumber(String);

/// Why a certificate names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityFault {
    /// Not a certificate.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// No name in our namespace; have one issued by the mesh's authority.
    #[error("the certificate has no urn:tally name")]
    Missing,
    /// More than one name in our namespace; have one issued for each.
    #[error("the certificate has more than one urn:tally name")]
    Several,
    /// A name in our namespace of no known form. The name itself may be personal.
    #[error("the certificate's urn:tally name is not of a known form")]
    Form,
}

impl OfficerNumber {
    /// A number of letters, digits, `.`, `_` and `-`, at most 64 bytes.
    ///
    /// # Errors
    ///
    /// [`IdentityFault::Form`]: correct the number.
    pub fn parse(text: &str) -> Result<OfficerNumber, IdentityFault> {
        Ok(OfficerNumber(name(text)?))
    }

    /// The number, for the directory and the certificate only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for OfficerNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfficerNumber(…)")
    }
}

impl Identity {
    /// Reads the one `urn:tally` name of a certificate.
    ///
    /// # Errors
    ///
    /// [`IdentityFault`]: the certificate is refused; the holder has another issued.
    pub fn of_certificate(der: &[u8]) -> Result<Identity, IdentityFault> {
        let (_, certificate) =
            X509Certificate::from_der(der).map_err(|_| IdentityFault::Unreadable)?;
        Identity::of_parsed(&certificate)
    }

    /// The same of the first certificate of a file in PEM.
    ///
    /// # Errors
    ///
    /// As [`Identity::of_certificate`].
    pub fn of_pem(pem: &str) -> Result<Identity, IdentityFault> {
        let (_, pem) = parse_x509_pem(pem.as_bytes()).map_err(|_| IdentityFault::Unreadable)?;
        Identity::of_certificate(&pem.contents)
    }

    pub(crate) fn of_parsed(certificate: &X509Certificate<'_>) -> Result<Identity, IdentityFault> {
        let names = certificate
            .subject_alternative_name()
            .map_err(|_| IdentityFault::Unreadable)?
            .ok_or(IdentityFault::Missing)?;
        let mut ours = names
            .value
            .general_names
            .iter()
            .filter_map(|name| match name {
                GeneralName::URI(uri) if is_ours(uri) => Some(*uri),
                _ => None,
            });
        let urn = ours.next().ok_or(IdentityFault::Missing)?;
        match ours.next() {
            Some(_) => Err(IdentityFault::Several),
            None => Identity::parse(urn),
        }
    }

    /// Reads a name of our namespace.
    ///
    /// # Errors
    ///
    /// [`IdentityFault::Form`] if it has none of the four forms.
    pub fn parse(urn: &str) -> Result<Identity, IdentityFault> {
        let rest = urn.strip_prefix(NAMESPACE).ok_or(IdentityFault::Form)?;
        let parts: Vec<&str> = rest.split(':').collect();
        match parts.as_slice() {
            ["department", code] => Ok(Identity::Department(department(code)?)),
            ["department", code, "officer", number] => Ok(Identity::Officer {
                department: department(code)?,
                number: OfficerNumber::parse(number)?,
            }),
            ["operator", operator] => Ok(Identity::Operator(name(operator)?)),
            ["mesh", role] => Ok(Identity::Mesh(name(role)?)),
            _ => Err(IdentityFault::Form),
        }
    }

    /// The name in a certificate. For an officer it is personal.
    pub fn urn(&self) -> String {
        match self {
            Identity::Department(department) => format!("{NAMESPACE}department:{department}"),
            Identity::Officer { department, number } => format!(
                "{NAMESPACE}department:{department}:officer:{}",
                number.expose()
            ),
            Identity::Operator(operator) => format!("{NAMESPACE}operator:{operator}"),
            Identity::Mesh(role) => format!("{NAMESPACE}mesh:{role}"),
        }
    }

    /// What the name makes of its holder.
    pub fn kind(&self) -> CallerKind {
        match self {
            Identity::Department(_) => CallerKind::System,
            Identity::Officer { .. } => CallerKind::Officer,
            Identity::Operator(_) => CallerKind::Operator,
            Identity::Mesh(_) => CallerKind::Mesh,
        }
    }

    /// The department it names, if any.
    pub fn department(&self) -> Option<&DepartmentId> {
        match self {
            Identity::Department(department) | Identity::Officer { department, .. } => {
                Some(department)
            }
            Identity::Operator(_) | Identity::Mesh(_) => None,
        }
    }
}

// The scheme and the namespace of a URN ignore case (RFC 8141 section 3.1), so
// `URN:Tally:` counts too. Only the lower-case form is then accepted.
fn is_ours(uri: &str) -> bool {
    uri.get(..NAMESPACE.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(NAMESPACE))
}

fn department(text: &str) -> Result<DepartmentId, IdentityFault> {
    let department = DepartmentId::parse(text).map_err(|_| IdentityFault::Form)?;
    // One department has one spelling, or two certificates could look different
    // to whoever reads them and be the same here.
    if department.as_str() == text {
        Ok(department)
    } else {
        Err(IdentityFault::Form)
    }
}

fn name(text: &str) -> Result<String, IdentityFault> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if text.is_empty() || text.len() > NAME_BYTES_MAX || !text.bytes().all(allowed) {
        return Err(IdentityFault::Form);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUREAU: &str = "11990000MB0000001M";

    #[test]
    fn the_four_forms_survive_their_text() {
        for (urn, kind) in [
            (format!("urn:tally:department:{BUREAU}"), CallerKind::System),
            (
                format!("urn:tally:department:{BUREAU}:officer:A-017"),
                CallerKind::Officer,
            ),
            (
                "urn:tally:operator:night.shift".to_owned(),
                CallerKind::Operator,
            ),
            ("urn:tally:mesh:lists".to_owned(), CallerKind::Mesh),
        ] {
            let identity = Identity::parse(&urn).expect("a known form");
            assert_eq!(identity.kind(), kind);
            assert_eq!(identity.urn(), urn);
        }
    }

    #[test]
    fn other_forms_name_nobody() {
        for urn in [
            "urn:tally:department:11990000MB00000011".to_owned(),
            format!("urn:tally:department:{}", BUREAU.to_lowercase()),
            format!("urn:tally:department:{BUREAU}:officer:"),
            format!("urn:tally:department:{BUREAU}:officer:1:2"),
            format!("urn:tally:department:{BUREAU}:officer:{}", "1".repeat(65)),
            "urn:tally:department:9152000071430580XT".to_owned(),
            "URN:tally:mesh:lists".to_owned(),
            "urn:tally:mesh:".to_owned(),
            "urn:tally:auditor:x".to_owned(),
            "urn:tally:".to_owned(),
        ] {
            assert_eq!(Identity::parse(&urn), Err(IdentityFault::Form), "{urn}");
        }
    }

    #[test]
    fn an_officers_number_is_not_printed() {
        let urn = format!("urn:tally:department:{BUREAU}:officer:A-017");
        let identity = Identity::parse(&urn).expect("a known form");
        assert!(!format!("{identity:?}").contains("A-017"));
    }
}
