//! Checking and loading policy packs.

use std::path::Path;

use super::{another_version, ask, refused, tally};
use crate::process::{Place, repository};

/// Copies the small pack with faults in four of its files.
fn break_pack(small: &Path, pack: &Path) {
    std::fs::create_dir(pack).expect("made");
    for file in std::fs::read_dir(small).expect("the small pack") {
        let file = file.expect("a file");
        let text = std::fs::read_to_string(file.path()).expect("text");
        let text = text
            .replace("strength = \"mandatory\"", "strength = \"perhaps\"")
            .replace(
                "departments = [\"11990100MB0000203C\"]",
                "departments = [\"119\"]",
            )
            .replace(
                "time_zone = \"Asia/Shanghai\"",
                "time_zone = \"Asia/Nowhere\"",
            );
        std::fs::write(pack.join(file.file_name()), text).expect("written");
    }
}

#[test]
fn a_pack_is_checked_with_every_fault_and_its_place() {
    let place = Place::new();
    let (small, pack) = (repository().join("policy/small"), place.file("pack"));
    let good = tally(&place, &format!("policy check {}", small.display())).exits(0);
    good.says(&["tally-small", "digest"]);
    break_pack(&small, &pack);
    let check = format!("policy check {}", pack.display());
    let (reason, people) = refused(&place, "operator", &check, 2);
    assert_eq!(reason, "BAD_INPUT");
    people.says(&[
        "measures.toml:32:",
        "measures.toml:42:",
        "memoranda.toml:",
        "perhaps",
        "legal_bases.toml:79:",
    ]);
    let violations =
        tally(&place, &format!("--json {check}")).exits(2).error()["violations"].take();
    assert!(
        violations.as_array().expect("faults").len() >= 4,
        "{violations}"
    );
    tally(&place, "policy check no-such-pack")
        .exits(2)
        .says(&["no-such-pack"]);

    let server = place.spawn_with(&["--no-policy"]).ready(&place);
    tally(&place, &format!("policy load {}", pack.display())).exits(2);
    assert_eq!(ask(&place, "operator", "status")["pack_version"], "");
    tally(&place, "policy load").exits(0).says(&["tally-small"]);
    tally(&place, "policy load").exits(0);
    let measures = tally(&place, "policy show --kind measure").exits(0);
    measures.says(&["revoke-honour", "exclude-from-funds"]);
    assert_ne!(ask(&place, "operator", "status")["pack_version"], "");
    assert!(server.terminate().success());
}

#[test]
fn a_version_that_the_mesh_has_is_said_before_it_is_loaded() {
    let place = Place::new();
    let pack = place.file("pack");
    let server = place.up();
    tally(&place, &format!("policy new {}", pack.display())).exits(0);
    let diff = format!("policy diff {}", pack.display());
    let same = tally(&place, &diff).exits(0);
    assert_eq!(same.out, "nothing changes\n");

    let lists = pack.join("list_types.toml");
    let text = std::fs::read_to_string(&lists).expect("a file of the pack");
    let fewer = text.replace("months_max = 36", "months_max = 24");
    std::fs::write(&lists, fewer).expect("written");
    let words = ["PACK_VERSION_EXISTS", "another `version` in pack.toml"];
    let said = tally(&place, &diff).exits(0).says(&words);
    said.says(&["term: "]);
    let lines = tally(&place, &format!("--json {diff}")).exits(0).lines();
    assert_eq!(lines[0]["reason"], "PACK_VERSION_EXISTS");
    assert_eq!(lines[0]["change"], "refused");
    // Also where no change is of the department's that asks.
    let diff_of_one = format!("{diff} --department 11990000MB00012308");
    tally(&place, &diff_of_one).exits(0).says(&words);
    let load = format!("policy load {}", pack.display());
    let (reason, _) = refused(&place, "operator", &load, 3);
    assert_eq!(reason, "PACK_VERSION_EXISTS");

    another_version(&pack);
    let changed = tally(&place, &diff).exits(0);
    assert!(!changed.out.contains("PACK_VERSION_EXISTS"), "{changed:?}");
    assert!(server.terminate().success());
}
