//! Starting, stopping, and the clock.

use super::{ask, mesh, push, refused, tally, text};
use crate::process::Place;

/// How long a mesh may take from its start to serving; unoptimised, and beside other
/// tests, no claim about speed.
const START_MS_MAX: u64 = if cfg!(debug_assertions) {
    10_000
} else {
    1_000
};

#[test]
fn one_mesh_a_directory_and_a_stop_that_loses_nothing() {
    let (place, first) = mesh();
    let pid = first.pid().to_string();
    for second in ["up --listen 127.0.0.1:0", "up --listen 127.0.0.1:0 --json"] {
        let second = tally(&place, second).exits(4);
        second.says(&["in use by another process", &pid, "stop it first"]);
    }
    // The refused start disturbs nothing.
    let record_id = push(&place, "penalty 1");
    let before = tally(&place, "--json verify").exits(0).out;

    assert!(
        first.terminate().success(),
        "a stop by SIGTERM is no failure"
    );
    let show = format!("record {record_id}");
    let (reason, people) = refused(&place, "market", &show, 4);
    assert_eq!(reason, "NOT_AVAILABLE");
    people.says(&["no connection"]);

    let mut server = place.up();
    let after = tally(&place, "--json verify").exits(0).out;
    assert_eq!(after, before, "all logs are as they were");
    let shown = ask(&place, "market", &show);
    assert_eq!(shown["record"]["document_number"], "penalty 1");

    let mut started_in = vec![server.started_in_ms];
    for _ in 0..2 {
        assert!(server.terminate().success());
        server = place.up();
        started_in.push(server.started_in_ms);
    }
    println!("start to serving: {started_in:?} ms");
    // Other tests share the machine, so that the best of three counts.
    assert!(
        started_in.iter().min() < Some(&START_MS_MAX),
        "{started_in:?} ms"
    );
}

#[test]
fn without_a_mesh_it_says_what_to_do() {
    let place = Place::new();
    for line in ["status", "verify", "subscribe"] {
        let (reason, people) = refused(&place, "operator", line, 4);
        assert_eq!(reason, "NOT_AVAILABLE");
        people.says(&["tally up --dir"]);
    }
    let (reason, people) = refused(&place, "operator", "cert issue a --operator a", 4);
    assert_eq!(reason, "NOT_AVAILABLE");
    people.says(&["no authority", "tally up"]);
    tally(&place, "--help").exits(0).says(&[
        "0 done",
        "1 something that was verified does not hold",
        "2 bad input",
        "3 refused",
        "4 not available",
        "5 internal error",
    ]);
    tally(&place, "nonsense").exits(2);
    tally(&place, "--version")
        .exits(0)
        .says(&[env!("CARGO_PKG_VERSION")]);
}

#[test]
fn a_port_that_is_taken_leaves_nothing_behind() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound");
    tally(&place, &format!("up --listen {port}"))
        .exits(4)
        .says(&["cannot listen on", "--listen"]);
    assert!(!place.data().exists(), "half a data directory");

    // What was there stays as it was.
    std::fs::create_dir(place.data()).expect("made");
    let note = place.data().join("note");
    std::fs::write(&note, "kept").expect("written");
    tally(&place, &format!("up --listen {port}")).exits(4);
    let left = std::fs::read_dir(place.data())
        .expect("a directory")
        .count();
    assert_eq!(left, 1);
    assert_eq!(std::fs::read_to_string(&note).expect("text"), "kept");
}

#[test]
fn the_clock_moves_only_where_the_store_was_made_for_it() {
    let place = Place::new();
    let server = place.spawn_with(&["--test-clock", "2026-03-02T01:00:00Z"]);
    let server = server.ready(&place);
    let moved = ask(&place, "operator", "clock 2026-05-01T00:00:00Z");
    assert!(
        text(&moved["now"]).starts_with("2026-05-01T00:0"),
        "{moved}"
    );
    let (reason, _) = refused(&place, "operator", "clock 2026-04-01T00:00:00Z", 3);
    assert_eq!(reason, "CLOCK_BACKWARD");
    assert!(server.terminate().success());
    let server = place.up();
    let status = ask(&place, "operator", "status");
    assert!(
        text(&status["now"]).starts_with("2026-05-01T00:0"),
        "it stays moved: {status}"
    );
    assert!(server.terminate().success());
    // The same line starts it again, and says that the clock is the store's.
    let again = place.spawn_with(&["--test-clock", "2026-03-02T01:00:00Z"]);
    let again = again.ready(&place);
    assert_eq!(
        text(&again.announced["test_clock_unused"]),
        "2026-03-02T01:00:00Z"
    );
    assert!(text(&again.announced["now"]).starts_with("2026-05-01T00:0"));
    let (reason, _) = refused(&place, "operator", "clock 9999-01-01T00:00:00Z", 2);
    assert_eq!(reason, "TIME_OUT_OF_RANGE");
    assert!(again.terminate().success());

    let (place, server) = mesh();
    let (reason, _) = refused(&place, "operator", "clock 2036-01-01T00:00:00Z", 3);
    assert_eq!(reason, "CLOCK_FIXED");
    assert!(server.terminate().success());
    let again = tally(
        &place,
        "up --listen 127.0.0.1:0 --test-clock 2026-03-02T01:00:00Z",
    );
    again
        .exits(4)
        .says(&["without a movable clock", "new directory"]);
}

#[test]
fn what_cannot_be_used_is_said_before_it_serves() {
    let place = Place::new();
    assert!(place.up().terminate().success());
    let up = "up --listen 127.0.0.1:0";
    for name in ["pki/server.pem", "pki/server.key", "pki/ca.pem"] {
        let path = place.data().join(name);
        let whole = std::fs::read(&path).expect("the file");
        std::fs::write(&path, &whole[..whole.len() / 2]).expect("it is cut off");
        let refused = tally(&place, up).exits(4);
        assert!(refused.out.is_empty(), "nothing is announced: {refused:?}");
        refused.says(&["server's certificate cannot be used", "issued anew"]);
        std::fs::write(&path, whole).expect("it is whole again");
    }
    for (name, advice) in [
        ("tally.db", "put the store back from its backup"),
        ("keyring.db", "put it back from its backup"),
    ] {
        let path = place.data().join(name);
        let whole = std::fs::read(&path).expect("the file");
        std::fs::write(&path, &whole[..whole.len() / 2]).expect("it is cut off");
        let refused = tally(&place, up).exits(4);
        assert!(refused.out.is_empty(), "nothing is announced: {refused:?}");
        refused.says(&[name, advice]);
        std::fs::write(&path, whole).expect("it is whole again");
    }
    assert!(place.up().terminate().success());
}

#[test]
fn what_a_mesh_keeps_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let place = Place::new();
    let server = place.up();
    for name in [
        "tally.db",
        "tally.db-wal",
        "keyring.db",
        "keyring.db-wal",
        "master.key",
        "endpoint",
    ] {
        let file = place.data().join(name);
        let mode = file.metadata().expect("its rights").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(server.terminate().success());
}

#[test]
fn a_dead_collector_neither_blocks_calls_nor_floods_the_log() {
    const PUSHES: usize = 20;
    let (place, server) = mesh();
    assert!(server.terminate().success());
    // A port that was free a moment ago: nobody answers there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let collector = format!("http://{}", port.local_addr().expect("bound"));
    drop(port);
    let server = place.spawn_with(&["--otlp", &collector]).ready(&place);
    for number in 0..PUSHES {
        // The client has a bound of its own on a call.
        push(&place, &format!("penalty {number}"));
    }
    // Longer than a batch of spans waits before it is sent.
    let began = std::time::Instant::now();
    while began.elapsed() < std::time::Duration::from_secs(6) {
        ask(&place, "operator", "status");
    }
    let stopping = std::time::Instant::now();
    assert!(server.terminate().success());
    let (stopped_in, said) = (stopping.elapsed(), place.said());
    assert!(stopped_in.as_secs() < 60, "stopped after {stopped_in:?}");
    assert!(said.lines().count() < PUSHES, "{said}");
}
