//! Until when a certificate holds.

use std::time::{Duration, SystemTime};

use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::identity::IdentityFault;

/// Until when the first certificate of a file in PEM holds.
///
/// # Errors
///
/// [`IdentityFault::Unreadable`]: it is no certificate; put the right file there.
pub fn holds_until(pem: &str) -> Result<SystemTime, IdentityFault> {
    let (_, pem) = parse_x509_pem(pem.as_bytes()).map_err(|_| IdentityFault::Unreadable)?;
    let (_, certificate) =
        X509Certificate::from_der(&pem.contents).map_err(|_| IdentityFault::Unreadable)?;
    let seconds = certificate.validity().not_after.timestamp();
    // One that ended before 1970 has ended all the same.
    let seconds = u64::try_from(seconds).unwrap_or_default();
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;
    use crate::pki::{Authority, Term};

    #[test]
    fn a_certificate_holds_as_long_as_it_was_issued_for() {
        let place = tempfile::TempDir::new().expect("a directory");
        let issued_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let authority = Authority::create(place.path(), issued_at).expect("an authority");
        let lifetime = Duration::from_secs(3 * 24 * 60 * 60);
        let files = authority.issue(
            &Identity::Mesh("lists".to_owned()),
            place.path(),
            "lists",
            Term {
                issued_at,
                lifetime,
            },
        );
        let pem = std::fs::read_to_string(files.expect("issued").certificate).expect("written");
        assert_eq!(holds_until(&pem), Ok(issued_at + lifetime));
        assert_eq!(holds_until("no PEM"), Err(IdentityFault::Unreadable));
    }
}
