//! The mesh under load.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::StreamExt as _;
use tally::client::Client;
use tally::data_dir::DataDir;
use tally::mesh::{Mesh, MeshOptions};
use tally_auth::identity::Identity;
use tally_domain::department::DepartmentId;
use tally_domain::document::DocumentNumber;
use tally_domain::subject::Subject;
use tally_eventlog::shard::LogName;
use tally_rpc::{ClientTls, ServerTls};
use tally_tests::harness::{BlackListing, Harness, MARKET, MeshDir, list_black, penalty, push};
use tempfile::TempDir;

use crate::content::{RECORD_TYPE, document_number};
use crate::load;
use crate::world::World;

/// When the mesh's clock starts: a day whose holiday notices are in the pack.
pub const START: &str = "2026-03-02T01:00:00Z";

/// The longest that a view may take to catch up.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);

/// The longest that all which follows from a fill may take.
const SETTLE_MAX: Duration = Duration::from_secs(30 * 60);

/// Listings under way at once while the list is filled.
const LISTINGS_AT_ONCE: usize = 64;

/// Name of the certificate under which all load runs.
const LOAD: &str = "load";

/// A mesh of its own in a fresh directory.
pub struct Ours {
    harness: Harness,
}

impl Ours {
    /// Starts with the pack of a world and a certificate for the system of its
    /// department under which all load runs.
    pub async fn start(world: &World) -> Self {
        Self::start_in(TempDir::new().expect("a temporary directory"), world).await
    }

    /// The same in a directory.
    pub async fn start_in(dir: TempDir, world: &World) -> Self {
        let options = MeshOptions {
            test_clock: Some(START.parse().expect("a timestamp")),
            ..MeshOptions::in_dir(DataDir::new(dir.path()))
        };
        let harness = Harness::with_pack(options, dir, world.pack).await;
        issue(harness.dir.path(), world);
        Self { harness }
    }

    /// Starts on what an earlier one left.
    pub async fn resume(dir: MeshDir) -> Self {
        let harness = Harness::again(dir).await;
        Self { harness }
    }

    /// The event store's file.
    pub fn store(&self) -> PathBuf {
        DataDir::new(self.harness.dir.path()).store(None)
    }

    /// Connections of their own.
    pub async fn connect(&self, count: usize) -> Vec<Client> {
        let endpoint = format!("https://{}", self.harness.whole().address);
        load::connect(&endpoint, &client_tls(self.harness.dir.path()), count).await
    }

    /// Puts subjects on the black list, each for a record of its own, and waits
    /// until all that follows from it has happened.
    pub async fn list(&self, subjects: &[String]) {
        list_all(&self.harness, subjects).await;
    }

    /// Lists subjects for the records with these numbers, which are there, and
    /// waits until all that follows from it has happened.
    pub async fn list_grounded(&self, world: &World, subjects: &[(usize, String)]) {
        let first = self.harness.officer(world.lister, "1").await;
        let second = self.harness.officer(world.lister, "2").await;
        let (first, second) = (&first, &second);
        let listings = subjects
            .iter()
            .map(|(n, subject)| list(world, first, second, *n, subject));
        futures::stream::iter(listings)
            .buffer_unordered(LISTINGS_AT_ONCE)
            .collect::<Vec<()>>()
            .await;
        eprintln!("  {} listings", subjects.len());
        self.harness.settle_within(SETTLE_MAX).await;
    }

    /// Waits until every view of a log has all of it.
    pub async fn caught_up(&self, log: LogName) {
        let mesh = self.harness.whole();
        for progress in mesh.readers.iter().filter(|progress| progress.log() == log) {
            for shard in mesh.store.shards().all() {
                let size = *mesh.store.watch(log, shard).borrow();
                let reached = progress.wait_for(shard, size, CATCH_UP_MAX).await;
                assert!(
                    reached,
                    "{} has not caught up on shard {shard}",
                    progress.consumer()
                );
            }
        }
    }

    /// Stops and leaves the directory.
    pub async fn stop(self) -> MeshDir {
        self.harness.stop().await
    }
}

/// Puts subjects on the black list of the small pack, each for a record of its own, and
/// waits until all that follows from it has happened.
pub async fn list_all(harness: &Harness, subjects: &[String]) {
    let system = harness.system(MARKET).await;
    let first = harness.officer(MARKET, "1").await;
    let second = harness.officer(MARKET, "2").await;
    let (system, first, second) = (&system, &first, &second);
    let listings = subjects.iter().enumerate().map(|(n, subject)| async move {
        let record = penalty(subject, &format!("ground {n}"), "2026-02-27");
        let (ground, _) = push(system, record).await;
        let listing = BlackListing::today(subject, &ground, "2027-03-01");
        list_black(first, second, &listing).await;
    });
    futures::stream::iter(listings)
        .buffer_unordered(LISTINGS_AT_ONCE)
        .collect::<Vec<()>>()
        .await;
    harness.settle().await;
}

/// Issues the certificate of the department under which all load runs.
pub fn issue(dir: &Path, world: &World) {
    let urn = format!("urn:tally:department:{}", world.load);
    let identity = Identity::parse(&urn).expect("a valid identity");
    let issued = DataDir::new(dir).issue(&identity, LOAD);
    issued.expect("the authority issues");
}

/// Two officers list a subject for a record of the load.
async fn list(world: &World, first: &Client, second: &Client, n: usize, subject: &str) {
    let department = DepartmentId::parse(world.load).expect("a department's code");
    let about: Subject = subject.parse().expect("an organisation");
    let number = DocumentNumber::parse(&document_number(n)).expect("a document's number");
    let ground = tally_collection::record_id(&department, &number, &about, RECORD_TYPE);
    let listing = BlackListing {
        list_type: world.list_type.to_owned(),
        basis: world.listing.to_owned(),
        ..BlackListing::today(subject, &ground.to_string(), "2027-03-01")
    };
    list_black(first, second, &listing).await;
}

/// What the load's clients show.
pub fn client_tls(dir: &Path) -> ClientTls {
    let tls = DataDir::new(dir).client_tls(LOAD);
    tls.expect("the certificate was issued at the start")
}

/// What the server shows.
pub fn server_tls(dir: &Path) -> ServerTls {
    DataDir::new(dir)
        .server_tls()
        .expect("the authority was made at the start")
}

/// Starts a mesh on what an earlier one left, and returns how long it took to serve.
pub async fn start_again(dir: &Path) -> Duration {
    let mesh = Mesh::start(MeshOptions::in_dir(DataDir::new(dir)))
        .await
        .expect("the mesh starts again");
    let started_in = mesh.started_in;
    mesh.stop().await.expect("the mesh stops cleanly");
    started_in
}
