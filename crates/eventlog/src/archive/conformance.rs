//! The cases that archives of every store pass, run by
//! [`archive_conformance!`](crate::archive_conformance).

mod cases;
mod keys;
mod recovered;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::{Archive, ArchiveError, ArchiveWriter, Content, Counted, Source, Target};
use crate::append::{Append, ExpectedVersion};
use crate::clock::Clock as _;
use crate::conformance::bench::{
    LOG, OTHER, VIEW, checkpoint, command, event, moved, name, row, set,
};
use crate::conformance::{Fixture, Setup, TestClock};
use crate::group::GroupOptions;
use crate::shard::ShardCount;
use crate::store::EventStore;

pub use cases::*;
pub use keys::{ArchivedKeys, a_key_ring_goes_on_elsewhere};
pub use recovered::what_a_topic_has_after_a_backup_is_recovered;

/// A place for a store that can be archived and filled.
#[async_trait]
pub trait ArchiveFixture: Fixture {
    /// Reads the store that is open there, beside it.
    async fn source(&mut self, setup: &Setup) -> Box<dyn Source>;

    /// Fills the place. It may hold an empty store, or nothing if that is how stores
    /// of this kind are filled; where it was opened, what is there is in the way.
    async fn target(&mut self, setup: &Setup) -> Box<dyn Target>;
}

/// Makes one test of each case, for an
/// [`ArchiveFixture`](crate::archive::conformance::ArchiveFixture) type.
#[macro_export]
macro_rules! archive_conformance {
    ($fixture:ty) => {
        $crate::archive_conformance!($fixture;
            an_archive_holds_all_that_the_store_does
            an_empty_store_is_archived_too
            an_archive_goes_from_store_to_store
            an_archive_is_of_one_moment
            a_target_that_holds_something_is_refused
            another_number_of_shards_is_refused
            what_ends_too_early_loads_nothing
            ids_that_a_log_had_are_archived
            what_a_topic_has_after_a_backup_is_recovered
        );
    };
    ($fixture:ty; $($case:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $case() {
                $crate::archive::conformance::$case::<$fixture>().await;
            }
        )+
    };
}

fn setup() -> Setup {
    Setup {
        logs: vec![LOG, OTHER],
        shards: ShardCount::new(4).expect("4 is in range"),
        clock: Arc::new(TestClock::default()),
        group: GroupOptions::default(),
    }
}

async fn append(store: &Arc<dyn EventStore>, append: Append) {
    let answer = store.append(vec![append]).await.remove(0);
    answer.expect("it commits");
}

fn events(setup: &Setup, stream: &str, expected: ExpectedVersion, count: usize) -> Append {
    let mut append = Append::to(LOG, setup.shards.of(stream));
    append.streams.push(crate::append::StreamAppend {
        stream: name(stream),
        expected,
        events: (0..count)
            .map(|n| event(&format!("{stream} {n}")))
            .collect(),
    });
    append
}

/// Something of everything, over more than a month.
async fn fill(setup: &Setup, store: &Arc<dyn EventStore>) {
    for n in 0..40 {
        let mut one = events(setup, &format!("stream {n}"), ExpectedVersion::NoStream, 3);
        one.command = Some(command("department", 1, n));
        one.note = vec![n; usize::from(n)].into();
        append(store, one).await;
    }
    // The records go on in another month.
    setup
        .clock
        .set(setup.clock.now() + SignedDuration::from_hours(24 * 40));
    for n in 0..40 {
        let expected = ExpectedVersion::Exact(2);
        append(store, events(setup, &format!("stream {n}"), expected, 2)).await;
    }
    // The same names in another log are other streams.
    let mut other = events(setup, "stream 1", ExpectedVersion::NoStream, 1);
    other.log = OTHER;
    other.command = Some(command("department", 1, 1));
    append(store, other).await;
    for shard in setup.shards.all().skip(1) {
        let mut views = Append::to(LOG, shard);
        views.checkpoint = Some(moved(shard, 0, checkpoint(3, 9)));
        let key = |n: u8| [n, shard.0 as u8];
        views.views = (0..50)
            .map(|n| set(row(VIEW, shard, &key(n)), "a row"))
            .collect();
        views.views.push(set(row("another", shard, &[]), ""));
        append(store, views).await;
        let mut gone = Append::to(LOG, shard);
        gone.checkpoint = Some(moved(shard, 3, checkpoint(4, 9)));
        gone.views = vec![crate::append::ViewWrite {
            row: row(VIEW, shard, &key(7)),
            value: None,
        }];
        append(store, gone).await;
    }
}

async fn content(source: &mut dyn Source) -> Content {
    let mut content = Content::default();
    source.read(&mut content).await.expect("it can be read");
    content.finish().expect("it verifies")
}

async fn archive(source: &mut dyn Source, dir: &Path) -> Archive {
    // Small, so that there are several files of a kind.
    let writer = ArchiveWriter::create(dir, "test", "a test", Timestamp::UNIX_EPOCH, 4_096);
    let mut writer = writer.expect("a new directory");
    source.read(&mut writer).await.expect("it can be read");
    let (mark, written) = writer.finish().expect("it verifies");
    let archive = Archive::open(dir).expect("it is complete");
    assert_eq!(archive.mark, mark);
    assert_eq!(archive.faults(), [""; 0]);
    let facts = archive.facts().expect("it says");
    assert_eq!(Some(facts), written.facts);
    archive
}

async fn load(target: &mut dyn Target, archive: &Archive) -> Result<Content, ArchiveError> {
    let mut parts = Counted::new(archive.parts(&[LOG, OTHER])?);
    target.load(&mut parts).await?;
    parts.finish()
}

/// A directory that is taken away at the end of the test.
fn tempfile() -> Temporary {
    let path = std::env::temp_dir().join(format!("tally-archive-{}", uuid::Uuid::new_v4()));
    super::make_dir(&path).expect("a temporary directory");
    Temporary(path)
}

struct Temporary(std::path::PathBuf);

impl std::ops::Deref for Temporary {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Left behind, it is in nobody's way.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
