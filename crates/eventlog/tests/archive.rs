//! Archives in files: what is damaged, cut off or of another version is refused, and
//! everything that is wrong is named.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use tally_eventlog::append::{Append, ExpectedVersion, RowKey, StreamAppend, ViewWrite};
use tally_eventlog::archive::keys::{KeyContent, KeyPart, KeyParts, KeySink as _, KeyWriter};
use tally_eventlog::archive::{
    Archive, ArchiveError, ArchiveWriter, MANIFEST, Parts as _, Source as _, hex,
};
use tally_eventlog::clock::SystemClock;
use tally_eventlog::event::{EventContext, NewEvent, StreamName};
use tally_eventlog::group::GroupOptions;
use tally_eventlog::memory::MemoryStore;
use tally_eventlog::pb;
use tally_eventlog::sealing::{PseudonymKind, PseudonymRow, StreamKeyRow};
use tally_eventlog::shard::{LogName, Shard, ShardCount};
use tally_eventlog::store::EventStore as _;
use tempfile::TempDir;
use uuid::Uuid;

const LOG: LogName = LogName("lists");

fn event(n: u128) -> NewEvent {
    NewEvent {
        event_id: Uuid::from_u128(n),
        event_type: "test.Event",
        subject: String::new(),
        payload: Bytes::from(vec![1; 200]),
        effective_at: Timestamp::UNIX_EPOCH,
        context: Arc::new(EventContext {
            actor: pb::Actor::default(),
            pack_version: String::new(),
            command_id: Uuid::nil(),
            causation_id: Uuid::nil(),
            correlation_id: Uuid::nil(),
            traceparent: String::new(),
        }),
        legal_basis: None,
    }
}

async fn store() -> MemoryStore {
    let clock = Arc::new(SystemClock::default());
    let shards = ShardCount::new(2).expect("in range");
    let store = MemoryStore::open(&[LOG], shards, clock, GroupOptions::default(), None);
    for n in 0..50 {
        let mut append = Append::to(LOG, Shard((n % 2) as u16));
        append.streams.push(StreamAppend {
            stream: StreamName::new("entry", n.to_string()),
            expected: ExpectedVersion::NoStream,
            events: vec![event(n)],
        });
        append.views.push(ViewWrite {
            row: RowKey {
                view: "lists.entry",
                shard: Shard(0),
                key: Bytes::from(n.to_string()),
            },
            value: Some(Bytes::from_static(b"row")),
        });
        let done = store.append(vec![append]).await.remove(0);
        done.expect("it commits");
    }
    store
}

/// An archive in files of about 2 KiB.
async fn archive(dir: &Path) -> String {
    let writer = ArchiveWriter::create(dir, "lists", "a test", Timestamp::UNIX_EPOCH, 2_048);
    let mut writer = writer.expect("a new directory");
    let mut source = store().await.archive();
    source.read(&mut writer).await.expect("it can be read");
    writer.finish().expect("it verifies").0
}

fn drain(archive: &Archive) -> Result<usize, ArchiveError> {
    let mut parts = archive.parts(&[LOG])?;
    let mut count = 0;
    while parts.next()?.is_some() {
        count += 1;
    }
    Ok(count)
}

fn refused(dir: &Path) -> String {
    Archive::open(dir).expect_err("it is refused").to_string()
}

#[tokio::test]
async fn every_damaged_file_is_named() {
    let place = TempDir::new().expect("a directory");
    let dir = place.path().join("a");
    archive(&dir).await;
    let kept = Archive::open(&dir).expect("it is complete");
    assert_eq!(kept.faults(), [""; 0]);
    assert!(drain(&kept).expect("it holds") > 4);
    let records: Vec<_> = kept
        .manifest
        .files
        .iter()
        .filter(|file| file.kind == "records.lists")
        .map(|file| dir.join(&file.name))
        .collect();
    assert!(records.len() >= 4, "{records:?}");

    let cut = fs::read(&records[0]).expect("a file");
    fs::write(&records[0], &cut[..cut.len() - 1]).expect("cut off");
    let mut altered = fs::read(&records[1]).expect("a file");
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    fs::write(&records[1], altered).expect("altered");
    fs::remove_file(&records[2]).expect("removed");
    let faults = kept.faults();
    assert_eq!(faults.len(), 3, "{faults:?}");
    let words = ["were written", "bytes are not those", "missing"];
    for ((fault, path), word) in faults.iter().zip(&records).zip(words) {
        assert!(fault.contains(&path.display().to_string()), "{fault}");
        assert!(fault.contains(word), "{fault}");
    }
    // Also who does not look beforehand gets nothing that is not whole.
    assert!(drain(&kept).is_err());
}

#[tokio::test]
async fn records_are_held_against_the_heads_and_not_only_the_files() {
    let place = TempDir::new().expect("a directory");
    let dir = place.path().join("a");
    archive(&dir).await;
    let mut kept = Archive::open(&dir).expect("it is complete");
    // A file less, in the manifest too.
    let last = kept
        .manifest
        .files
        .iter()
        .rposition(|file| file.kind == "records.lists");
    kept.manifest.files.remove(last.expect("there are records"));
    let error = drain(&kept).expect_err("records are missing").to_string();
    assert!(error.contains("records found, the head says"), "{error}");
}

#[tokio::test]
async fn an_archive_that_was_cut_off_or_altered_is_none() {
    let place = TempDir::new().expect("a directory");
    let dir = place.path().join("a");
    let mark = archive(&dir).await;
    let again = ArchiveWriter::create(&dir, "lists", "a test", Timestamp::UNIX_EPOCH, 2_048);
    assert!(again.is_err(), "nothing is written over");

    let text = fs::read_to_string(dir.join(MANIFEST)).expect("a manifest");
    fs::write(
        dir.join(MANIFEST),
        text.replace("\"shards\": 2", "\"shards\": 3"),
    )
    .expect("written");
    assert!(
        refused(&dir).contains("not what was written"),
        "{}",
        refused(&dir)
    );

    let newer = text.replace("\"format\": 1", "\"format\": 2");
    assert_ne!(newer, text);
    rewrite(&dir, &newer);
    let said = refused(&dir);
    assert!(
        said.contains("format 2") && said.contains("a test"),
        "{said}"
    );

    rewrite(&dir, &text);
    assert_eq!(Archive::open(&dir).expect("it is as it was").mark, mark);
    fs::remove_file(dir.join(MANIFEST)).expect("removed");
    assert!(refused(&dir).contains("cut off"), "{}", refused(&dir));
}

/// A manifest with the checksum that it has.
fn rewrite(dir: &Path, text: &str) {
    use sha2::{Digest as _, Sha256};
    let sum = hex(&Sha256::digest(text.as_bytes()));
    fs::write(dir.join(MANIFEST), text).expect("written");
    let line = format!("{sum}  {MANIFEST}\n");
    fs::write(dir.join(format!("{MANIFEST}.sha256")), line).expect("written");
}

#[tokio::test]
async fn a_log_that_this_version_lacks_is_named() {
    let place = TempDir::new().expect("a directory");
    let dir = place.path().join("a");
    archive(&dir).await;
    let kept = Archive::open(&dir).expect("it is complete");
    let Err(error) = kept.parts(&[LogName("feedback")]) else {
        panic!("its log is unknown");
    };
    assert!(error.to_string().contains("log lists"), "{error}");
}

#[test]
fn a_key_ring_is_archived_with_what_was_erased() {
    let place = TempDir::new().expect("a directory");
    let dir = place.path().join("keyring");
    let parts = [
        KeyPart::Check([7; 32]),
        KeyPart::Keys(vec![StreamKeyRow {
            lookup: [1; 32],
            key_id: Uuid::from_u128(2),
            wrapped: vec![3; 40],
        }]),
        KeyPart::Erased(vec![Uuid::from_u128(4), Uuid::from_u128(5)]),
        KeyPart::Pseudonyms(vec![PseudonymRow {
            kind: PseudonymKind::Person,
            lookup: [6; 32],
            id: Uuid::from_u128(7),
            wrapped: vec![8; 9],
        }]),
    ];
    let mut writer =
        KeyWriter::create(&dir, "a test", Timestamp::UNIX_EPOCH).expect("a new directory");
    let mut content = KeyContent::default();
    for part in &parts {
        writer.put(part).expect("it is written");
        content.put(part).expect("it is counted");
    }
    let (_, written) = writer.finish().expect("it is complete");
    assert_eq!(written, content);
    assert!(!content.is_empty());
    let archive = Archive::open(&dir).expect("it is complete");
    let mut read = KeyParts::of(&archive).expect("of a key ring");
    let mut found = Vec::new();
    while let Some(part) = read.next_part().expect("it holds") {
        found.push(part);
    }
    assert_eq!(found, parts);
    assert_eq!(read.content(), &content);
}
