//! The main job: from a record to a listing, a directive, a check, a report;
//! an objection; and the history of it all.

use serde_json::json;

use super::{COMPANY, ask, day, list, mailbox, mesh, push, refused, tally, text};
use crate::process::{Place, TAX};

#[test]
fn from_a_record_to_a_report() {
    let (place, _server) = mesh();
    let record_id = push(&place, "penalty 1");
    let entry = list(&place, &record_id);
    let directive = follow_the_mailbox(&place);
    execute_and_report(&place, &entry, &directive);
    ask_about_both_times(&place, &entry);
    correct_out(&place, &entry);

    tally(&place, "rebuild").exits(0).says(&["0 differences"]);
    let rebuilt = tally(&place, "--json rebuild").exits(0).lines();
    assert!(
        rebuilt.iter().all(|view| view["differences_total"] == "0"),
        "{rebuilt:?}"
    );
    tally(&place, "verify").exits(0).says(&["0 faults"]);
}

/// With a cursor in a file, the second run has nothing to say. Gives a directive.
fn follow_the_mailbox(place: &Place) -> String {
    let items = mailbox(place, "tax", 2);
    let directive = text(&items[0]["directive"]["directive_id"]).to_owned();
    let cursor = place.file("tax.cursor");
    let follow = format!(
        "--as tax subscribe --until-head --cursor {}",
        cursor.display()
    );
    let first = tally(place, &follow).exits(0);
    assert_eq!(first.out.lines().count(), 2);
    first.says(&["TRIGGERED", COMPANY, &directive]);
    assert_eq!(tally(place, &follow).exits(0).out, "");
    std::fs::write(&cursor, "no cursor").expect("written");
    tally(place, &follow).exits(2).says(&["cursor file"]);
    directive
}

fn execute_and_report(place: &Place, entry: &str, directive: &str) {
    // People are told what was done to what; programs have the receipt alone.
    let told = tally(
        place,
        &format!("--as tax directive acknowledge {directive}"),
    )
    .exits(0);
    let lines: Vec<_> = told.out.lines().collect();
    assert_eq!(lines[0], format!("directive {directive}: acknowledged"));
    assert!(lines[1].starts_with("receipt: sanctions/"), "{told:?}");
    let question = format!(
        "check {COMPANY} --purpose procurement --case 'case 1' --basis tally-credit-regulations/18@1"
    );
    let answer = ask(place, "tax", &question);
    assert_eq!(answer["outcome"], "CHECK_OUTCOME_IN_FORCE");
    assert_eq!(answer["entries"][0]["entry_id"], entry);
    let check_id = text(&answer["check_id"]);
    let again = ask(place, "tax", &format!("{question} --check-id {check_id}"));
    assert_eq!(again["receipt"]["repeated"], true);
    assert_eq!(
        again["receipt"]["leaf_hash"],
        answer["receipt"]["leaf_hash"]
    );

    let on = day(-1);
    let execute = format!(
        "directive execute {directive} --document 'decision 1' --on {on} --check {check_id}"
    );
    let (reason, _) = refused(place, "tax", &execute, 3);
    assert_eq!(reason, "RIGHT_MISSING", "only an officer executes");
    ask(place, "tax-7", &execute);
    let shown = ask(place, "tax", &format!("directive show {directive}"));
    assert_eq!(shown["directive"]["state"], "DIRECTIVE_STATE_EXECUTED");

    let submit =
        format!("report submit {directive} --outcome executed --document 'decision 1' --on {on}");
    ask(place, "tax", &submit);
    ask(place, "market-1", &format!("report accept {directive}"));
    let shown = ask(place, "tax", &format!("report show {directive}"));
    assert_eq!(shown["feedback"]["state"], "FEEDBACK_STATE_ACCEPTED");
    let feedback = tally(place, "feedback --until-head").exits(0);
    feedback.says(&["SUBMITTED", "ACCEPTED", TAX]);
    let stats = tally(place, &format!("--json stats --department {TAX}"))
        .exits(0)
        .lines();
    let counts = stats[1]["counts"].as_array().expect("counts");
    let accepted = counts
        .iter()
        .filter(|count| count["accepted"] == "1")
        .count();
    assert_eq!(accepted, 1, "{counts:?}");
}

/// Today it is listed; as known before it was, it is not.
fn ask_about_both_times(place: &Place, entry: &str) {
    let on = day(0);
    tally(place, &format!("as-of {on}"))
        .exits(0)
        .says(&["1 in force", entry]);
    let before = format!("{}T00:00:00Z", day(-1));
    let known = format!("as-of {on} --known {before} --subject {COMPANY}");
    let known = ask(place, "operator", &known);
    assert_eq!(
        (&known["entries"], &known["closed"]),
        (&json!([]), &json!(true))
    );

    let replay = format!("replay --log-name lists --stream entry/{entry}");
    let history = tally(place, &replay).exits(0).lines();
    let types: Vec<_> = history
        .iter()
        .map(|event| text(&event["event_type"]))
        .collect();
    let wanted = [
        "tally.lists.v1.EntryNominated",
        "tally.lists.v1.SubjectNotified",
        "tally.lists.v1.RepresentationReceived",
        "tally.lists.v1.EntryListed",
    ];
    assert_eq!(types, wanted);
}

/// An objection suspends at once, and another officer decides it.
fn correct_out(place: &Place, entry: &str) {
    ask(
        place,
        "market-3",
        &format!("object accept {entry} --document 'objection 1'"),
    );
    let shown = ask(place, "market", &format!("list show {entry}"));
    assert_eq!(shown["entry"]["state"], "ENTRY_STATE_SUSPENDED");
    let correct =
        format!("object correct-out {entry} --reason 'another company' --document 'correction 1'");
    let (reason, _) = refused(place, "market-2", &correct, 3);
    assert_eq!(reason, "OTHER_OFFICER_REQUIRED");
    ask(place, "market-4", &correct);
    let shown = ask(place, "market", &format!("list show {COMPANY}"));
    assert_eq!(shown["entries"][0]["state"], "ENTRY_STATE_CORRECTED_OUT");
    tally(place, &format!("as-of {}", day(0)))
        .exits(0)
        .says(&["0 in force"]);
}
