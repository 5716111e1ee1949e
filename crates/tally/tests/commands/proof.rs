//! A third party recomputes the roots from what is exported.

use std::process::Command;

use serde_json::{Value, json};

use super::{list, mailbox, mesh, push, tally, text};
use crate::process::{repository, run};

#[test]
fn a_third_party_recomputes_the_roots() {
    let (place, _server) = mesh();
    let record_id = push(&place, "penalty 1");
    list(&place, &record_id);
    mailbox(&place, "resources", 2);
    let roots = place.file("roots.jsonl");
    std::fs::write(&roots, tally(&place, "--json verify").exits(0).out).expect("written");
    let replay = tally(&place, "--json replay --with-records").exits(0);
    let verify = |lines: &str| {
        let mut python = Command::new("python3");
        python
            .arg(repository().join("tools/verify_roots.py"))
            .arg("-")
            .arg(&roots);
        run(python, lines)
    };
    verify(&replay.out).exits(0).says(&["all roots hold"]);

    // One byte of one record, changed where the bytes are.
    let mut lines: Vec<String> = replay.out.lines().map(str::to_owned).collect();
    let at = lines.len() / 2;
    let (changed, changed_at) = with_a_byte_changed(&lines[at]);
    lines[at] = changed;
    verify(&lines.join("\n")).exits(1).says(&[&changed_at]);
    // The same record left out.
    lines.remove(at);
    verify(&lines.join("\n")).exits(1);
}

/// The line with another byte in its record, and the record's place.
fn with_a_byte_changed(line: &str) -> (String, String) {
    let mut line: Value = serde_json::from_str(line).expect("JSON");
    let record = text(&line["record"]).to_owned();
    let (head, tail) = record.split_at(record.len() / 2);
    let other = if tail.starts_with('A') { "B" } else { "A" };
    line["record"] = json!(format!("{head}{other}{}", &tail[1..]));
    let place = format!(
        "{}/{}/{}",
        text(&line["log"]),
        line["shard"],
        line["position"]
    );
    (line.to_string(), place)
}
