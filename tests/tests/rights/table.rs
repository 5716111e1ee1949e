//! The table of docs/RIGHTS.md is generated from the contracts.

use std::fmt::Write as _;
use std::path::Path;

use tally_auth::{CallerKind, Competence, Rules};
use tally_tests::contracts::pool;

const BEGIN: &str = "<!-- generated from the contracts: begin -->\n";
const END: &str = "<!-- generated from the contracts: end -->\n";

#[test]
fn the_table_in_the_docs_is_that_of_the_contracts() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/RIGHTS.md");
    let text = std::fs::read_to_string(&path).expect("docs/RIGHTS.md is there");
    let (head, rest) = text.split_once(BEGIN).expect("the begin of the table");
    let (found, tail) = rest.split_once(END).expect("the end of the table");
    let table = table();
    if std::env::var_os("UPDATE").is_some() {
        let text = format!("{head}{BEGIN}{table}{END}{tail}");
        std::fs::write(&path, text).expect("docs/RIGHTS.md can be written");
        return;
    }
    assert!(
        found == table,
        "docs/RIGHTS.md is not what the contracts say; write it anew with \
         `UPDATE=1 cargo test -p tally-tests --test rights table`"
    );
}

fn table() -> String {
    let rules = Rules::from_descriptors().expect("every call has a rule");
    let mut table = String::new();
    for service in pool().services() {
        let name = service.full_name().trim_start_matches("tally.");
        writeln!(table, "\n### {name}\n").expect("a string takes all");
        table.push_str("| Call | Right | System | Officer | Operator | Mesh | Of a department |\n");
        table.push_str("|---|---|---|---|---|---|---|\n");
        for method in service.methods() {
            let path = format!("/{}/{}", service.full_name(), method.name());
            let rule = rules.get(&path).expect("every call has a rule");
            let mark = |kind| if rule.admits(kind) { "yes" } else { "–" };
            let [system, officer, operator, mesh] = CallerKind::ALL.map(mark);
            let of_department = system == "yes" || officer == "yes";
            let needs = match (of_department, rule.narrows) {
                (false, _) => "–".to_owned(),
                (true, false) if rule.competence == Competence::None => "any".to_owned(),
                (true, false) => format!("one that {}", rule.competence.in_words()),
                (true, true) => format!(
                    "any; narrowed to what is shown to one that {}",
                    rule.competence.in_words()
                ),
            };
            writeln!(
                table,
                "| {} | `{}` | {system} | {officer} | {operator} | {mesh} | {needs} |",
                method.name(),
                rule.right,
            )
            .expect("a string takes all");
        }
    }
    table.push('\n');
    table
}
