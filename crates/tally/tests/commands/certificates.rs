//! Issuing certificates, and acting under them.

use std::path::Path;

use super::{ask, mesh, refused, tally, text};
use crate::process::MARKET;

#[test]
fn certificates_are_issued_and_asked_for() {
    let (place, _server) = mesh();
    let issued = ask(
        &place,
        "operator",
        "cert issue night --operator night.shift",
    );
    assert!(Path::new(text(&issued["certificate"])).exists());
    assert!(Path::new(text(&issued["key"])).exists());
    assert_eq!(ask(&place, "night", "status")["test_clock"], false);

    let (_, people) = refused(&place, "nobody", "status", 2);
    people.says(&["no certificate `nobody`", "tally cert issue nobody", "--as"]);
    let (_, people) = refused(&place, "operator", "cert issue x --department 123", 2);
    people.says(&["--department", "18 characters"]);
    let (_, people) = refused(&place, "operator", "cert issue ../x --operator x", 2);
    people.says(&["../x"]);
    let officer = format!("cert issue x --department {MARKET} --officer 'secret 7'");
    let (_, people) = refused(&place, "operator", &officer, 2);
    assert!(
        !people.err.contains("secret 7"),
        "an officer's number is personal: {people:?}"
    );
    tally(&place, "cert issue x").exits(2);

    // The right certificate for the wrong thing.
    let (reason, people) = refused(&place, "tax", "replay", 3);
    assert_eq!(reason, "RIGHT_MISSING");
    people.says(&["audit.replay"]);
}

#[test]
fn another_authoritys_certificate_is_none_here() {
    let ((place, _server), (other, _other_server)) = (mesh(), mesh());
    for file in ["market.pem", "market.key"] {
        let [from, to] = [&other, &place].map(|place| place.data().join("certs").join(file));
        std::fs::copy(from, to).expect("copied");
    }
    let (_, people) = refused(&place, "market", "record x", 4);
    people.says(&["another authority"]);
}
