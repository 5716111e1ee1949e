//! What needs no mesh: completions, the manual, and what a reason means. And what holds of every
//! command: it has its page, and it answers scripts in JSON.

use std::collections::BTreeSet;

use clap::CommandFactory as _;
use serde_json::Value;

use super::{COMPANY, day, list, mesh, push, tally, tally_with_input};
use crate::process::{Done, Place};

/// Every command that does something, as one types it.
fn leaves() -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), tally::cli::Cli::command())];
    while let Some((path, command)) = open.pop() {
        let below: Vec<_> = command.get_subcommands().cloned().collect();
        // Some do something without a subcommand too.
        if below.is_empty() || !command.is_subcommand_required_set() {
            found.push(path.trim().to_owned());
        }
        open.extend(
            below
                .into_iter()
                .map(|next| (format!("{path} {}", next.get_name()), next)),
        );
    }
    found.sort();
    found
}

#[test]
fn every_command_has_its_page_of_the_manual() {
    let place = Place::new();
    let dir = place.file("manual");
    let written = tally(&place, &format!("--json man {}", dir.display())).exits(0);
    assert!(written.lines().iter().all(|line| line["page"].is_string()));
    for leaf in leaves() {
        let page = dir.join(format!("tally-{}.1", leaf.replace(' ', "-")));
        let text = std::fs::read_to_string(&page)
            .unwrap_or_else(|error| panic!("{leaf}: {}: {error}", page.display()));
        let title = format!(".TH tally-{} ", leaf.replace(' ', "-"));
        assert!(text.contains(&title), "{leaf}:\n{text}");
    }
    let root = std::fs::read_to_string(dir.join("tally.1")).expect("the page of tally itself");
    // A command's line on the page of all.
    assert!(root.contains("tally\\-subscribe(1)"), "{root}");
}

#[test]
fn every_shell_is_offered_every_command() {
    let place = Place::new();
    let first: BTreeSet<String> = leaves()
        .iter()
        .filter_map(|leaf| Some(leaf.split(' ').next()?.to_owned()))
        .collect();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = tally(&place, &format!("completions {shell}")).exits(0).out;
        for command in &first {
            assert!(script.contains(command), "{shell} lacks {command}");
        }
        let answer = tally(&place, &format!("--json completions {shell}")).exits(0);
        assert_eq!(
            answer.line()["script"].as_str().map(str::trim_end),
            Some(script.trim_end())
        );
    }
    let none = tally(&place, "completions abacus").exits(2);
    none.says(&["abacus", "bash"]);
}

#[test]
fn a_reason_is_explained() {
    let place = Place::new();
    let told = tally(&place, "explain record_exists_different").exits(0);
    told.says(&["RECORD_EXISTS_DIFFERENT", "CorrectRecord"]);
    let answer = tally(&place, "--json explain LOG_DIVERGED").exits(0).line();
    assert_eq!(answer["repeat"], "no");
    let all = tally(&place, "--json explain").exits(0).lines();
    assert_eq!(all.len(), tally::reasons::all().len());
    let unknown = tally(&place, "explain RECORD_ODD").exits(2);
    unknown.says(&["no reason `RECORD_ODD`", "RECORD_UNKNOWN"]);
}

/// Else the argument would have the value of the option that every command has.
#[test]
fn no_argument_is_called_as_an_option_of_every_command() {
    let root = tally::cli::Cli::command();
    let everywhere: BTreeSet<_> = root
        .get_arguments()
        .map(|arg| arg.get_id().clone())
        .collect();
    assert!(!everywhere.is_empty());
    let mut open: Vec<_> = root.get_subcommands().collect();
    while let Some(command) = open.pop() {
        for argument in command.get_arguments() {
            let (name, id) = (command.get_name(), argument.get_id());
            assert!(!everywhere.contains(id), "{name} has an argument {id}");
        }
        open.extend(command.get_subcommands());
    }
}

/// The command lines of the pages for people are ones that there are.
#[test]
fn documented_command_lines_are_understood() {
    let pages = [
        "README.md",
        "docs/CLIENTS.md",
        "docs/IMPORT.md",
        "docs/POLICY-PACK.md",
        "docs/SIMULATE.md",
    ];
    for page in pages {
        let text = std::fs::read_to_string(crate::process::repository().join(page))
            .unwrap_or_else(|error| panic!("{page}: {error}"));
        let text = text.replace("\\\n", " ");
        let lines: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("tally "))
            .collect();
        assert!(!lines.is_empty(), "{page} has no command line");
        for line in lines {
            let parsed = tally::cli::Cli::command().try_get_matches_from(shell_words(line));
            if let Err(error) = parsed {
                panic!("{page}: {line}\n{error}");
            }
        }
    }
}

/// The words of a simple command, up to what is the shell's: a redirection, a pipe, a comment.
fn shell_words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut quote, mut depth) = (None, 0);
    for c in line.chars() {
        let bare = quote.is_none() && depth == 0;
        match c {
            '<' | '>' | '|' | '&' | '#' if bare => break,
            c if bare && c.is_whitespace() => words.push(String::new()),
            '"' | '\'' if depth == 0 && quote.is_none_or(|open| open == c) => {
                quote = quote.is_none().then_some(c);
                continue;
            }
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if let Some(word) = words.last_mut().filter(|_| !bare || !c.is_whitespace()) {
            word.push(c);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Commands that are run here, with arguments that are well-formed. Many are refused: then the
/// refusal is JSON. ID stands for an id that nothing has, ENTRY and so on for one that there is.
const RUN: &[(&str, &str)] = &[
    ("as-of", "TODAY"),
    ("backup", "--to DIR"),
    ("cert issue", "another --department 11990000MB0000107X"),
    ("check", "COMPANY WHY"),
    ("check-many", "WHY"),
    ("clock", "2030-01-01T00:00:00Z"),
    ("completions", "bash"),
    ("config", ""),
    ("correct", "ID --reason mistyped"),
    ("corrections", ""),
    ("decisions counts", ""),
    ("decisions list", "--verdict not-checked"),
    ("directive acknowledge", "ID"),
    ("directive confirm-lift", "ID"),
    ("directive decline", "ID --grounds none"),
    ("directive execute", "ID --document d --on TODAY"),
    ("directive show", "ID"),
    ("directive start", "ID"),
    ("doctor", ""),
    ("explain", "STOPPING"),
    ("export", "--to DIR"),
    ("feedback", "--until-head"),
    ("follow lists", "--until-head"),
    ("follow records", "--until-head"),
    ("follow registrations", "--until-head"),
    ("heads", "lists"),
    ("import", "FILE --item administrative-penalty"),
    ("import-log", "--from DIR"),
    ("key erase", "collection/record/ID"),
    (
        "link",
        "COMPANY cn-orgcode:714305800 --document d --basis tally-credit-regulations/20@1",
    ),
    ("list confirm", "ID --document d"),
    ("list drop", "ID --reason mistaken"),
    ("list nominate", "NOMINATION"),
    ("list notify", "ID --served-on TODAY --document d"),
    ("list remove", "ID --reason r --document d"),
    ("list represent", "ID --waived"),
    ("list request-removal", "ID --reason r --document d"),
    ("list show", "ENTRY"),
    ("man", "DIR"),
    ("object accept", "ID --document d"),
    ("object correct-out", "ID --reason r --document d"),
    ("object uphold", "ID --reason r --document d"),
    ("parked list", ""),
    ("parked replay", "sanctions.lists"),
    ("parked show", "sanctions.lists COMPANY"),
    ("reconcile", ""),
    ("policy check", "PACK"),
    ("policy diff", "PACK"),
    ("policy load", "PACK"),
    ("policy new", "DIR"),
    ("policy show", ""),
    ("push", "--receipts"),
    ("quarantine counts", ""),
    ("quarantine discard", "ID --reason r"),
    ("quarantine list", ""),
    ("quarantine resubmit", "ID"),
    ("quarantine show", "ID"),
    ("reader pause", "lists.self"),
    ("reader resume", "lists.self"),
    ("rebuild", ""),
    ("receipt get", "ID"),
    ("receipt keys", ""),
    ("receipt rotate", ""),
    ("receipt verify", "FILE --keys FILE"),
    ("record", "RECORD"),
    ("replay", "--log-name lists"),
    ("report accept", "ID"),
    ("report return", "ID --reason r"),
    ("report show", "ID"),
    ("restore", "--from DIR --all"),
    ("report submit", "ID --outcome executed"),
    ("rights", ""),
    ("simulate", "--for 1s --rate 5 --checks 5 --ledger DIR"),
    ("stats", ""),
    ("stats timeliness", ""),
    ("status", ""),
    ("subscribe", "--until-head"),
    ("template", "administrative-penalty --out DIR.csv"),
    ("unlink", "COMPANY cn-orgcode:714305800 --reason r"),
    ("verify", ""),
    ("withdraw", "ID --reason r --document d"),
];

/// Commands that are not, and why.
const NOT_RUN: &[(&str, &str)] = &[
    (
        "init",
        "for a mesh of several processes: tests/tests/processes.rs runs it",
    ),
    (
        "migrate",
        "for a mesh on Postgres: tests/tests/processes.rs runs it",
    ),
    (
        "serve",
        "does not end; its ready line is JSON, and tests/tests/processes.rs reads it",
    ),
    ("demo", "tells people as it goes; its last line is JSON"),
    (
        "up",
        "does not end; its ready line is JSON, and every test reads it",
    ),
];

#[test]
fn every_command_that_a_call_is_said_to_have_is_there() {
    let leaves = leaves();
    for (call, command) in tally::cli::commands::COMMANDS {
        let there = leaves.iter().any(|leaf| leaf == command);
        assert!(there, "{call}: there is no `tally {command}`");
    }
}

#[test]
fn every_command_answers_scripts_in_json() {
    let known: BTreeSet<&str> = RUN.iter().chain(NOT_RUN).map(|(leaf, _)| *leaf).collect();
    let leaves = leaves();
    let there: BTreeSet<&str> = leaves.iter().map(String::as_str).collect();
    let unknown: Vec<_> = there.symmetric_difference(&known).collect();
    assert!(
        unknown.is_empty(),
        "add to the commands that are run here, or remove: {unknown:?}"
    );

    let (place, _server) = mesh();
    let record = push(&place, "penalty 1");
    let entry = list(&place, &record);
    let table = place.file("table.csv");
    std::fs::write(&table, "nothing that a form knows\n1\n").expect("a table");
    let pack = crate::process::repository().join("policy/small");
    let stands = [
        ("COMPANY", COMPANY.to_owned()),
        (
            "WHY",
            "--purpose procurement --case 1 --basis tally-credit-regulations/18@1".to_owned(),
        ),
        (
            "NOMINATION",
            format!(
                "--subject {COMPANY} --list serious-violation --ground ID --criterion c \
                 --basis tally-credit-regulations/20@1 --from TODAY"
            ),
        ),
        ("TODAY", day(0)),
        ("ID", uuid::Uuid::now_v7().to_string()),
        ("ENTRY", entry),
        ("RECORD", record),
        ("FILE", table.display().to_string()),
        ("PACK", pack.display().to_string()),
    ];
    for (number, (leaf, arguments)) in RUN.iter().enumerate() {
        let dir = place.file(&format!("made-{number}"));
        let mut line = format!("{leaf} {arguments} ").replace("DIR", &dir.display().to_string());
        for (word, value) in &stands {
            line = line.replace(word, value);
        }
        let input = match *leaf {
            "check-many" => COMPANY,
            "push" => "{}",
            _ => "{\"subject\": 1}",
        };
        let done = tally_with_input(&place, &format!("--json --as {} {line}", who(leaf)), input);
        holds_to_json(leaf, &done);
    }
}

/// Under whose certificate a command makes most sense.
fn who(leaf: &str) -> &'static str {
    match leaf.split(' ').next() {
        Some("list" | "object" | "link" | "unlink" | "withdraw") => "market-1",
        Some(
            "directive" | "report" | "check" | "check-many" | "subscribe" | "corrections"
            | "decisions" | "receipt",
        ) => "tax-7",
        Some("push" | "import" | "record" | "correct" | "quarantine") => "market",
        _ => "operator",
    }
}

/// Objects on standard output; one object on standard error exactly if it failed.
fn holds_to_json(leaf: &str, done: &Done) {
    assert!(done.code != 5, "{leaf}: {done:?}");
    for line in done.lines() {
        assert!(line.is_object(), "{leaf} prints {line}");
    }
    if done.err.is_empty() {
        // Refused records and parts that do not hold are on standard output.
        assert!(done.code <= 2, "{leaf} fails without an error: {done:?}");
        return;
    }
    let error: Value = done.error();
    let reason = error["reason"].as_str().unwrap_or_default();
    let known = tally::reasons::all()
        .iter()
        .any(|known| known.name == reason);
    assert!(known, "{leaf} fails with {error}");
    assert!(done.code >= 1, "{leaf} says {error} and succeeds");
}
