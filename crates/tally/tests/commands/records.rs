//! Pushing, correcting, withdrawing and showing records.

use serde_json::json;

use super::{ask, mesh, push, record, refused, tally, tally_with_input, text};
use crate::process::MARKET;

#[test]
fn records_come_in_by_lines() {
    let (place, _server) = mesh();
    let input = format!("{}\n\n{}\n", record("penalty 1"), record("penalty 2"));
    let pushed = tally_with_input(&place, "--as market push", &input).exits(0);
    pushed.says(&["accepted 2, known before 0, refused 0"]);
    let again = tally_with_input(&place, "--json --as market push --receipts", &input);
    let again = again.exits(0).lines();
    let repeated = |line: &serde_json::Value| line["accepted"]["receipt"]["repeated"] == true;
    assert!(again[..2].iter().all(repeated), "{again:?}");
    assert_eq!(
        again[2],
        json!({"accepted": 0, "repeated": 2, "quarantined": 0, "refused": 0})
    );
}

#[test]
fn a_refused_line_is_named_with_its_faults_and_its_neighbours_are_taken() {
    let (place, _server) = mesh();
    let broken = json!({
        "subject": "cn-uscc:9152000071430580XA",
        "record_type": "nothing",
        "document_number": "",
        "decided_on": "2026-02-30",
        "legal_basis": "none@1",
    });
    let mixed = format!(
        "{}\n{broken}\n{}\n",
        record("penalty 3"),
        record("penalty 4")
    );
    let pushed = tally_with_input(&place, "--as market push", &mixed).exits(2);
    pushed.says(&[
        "accepted 2, known before 0, refused 1",
        "IDENTIFIER_CHECK_CHARACTER",
        "RECORD_TYPE_UNKNOWN",
        "record.document_number",
        "record.decided_on",
    ]);
    let lines = tally_with_input(&place, "--json --as market push", &mixed)
        .exits(2)
        .lines();
    let faults = lines[0]["refused"]["faults"].as_array().expect("faults");
    assert!(faults.len() >= 4, "{faults:?}");
    assert_eq!(
        lines[1],
        json!({"accepted": 0, "repeated": 2, "quarantined": 0, "refused": 1})
    );
}

#[test]
fn a_line_that_is_no_record_is_named_and_what_came_before_it_stays() {
    let (place, _server) = mesh();
    push(&place, "penalty 1");
    let file = place.file("records.jsonl");
    let path = file.to_str().expect("text");
    for (line, what) in [
        ("{\"subject\":", "EOF"),
        ("{\"colour\":1}", "colour"),
        (&record("x").replace("@1", "@x"), "id@version"),
    ] {
        let lines = format!("{}\n{line}\n", record("penalty 1"));
        std::fs::write(&file, lines).expect("written");
        let pushed = tally(&place, &format!("--as market push {path}")).exits(2);
        pushed.says(&["known before 1", &format!("{path}:2: "), what]);
    }
    tally(&place, "--as market push no-such-file")
        .exits(2)
        .says(&["no-such-file"]);
}

#[test]
fn a_record_is_corrected_shown_and_withdrawn() {
    let (place, _server) = mesh();
    let record_id = push(&place, "penalty 1");
    let other = record("penalty 1").replace("fine", "warning");
    let pushed = tally_with_input(&place, "--as market push", &other).exits(2);
    pushed.says(&["refused 1", "correct"]);
    let correct = format!("--as market correct {record_id} --reason 'a clerk made an error'");
    tally_with_input(&place, &correct, &other)
        .exits(0)
        .says(&["receipt"]);
    tally_with_input(&place, &correct, "{").exits(2);

    let show = format!("record {record_id}");
    let shown = ask(&place, "tax", &show);
    assert_eq!(shown["corrections"], 1);
    assert_eq!(shown["withheld"], json!(["legal_representative"]));
    let opened = ask(&place, "market", &format!("{show} --case 'case 1'"));
    assert!(
        opened["record"]["fields"]
            .to_string()
            .contains("Example Person")
    );

    let withdraw = format!("withdraw {record_id} --reason revoked --document 'revocation 1'");
    ask(&place, "market", &withdraw);
    let (reason, _) = refused(&place, "tax", &show, 3);
    // For another department it is as if it had never been.
    assert!(reason.contains("RECORD_UNKNOWN"), "{reason}");
    tally(&place, "stats")
        .exits(0)
        .says(&[MARKET, "administrative-penalty"]);
    let stats = tally(&place, "--json stats").exits(0).lines();
    let counts = &stats[0]["counts"][0];
    let figures = ["accepted", "corrected", "withdrawn"].map(|name| text(&counts[name]));
    assert_eq!(figures, ["1", "1", "1"]);
}

#[test]
fn a_refused_record_is_kept_shown_handed_in_again_and_given_up() {
    let (place, _server) = mesh();
    let wrong = |number: &str| record(number).replace("\"party_name\"", "\"party\"");
    let both = format!("{}\n{}\n", wrong("penalty 1"), wrong("penalty 2"));
    tally_with_input(&place, "--as market push", &both)
        .exits(2)
        .says(&["refused 2"]);
    let pushed = tally_with_input(&place, "--as market push --quarantine", &both).exits(2);
    pushed.says(&["in quarantine as", "quarantined 2, refused 0"]);
    let rows = tally(&place, "--json --as market quarantine list").exits(0);
    let rows = rows.lines();
    assert_eq!(rows.len(), 2, "{rows:?}");
    let (first, second) = (
        text(&rows[0]["quarantine_id"]),
        text(&rows[1]["quarantine_id"]),
    );
    tally(&place, "--as market quarantine list")
        .exits(0)
        .says(&[first, "FIELD_REQUIRED"]);
    let show = format!("quarantine show {first} --case 1");
    let shown = ask(&place, "market", &show);
    assert_eq!(text(&shown["record"]["subject"]), super::COMPANY);

    // As it is it is refused again; corrected it is a record.
    let unchanged = format!("quarantine resubmit {first} --unchanged 1");
    let (reason, _) = refused(&place, "market", &unchanged, 2);
    assert_eq!(reason, "FIELD_UNKNOWN");
    let resubmit = format!("--json --as market quarantine resubmit {first}");
    let accepted = tally_with_input(&place, &resubmit, &record("penalty 9")).exits(0);
    let record_id = accepted.line()["accepted"]["record_id"].clone();
    ask(
        &place,
        "market",
        &format!("quarantine discard {second} --reason r"),
    );
    tally(&place, "--as market quarantine list")
        .exits(0)
        .says(&["no rows"]);
    tally(&place, "--as market quarantine list --state resubmitted")
        .exits(0)
        .says(&[text(&record_id)]);
    tally(&place, "quarantine counts")
        .exits(0)
        .says(&["0 open, 1 handed in again, 1 discarded"]);
}
