//! The mirror of examples/python, killed in the middle of every item: what it keeps is what the
//! public may see, nothing of it twice and nothing missed.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use super::example::{Asking, python};
use super::{COMPANIES, ask, day, list_subject, mesh, record_about, tally, tally_with_input, text};
use crate::process::{MARKET, Place, repository, run};

/// What is in every record and must not come out: a personal field, and an internal one.
const WITHHELD: [&str; 2] = ["Example Person", "internal remark 48151623"];

/// Which days are shown: nothing ends or begins today.
const TODAY: i64 = 0;

fn penalty(subject: &str, number: &str) -> String {
    let remarks = format!("\"remarks\":\"{}\",\"penalty_category\"", WITHHELD[1]);
    let record = record_about(subject, number).replace("\"penalty_category\"", &remarks);
    assert!(WITHHELD.iter().all(|text| record.contains(text)));
    record
}

#[track_caller]
fn push(place: &Place, subject: &str, number: &str) -> String {
    let pushed = tally_with_input(
        place,
        "--json --as market push --receipts",
        &penalty(subject, number),
    );
    text(&pushed.exits(0).lines()[0]["accepted"]["record_id"]).to_owned()
}

fn follow(place: &Place) -> Command {
    let mut command = python("mirror.py");
    command
        .args(["follow", "--system", "resources"])
        .arg("--mesh")
        .arg(place.data())
        .arg("--file")
        .arg(place.file("mirror.sqlite"));
    command
}

/// One that goes to the end of both streams, and asks before it keeps an item.
fn asking(place: &Place) -> Asking {
    let mut command = follow(place);
    command.args(["--until-head", "--confirm"]);
    Asking::start(command)
}

/// Follows to the end, each run being let to keep one item and killed in the middle of the next.
/// Gives what was kept.
#[track_caller]
fn killed_at_each(place: &Place) -> Vec<String> {
    let mut kept = Vec::new();
    loop {
        let mut run = asking(place);
        let Some(item) = run.asks() else {
            run.finish();
            kept.sort();
            return kept;
        };
        assert!(!kept.contains(&item), "it asks twice to {item}");
        kept.push(item);
        run.yes();
        // It asks for the next only when the one before is kept.
        match run.asks() {
            Some(_) => run.kill(),
            None => run.finish(),
        }
    }
}

/// What it shows on a day: streams and ids, and all of it.
#[track_caller]
fn shown(place: &Place, days: i64) -> (Vec<(String, String)>, Vec<Value>) {
    let mut command = python("mirror.py");
    command
        .args(["show", "--on", &day(days), "--file"])
        .arg(place.file("mirror.sqlite"));
    let lines = run(command, "").exits(0).lines();
    let of = |line: &Value, name: &str| text(&line[name]).to_owned();
    let mut ids: Vec<_> = lines
        .iter()
        .map(|line| (of(line, "stream"), of(line, "id")))
        .collect();
    ids.sort();
    (ids, lines)
}

/// Streams and ids, as [`shown`] has them.
fn these(records: &[&String], entries: &[&String]) -> Vec<(String, String)> {
    let of = |stream: &str, ids: &[&String]| -> Vec<(String, String)> {
        ids.iter()
            .map(|id| (stream.to_owned(), (*id).clone()))
            .collect()
    };
    let mut all = [of("records", records), of("lists", entries)].concat();
    all.sort();
    all
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

/// The small pack, without its black list being public.
pub(super) fn load_unpublished(place: &Place) {
    let pack = place.file("pack");
    std::fs::create_dir(&pack).expect("made");
    for file in std::fs::read_dir(repository().join("policy/small")).expect("the small pack") {
        let file = file.expect("a file");
        let mut text = std::fs::read_to_string(file.path()).expect("text");
        text = text.replace("version = \"2026.1\"", "version = \"2026.2\"");
        if file.file_name() == "list_types.toml" {
            text = text.replace("published = true", "published = false");
        }
        std::fs::write(pack.join(file.file_name()), text).expect("written");
    }
    tally(place, &format!("policy load {}", pack.display())).exits(0);
}

/// Nothing that was withheld is in the file or beside it.
#[track_caller]
fn assert_only_public(place: &Place) {
    for name in ["mirror.sqlite", "mirror.sqlite-wal"] {
        let bytes = match std::fs::read(place.file(name)) {
            Ok(bytes) => bytes,
            Err(_) if Path::new(name).extension() != Some("sqlite".as_ref()) => continue,
            Err(error) => panic!("{name}: {error}"),
        };
        for text in WITHHELD {
            let mut windows = bytes.windows(text.len());
            assert!(!windows.any(|it| it == text.as_bytes()), "{text} in {name}");
        }
    }
}

#[test]
fn a_mirror_that_is_killed_anywhere_keeps_what_is_public_once() {
    let (place, _server) = mesh();
    let about = |n: usize| push(&place, COMPANIES[n], &format!("penalty {n}"));
    let grounds = [0, 1, 2].map(about);
    let entries = [0, 1, 2].map(|n| list_subject(&place, COMPANIES[n], &grounds[n]));
    let [stays, suspended, mistaken] = &entries;
    let changed = push(&place, COMPANIES[0], "penalty 3");
    let withdrawn = push(&place, COMPANIES[0], "penalty 4");

    let records: Vec<&String> = grounds.iter().chain([&changed, &withdrawn]).collect();
    let published = records.iter().map(|id| format!("keep PUBLISHED {id}"));
    let listed = entries.iter().map(|id| format!("keep LISTED {id}"));
    assert_eq!(
        killed_at_each(&place),
        sorted(published.chain(listed).collect())
    );
    let (ids, lines) = shown(&place, TODAY);
    assert_eq!(ids, these(&records, &entries.each_ref()));
    let line = |id: &String| lines.iter().find(|line| line["id"] == **id).expect("shown");
    assert_eq!(
        *line(&changed),
        json!({
            "stream": "records", "id": changed, "until": "", "subject": COMPANIES[0],
            "type": "administrative-penalty", "department": MARKET, "document": "penalty 3",
            "decided_on": day(-3),
            "fields": {"party_name": "Example Ltd", "penalty_category": "fine"},
        })
    );
    assert_eq!(
        *line(stays),
        json!({
            "stream": "lists", "id": stays, "until": day(300), "subject": COMPANIES[0],
            "list": "serious-violation", "red": false, "department": MARKET,
            "decision": "listing 1", "ground": "penalty 0",
            "legal_basis": "tally-credit-regulations/20@1",
        })
    );
    // Days are the mirror's own to count.
    assert_eq!(
        shown(&place, -3).0,
        these(&records, &[]),
        "the term begins later"
    );
    assert_eq!(
        shown(&place, 301).0,
        these(&records, &[]),
        "the term is over"
    );

    let ends = format!("\"published_until\":\"{}\",\"party_name\"", day(30));
    let correction = penalty(COMPANIES[0], "penalty 3").replace("\"party_name\"", &ends);
    let correct = format!("--as market correct {changed} --reason 'an end was missing'");
    tally_with_input(&place, &correct, &correction).exits(0);
    for (who, line) in [
        (
            "market",
            format!("withdraw {withdrawn} --reason revoked --document 'revocation 1'"),
        ),
        (
            "market-3",
            format!("object accept {suspended} --document 'objection 1'"),
        ),
        (
            "market-3",
            format!("object accept {mistaken} --document 'objection 2'"),
        ),
        (
            "market-4",
            format!("object correct-out {mistaken} --reason another --document 'decision 2'"),
        ),
    ] {
        ask(&place, who, &line);
    }
    let expected = [
        format!("keep CHANGED {changed}"),
        format!("keep WITHDRAWN {withdrawn}"),
        format!("keep SUSPENDED {suspended}"),
        format!("keep ENDED {mistaken}"),
    ];
    assert_eq!(killed_at_each(&place), sorted(expected.to_vec()));
    let mut left: Vec<&String> = grounds.iter().chain([&changed]).collect();
    assert_eq!(shown(&place, TODAY).0, these(&left, &[stays]));

    let uphold = format!("object uphold {suspended} --reason right --document 'decision 1'");
    ask(&place, "market-4", &uphold);
    assert_eq!(
        killed_at_each(&place),
        [format!("keep RESUMED {suspended}")]
    );
    let both = these(&left, &[stays, suspended]);
    assert_eq!(shown(&place, TODAY).0, both);
    assert_eq!(shown(&place, 30).0, both);
    left.pop();
    let ended = these(&left, &[stays, suspended]);
    assert_eq!(
        shown(&place, 31).0,
        ended,
        "the corrected record has an end"
    );
    left.push(&changed);

    // Another pack shows less: all is read anew, and who reads meanwhile sees the old.
    load_unpublished(&place);
    let mut reading = asking(&place);
    let first = reading.asks().expect("it reads anew");
    reading.yes();
    assert!(reading.asks().is_some_and(|second| second != first));
    assert_eq!(shown(&place, TODAY).0, both);
    reading.kill();
    assert_eq!(shown(&place, TODAY).0, both);
    asking(&place).finish();
    assert_eq!(shown(&place, TODAY).0, these(&left, &[]));
    assert_only_public(&place);
    let mut again = asking(&place);
    assert_eq!((again.asks(), again.said.as_str()), (None, ""));
    again.finish();
}

#[test]
fn a_mirror_of_another_log_begins_anew() {
    let (place, server) = mesh();
    push(&place, COMPANIES[0], "penalty 1");
    place.tell_each_role();
    asking(&place).finish();
    assert_eq!(shown(&place, TODAY).0.len(), 1);
    drop(server);

    let (other, _server) = mesh();
    let its = push(&other, COMPANIES[1], "penalty 2");
    std::fs::copy(place.file("mirror.sqlite"), other.file("mirror.sqlite")).expect("copied");
    let mut command = follow(&other);
    command.arg("--until-head");
    run(command, "")
        .exits(0)
        .says(&["another log: reading anew"]);
    assert_eq!(shown(&other, TODAY).0, these(&[&its], &[]));
}

/// Killed when it is dropped.
struct Staying(Child);

impl Drop for Staying {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_mirror_that_stays_goes_on_when_the_mesh_is_back() {
    let (place, mut server) = mesh();
    let mut ids = vec![push(&place, COMPANIES[0], "penalty 1")];
    let mut staying = Staying(
        follow(&place)
            .stdin(Stdio::null())
            .spawn()
            .expect("the mirror starts"),
    );
    let mut until_shown = |ids: &[String], entries: &[String]| {
        let wanted = these(
            &ids.iter().collect::<Vec<_>>(),
            &entries.iter().collect::<Vec<_>>(),
        );
        let began = Instant::now();
        loop {
            assert!(
                staying.0.try_wait().expect("its state").is_none(),
                "it ended"
            );
            let (now, _) = shown(&place, TODAY);
            if now == wanted {
                return;
            }
            assert!(began.elapsed().as_secs() < 60, "{now:?}, not {wanted:?}");
        }
    };
    until_shown(&ids, &[]);
    server.kill();
    let address = server.endpoint.trim_start_matches("https://");
    let _server = place.spawn_at(address, &[]).ready(&place);
    ids.push(push(&place, COMPANIES[0], "penalty 2"));
    let entry = list_subject(&place, COMPANIES[0], &ids[0]);
    until_shown(&ids, &[entry]);
}
