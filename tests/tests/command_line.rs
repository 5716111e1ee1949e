//! Everything a department does through the contracts, it can do on the command line.

use std::collections::BTreeSet;
use std::path::Path;

use tally::cli::commands::COMMANDS;
use tally_tests::contracts;

/// Calls that no command makes, and why.
const WITHOUT: &[(&str, &str)] = &[(
    "tally.log.v1.LogService.ReadLog",
    "between roles; people use `tally replay`",
)];

#[test]
fn every_call_has_a_command() {
    let source = sources();
    let words: BTreeSet<&str> = source
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .collect();
    let pool = contracts::pool();
    let methods = pool
        .services()
        .filter(|service| service.full_name().starts_with("tally."))
        .flat_map(|service| service.methods().collect::<Vec<_>>());
    let uncalled: BTreeSet<String> = methods
        .filter(|method| !words.contains(method.input().name()))
        .map(|method| method.full_name().to_owned())
        .collect();
    let known: BTreeSet<String> = WITHOUT.iter().map(|(call, _)| (*call).to_owned()).collect();
    assert_eq!(
        uncalled, known,
        "left: calls that no command makes; right: those of which that is known"
    );
}

/// `tally rights` names the command beside the call; that there is such a command is a test of the
/// command line itself.
#[test]
fn every_call_that_a_command_makes_has_its_name() {
    let named: BTreeSet<String> = COMMANDS
        .iter()
        .map(|(path, _)| (*path).to_owned())
        .collect();
    assert_eq!(named.len(), COMMANDS.len(), "each call once");
    let pool = contracts::pool();
    let methods = pool
        .services()
        .filter(|service| service.full_name().starts_with("tally."))
        .flat_map(|service| service.methods().collect::<Vec<_>>());
    let paths = methods
        .filter(|method| WITHOUT.iter().all(|(call, _)| *call != method.full_name()))
        .map(|method| format!("/{}/{}", method.parent_service().full_name(), method.name()));
    assert_eq!(
        named,
        paths.collect(),
        "left: cli/commands.rs; right: the contracts"
    );
}

/// What commands are made of. Every call builds its request, whose name only that call has.
fn sources() -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/tally/src");
    let mut text = String::new();
    let mut open = vec![source.join("cli"), source.join("pack_client.rs")];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("a directory of the source tree");
            open.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else {
            text.push_str(&std::fs::read_to_string(&path).expect("a source file"));
        }
    }
    text
}
