//! Every scenario runs in one process and in one per role, or it is said why not.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Tests of the whole mesh that run one way only, and why.
const ONE_WAY: &[(&str, &str)] = &[
    (
        "archives",
        "moves a mesh from one way to the other, and backs up both",
    ),
    ("backpressure", "has a process per role anyhow"),
    (
        "doctor",
        "examines a process per role; the embedded mode in crates/tally/tests/commands/shell.rs",
    ),
    ("export", "takes the spans of its own process"),
    ("logs", "takes the spans and log lines of its own process"),
    ("faults", "has a process per role anyhow"),
    ("in_time", "needs another bound than a process has"),
    ("lost_files", "about the files of the embedded mode"),
    ("processes", "has a process per role anyhow"),
    ("replicas", "has several processes per role anyhow"),
    ("soak", "has a process per role anyhow"),
    ("sealing", "searches the files of the embedded mode"),
    ("tampering", "changes the file of the embedded mode"),
    ("trace", "takes the spans of its own process"),
];

#[test]
fn every_scenario_runs_both_ways_or_it_is_said_why_not() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let makefile = fs::read_to_string(here.join("../Makefile")).expect("there is a Makefile");
    let listed = makefile
        .lines()
        .find_map(|line| line.strip_prefix("SCENARIOS := "));
    let listed = listed
        .expect("the Makefile lists the scenarios")
        .split_whitespace();
    let mut known: BTreeSet<&str> = listed.collect();
    known.extend(ONE_WAY.iter().map(|(name, _)| *name));
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(here.join("tests")).expect("there are tests") {
        let path = entry.expect("an entry").path();
        let mut files = vec![path.clone()];
        if path.is_dir() {
            let inner = fs::read_dir(&path).expect("it can be read");
            files = inner.map(|entry| entry.expect("an entry").path()).collect();
        }
        let texts = files.iter().map(fs::read_to_string);
        let about_the_mesh = texts.flatten().any(|text| {
            let words = ["Harness", "Scene::", "Processes", "MeshOptions"];
            words.iter().any(|word| text.contains(word)) && !text.contains("ONE_WAY")
        });
        if about_the_mesh {
            let name = path.file_stem().expect("a name").to_string_lossy();
            found.insert(name.into_owned());
        }
    }
    let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(
        found, known,
        "left: tests of the mesh; right: the Makefile and the list here"
    );
}
