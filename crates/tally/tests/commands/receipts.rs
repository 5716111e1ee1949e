//! Receipts of checks in a department's own file, and the report on decisions.

use serde_json::json;

use super::{COMPANY, ask, mesh, refused, tally, tally_with_input, text};

#[test]
fn a_receipt_is_kept_and_verifies_without_the_mesh() {
    let (place, server) = mesh();
    let path = |name: &str| place.file(name).display().to_string();
    let (file, keys, altered) = (path("check.jws"), path("keys.json"), path("altered.jws"));
    let check = format!(
        "check {COMPANY} --purpose procurement --case 'case 1' \
         --basis tally-credit-regulations/18@1 --receipt {file}"
    );
    let answer = ask(&place, "tax", &check);
    let check_id = text(&answer["check_id"]).to_owned();
    // A receipt is evidence: none is written over.
    let (_, said) = refused(&place, "tax", &check, 2);
    said.says(&["is there already"]);
    let again = ask(&place, "tax", &format!("receipt get {check_id}"));
    let jws = std::fs::read_to_string(&file).expect("written");
    assert_eq!(jws.trim_end(), text(&again["jws"]));
    let (reason, _) = refused(&place, "market", &format!("receipt get {check_id}"), 3);
    assert_eq!(reason, "CHECK_UNKNOWN");
    let set = tally(&place, "--as market receipt keys").exits(0);
    std::fs::write(&keys, set.out).expect("written");
    drop(server);

    // No data directory either.
    let verify = |file: &str| format!("--json --dir /nowhere receipt verify {file} --keys {keys}");
    let holds = tally(&place, &verify(&file)).exits(0).line();
    assert_eq!(holds["holds"], true);
    assert_eq!(holds["receipt"]["jti"], check_id);
    assert_eq!(holds["receipt"]["outcome"], "CLEAR");
    let people = tally(&place, &format!("receipt verify {file} --keys {keys}"));
    people
        .exits(0)
        .says(&["holds, signed under key", "\"outcome\": \"CLEAR\""]);
    let (header, rest) = jws.split_once('.').expect("parts");
    let other = if rest.starts_with('A') { "B" } else { "A" };
    std::fs::write(&altered, format!("{header}.{other}{}", &rest[1..])).expect("written");
    let broken = tally(&place, &verify(&altered)).exits(1).line();
    assert_eq!(broken["holds"], false);
    let people = tally(&place, &format!("receipt verify {altered} --keys {keys}"));
    people.exits(1).says(&["does not hold", "altered"]);
}

#[test]
fn receipts_stay_verifiable_when_the_key_is_replaced() {
    let (place, server) = mesh();
    let old = place.file("old.jws").display().to_string();
    let check = format!(
        "check {COMPANY} --purpose procurement --case 'case 1' \
         --basis tally-credit-regulations/18@1 --receipt {old}"
    );
    ask(&place, "tax", &check);
    drop(server);
    tally(&place, "receipt rotate")
        .exits(0)
        .says(&["2 keys are published"]);
    let _server = place.up();
    let keys = place.file("keys.json").display().to_string();
    let set = tally(&place, "--as tax receipt keys").exits(0);
    std::fs::write(&keys, &set.out).expect("written");
    let verify = tally(&place, &format!("receipt verify {old} --keys {keys}"));
    verify.exits(0).says(&["holds"]);
}

#[test]
fn a_record_cites_its_check_and_shows_it() {
    let (place, _server) = mesh();
    let check_id = "0195a7f0-0000-7000-8000-000000000001";
    let mut record: serde_json::Value =
        serde_json::from_str(&super::record("penalty 1")).expect("JSON");
    record["check_id"] = json!(check_id);
    let pushed = tally_with_input(
        &place,
        "--json --as market push --receipts",
        &record.to_string(),
    );
    let pushed = pushed.exits(0).lines();
    let id = text(&pushed[0]["accepted"]["record_id"]).to_owned();
    let shown = ask(&place, "market", &format!("record {id} --case 'case 1'"));
    assert_eq!(shown["record"]["check_id"], check_id);
    // The small pack has no decisions that need a check.
    let list = tally(
        &place,
        "--as market decisions list --verdict measure-in-force",
    );
    list.exits(0).says(&["no decisions"]);
    let counts = ask(&place, "market", "decisions counts --month 2026-03");
    assert_eq!(counts, json!({"counts": []}));
    let (reason, _) = refused(
        &place,
        "market",
        &format!("decisions list --department {}", crate::process::TAX),
        3,
    );
    assert_eq!(reason, "RIGHT_MISSING");
}
