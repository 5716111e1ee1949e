//! The page of errors against the code: every stable reason, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Texts of that form which are no reasons, and what they are.
const OTHERS: &[(&str, &str)] = &[
    ("BEGIN", "SQL"),
    ("BROKEN", "a word of the demo's summary"),
    ("CARGO_PKG_VERSION", "cargo's environment"),
    ("CLEAR", "an outcome in a receipt"),
    ("CNY", "a currency"),
    ("COMMIT", "SQL"),
    ("CONFWARN", "a word of librdkafka"),
    ("IN_FORCE", "an outcome in a receipt"),
    ("JWT", "the type of a receipt"),
    ("MEMORY", "SQL"),
    ("OKP", "the type of a key"),
    ("ON", "SQL"),
    ("OUT_DIR", "cargo's environment"),
    ("RMB", "a currency"),
    ("ROLLBACK", "SQL"),
    ("TALLY_DIR", "the environment of the command line"),
    ("UNDETERMINED", "an outcome in a receipt"),
    ("UNSPECIFIED", "the suffix of an enumeration's zero"),
    ("UTC", "a time zone"),
    ("X", "a check character"),
];

#[test]
fn the_page_names_every_reason_of_the_code_and_no_other() {
    let page: BTreeSet<String> = tally::reasons::all()
        .iter()
        .map(|reason| reason.name.to_owned())
        .collect();
    let mut code = in_code();
    for (other, what) in OTHERS {
        assert!(code.remove(*other).is_some(), "{other} ({what}) is gone");
    }
    let missing: Vec<_> = code
        .iter()
        .filter(|(reason, _)| !page.contains(*reason))
        .collect();
    assert!(
        missing.is_empty(),
        "give each a row in docs/ERRORS.md with cause and remedy (or, if it is no reason, a line \
         in OTHERS of this test): {missing:#?}"
    );
    let gone: Vec<_> = page
        .iter()
        .filter(|name| !code.contains_key(*name))
        .collect();
    assert!(
        gone.is_empty(),
        "docs/ERRORS.md has what no code gives: {gone:?}"
    );
}

/// Who makes a status by itself, and why it may.
const STATUSES: &[(&str, &str, &str)] = &[
    (
        "rpc/src/fault/status.rs",
        "with_error_details",
        "makes it of a fault",
    ),
    (
        "service/src/remote_log.rs",
        "data_loss",
        "a caller of another role; nobody is sent it",
    ),
    (
        "service/src/remote_log.rs",
        "deadline_exceeded",
        "a caller of another role; nobody is sent it",
    ),
    (
        "tally/src/pack_client.rs",
        "data_loss",
        "the command line; nobody is sent it",
    ),
    (
        "tally/src/simulate/mod.rs",
        "data_loss",
        "the command line; nobody is sent it",
    ),
    (
        "tally/src/simulate/office.rs",
        "data_loss",
        "the command line; nobody is sent it",
    ),
];

/// A fault that may pass is made with the time to try again, and there is no other way
/// to the caller.
#[test]
fn every_status_that_a_caller_is_sent_is_made_of_a_fault() {
    let mut made = BTreeSet::new();
    each_source(|place, source| {
        let mut found = Vec::new();
        statuses(source, &mut found);
        made.extend(found.into_iter().map(|of| (place.to_owned(), of)));
    });
    let known = STATUSES.iter();
    let known: BTreeSet<(PathBuf, String)> = known
        .map(|(place, of, _)| (PathBuf::from(place), (*of).to_owned()))
        .collect();
    assert_eq!(
        made, known,
        "say it by `Fault`, which says when to try again"
    );
}

/// Names of the functions of `Status` that make one.
fn statuses(tokens: TokenStream, found: &mut Vec<String>) {
    let tokens: Vec<TokenTree> = not_of_tests(tokens);
    for window in tokens.windows(5) {
        if let [
            TokenTree::Ident(of),
            TokenTree::Punct(_),
            TokenTree::Punct(_),
            TokenTree::Ident(name),
            TokenTree::Group(_),
        ] = window
            && of == "Status"
            && name != "from"
        {
            found.push(name.to_string());
        }
    }
    for token in tokens {
        if let TokenTree::Group(group) = token {
            statuses(group.stream(), found);
        }
    }
}

#[test]
fn tests_and_attributes_are_not_searched() {
    let source = r#"
        /// "IN_A_COMMENT"
        #[arg(env = "IN_AN_ATTRIBUTE")]
        fn code() -> &'static str { matches!(x, "IN_A_MACRO"); "IN_CODE" }
        #[cfg(test)]
        mod tests { fn test() { "IN_A_TEST"; } }
        #[cfg(test)]
        #[path = "other.rs"]
        mod other;
        const AFTER: &str = "AFTER_TESTS";
    "#;
    let mut found = Vec::new();
    search(source.parse().expect("Rust"), &mut found);
    assert_eq!(found, ["IN_A_MACRO", "IN_CODE", "AFTER_TESTS"]);
}

/// Every literal in upper snake case, with the files that have it.
fn in_code() -> BTreeMap<String, BTreeSet<PathBuf>> {
    let mut found: BTreeMap<String, BTreeSet<PathBuf>> = BTreeMap::new();
    each_source(|place, source| {
        let mut literals = Vec::new();
        search(source, &mut literals);
        for literal in literals {
            found.entry(literal).or_default().insert(place.to_owned());
        }
    });
    found
}

/// Looks at every source file that is no test, by its path below `crates`.
fn each_source(mut look: impl FnMut(&Path, TokenStream)) {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut open = vec![crates.clone()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).expect("a directory of the source tree") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !is_test(&path) {
                open.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") && !is_test(&path) {
                let source = std::fs::read_to_string(&path).expect("a source file");
                let place = path.strip_prefix(&crates).unwrap_or(&path);
                look(place, source.parse().expect("Rust"));
            }
        }
    }
}

/// Files and directories of tests, of the suite that stores are held to, and build scripts.
fn is_test(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let others = ["tests", "benches", "conformance", "build"];
    others.contains(&&*stem) || stem.ends_with("_tests")
}

fn search(tokens: TokenStream, found: &mut Vec<String>) {
    for token in not_of_tests(tokens) {
        match token {
            TokenTree::Group(group) => search(group.stream(), found),
            TokenTree::Literal(literal) => found.extend(upper_snake_case(&literal.to_string())),
            _ => {}
        }
    }
}

/// Leaves out attributes, and items that only tests have.
fn not_of_tests(tokens: TokenStream) -> Vec<TokenTree> {
    let mut tokens = tokens.into_iter().peekable();
    let mut kept = Vec::new();
    // Inside an item that only tests have, until its body or its semicolon.
    let mut of_tests = false;
    while let Some(token) = tokens.next() {
        match &token {
            TokenTree::Punct(mark) if mark.as_char() == '#' => {
                if let Some(TokenTree::Group(attribute)) = tokens.next_if(is_attribute) {
                    of_tests |= attribute.stream().to_string().replace(' ', "") == "cfg(test)";
                    continue;
                }
            }
            TokenTree::Punct(mark) if mark.as_char() == ';' => of_tests = false,
            TokenTree::Group(group) if of_tests && group.delimiter() == Delimiter::Brace => {
                of_tests = false;
                continue;
            }
            _ => {}
        }
        if !of_tests {
            kept.push(token);
        }
    }
    kept
}

fn is_attribute(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket)
}

/// The text of a literal in quotes, if it has the form of a reason.
fn upper_snake_case(literal: &str) -> Option<String> {
    let text = literal.strip_prefix('"')?.strip_suffix('"')?;
    let upper = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let starts = text.starts_with(|first: char| first.is_ascii_uppercase());
    // Prefixes of the names of enumerations end with a line.
    (starts && !text.ends_with('_') && text.bytes().all(upper)).then(|| text.to_owned())
}
