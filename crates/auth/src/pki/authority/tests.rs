use std::fs;
use std::os::unix::fs::PermissionsExt;

use x509_parser::pem::parse_x509_pem;

use super::*;
use crate::pki::{client_tls, server_tls};

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("written").permissions().mode() & 0o777
}

fn operator() -> Identity {
    Identity::Operator("night".to_owned())
}

#[test]
fn keys_are_for_their_owner_only() {
    let dir = tempfile::tempdir().expect("writable");
    let home = dir.path().join("pki");
    let authority = Authority::create(&home, at(1_000_000_000)).expect("created");
    let files = authority
        .issue(
            &operator(),
            &home,
            "operator",
            Term::year_from(at(1_000_000_000)),
        )
        .expect("issued");
    assert_eq!(mode(&home), 0o700);
    assert_eq!(mode(&home.join("ca.key")), 0o600);
    assert_eq!(mode(&files.key), 0o600);
    assert!(!format!("{authority:?}").contains("KEY"));
}

#[test]
fn a_second_authority_is_refused_and_the_first_loads() {
    let dir = tempfile::tempdir().expect("writable");
    let made = Authority::create(dir.path(), at(1_000_000_000)).expect("created");
    assert!(matches!(
        Authority::create(dir.path(), at(1_000_000_000)),
        Err(PkiError::Exists { .. })
    ));
    let loaded = Authority::load(dir.path()).expect("loads");
    assert_eq!(loaded.certificate_pem(), made.certificate_pem());
}

#[test]
fn a_certificate_names_its_holder_for_its_term() {
    let dir = tempfile::tempdir().expect("writable");
    let clients = dir.path().join("clients");
    Authority::create(dir.path(), at(1_000_000_000)).expect("created");
    let authority = Authority::load(dir.path()).expect("loads");
    let term = Term {
        issued_at: at(1_000_000_000),
        lifetime: DAY,
    };
    authority
        .issue(&operator(), &clients, "operator", term)
        .expect("issued");
    let tls = client_tls(&clients, "operator").expect("all three files");
    assert_eq!(tls.ca_pem, authority.certificate_pem());
    let (_, pem) = parse_x509_pem(tls.certificate_pem.as_bytes()).expect("pem");
    assert_eq!(Identity::of_certificate(&pem.contents), Ok(operator()));
    let validity = pem.parse_x509().expect("x509").validity().clone();
    assert_eq!(validity.not_before.timestamp(), 1_000_000_000 - 3_600);
    assert_eq!(validity.not_after.timestamp(), 1_000_000_000 + 86_400);
}

#[test]
fn files_of_another_authority_are_not_mixed() {
    let dir = tempfile::tempdir().expect("writable");
    let (one, other) = (dir.path().join("one"), dir.path().join("other"));
    Authority::create(&one, at(1_000_000_000)).expect("created");
    let authority = Authority::create(&other, at(1_000_000_000)).expect("created");
    assert!(matches!(
        authority.issue_server(&[], &one, "server", Term::year_from(at(1_000_000_000))),
        Err(PkiError::OtherAuthority { .. })
    ));
}

#[test]
fn missing_files_and_odd_names_are_named() {
    let dir = tempfile::tempdir().expect("writable");
    let missing = server_tls(dir.path(), "server").expect_err("nothing there");
    assert!(missing.to_string().ends_with("server.pem"), "{missing}");
    for name in ["", "../ca", "a/b", ".hidden"] {
        assert!(matches!(
            client_tls(dir.path(), name),
            Err(PkiError::Name { .. })
        ));
    }
}
