//! The script that recomputes the roots from exported lines, on what this
//! service answers.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use futures::TryStreamExt as _;
use tally_proto::tally::audit::v1 as pb;
use tally_proto::tally::audit::v1::audit_service_client::AuditServiceClient;

use crate::mesh::{MOUTAI, Mesh, SINOPEC, by_operator};
use crate::replayed;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tools/verify_roots.py");

/// Base64 with padding (RFC 4648, section 4), as the script reads it.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .fold(0u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for n in 0..4 {
            let digit = char::from(DIGITS[(word >> (18 - 6 * n)) as usize & 63]);
            text.push(if n <= chunk.len() { digit } else { '=' });
        }
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes it");
    }
    text
}

/// The lines as the command line prints them.
async fn exported(mesh: &Mesh) -> (Vec<serde_json::Value>, Vec<serde_json::Value>) {
    let records = replayed(mesh, pb::ReplayRequest::default()).await;
    let lines = records.iter().map(|record| {
        let mut line: serde_json::Value = serde_json::from_str(&record.json).expect("json");
        line["record"] = base64(&record.record).into();
        line
    });
    let mut client = AuditServiceClient::new(tally_audit::server(mesh.audit.clone()));
    let stream = client
        .verify(by_operator(pb::VerifyRequest {}))
        .await
        .expect("verifies");
    let results: Vec<pb::VerifyResponse> =
        stream.into_inner().try_collect().await.expect("no fault");
    let roots = results.into_iter().map(|result| {
        let head = result.head.expect("a head");
        serde_json::json!({"log": result.log, "shard": head.shard, "size": head.size, "root": hex(&head.root)})
    });
    (lines.collect(), roots.collect())
}

fn run(dir: &Path, lines: &[serde_json::Value], roots: &[serde_json::Value]) -> Output {
    let write = |name: &str, lines: &[serde_json::Value]| {
        let text: Vec<String> = lines.iter().map(ToString::to_string).collect();
        let path = dir.join(name);
        std::fs::write(&path, text.join("\n")).expect("writable");
        path
    };
    let (replay, claimed) = (write("replay.jsonl", lines), write("roots.jsonl", roots));
    let python = Command::new("python3")
        .arg(SCRIPT)
        .arg(replay)
        .arg(claimed)
        .output();
    python.expect("python 3 is installed")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn the_script_agrees_and_says_where_it_does_not() {
    let mesh = Mesh::start().await;
    for subject in [MOUTAI, SINOPEC, MOUTAI] {
        mesh.listed(subject).await;
    }
    let (lines, roots) = exported(&mesh).await;
    let dir = tempfile::tempdir().expect("a directory");
    let whole = run(dir.path(), &lines, &roots);
    assert_eq!((whole.status.code(), said(&whole).as_str()), (Some(0), ""));

    let mut tampered = lines.clone();
    let record = tampered[5]["record"].as_str().expect("a text").to_owned();
    let digit = if record.as_bytes()[40] == b'A' {
        "B"
    } else {
        "A"
    };
    tampered[5]["record"] = format!("{}{digit}{}", &record[..40], &record[41..]).into();
    let place = format!(
        "{}/{}/{}",
        lines[5]["log"].as_str().expect("a text"),
        lines[5]["shard"],
        lines[5]["position"]
    );
    let output = run(dir.path(), &tampered, &roots);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains(&place), "{}", said(&output));

    let mut shorter = lines.clone();
    shorter.remove(5);
    let output = run(dir.path(), &shorter, &roots);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("should stand here"),
        "{}",
        said(&output)
    );

    let mut other = roots.clone();
    let index = other
        .iter()
        .position(|root| root["size"] != 0)
        .expect("some root");
    other[index]["root"] = "00".repeat(32).into();
    assert_eq!(run(dir.path(), &lines, &other).status.code(), Some(1));
    assert_eq!(
        run(dir.path(), &lines, &[]).status.code(),
        Some(2),
        "no roots are no proof"
    );
    mesh.stop().await;
}
