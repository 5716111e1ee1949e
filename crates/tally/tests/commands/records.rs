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
        json!({"accepted": 0, "repeated": 2, "refused": 0})
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
        json!({"accepted": 0, "repeated": 2, "refused": 1})
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
    assert!(reason.contains("WITHDRAWN"), "{reason}");
    tally(&place, "stats")
        .exits(0)
        .says(&[MARKET, "administrative-penalty"]);
    let stats = tally(&place, "--json stats").exits(0).lines();
    let counts = &stats[0]["counts"][0];
    let figures = ["accepted", "corrected", "withdrawn"].map(|name| text(&counts[name]));
    assert_eq!(figures, ["1", "1", "1"]);
}
