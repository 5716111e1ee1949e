//! Following what is public, and new registrations.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use super::mirror::load_unpublished;
use super::{
    COMPANIES, COMPANY, ask, day, list, mesh, push, record, record_about, refused, tally,
    tally_with_input, text,
};
use crate::process::{MARKET, Place};

/// All that a stream that is followed to its head says for a script.
#[track_caller]
fn said(place: &Place, line: &str) -> Vec<Value> {
    tally(
        place,
        &format!("--json --as resources follow {line} --until-head"),
    )
    .exits(0)
    .lines()
}

fn is_checkpoint(item: &Value) -> bool {
    text(&item["kind"]).ends_with("KIND_CHECKPOINT")
}

/// The items of it.
#[track_caller]
fn told(place: &Place, line: &str) -> Vec<Value> {
    let mut items = said(place, line);
    items.retain(|item| !is_checkpoint(item));
    items
}

#[test]
fn a_script_is_told_of_another_pack_where_there_is_nothing_new() {
    let (place, _server) = mesh();
    push(&place, "penalty 1");
    let following = format!("records {}", cursor(&place, "records.cursor"));
    assert_eq!(told(&place, &following).len(), 1);
    load_unpublished(&place);
    let said = said(&place, &following);
    let is_of_pack = |item: &&Value| is_checkpoint(item) && item["pack_version"] == "2026.2";
    assert!(said.iter().any(|item| is_of_pack(&item)), "{said:?}");
    assert!(said.iter().all(is_checkpoint), "{said:?}");
}

/// Kinds and ids.
fn kinds<'a>(items: &'a [Value], id: &str) -> Vec<(&'a str, &'a str)> {
    let mut kinds: Vec<_> = items
        .iter()
        .map(|item| (text(&item["kind"]), text(&item[id])))
        .collect();
    kinds.sort_unstable();
    kinds
}

fn cursor(place: &Place, name: &str) -> String {
    format!("--cursor {}", place.file(name).display())
}

#[test]
fn records_are_followed_from_where_the_last_run_left_off() {
    let (place, _server) = mesh();
    let following = format!("records {}", cursor(&place, "records.cursor"));
    let none = tally(
        &place,
        &format!("--as resources follow {following} --until-head"),
    );
    assert!(none.exits(0).says(&["nothing new"]).out.is_empty());

    let shown = push(&place, "penalty 1");
    let gone = push(&place, "penalty 2");
    let items = told(&place, &following);
    let published = "PUBLICATION_KIND_PUBLISHED";
    let mut expected = [(published, shown.as_str()), (published, gone.as_str())];
    expected.sort_unstable();
    assert_eq!(kinds(&items, "record_id"), expected);
    let item = items.iter().find(|item| item["record_id"] == shown);
    assert_eq!(
        item.expect("told")["record"]["fields"],
        json!([
            {"name": "party_name", "value": "Example Ltd"},
            {"name": "penalty_category", "value": "fine"},
        ])
    );
    assert_eq!(told(&place, &following), [Value::Null; 0], "nothing twice");

    let warned = record("penalty 1").replace("fine", "warning");
    let correct = format!("--as market correct {shown} --reason 'a clerk made an error'");
    tally_with_input(&place, &correct, &warned).exits(0);
    let withdraw = format!("withdraw {gone} --reason revoked --document 'revocation 1'");
    ask(&place, "market", &withdraw);
    let people = tally(
        &place,
        &format!("--as resources follow {following} --until-head"),
    );
    let people = people.exits(0).says(&[
        &format!("CHANGED {shown}: administrative-penalty penalty 1 of {COMPANY} by {MARKET}, without an end\n"),
        &format!("WITHDRAWN {gone}\n"),
    ]);
    assert_eq!(people.out.lines().count(), 2, "{people:?}");
    assert!(!people.out.contains("Example Person"), "{people:?}");

    // Without a cursor all of it comes, and of each record only what is public now.
    let items = told(&place, "records --type administrative-penalty");
    let changed = ("PUBLICATION_KIND_CHANGED", shown.as_str());
    let withdrawn = ("PUBLICATION_KIND_WITHDRAWN", gone.as_str());
    assert_eq!(kinds(&items, "record_id"), [changed, withdrawn]);
    assert_eq!(
        told(&place, "records --type administrative-licence"),
        [Value::Null; 0]
    );
    let (reason, people) = refused(&place, "resources", "follow records --type odd", 2);
    assert_eq!(reason, "RECORD_TYPE_UNKNOWN");
    people.says(&["record_types[0]"]);
}

#[test]
fn lists_are_followed_with_their_suspensions_and_ends() {
    let (place, _server) = mesh();
    let ground = push(&place, "penalty 1");
    let entry = list(&place, &ground);
    let following = format!("lists {}", cursor(&place, "lists.cursor"));
    let items = told(&place, &following);
    assert_eq!(
        kinds(&items, "entry_id"),
        [("LIST_PUBLICATION_KIND_LISTED", entry.as_str())]
    );
    assert_eq!(items[0]["entry"]["ground_document_number"], "penalty 1");
    let listed = tally(&place, "--as resources follow lists --until-head").exits(0);
    let until = day(300);
    assert_eq!(
        listed.out,
        format!("LISTED {entry}: {COMPANY} on serious-violation by {MARKET}, until {until}\n")
    );

    for (who, line, said) in [
        (
            "market-3",
            format!("object accept {entry} --document 'objection 1'"),
            format!("SUSPENDED {entry}\n"),
        ),
        (
            "market-4",
            format!("object correct-out {entry} --reason another --document 'decision 1'"),
            format!("ENDED {entry}: CORRECTED_OUT\n"),
        ),
    ] {
        ask(&place, who, &line);
        let line = format!("--as resources follow {following} --until-head");
        assert_eq!(tally(&place, &line).exits(0).out, said);
    }
}

#[test]
fn a_killed_follower_misses_nothing() {
    // More than a pipe holds, so that one that is not read stops in the middle.
    const RECORDS: usize = 400;
    const KILLS: usize = 2;
    let (place, _server) = mesh();
    let records: Vec<String> = (0..RECORDS)
        .map(|n| record_about(COMPANIES[n % 3], &format!("penalty {n}")))
        .collect();
    let pushed = tally_with_input(&place, "--as market push", &records.join("\n"));
    pushed.exits(0).says(&["accepted 400"]);
    let following = format!("records {}", cursor(&place, "records.cursor"));
    let line = format!("--json --as resources follow {following} --until-head");
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut seen: Vec<String> = Vec::new();
    for _ in 0..KILLS {
        let mut child = place
            .tally(&words)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let first = lines.next().expect("an item");
        child.kill().expect("it is killed");
        child.wait().expect("it is dead");
        // What it had printed is read to its end, of which a part of a line may be left.
        let printed = [first].into_iter().chain(lines).map(|it| it.expect("text"));
        let items = printed.map_while(|it| serde_json::from_str::<Value>(&it).ok());
        let items = items.filter(|item| !is_checkpoint(item));
        seen.extend(items.map(|item| text(&item["record_id"]).to_owned()));
        assert!(seen.len() < RECORDS, "it was killed in the middle");
    }
    let rest = told(&place, &following);
    seen.extend(rest.iter().map(|item| text(&item["record_id"]).to_owned()));
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), RECORDS);
    // The cursor moves past an item once that is printed.
    assert!(all - RECORDS <= KILLS, "{} came twice", all - RECORDS);
}

#[test]
fn an_item_is_said_before_its_cursor_is_kept() {
    let (place, _server) = mesh();
    push(&place, "penalty 1");
    push(&place, "penalty 2");
    let following = format!(
        "records {}",
        cursor(&place, "no-such-directory/records.cursor")
    );
    let line = format!("--as resources follow {following} --until-head");
    let failed = tally(&place, &line).exits(2).says(&["cursor file"]);
    assert_eq!(failed.out.lines().count(), 1, "{failed:?}");
}

#[test]
fn registrations_are_followed_by_division() {
    /// Market supervision of the province, and of the city 990100.
    const REGISTRARS: [&str; 2] = ["11990000MB00010701", "11990100MB00020309"];
    let place = Place::new();
    let _server = place.spawn_with(&["--no-policy"]).ready(&place);
    tally(&place, "policy load --built-in province").exits(0);
    for (name, department) in [("province", REGISTRARS[0]), ("city", REGISTRARS[1])] {
        tally(
            &place,
            &format!("cert issue {name} --department {department}"),
        )
        .exits(0);
    }
    let register = |who: &str, n: usize, kind: &str| {
        let record = json!({
            "subject": COMPANIES[n],
            "record_type": "registration",
            "document_number": format!("registration {n}"),
            "decided_on": day(-3),
            "legal_basis": "tally-credit-regulations/11@1",
            "fields": {
                "party_name": "Example Ltd", "registration_type": kind,
                "organisation_type": "limited company", "established_on": day(-3),
                "legal_representative": "Example Person",
            },
        });
        let push = format!("--json --as {who} push --receipts");
        let pushed = tally_with_input(&place, &push, &record.to_string()).exits(0);
        text(&pushed.lines()[0]["accepted"]["record_id"]).to_owned()
    };
    let by_province = register("province", 0, "设立");
    let by_city = register("city", 1, "设立");
    register("city", 2, "变更");
    let told = |division: &str| {
        let line = format!("--as city follow registrations {division} --until-head");
        let told = tally(&place, &line).exits(0).out;
        let mut ids: Vec<String> = told
            .lines()
            .map(|line| {
                let id = line.strip_prefix("PUBLISHED ").expect(line);
                id[..id.find(':').expect(line)].to_owned()
            })
            .collect();
        ids.sort();
        assert!(!told.contains("Example Person"), "{told}");
        ids
    };
    let mut both = [by_province, by_city.clone()];
    both.sort();
    assert_eq!(told(""), both);
    assert_eq!(told("--division 990100"), [by_city]);
    assert_eq!(told("--division 990102"), [""; 0]);
    let (reason, _) = refused(&place, "city", "follow registrations --division 9901", 2);
    assert_eq!(reason, "DIVISION_INVALID");
}

#[test]
fn a_cursor_of_something_else_is_refused() {
    let (place, server) = mesh();
    push(&place, "penalty 1");
    let file = place.file("a.cursor");
    let following = format!("follow records {} --until-head", cursor(&place, "a.cursor"));
    tally(&place, &format!("--as resources {following}")).exits(0);
    drop(server);

    let (other, _server) = mesh();
    push(&other, "penalty 1");
    std::fs::copy(&file, other.file("a.cursor")).expect("copied");
    let following = format!("follow records {} --until-head", cursor(&other, "a.cursor"));
    let (reason, _) = refused(&other, "resources", &following, 3);
    assert_eq!(reason, "LOG_DIVERGED");
    std::fs::write(other.file("a.cursor"), b"\xffno cursor").expect("written");
    let (_, people) = refused(&other, "resources", &following, 2);
    people.says(&["cursor file", "a.cursor"]);
    assert_untouched(&other.file("a.cursor"), b"\xffno cursor");
}

/// A refusal leaves the file as it was.
#[track_caller]
fn assert_untouched(path: &Path, bytes: &[u8]) {
    assert_eq!(std::fs::read(path).expect("there"), bytes);
}
