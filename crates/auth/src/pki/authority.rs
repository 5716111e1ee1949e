//! The authority itself.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};

use super::PkiError;
use super::files::{self, CA_CERTIFICATE, CA_KEY, CertificateFiles};
use crate::identity::Identity;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the authority lasts.
const CA_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// How long a certificate lasts unless said otherwise: one year.
pub const LEAF_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Clocks of two machines may differ; a certificate holds from this much before its issue.
const CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);

/// From when and for how long a certificate holds, by real time. It has nothing
/// to do with a store's movable clock.
#[derive(Clone, Copy, Debug)]
pub struct Term {
    /// Now, when it is issued.
    pub issued_at: SystemTime,
    /// How long it lasts from then on.
    pub lifetime: Duration,
}

impl Term {
    /// One year from `issued_at`.
    pub fn year_from(issued_at: SystemTime) -> Term {
        Term {
            issued_at,
            lifetime: LEAF_LIFETIME,
        }
    }
}

/// An authority that can issue certificates.
pub struct Authority {
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes an authority in `dir`: `ca.pem`, and `ca.key` for its owner only. It lasts ten years from `now`.
    ///
    /// # Errors
    ///
    /// [`PkiError::Exists`] if there is one: load it instead. [`PkiError::File`]
    /// names what cannot be written.
    pub fn create(dir: &Path, now: SystemTime) -> Result<Authority, PkiError> {
        if Authority::exists(dir) {
            return Err(PkiError::Exists {
                dir: dir.to_owned(),
            });
        }
        files::create_dir(dir)?;
        let mut params = params("tally development authority", Vec::new());
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.use_authority_key_identifier_extension = false;
        set_term(&mut params, now, CA_LIFETIME);
        let key = KeyPair::generate()?;
        let certificate_pem = params.self_signed(&key)?.pem();
        // The key first: a certificate without its key would look like an authority.
        files::write_key(&dir.join(CA_KEY), &key.serialize_pem())?;
        files::write_certificate(&dir.join(CA_CERTIFICATE), &certificate_pem)?;
        Ok(Authority {
            certificate_pem,
            issuer: Issuer::new(params, key),
        })
    }

    /// True if `dir` has an authority.
    pub fn exists(dir: &Path) -> bool {
        dir.join(CA_CERTIFICATE).exists()
    }

    /// Reads the authority in `dir`.
    ///
    /// # Errors
    ///
    /// [`PkiError::File`] names what is missing; [`PkiError::Certificate`] if key or
    /// certificate do not parse: restore both from their backup.
    pub fn load(dir: &Path) -> Result<Authority, PkiError> {
        let certificate_pem = files::read(&dir.join(CA_CERTIFICATE))?;
        let key = KeyPair::from_pem(&files::read(&dir.join(CA_KEY))?)?;
        Ok(Authority {
            issuer: Issuer::from_ca_cert_pem(&certificate_pem, key)?,
            certificate_pem,
        })
    }

    /// The authority's certificate, PEM: what both ends of a connection trust.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Issues a client's certificate as `<name>.pem` and `<name>.key` in `dir`,
    /// replacing earlier ones, with `ca.pem` beside them. An officer's number is
    /// in the certificate, so choose a name without it.
    ///
    /// # Errors
    ///
    /// [`PkiError::Name`], [`PkiError::OtherAuthority`] and [`PkiError::File`] name what to correct.
    pub fn issue(
        &self,
        identity: &Identity,
        dir: &Path,
        name: &str,
        term: Term,
    ) -> Result<CertificateFiles, PkiError> {
        let urn = SanType::URI(Ia5String::try_from(identity.urn())?);
        let title = format!("tally {}", identity.kind().as_str());
        let mut params = params(&title, vec![urn]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.write(params, dir, name, term)
    }

    /// Issues a server's certificate for this machine (`localhost`, 127.0.0.1, ::1)
    /// and for `hosts`, which are names of it elsewhere. It cannot be used as a client's.
    ///
    /// # Errors
    ///
    /// As [`Authority::issue`]; [`PkiError::Certificate`] for a host that is no host name.
    pub fn issue_server(
        &self,
        hosts: &[String],
        dir: &Path,
        name: &str,
        term: Term,
    ) -> Result<CertificateFiles, PkiError> {
        let mut names = vec![
            SanType::DnsName(Ia5String::try_from("localhost")?),
            SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        ];
        for host in hosts {
            names.push(match host.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(Ia5String::try_from(host.as_str())?),
            });
        }
        let mut params = params("tally server", names);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.write(params, dir, name, term)
    }

    fn write(
        &self,
        mut params: CertificateParams,
        dir: &Path,
        name: &str,
        term: Term,
    ) -> Result<CertificateFiles, PkiError> {
        let files = CertificateFiles::of(dir, name)?;
        files::create_dir(dir)?;
        self.place_beside(dir)?;
        set_term(&mut params, term.issued_at, term.lifetime);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        files::write_key(&files.key, &key.serialize_pem())?;
        files::write_certificate(&files.certificate, &certificate.pem())?;
        Ok(files)
    }

    fn place_beside(&self, dir: &Path) -> Result<(), PkiError> {
        let path = dir.join(CA_CERTIFICATE);
        if !path.exists() {
            return files::write_certificate(&path, &self.certificate_pem);
        }
        if files::read(&path)? == self.certificate_pem {
            Ok(())
        } else {
            Err(PkiError::OtherAuthority { path })
        }
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

fn params(title: &str, names: Vec<SanType>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, title);
    params.subject_alt_names = names;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params
}

fn set_term(params: &mut CertificateParams, issued_at: SystemTime, lifetime: Duration) {
    let since_epoch = issued_at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(DAY);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_epoch.saturating_sub(CLOCK_SKEW);
    params.not_after = epoch + since_epoch + lifetime;
}

#[cfg(test)]
mod tests;
