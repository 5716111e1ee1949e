//! A mesh for tests: a data directory, certificates, and the small policy pack.

use std::time::Duration;

use jiff::Timestamp;
use tally::client::Client;
use tally::data_dir::{DataDir, OPERATOR};
use tally::mesh::{Mesh, MeshOptions};
use tally::pack_client::load_pack;
use tally_auth::identity::Identity;
use tally_catalog::pack::BuiltIn;
use tally_proto::tally::log::v1::{DocumentRef, LegalBasisRef};
use tally_proto::tally::node::v1 as node;
use tempfile::TempDir;
use tonic::transport::Channel;

pub use crate::scene::Scene;
pub use crate::steps::*;

/// The market supervision department of the small pack: province level, lists black.
pub const MARKET: &str = "11990000MB0000107X";
/// The tax department of the small pack: city level, lists red and black, powers for both sanctions.
pub const TAX: &str = "11990100MB0000203C";
/// The public resources department of the small pack: county level, powers for both sanctions.
pub const RESOURCES: &str = "11990102MB000030XF";
/// A company (a public example of GB 32100).
pub const COMPANY: &str = "cn-uscc:9152000071430580XT";
/// Another.
pub const OTHER_COMPANY: &str = "cn-uscc:91110000710926094P";

/// Basis of collecting records.
pub const COLLECTING: &str = "tally-credit-regulations/12";
/// Basis of asking before a decision.
pub const ASKING: &str = "tally-credit-regulations/18";
/// Basis of the black list.
pub const BLACK_LISTING: &str = "tally-credit-regulations/20";
/// Basis of the red list.
pub const RED_LISTING: &str = "tally-tax-honour-rules/4";
/// A basis that lapsed on 2015-12-31.
pub const LAPSED: &str = "tally-interim-measures/3";

/// A legal basis of the small pack.
pub fn basis(id: &str) -> Option<LegalBasisRef> {
    Some(LegalBasisRef {
        id: id.to_owned(),
        version: 1,
    })
}

/// A document by its number.
pub fn document(number: &str) -> Option<DocumentRef> {
    Some(DocumentRef {
        number: number.to_owned(),
        ..Default::default()
    })
}

/// A running mesh and what belongs to it.
pub struct Harness {
    /// The mesh.
    pub mesh: Mesh,
    /// Its data directory.
    pub dir: TempDir,
}

impl Harness {
    /// A mesh with a movable clock that starts at `start`, and the small pack.
    ///
    /// # Panics
    ///
    /// If anything fails: it is a test.
    pub async fn start(start: &str) -> Self {
        Self::at(start, BuiltIn::Small).await
    }

    /// A mesh with a movable clock that starts at `start`, and the province's pack.
    ///
    /// # Panics
    ///
    /// If anything fails: it is a test.
    pub async fn province(start: &str) -> Self {
        Self::at(start, BuiltIn::Province).await
    }

    async fn at(start: &str, pack: BuiltIn) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let start: Timestamp = start.parse().expect("a timestamp");
        let options = MeshOptions {
            test_clock: Some(start),
            ..MeshOptions::in_dir(DataDir::new(dir.path()))
        };
        Self::with_pack(options, dir, pack).await
    }

    /// A mesh with these options, and the small pack.
    ///
    /// # Panics
    ///
    /// If anything fails: it is a test.
    pub async fn with(options: MeshOptions, dir: TempDir) -> Self {
        Self::with_pack(options, dir, BuiltIn::Small).await
    }

    /// A mesh with these options, and this pack.
    ///
    /// # Panics
    ///
    /// If anything fails: it is a test.
    pub async fn with_pack(options: MeshOptions, dir: TempDir, pack: BuiltIn) -> Self {
        let mesh = Mesh::start(options).await.expect("a fresh mesh starts");
        let harness = Self { mesh, dir };
        let pack = pack.load().expect("a built-in pack is consistent");
        load_pack(&harness.client(OPERATOR).await, &pack)
            .await
            .expect("the pack loads");
        harness
    }

    /// Issues a certificate for a department's system, named `name`, and connects.
    ///
    /// # Panics
    ///
    /// If anything fails: it is a test.
    pub async fn system(&self, department: &str) -> Client {
        self.issued(
            &format!("urn:tally:department:{department}"),
            &format!("system-{department}"),
        )
        .await
    }

    /// The same for an officer.
    ///
    /// # Panics
    ///
    /// If anything fails: it is a test.
    pub async fn officer(&self, department: &str, number: &str) -> Client {
        let urn = format!("urn:tally:department:{department}:officer:{number}");
        self.issued(&urn, &format!("officer-{department}-{number}"))
            .await
    }

    /// The operator.
    pub async fn operator(&self) -> Client {
        self.client(OPERATOR).await
    }

    async fn issued(&self, urn: &str, name: &str) -> Client {
        let identity = Identity::parse(urn).expect("a valid identity");
        let dir = DataDir::new(self.dir.path());
        dir.issue(&identity, name).expect("the authority issues");
        self.client(name).await
    }

    /// Issues a certificate for any identity, and connects without a client.
    ///
    /// # Panics
    ///
    /// If anything fails: it is a test.
    pub async fn channel(&self, urn: &str) -> Channel {
        let identity = Identity::parse(urn).expect("a valid identity");
        let name = urn.replace(':', "-");
        let dir = DataDir::new(self.dir.path());
        dir.issue(&identity, &name).expect("the authority issues");
        let endpoint = dir.endpoint().expect("the mesh listens");
        let tls = dir.client_tls(&name).expect("issued");
        tally_rpc::connect(&endpoint, &tls)
            .await
            .expect("the mesh answers")
    }

    async fn client(&self, name: &str) -> Client {
        Client::of_dir(self.dir.path(), name)
            .await
            .expect("the mesh answers")
    }

    /// Moves the clock.
    ///
    /// # Panics
    ///
    /// If it cannot be moved there.
    pub async fn advance(&self, to: &str) {
        let to: Timestamp = to.parse().expect("a timestamp");
        let to = Some(tally_eventlog::event::to_proto_time(to));
        let request = node::AdvanceClockRequest { to };
        self.operator()
            .await
            .node()
            .advance_clock(request)
            .await
            .expect("the clock moves forward");
    }

    /// Waits until every consumer has applied all there is, and what follows
    /// from it. Fails the test if that takes longer than a minute.
    ///
    /// # Panics
    ///
    /// If it takes too long.
    pub async fn settle(&self) {
        self.settle_within(Duration::from_secs(60)).await;
    }

    /// The same with another bound.
    ///
    /// # Panics
    ///
    /// If it takes longer.
    pub async fn settle_within(&self, limit: Duration) {
        use tally_eventlog::store::LogSource as _;
        let settled = async {
            // An effect makes new records for other consumers: settled is when
            // nothing grew during a whole round.
            loop {
                let before = self.sizes();
                for progress in self.mesh.readers.iter() {
                    for shard in self.mesh.store.shards().all() {
                        let size = *self.mesh.store.watch(progress.log(), shard).borrow();
                        progress.wait_for(shard, size, limit).await;
                    }
                }
                if self.sizes() == before {
                    return;
                }
            }
        };
        tokio::time::timeout(limit, settled)
            .await
            .expect("the mesh settles in time");
    }

    /// Number of records in every shard of every log.
    pub fn sizes(&self) -> Vec<u64> {
        use tally_eventlog::store::LogSource as _;
        let store = &self.mesh.store;
        tally_service::logs::ALL
            .iter()
            .flat_map(|log| {
                store
                    .shards()
                    .all()
                    .map(|shard| *store.watch(*log, shard).borrow())
            })
            .collect()
    }

    /// Stops the mesh and gives its directory back.
    ///
    /// # Panics
    ///
    /// If it does not stop cleanly.
    pub async fn stop(self) -> TempDir {
        self.mesh.stop().await.expect("the mesh stops cleanly");
        self.dir
    }
}
