//! What the tests of the command line have in common: a mesh with its people,
//! and command lines as one types them.

mod certificates;
mod demo;
mod example;
mod follow;
mod forms;
mod job;
mod keys;
mod many;
mod mirror;
mod parked;
mod policy;
mod proof;
mod receipts;
mod records;
mod responder;
mod rights;
mod running;
mod shell;
mod simulate;
mod stats;
mod tables;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::process::{Done, MARKET, Place, RESOURCES, Server, TAX};

/// A company (a public example of GB 32100).
pub const COMPANY: &str = "cn-uscc:9152000071430580XT";
/// Three of them.
pub const COMPANIES: [&str; 3] = [
    COMPANY,
    "cn-uscc:91110000710926094P",
    "cn-uscc:91440300192317458F",
];

/// Today and days around it, as dates.
pub fn day(days: i64) -> String {
    let at = Timestamp::now() + SignedDuration::from_hours(24 * days);
    at.strftime("%Y-%m-%d").to_string()
}

/// A penalty record as a line.
pub fn record(number: &str) -> String {
    record_about(COMPANY, number)
}

/// The same about another company.
pub fn record_about(subject: &str, number: &str) -> String {
    let fields = json!({
        "party_name": "Example Ltd",
        "penalty_category": "fine",
        "legal_representative": "Example Person",
    });
    let record = json!({
        "subject": subject,
        "record_type": "administrative-penalty",
        "document_number": number,
        "decided_on": day(-3),
        "legal_basis": "tally-credit-regulations/12@1",
        "fields": fields,
    });
    record.to_string()
}

/// A mesh, and certificates for those who take part.
pub fn mesh() -> (Place, Server) {
    let place = Place::new();
    let server = place.up();
    for (name, whom) in [
        ("market", format!("--department {MARKET}")),
        ("market-1", format!("--department {MARKET} --officer 1")),
        ("market-2", format!("--department {MARKET} --officer 2")),
        ("market-3", format!("--department {MARKET} --officer 3")),
        ("market-4", format!("--department {MARKET} --officer 4")),
        ("tax", format!("--department {TAX}")),
        ("tax-7", format!("--department {TAX} --officer 7")),
        ("resources", format!("--department {RESOURCES}")),
    ] {
        let files = [format!("{name}.pem"), format!("{name}.key")];
        let issued = tally(&place, &format!("cert issue {name} {whom}")).exits(0);
        issued.says(&[&files[0], &files[1]]);
    }
    (place, server)
}

/// Runs a command line: words, and in quotes what has spaces.
pub fn tally(place: &Place, line: &str) -> Done {
    tally_with_input(place, line, "")
}

/// The same with something on standard input.
pub fn tally_with_input(place: &Place, line: &str, input: &str) -> Done {
    // Every second part was between quotes.
    let parts = line.split('\'').enumerate();
    let words = parts.flat_map(|(n, part)| match n % 2 {
        0 => part.split_whitespace().collect(),
        _ => vec![part],
    });
    place.run_with_input(&words.collect::<Vec<_>>(), input)
}

/// Gives a copy of a pack another version, as whoever changes it must.
pub fn another_version(pack: &std::path::Path) {
    let head = pack.join("pack.toml");
    let text = std::fs::read_to_string(&head).expect("a file of the pack");
    let lines = text.lines().map(|line| match line.split_once(" = ") {
        Some(("version", _)) => "version = \"another\"",
        _ => line,
    });
    let text: Vec<_> = lines.collect();
    std::fs::write(&head, text.join("\n")).expect("written");
}

/// Runs a command that succeeds under `--json`, and takes its only line.
#[track_caller]
pub fn ask(place: &Place, who: &str, line: &str) -> Value {
    tally(place, &format!("--json --as {who} {line}"))
        .exits(0)
        .line()
}

/// Runs a command that fails, once for a script and once for people; gives the
/// reason and what people read.
#[track_caller]
pub fn refused(place: &Place, who: &str, line: &str, code: i32) -> (String, Done) {
    let error = tally(place, &format!("--json --as {who} {line}"))
        .exits(code)
        .error();
    let reason = text(&error["reason"]).to_owned();
    let people = tally(place, &format!("--as {who} {line}")).exits(code);
    assert!(
        people.out.is_empty(),
        "nothing on standard output: {people:?}"
    );
    (reason.clone(), people.says(&["error: ", &reason]))
}

/// A JSON string.
#[track_caller]
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is text"))
}

/// Pushes a record and gives its id.
#[track_caller]
pub fn push(place: &Place, number: &str) -> String {
    push_about(place, COMPANY, number)
}

/// The same about another company.
#[track_caller]
pub fn push_about(place: &Place, subject: &str, number: &str) -> String {
    let record = record_about(subject, number);
    let pushed = tally_with_input(place, "--json --as market push --receipts", &record);
    text(&pushed.exits(0).lines()[0]["accepted"]["record_id"]).to_owned()
}

/// Takes the company onto the black list by two officers, and gives the entry.
#[track_caller]
pub fn list(place: &Place, record_id: &str) -> String {
    list_subject(place, COMPANY, record_id)
}

/// The same of another company.
#[track_caller]
pub fn list_subject(place: &Place, subject: &str, record_id: &str) -> String {
    let (from, until) = (day(-2), day(300));
    let nominate = format!(
        "list nominate --subject {subject} --list serious-violation --ground {record_id} \
         --criterion 'serious violation' --basis tally-credit-regulations/20@1 --from {from} --until {until}"
    );
    let entry = text(&ask(place, "market-1", &nominate)["entry_id"]).to_owned();
    let notify = format!("list notify {entry} --served-on {from} --document 'service 1'");
    assert_eq!(ask(place, "market-1", &notify)["receipt"]["log"], "lists");
    ask(
        place,
        "market-1",
        &format!("list represent {entry} --waived"),
    );
    let confirm = format!("list confirm {entry} --document 'listing 1'");
    let (reason, _) = refused(place, "market-1", &confirm, 3);
    assert_eq!(reason, "SECOND_OFFICER_REQUIRED");
    ask(place, "market-2", &confirm);
    entry
}

/// The mailbox of a department, once it has so many items.
pub fn mailbox(place: &Place, who: &str, count: usize) -> Vec<Value> {
    let began = std::time::Instant::now();
    loop {
        let items = tally(place, &format!("--json --as {who} subscribe --until-head"));
        let items = items.exits(0).lines();
        if items.len() >= count {
            return items;
        }
        assert!(began.elapsed().as_secs() < 60, "{who} has {items:?}");
    }
}
