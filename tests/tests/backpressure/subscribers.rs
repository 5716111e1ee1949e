//! A responder that stops reading its directives.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use prost::Message as _;
use tally::client::Client;
use tally::role::Role;
use tally_catalog::pack::BuiltIn;
use tally_domain::policy::Pack;
use tally_proto::tally::log::v1::{Cursor, ShardCursor};
use tally_proto::tally::sanctions::v1 as sanctions;
use tally_tests::harness::*;
use tally_tests::memory::Watch;
use tally_tests::organisations::subjects;
use tonic::Streaming;

use crate::{SETTLES, START, mebibytes};

/// Measures that the responder has to take, each by a directive of its own.
const MEASURES: usize = 120;

/// Listings, each of which is answered by all of them.
const LISTINGS: usize = 60;

/// Listings that are made at once.
const AT_ONCE: usize = 4;

/// Streams that nobody reads, on so many connections.
const STREAMS: usize = 56;
const CONNECTIONS: usize = 8;

/// How many of them read on in the end.
const READ_ON: usize = 8;

/// What a connection of ours takes in before somebody reads it.
const WINDOW: u64 = 4 << 20;

/// How long a reader may wait for what is there.
const COMES: Duration = Duration::from_secs(120);

/// The small pack with many measures for one department, whose ids are as long as may be.
fn pack() -> Pack {
    let mut pack = BuiltIn::Small.load().expect("the pack is consistent");
    pack.meta.version += "+many";
    let one = pack.measures["revoke-honour"].clone();
    let memorandum = "serious-violation-discipline";
    let mut agreed = pack.memoranda[memorandum].measures[0].clone();
    agreed.departments = vec![TAX.parse().expect("a department")];
    for n in 0..MEASURES {
        let id = format!("{n:x>64}");
        let department = pack.departments.get_mut(&agreed.departments[0]);
        department.expect("it is there").powers.push(id.clone());
        let mut measure = one.clone();
        measure.id.clone_from(&id);
        pack.measures.insert(id.clone(), measure);
        agreed.measure = id;
        let memorandum = pack.memoranda.get_mut(memorandum);
        memorandum
            .expect("it is there")
            .measures
            .push(agreed.clone());
    }
    pack
}

async fn subscribe(
    client: &Client,
    cursor: Option<Cursor>,
) -> Streaming<sanctions::SubscribeResponse> {
    let request = sanctions::SubscribeRequest {
        cursor,
        until_head: false,
    };
    let opened = client.sanctions().subscribe(request).await;
    opened.expect("subscribed").into_inner()
}

/// What a reader has seen of its mailbox.
#[derive(Default)]
struct Seen {
    items: usize,
    bytes: u64,
    last: BTreeMap<u32, ShardCursor>,
    log_id: Vec<u8>,
}

impl Seen {
    /// Takes an item, which must be the next of its shard.
    fn take(&mut self, item: &sanctions::SubscribeResponse) {
        let cursor = item.cursor.clone().expect("it has a place");
        self.items += 1;
        self.bytes += item.encoded_len() as u64;
        self.log_id = item.log_id.to_vec();
        let (number, position) = (cursor.number, cursor.position);
        let before = self.last.insert(cursor.shard, cursor);
        let before = before.map_or((0, None), |last| (last.number, Some(last.position)));
        assert_eq!(number, before.0 + 1, "no gap");
        assert!(before.1 < Some(position), "in order");
    }

    /// Reads on until it has seen so many.
    async fn read(
        &mut self,
        items: &mut Streaming<sanctions::SubscribeResponse>,
        wanted: usize,
    ) -> Result<(), tonic::Status> {
        while self.items < wanted {
            let next = tokio::time::timeout(COMES, items.message()).await;
            let next = next.expect("it comes")?;
            self.take(&next.expect("the stream goes on"));
        }
        Ok(())
    }

    fn cursor(&self) -> Option<Cursor> {
        Some(Cursor {
            log_id: self.log_id.clone().into(),
            shards: self.last.values().cloned().collect(),
        })
    }
}

/// A client whose connection nobody serves: it acknowledges nothing, and what is sent
/// to it fills the window of TCP.
struct Frozen {
    thaw: mpsc::Sender<usize>,
    thread: JoinHandle<Seen>,
}

impl Frozen {
    fn start(dir: &Path) -> Self {
        let dir: PathBuf = dir.to_owned();
        let (thaw, thawed) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            let (client, mut items) = runtime.block_on(async {
                let client = Client::of_dir(&dir, &format!("system-{TAX}")).await;
                let client = client.expect("the mesh answers");
                let items = subscribe(&client, None).await;
                (client, items)
            });
            let wanted = thawed.recv().expect("the test goes on");
            runtime.block_on(async {
                let mut seen = Seen::default();
                while seen.read(&mut items, wanted).await.is_err() {
                    // A server gives up who has not answered for 50 s. It comes again.
                    items = subscribe(&client, seen.cursor().filter(|_| seen.items > 0)).await;
                }
                seen
            })
        });
        Self { thaw, thread }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_responder_that_stops_reading_costs_little_memory_and_holds_up_nobody() {
    let _alone = tally_tests::outage::alone().await;
    let mut scene = Scene::on(Harness::in_processes(START).await).await;
    scene.mesh.load(&pack()).await;
    scene.listed(COMPANY).await;
    scene.mesh.settle_within(SETTLES).await;
    let dir = scene.mesh.dir.path().to_owned();
    let other = scene.mesh.system(RESOURCES).await;
    let of_each = MEASURES + 2;

    let watch = Watch::start(scene.mesh.processes());
    let frozen = Frozen::start(&dir);
    let mut unread = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = Client::of_dir(&dir, &format!("system-{TAX}")).await;
        let client = client.expect("the mesh answers");
        for _ in 0..STREAMS / CONNECTIONS {
            unread.push(subscribe(&client, None).await);
        }
    }
    let (told, mut telling) = tokio::sync::oneshot::channel();
    let reading = tokio::spawn(async move {
        let mut items = subscribe(&other, None).await;
        let mut seen = Seen::default();
        seen.read(&mut items, 2 * (LISTINGS + 1))
            .await
            .expect("it reads");
        // The test may have failed by now.
        let _ = told.send(());
        seen
    });
    let subjects = subjects(LISTINGS);
    stream::iter(&subjects)
        .for_each_concurrent(AT_ONCE, async |subject| {
            scene.listed(subject).await;
        })
        .await;
    scene.mesh.settle_within(SETTLES).await;
    let not_held_up = tokio::time::timeout(COMES, &mut telling).await;
    assert!(matches!(not_held_up, Ok(Ok(()))), "others are held up");
    reading.await.expect("it reads");
    let growth = watch.growth(Role::Sanctions);
    watch.report("a responder does not read");

    let wanted = of_each * (LISTINGS + 1);
    frozen.thaw.send(wanted).expect("it waits for that");
    unread.truncate(READ_ON);
    let read_on = unread.into_iter().map(|mut items| async move {
        let mut seen = Seen::default();
        seen.read(&mut items, wanted).await.expect("it reads on");
        seen.bytes
    });
    let read = futures::future::join_all(read_on).await;
    let all = read[0] * STREAMS as u64;
    let withheld = all - CONNECTIONS as u64 * WINDOW;
    println!(
        "{STREAMS} streams of {wanted} directives, {:.0} MiB in all, {:.0} MiB withheld; sanctions \
         grew by {:.0} MiB",
        mebibytes(all),
        mebibytes(withheld),
        mebibytes(growth)
    );
    let thawed = tokio::task::spawn_blocking(|| frozen.thread.join()).await;
    let thawed = thawed.expect("no panic").expect("it reads on");
    assert_eq!(thawed.items, wanted);
    watch.report("it has read on");
    assert!(growth < withheld / 2, "what nobody reads is held in memory");
    scene.mesh.stop().await;
}
