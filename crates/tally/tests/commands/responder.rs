//! The responder of examples/python, killed wherever it may be killed: every directive is
//! acknowledged, executed, reported and given back once, and nothing that is suspended is applied.
//! Of the three companies one is left alone, one suspended, one listed by mistake.

use std::collections::BTreeMap;
use std::process::Command;

use super::example::{Asking, python};
use super::{COMPANIES, ask, list_subject, mailbox, mesh, push_about, tally, text};
use crate::process::{Place, TAX};

fn responder(place: &Place, journal: &str) -> Command {
    let mut command = python("responder.py");
    command
        .args(["--system", "tax", "--officer", "tax-7", "--until-head"])
        .args(["--basis", "tally-credit-regulations/18@1"])
        .arg("--mesh")
        .arg(place.data())
        .arg("--journal")
        .arg(place.file(journal));
    command
}

/// One that asks before each call.
fn desk(place: &Place) -> Asking {
    let mut command = responder(place, "tax.sqlite");
    command.arg("--confirm");
    Asking::start(command)
}

/// Kills a run before these steps, and another one at once after it was told to take one of them,
/// until each was taken so. Which comes first is not known: shards have no order among them.
#[track_caller]
fn kill_at(place: &Place, steps: &[&str]) {
    let mut left = steps.to_vec();
    while !left.is_empty() {
        let mut before = desk(place);
        let asked = before.until(&left);
        assert!(
            asked.is_some(),
            "it never asks to {left:?}:\n{}",
            before.said
        );
        before.kill();
        let mut meanwhile = desk(place);
        let Some(step) = meanwhile.until(&left) else {
            panic!("what was not taken comes again:\n{}", meanwhile.said)
        };
        meanwhile.yes();
        meanwhile.kill();
        left.retain(|other| *other != step);
    }
}

/// How often each kind of event is in the streams of each directive of the department.
fn events(place: &Place) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut counts: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for log in ["sanctions", "feedback"] {
        let replay = tally(place, &format!("replay --log-name {log}")).exits(0);
        for event in replay.lines() {
            let kind = text(&event["event_type"])
                .rsplit('.')
                .next()
                .expect("a name");
            let of = counts.entry(text(&event["stream_id"]).to_owned());
            *of.or_default().entry(kind.to_owned()).or_default() += 1;
        }
    }
    counts
}

/// Directive id, measure and company of every directive in the department's mailbox.
fn directives(place: &Place) -> Vec<(String, String, usize)> {
    mailbox(place, "tax", 6)
        .iter()
        .filter(|item| item["kind"] == "MAILBOX_ITEM_KIND_TRIGGERED")
        .map(|item| {
            let directive = &item["directive"];
            assert_eq!(directive["department"], TAX);
            let of = |company: &&str| directive["subject"] == **company;
            let company = COMPANIES.iter().position(of).expect("one of them");
            let (id, measure) = (&directive["directive_id"], &directive["measure"]);
            (text(id).to_owned(), text(measure).to_owned(), company)
        })
        .collect()
}

#[test]
fn a_responder_that_is_killed_anywhere_does_everything_once() {
    let (place, _server) = mesh();
    let entries: Vec<String> = COMPANIES
        .iter()
        .enumerate()
        .map(|(n, company)| {
            let record = push_about(&place, company, &format!("penalty {n}"));
            list_subject(&place, company, &record)
        })
        .collect();
    let [_, suspended, mistaken] = &entries[..] else {
        panic!("three companies")
    };
    mailbox(&place, "tax", 6);
    ask(
        &place,
        "market-3",
        &format!("object accept {suspended} --document 'objection 1'"),
    );
    mailbox(&place, "tax", 8);

    kill_at(
        &place,
        &["acknowledge", "start", "check", "execute", "report"],
    );
    desk(&place).finish();
    let directives = directives(&place);
    assert_eq!(directives.len(), 6);
    let so_far = events(&place);
    for (id, measure, company) in &directives {
        let is_suspended = *company == 1;
        let applied = if measure == "revoke-honour" {
            "DirectiveExecuted"
        } else {
            "DirectiveStarted"
        };
        let count = |kind: &str| so_far[id].get(kind).copied().unwrap_or(0);
        assert_eq!(count("DirectiveReceived"), 1, "{id}: {so_far:#?}");
        let once = u64::from(!is_suspended);
        assert_eq!(
            count(applied),
            once,
            "{measure} of company {company}: {so_far:#?}"
        );
        assert_eq!(
            count("FeedbackSubmitted"),
            once,
            "{measure} of company {company}: {so_far:#?}"
        );
    }

    ask(
        &place,
        "market-4",
        &format!("object uphold {suspended} --reason right --document 'decision 1'"),
    );
    ask(
        &place,
        "market-3",
        &format!("object accept {mistaken} --document 'objection 2'"),
    );
    ask(
        &place,
        "market-4",
        &format!("object correct-out {mistaken} --reason another --document 'decision 2'"),
    );
    mailbox(&place, "tax", 14);
    kill_at(&place, &["execute", "report", "confirm-lift"]);
    desk(&place).finish();

    let events = events(&place);
    for (id, measure, company) in &directives {
        let applied = if measure == "revoke-honour" {
            "DirectiveExecuted"
        } else {
            "DirectiveStarted"
        };
        for kind in ["DirectiveReceived", applied, "FeedbackSubmitted"] {
            assert_eq!(
                events[id].get(kind),
                Some(&1),
                "{kind} of {measure}, company {company}: {events:#?}"
            );
        }
        let lifted = (*company == 2).then_some(&1);
        assert_eq!(
            events[id].get("DirectiveLiftConfirmed"),
            lifted,
            "company {company}: {events:#?}"
        );
    }
    // A check that was repeated has the same id, and is one check: one per item that led to one.
    let access = tally(&place, "replay --log-name sanctions-access")
        .exits(0)
        .lines();
    assert_eq!(
        access.len(),
        4,
        "three directives that were new, one that was resumed: {access:#?}"
    );
    // Nothing is left to do.
    let mut again = desk(&place);
    assert_eq!((again.until(&[]), again.said.as_str()), (None, ""));
    again.finish();
}

#[test]
fn a_mesh_that_is_away_for_a_while_is_waited_for() {
    let (place, mut server) = mesh();
    let record = push_about(&place, COMPANIES[0], "penalty 1");
    list_subject(&place, COMPANIES[0], &record);
    mailbox(&place, "tax", 2);
    let mut at_work = desk(&place);
    assert_eq!(at_work.until(&["execute"]), Some("execute"));
    server.kill();
    // It calls nobody, and calls again; its subscription is cut, too.
    at_work.yes();
    let address = server.endpoint.trim_start_matches("https://");
    let _server = place.spawn_at(address, &[]).ready(&place);
    at_work.finish();
    let once = |kind: &str| {
        let events = events(&place);
        let count = |of: &BTreeMap<String, u64>| of.get(kind).copied().unwrap_or(0);
        events.values().map(count).sum::<u64>()
    };
    assert_eq!(once("DirectiveExecuted"), 1);
    // The one that is executed once, and the one that is applied at each window.
    assert_eq!(once("FeedbackSubmitted"), 2);
}

#[test]
fn a_journal_of_another_mesh_stops_the_responder() {
    let (place, server) = mesh();
    let record = push_about(&place, COMPANIES[0], "penalty 1");
    list_subject(&place, COMPANIES[0], &record);
    mailbox(&place, "tax", 2);
    place.tell_each_role();
    let first = responder(&place, "journal").output().expect("it runs");
    assert!(first.status.success(), "{first:?}");
    drop(server);

    let (other, _server) = mesh();
    std::fs::copy(place.file("journal"), other.file("journal")).expect("the journal is copied");
    let stopped = responder(&other, "journal").output().expect("it runs");
    let said = String::from_utf8_lossy(&stopped.stderr);
    assert_eq!(stopped.status.code(), Some(3), "{said}");
    assert!(
        said.contains("LOG_DIVERGED") && said.contains("begin with a new journal"),
        "{said}"
    );
}
