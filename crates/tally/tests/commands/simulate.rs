//! `tally simulate`: a small province at work, and a checker that sees what is not so.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use uuid::Uuid;

use super::tally;
use crate::process::{Done, Place};

/// Busy enough that every kind of operation occurs; the same in every run, by its seed.
const PROVINCE: &str = "--seed 7 --rate 20 --listings 20% --checks 15 --subjects 400";

fn simulate(place: &Place, arguments: &str) -> Done {
    tally(place, &format!("--json simulate {arguments}"))
}

fn checked(place: &Place, ledger: &Path) -> Done {
    simulate(place, &format!("--check {}", ledger.display()))
}

/// A copy of a ledger with one more line.
fn with_line(place: &Place, ledger: &Path, name: &str, line: &Value) -> PathBuf {
    let copy = place.file(name);
    fs::copy(ledger, &copy).expect("copied");
    let file = File::options().append(true).open(&copy);
    writeln!(file.expect("a copy"), "{line}").expect("written");
    copy
}

#[test]
fn a_simulated_province_adds_up_and_an_invented_line_does_not() {
    let place = Place::new();
    let _server = place.up();
    let done = simulate(&place, &format!("{PROVINCE} --for 12s")).exits(0);
    let report = done.line();
    let check = &report["check"];
    assert_eq!(check["faults"]["total"], 0);
    assert_eq!(check["unknown"]["found"], 0);
    let count = |value: &Value| {
        value
            .as_u64()
            .unwrap_or_else(|| panic!("no number in {report}"))
    };
    let listings = count(&check["listings"]);
    assert!(listings > 20, "{report}");
    // What the small pack gives: some lists two measures of two departments, one fewer.
    assert!(count(&check["directives"]) > listings, "{report}");
    assert!(count(&check["mailbox_items"]) >= count(&check["directives"]));
    let kinds = report["operations"].as_object().expect("kinds");
    let mut acknowledged = 0;
    for (kind, measured) in kinds {
        let done = count(&measured["acknowledged"]);
        assert!(done > 0, "{kind} in {report}");
        assert!(measured["latency_ms"]["p99"].as_f64() > Some(0.0), "{kind}");
        // A listing is no command, but five.
        acknowledged += if kind == "listing" { 0 } else { done };
    }
    for kind in [
        "push",
        "check",
        "listing",
        "list",
        "acknowledge",
        "execute",
        "report",
        "accept_objection",
    ] {
        assert!(kinds.contains_key(kind), "{kind} in {report}");
    }
    assert_eq!(count(&check["acknowledged"]), acknowledged);
    assert_eq!(report["scheduled"]["never"], 0);

    let ledger = place.data().join("simulate-7.ledger");
    let again = checked(&place, &ledger).exits(0).line();
    assert_eq!(again["acknowledged"], check["acknowledged"]);
    assert_eq!(again["run_ended"], true);

    // An acknowledgement that nobody gave.
    let at =
        json!({"id": Uuid::now_v7(), "log": "collection", "shard": 0, "position": 0, "leaf": "00"});
    let invented = with_line(&place, &ledger, "invented", &json!({"acknowledged": at}));
    let found = checked(&place, &invented).exits(1).line();
    assert_eq!(found["faults"]["counts"]["lost"], 1);
    assert_eq!(found["faults"]["total"], 1, "{found}");

    // An entry whose list has other memoranda than the ledger says.
    let text = fs::read_to_string(&ledger).expect("a ledger");
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    let mut listed = lines.filter(|line: &Value| line["sent"]["kind"] == "list");
    let mut sent = listed.next().expect("a listing");
    sent["sent"]["entry"]["list_type"] = "a list without memoranda".into();
    let other = with_line(&place, &ledger, "other", &sent);
    let found = checked(&place, &other).exits(1).line();
    assert!(count(&found["faults"]["counts"]["too_many"]) > 0, "{found}");

    // A command that was not to be there, and is.
    let mut lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let known = lines
        .find(|line| line["acknowledged"].is_object())
        .expect("one");
    let id = known["acknowledged"]["id"].clone();
    let text: Vec<&str> = text
        .lines()
        .filter(|line| {
            !line.contains("acknowledged") || !line.contains(id.as_str().expect("an id"))
        })
        .collect();
    let without = place.file("without");
    fs::write(&without, text.join("\n") + "\n").expect("written");
    let refused = json!({"refused": {"id": id, "reason": "INVENTED"}});
    let refused = with_line(&place, &without, "refused", &refused);
    let found = checked(&place, &refused).exits(1).line();
    assert_eq!(found["faults"]["counts"]["refused_but_there"], 1, "{found}");
}

#[test]
fn what_a_killed_simulation_left_is_checked() {
    let place = Place::new();
    let _server = place.up();
    let mut command = place.tally(&["simulate", "--for", "10m", "--seed", "7"]);
    command.stdout(Stdio::null());
    let mut running = command.spawn().expect("it runs");
    let ledger = place.data().join("simulate-7.ledger");
    let began = std::time::Instant::now();
    let acknowledged = || {
        let text = fs::read_to_string(&ledger).unwrap_or_default();
        text.lines()
            .filter(|line| line.starts_with("{\"acknowledged"))
            .count()
    };
    while acknowledged() < 60 {
        let ended = running.try_wait().expect("its state is known");
        assert!(ended.is_none(), "it ended by itself: {ended:?}");
        assert!(began.elapsed().as_secs() < 120, "it gets nowhere");
        std::thread::yield_now();
    }
    running.kill().expect("killed");
    running.wait().expect("dead");
    let found = checked(&place, &ledger).exits(0).line();
    assert_eq!(found["run_ended"], false);
    assert!(found["acknowledged"].as_u64() >= Some(60), "{found}");
}

#[test]
fn what_cannot_be_simulated_is_refused_with_the_remedy() {
    let place = Place::new();
    let _server = place.up();
    simulate(&place, "--seed 7").exits(2).says(&["--for"]);
    simulate(&place, "--for ever")
        .exits(2)
        .says(&["90s, 30m, 2h"]);
    simulate(&place, "--for 48h --subjects 3")
        .exits(2)
        .says(&["--for", "--subjects"]);
    let many = simulate(&place, "--for 2s --departments 40").exits(2);
    many.says(&["--departments", "tally policy load"]);
    simulate(&place, &format!("{PROVINCE} --for 2s")).exits(0);
    let again = simulate(&place, &format!("{PROVINCE} --for 2s")).exits(2);
    again.says(&["--check", "--ledger"]);
    let other = place.file("other");
    let seen = format!("{PROVINCE} --for 2s --ledger {}", other.display());
    simulate(&place, &seen).exits(2).says(&["another --seed"]);
    let none = place.file("none");
    simulate(&place, &format!("--check {}", none.display())).exits(2);
}
