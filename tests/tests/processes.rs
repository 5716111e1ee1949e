//! The command line of a mesh with a process for each role.

use std::process::{Command, Output};

use serde_json::Value;
use tally::role::Role;
use tally_tests::processes::{Processes, clean, command};
use tempfile::TempDir;

fn run(mut command: Command) -> Output {
    command.output().expect("the binary runs")
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn what_the_roles_share_is_made_once_and_before_them() {
    let dir = TempDir::new().expect("a temporary directory");
    let run = |arguments: &[&str]| run(command(dir.path(), arguments));
    let early = run(&["serve", "--role", "lists"]);
    assert_eq!(early.status.code(), Some(4), "{}", said(&early));
    assert!(said(&early).contains("tally init"), "{}", said(&early));

    let made = run(&["init"]);
    assert!(made.status.success(), "{}", said(&made));
    let key = std::fs::read(dir.path().join("master.key")).expect("there is a master key");
    let again = run(&["--json", "init"]);
    assert!(again.status.success(), "{}", said(&again));
    let kept = std::fs::read(dir.path().join("master.key")).expect("it is still there");
    assert_eq!(key, kept, "what is there stays as it is");

    let refused = run(&["serve", "--role", "list", "--set", "kafka.broker=x"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(
        said(&refused).contains("`list` is no role"),
        "{}",
        said(&refused)
    );
    let refused = run(&["serve", "--role", "lists", "--set", "kafka.broker=x"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(
        said(&refused).contains("did you mean `kafka.brokers`?"),
        "{}",
        said(&refused)
    );

    // A mesh with all roles in one store is another thing.
    std::fs::write(dir.path().join("tally.db"), "").expect("written");
    let embedded = run(&["serve", "--role", "lists"]);
    assert!(said(&embedded).contains("tally up"), "{}", said(&embedded));
}

#[tokio::test]
async fn settings_are_shown_with_their_origin() {
    let dir = TempDir::new().expect("a temporary directory");
    std::fs::write(
        dir.path().join("tally.toml"),
        "[kafka]\nprefix = \"county\"\n",
    )
    .expect("written");
    let mut show = command(dir.path(), &["--json", "config", "--set", "shards=4"]);
    show.env("TALLY_KAFKA_BROKERS", "broker:9092");
    let shown = run(show);
    let lines: Vec<Value> = said(&shown)
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect();
    let of = |key: &str| {
        let line = lines
            .iter()
            .find(|line| line["key"] == key)
            .expect("it is shown");
        (
            line["value"].as_str().expect("a text"),
            line["origin"].as_str().expect("a text"),
        )
    };
    assert_eq!(of("shards"), ("4", "flag --set"));
    assert_eq!(
        of("kafka.brokers"),
        ("broker:9092", "environment TALLY_KAFKA_BROKERS")
    );
    assert!(of("kafka.prefix").1.ends_with("tally.toml"));
    assert_eq!(of("checks.freshness"), ("5", "default"));
}

#[tokio::test]
async fn a_role_that_is_away_keeps_nobody_from_the_others() {
    let dir = TempDir::new().expect("a temporary directory");
    let mut mesh = Processes::start(dir.path(), None).await;
    let status = run(mesh.tally(&["status"]));
    assert!(status.status.success(), "{}", said(&status));
    for role in Role::ALL {
        assert!(
            said(&status).contains(&format!("serves {role}")),
            "{}",
            said(&status)
        );
    }
    for arguments in [&["heads"][..], &["verify"], &["rebuild"]] {
        let done = run(mesh.tally(arguments));
        assert!(done.status.success(), "{arguments:?}: {}", said(&done));
    }
    let loaded = run(mesh.tally(&["policy", "load"]));
    assert!(loaded.status.success(), "{}", said(&loaded));
    let told = said(&loaded);
    assert!(!told.contains("not followed"), "{told}");
    let status = run(mesh.tally(&["status"]));
    let follow = said(&status).matches("policy pack 2026.1").count();
    assert_eq!(follow, Role::ALL.len(), "{}", said(&status));

    // Another role at the address of one that is read: it would wait for ever.
    let astray = format!("mesh.catalog={}", mesh.endpoint(Role::Lists));
    let mut elsewhere = mesh.tally(&["serve", "--role", "collection", "--listen", "127.0.0.1:0"]);
    for setting in mesh.settings().iter().chain([&astray]) {
        elsewhere.arg("--set").arg(setting);
    }
    let elsewhere = run(elsewhere);
    assert_eq!(elsewhere.status.code(), Some(4), "{}", said(&elsewhere));
    assert!(
        said(&elsewhere).contains("role catalog"),
        "{}",
        said(&elsewhere)
    );

    mesh.kill(Role::Lists);
    let loaded = run(mesh.tally(&["policy", "load"]));
    assert!(loaded.status.success(), "{}", said(&loaded));
    let told = said(&loaded);
    assert!(told.contains("not followed yet by lists:"), "{told}");
    let status = run(mesh.tally(&["status"]));
    assert_eq!(status.status.code(), Some(4), "{}", said(&status));
    assert!(
        said(&status).contains("lists does not answer"),
        "{}",
        said(&status)
    );
    assert!(
        said(&status).contains("serves sanctions"),
        "{}",
        said(&status)
    );
    let heads = run(mesh.tally(&["heads", "collection"]));
    assert!(heads.status.success(), "{}", said(&heads));
    mesh.revive(Role::Lists).await;
    let status = run(mesh.tally(&["status"]));
    assert!(status.status.success(), "{}", said(&status));
    mesh.stop();
    clean(dir.path());
}
