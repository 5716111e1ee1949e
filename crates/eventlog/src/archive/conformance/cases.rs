//! The cases.

use std::sync::Arc;
use std::sync::mpsc;

use super::{ArchiveFixture, append, archive, content, events, fill, load, setup, tempfile};
use crate::append::{Append, ExpectedVersion};
use crate::archive::{ArchiveError, Content, Found, Part, Parts, Sink};
use crate::clock::{Clock, SystemClock};
use crate::conformance::Setup;
use crate::conformance::bench::{
    CONSUMER, LOG, OTHER, VIEW, bounded, checkpoint, command, moved, name, row, set,
};
use crate::group::GroupOptions;
use crate::memory::MemoryStore;
use crate::shard::{Shard, ShardCount};
use crate::store::EventStore;

/// Case.
pub async fn an_archive_holds_all_that_the_store_does<F: ArchiveFixture>() {
    bounded(async {
        let (setup, dir) = (setup(), tempfile());
        let mut from = F::create().await;
        let store = from.open(&setup).await;
        fill(&setup, &store).await;
        let mut source = from.source(&setup).await;
        let kept = archive(&mut *source, &dir.join("a")).await;
        assert!(kept.manifest.files.len() > 6, "{:?}", kept.manifest.files);
        let before = content(&mut *source).await;
        assert_eq!((before.commands.items, before.checkpoints.items), (41, 3));
        assert_eq!(before.rows.items, 3 * 50);
        assert_eq!(before.logs[&LOG].records(), 200);

        let mut to = F::create().await;
        let loaded = load(&mut *to.target(&setup).await, &kept)
            .await
            .expect("it loads");
        assert_eq!(before.differences(&loaded), [""; 0]);
        let again = to.open(&setup).await;
        let after = content(&mut *to.source(&setup).await).await;
        assert_eq!(before.differences(&after), [""; 0]);
        same_records(&setup, &store, &again).await;
        goes_on(&setup, &again).await;
    })
    .await;
}

pub(super) async fn same_records(
    setup: &Setup,
    one: &Arc<dyn EventStore>,
    other: &Arc<dyn EventStore>,
) {
    for log in [LOG, OTHER] {
        let heads = one.heads(log).await.expect("heads");
        assert_eq!(heads, other.heads(log).await.expect("heads"));
        for shard in setup.shards.all() {
            let all = one
                .read_durable(log, shard, 0, 1_000)
                .await
                .expect("records");
            let theirs = other.read_durable(log, shard, 0, 1_000).await;
            assert_eq!(all, theirs.expect("records"));
        }
    }
}

/// Streams, commands and checkpoints are where they were.
async fn goes_on(setup: &Setup, store: &Arc<dyn EventStore>) {
    let mut repeated = events(setup, "stream 7", ExpectedVersion::NoStream, 3);
    repeated.command = Some(command("department", 1, 7));
    let answer = store
        .append(vec![repeated])
        .await
        .remove(0)
        .expect("it was applied");
    assert!(answer.repeated);
    assert_eq!(answer.note, vec![7; 7]);
    append(
        store,
        events(setup, "stream 7", ExpectedVersion::Exact(4), 1),
    )
    .await;
    let stale = events(setup, "stream 7", ExpectedVersion::Exact(4), 1);
    assert!(store.append(vec![stale]).await.remove(0).is_err());
    let streams = store.read_streams(LOG, &[name("stream 7")]).await;
    assert_eq!(streams.expect("a history")[0].len(), 6);
    let checkpoints = store.checkpoints(CONSUMER).await.expect("checkpoints");
    let kept = checkpoint(4, 0);
    assert_eq!(
        checkpoints,
        [None, Some(kept.clone()), Some(kept.clone()), Some(kept)]
    );
    // Whoever takes the shard first has the first epoch.
    let mut first = Append::to(LOG, Shard(1));
    first.checkpoint = Some(moved(Shard(1), 4, checkpoint(5, 1)));
    append(store, first).await;
    let rows = store
        .scan(VIEW, Shard(2), &[6], Some(&[9]), 10)
        .await
        .expect("rows");
    let keys: Vec<_> = rows.iter().map(|(key, _)| key[0]).collect();
    assert_eq!(keys, [6, 8]);
}

/// Case.
pub async fn an_empty_store_is_archived_too<F: ArchiveFixture>() {
    bounded(async {
        let (setup, dir) = (setup(), tempfile());
        let mut from = F::create().await;
        from.open(&setup).await;
        let kept = archive(&mut *from.source(&setup).await, &dir.join("a")).await;
        let mut to = F::create().await;
        let loaded = load(&mut *to.target(&setup).await, &kept)
            .await
            .expect("it loads");
        let store = to.open(&setup).await;
        let after = content(&mut *to.source(&setup).await).await;
        assert_eq!(after.differences(&loaded), [""; 0]);
        fill(&setup, &store).await;
    })
    .await;
}

/// Case.
pub async fn an_archive_goes_from_store_to_store<F: ArchiveFixture>() {
    bounded(async {
        let (setup, dir) = (setup(), tempfile());
        let memory = || {
            let (logs, clock) = (&setup.logs, setup.clock.clone());
            MemoryStore::open(logs, setup.shards, clock, GroupOptions::default(), None)
        };
        let first = memory();
        let mut from = first.archive();
        let first: Arc<dyn EventStore> = Arc::new(first);
        fill(&setup, &first).await;
        let there = archive(&mut from, &dir.join("there")).await;
        let mut to = F::create().await;
        load(&mut *to.target(&setup).await, &there)
            .await
            .expect("it loads");
        let store = to.open(&setup).await;
        same_records(&setup, &first, &store).await;

        let back = archive(&mut *to.source(&setup).await, &dir.join("back")).await;
        assert_eq!(back.manifest.logs, there.manifest.logs);
        assert_eq!(back.manifest.sums, there.manifest.sums);
        let last = memory();
        load(&mut last.archive(), &back).await.expect("it loads");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let last: Arc<dyn EventStore> =
            Arc::new(last.crash_and_reopen(clock, GroupOptions::default()));
        same_records(&setup, &first, &last).await;
        goes_on(&setup, &last).await;
    })
    .await;
}

/// Lets others append after the first log has come, before the rest is read.
struct Meanwhile {
    content: Content,
    begun: mpsc::Sender<()>,
    appended: mpsc::Receiver<()>,
    waited: bool,
}

impl Sink for Meanwhile {
    fn put(&mut self, part: &Part) -> Result<(), ArchiveError> {
        self.content.put(part)?;
        if matches!(part, Part::Log(_)) && !self.waited {
            self.waited = true;
            self.begun.send(()).expect("it waits");
            self.appended.recv().expect("it appended");
        }
        Ok(())
    }
}

/// Case.
pub async fn an_archive_is_of_one_moment<F: ArchiveFixture>() {
    bounded(async {
        let setup = setup();
        let mut from = F::create().await;
        let store = from.open(&setup).await;
        fill(&setup, &store).await;
        let mut source = from.source(&setup).await;
        let before = content(&mut *source).await;

        let (begun, begins) = mpsc::channel();
        let (appends, appended) = mpsc::channel();
        let mut sink = Meanwhile {
            content: Content::default(),
            begun,
            appended,
            waited: false,
        };
        let runtime = tokio::runtime::Handle::current();
        let (others, theirs) = (store.clone(), setup.clone());
        let thread = std::thread::spawn(move || {
            begins.recv().expect("it begins");
            runtime.block_on(more(&theirs, &others));
            appends.send(()).expect("it waits");
        });
        source.read(&mut sink).await.expect("it can be read");
        thread.join().expect("it appended");
        let read = sink.content.finish().expect("it verifies");
        assert_eq!(read.differences(&before), [""; 0]);
        let after = content(&mut *source).await;
        assert_eq!(
            after.differences(&before),
            [
                "log conformance",
                "remembered commands: 42 and 41",
                "checkpoints: 4 and 3",
                "rows of views: 151 and 150",
            ]
        );
    })
    .await;
}

async fn more(setup: &Setup, store: &Arc<dyn EventStore>) {
    let mut one = events(setup, "later", ExpectedVersion::NoStream, 5);
    one.command = Some(command("department", 2, 1));
    one.checkpoint = Some(moved(Shard(0), 0, checkpoint(1, 9)));
    one.views = vec![set(row(VIEW, Shard(0), b"later"), "later")];
    append(store, one).await;
    for n in 0..40 {
        let expected = ExpectedVersion::Exact(4);
        append(store, events(setup, &format!("stream {n}"), expected, 1)).await;
    }
}

/// Case.
pub async fn a_target_that_holds_something_is_refused<F: ArchiveFixture>() {
    bounded(async {
        let (setup, dir) = (setup(), tempfile());
        let mut from = F::create().await;
        let store = from.open(&setup).await;
        fill(&setup, &store).await;
        let kept = archive(&mut *from.source(&setup).await, &dir.join("a")).await;
        let facts = kept.facts().expect("it says");

        let mut to = F::create().await;
        let store = to.open(&setup).await;
        append(&store, events(&setup, "mine", ExpectedVersion::NoStream, 1)).await;
        let before = content(&mut *to.source(&setup).await).await;
        drop(store);
        let mut target = to.target(&setup).await;
        let found = target.found(&facts).await.expect("it is looked at");
        assert_eq!(found.misfits, [""; 0]);
        assert_ne!(found.there, [""; 0]);
        let refused = load(&mut *target, &kept)
            .await
            .expect_err("it holds something");
        for what in &found.there {
            assert!(refused.to_string().contains(what), "{what}: {refused}");
        }
        drop(target);
        let after = content(&mut *to.source(&setup).await).await;
        assert_eq!(after.differences(&before), [""; 0]);
    })
    .await;
}

/// Case.
pub async fn another_number_of_shards_is_refused<F: ArchiveFixture>() {
    bounded(async {
        let (setup, dir) = (setup(), tempfile());
        let mut from = F::create().await;
        from.open(&setup).await;
        let kept = archive(&mut *from.source(&setup).await, &dir.join("a")).await;
        let other = Setup {
            shards: ShardCount::new(5).expect("5 is in range"),
            ..setup.clone()
        };
        let mut to = F::create().await;
        let mut target = to.target(&other).await;
        let facts = kept.facts().expect("it says");
        let found = target.found(&facts).await.expect("it is looked at");
        assert_eq!(found.there, [""; 0]);
        let said = found.misfits.join(" ");
        assert!(
            said.contains("5 shards") && said.contains("archive 4"),
            "{said}"
        );
        let refused = load(&mut *target, &kept)
            .await
            .expect_err("it does not fit");
        assert!(refused.to_string().contains("5 shards"), "{refused}");
    })
    .await;
}

/// Fails after so many parts.
struct Cut<P> {
    parts: P,
    left: usize,
}

impl<P: Parts> Parts for Cut<P> {
    fn next(&mut self) -> Result<Option<Part>, ArchiveError> {
        let left = self.left.checked_sub(1);
        self.left = left.ok_or_else(|| ArchiveError::store("cut off"))?;
        self.parts.next()
    }
}

/// Case.
pub async fn what_ends_too_early_loads_nothing<F: ArchiveFixture>() {
    bounded(async {
        let (setup, dir) = (setup(), tempfile());
        let mut from = F::create().await;
        let store = from.open(&setup).await;
        fill(&setup, &store).await;
        let kept = archive(&mut *from.source(&setup).await, &dir.join("a")).await;
        let facts = kept.facts().expect("it says");
        let mut to = F::create().await;
        let mut left = 0;
        loop {
            let mut target = to.target(&setup).await;
            let found = target.found(&facts).await.expect("it is looked at");
            assert_eq!(found, Found::default(), "after {left} parts");
            let parts = kept.parts(&setup.logs).expect("its logs are known");
            let mut cut = Cut { parts, left };
            match target.load(&mut cut).await {
                Err(error) => assert!(error.to_string().contains("cut off"), "{error}"),
                Ok(()) => break,
            }
            left += 1;
        }
        assert!(left > 8, "{left} parts");
        let again = to.open(&setup).await;
        same_records(&setup, &store, &again).await;
    })
    .await;
}

/// Case.
pub async fn ids_that_a_log_had_are_archived<F: ArchiveFixture>() {
    bounded(async {
        let (setup, dir) = (setup(), tempfile());
        let mut from = F::create().await;
        let store = from.open(&setup).await;
        fill(&setup, &store).await;
        drop(store);
        from.restore(&setup).await;
        let store = from.open(&setup).await;
        append(
            &store,
            events(&setup, "since", ExpectedVersion::NoStream, 9),
        )
        .await;
        let former = store.former_ids(LOG).await.expect("it says");
        assert_eq!(former.len(), 1);
        let kept = archive(&mut *from.source(&setup).await, &dir.join("a")).await;
        let mut to = F::create().await;
        load(&mut *to.target(&setup).await, &kept)
            .await
            .expect("it loads");
        let again = to.open(&setup).await;
        same_records(&setup, &store, &again).await;
        assert_eq!(again.former_ids(LOG).await.expect("it says"), former);
    })
    .await;
}
