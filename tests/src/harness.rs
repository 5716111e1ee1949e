//! A mesh for tests: a data directory, certificates, and the small policy pack.

mod settle;

use std::ops::Deref;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tally::client::Client;
use tally::data_dir::{DataDir, Endpoints, OPERATOR};
use tally::mesh::{Mesh, MeshOptions};
use tally::pack_client::load_pack;
use tally::role::Role;
use tally_auth::identity::Identity;
use tally_catalog::pack::BuiltIn;
use tally_domain::policy::Pack;
use tally_proto::tally::log::v1::{DocumentRef, LegalBasisRef};
use tally_proto::tally::node::v1 as node;
use tempfile::TempDir;
use tonic::transport::Channel;

use crate::patience::{PAUSE, may_pass};
use crate::processes::{self, Processes};
pub use crate::scene::Scene;
pub use crate::steps::*;
pub(crate) use settle::status;

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

/// How long processes may take to follow a pack. No claim about speed.
const FOLLOWED_WAIT: Duration = Duration::from_secs(30);

/// How often processes are asked whether they have settled.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

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
    mesh: Running,
    /// Its data directory.
    pub dir: MeshDir,
}

/// What a mesh leaves: its data directory, and with a process for each role its
/// schemas and topics. Dropping it takes all of that away.
pub struct MeshDir {
    dir: TempDir,
    in_services: bool,
}

impl From<TempDir> for MeshDir {
    fn from(dir: TempDir) -> Self {
        let in_services = false;
        Self { dir, in_services }
    }
}

impl Deref for MeshDir {
    type Target = TempDir;

    fn deref(&self) -> &TempDir {
        &self.dir
    }
}

impl Drop for MeshDir {
    fn drop(&mut self) {
        if self.in_services {
            processes::clean(self.dir.path());
        }
    }
}

fn in_services(dir: TempDir) -> MeshDir {
    let in_services = true;
    MeshDir { dir, in_services }
}

/// How the mesh runs.
enum Running {
    /// All roles in this process.
    Whole(Box<Mesh>),
    /// A process for each role.
    Roles(Box<Processes>),
}

/// Whether scenarios run with a process for each role. The environment says:
/// `TALLY_TEST_MESH=processes`.
fn in_processes() -> bool {
    match std::env::var("TALLY_TEST_MESH") {
        Ok(mesh) if mesh == "processes" => true,
        Ok(mesh) => panic!("TALLY_TEST_MESH is {mesh}: set it to processes, or not at all"),
        Err(_) => false,
    }
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

    /// The same with a process for each role, however other scenarios run.
    ///
    /// # Panics
    ///
    /// If anything fails: it is a test.
    pub async fn in_processes(start: &str) -> Self {
        let start = start.parse().expect("a timestamp");
        let dir = TempDir::new().expect("a temporary directory");
        Self::of_processes(start, dir, BuiltIn::Small).await
    }

    /// The same with other settings, `key=value`, in the place of the tests'.
    ///
    /// # Panics
    ///
    /// If anything fails: it is a test.
    pub async fn in_processes_with(start: &str, settings: &[&str]) -> Self {
        let start = start.parse().expect("a timestamp");
        let dir = in_services(TempDir::new().expect("a temporary directory"));
        let processes = Processes::start_with(dir.path(), Some(start), settings).await;
        Self::loaded(Running::Roles(Box::new(processes)), dir, BuiltIn::Small).await
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
        if in_processes() {
            return Self::of_processes(start, dir, pack).await;
        }
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
    pub async fn with(options: MeshOptions, dir: impl Into<MeshDir>) -> Self {
        Self::with_pack(options, dir, BuiltIn::Small).await
    }

    /// A mesh with these options, and this pack.
    ///
    /// # Panics
    ///
    /// If anything fails: it is a test.
    pub async fn with_pack(options: MeshOptions, dir: impl Into<MeshDir>, pack: BuiltIn) -> Self {
        let mesh = Mesh::start(options).await.expect("a fresh mesh starts");
        Self::loaded(Running::Whole(Box::new(mesh)), dir.into(), pack).await
    }

    /// The mesh of a directory that an earlier one has left.
    ///
    /// # Panics
    ///
    /// If anything fails: it is a test.
    pub async fn again(dir: MeshDir) -> Self {
        let mesh = if in_processes() {
            Running::Roles(Box::new(Processes::start(dir.path(), None).await))
        } else {
            let options = MeshOptions::in_dir(DataDir::new(dir.path()));
            let mesh = Mesh::start(options).await.expect("starts again");
            Running::Whole(Box::new(mesh))
        };
        Self { mesh, dir }
    }

    /// The mesh of these processes, which are on this directory.
    pub fn of(processes: Processes, dir: TempDir) -> Self {
        let mut dir = MeshDir::from(dir);
        dir.in_services = true;
        let mesh = Running::Roles(Box::new(processes));
        Self { mesh, dir }
    }

    async fn of_processes(start: Timestamp, dir: TempDir, pack: BuiltIn) -> Self {
        let dir = in_services(dir);
        let processes = Processes::start(dir.path(), Some(start)).await;
        Self::loaded(Running::Roles(Box::new(processes)), dir, pack).await
    }

    async fn loaded(mesh: Running, dir: MeshDir, pack: BuiltIn) -> Self {
        let harness = Self { mesh, dir };
        let pack = pack.load().expect("a built-in pack is consistent");
        harness.load(&pack).await;
        harness
    }

    /// Loads a pack, and waits until every process follows it.
    ///
    /// # Panics
    ///
    /// If it is refused, or not followed in time.
    pub async fn load(&self, pack: &Pack) {
        let operator = self.operator().await;
        let began = Instant::now();
        // The same pack once more is no other one.
        while let Err(status) = load_pack(&operator, pack).await {
            let waits = may_pass(&status) && began.elapsed() < FOLLOWED_WAIT;
            assert!(waits, "the pack does not load: {status:?}");
            tokio::time::sleep(PAUSE).await;
        }
        let followed = async {
            for role in operator.processes() {
                while status(&operator, *role).await.pack_version != pack.meta.version {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
            }
        };
        tokio::time::timeout(FOLLOWED_WAIT, followed)
            .await
            .expect("every process follows the pack");
    }

    /// The mesh, for what only one process with all roles has.
    ///
    /// # Panics
    ///
    /// If each role has its own.
    pub fn whole(&self) -> &Mesh {
        match &self.mesh {
            Running::Whole(mesh) => mesh,
            Running::Roles(_) => panic!("this test is about one process with all roles"),
        }
    }

    /// The processes, to do something to them.
    ///
    /// # Panics
    ///
    /// If all roles are in one.
    pub fn processes(&mut self) -> &mut Processes {
        match &mut self.mesh {
            Running::Whole(_) => panic!("this test is about a process for each role"),
            Running::Roles(processes) => processes,
        }
    }

    /// Where the mesh answers.
    pub fn endpoints(&self) -> Endpoints {
        let endpoints = DataDir::new(self.dir.path()).endpoints();
        endpoints.expect("the mesh listens")
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

    /// Issues a certificate for any identity, and connects to each role without a client.
    ///
    /// # Panics
    ///
    /// If anything fails: it is a test.
    pub async fn channels(&self, urn: &str) -> Channels {
        let identity = Identity::parse(urn).expect("a valid identity");
        let name = urn.replace(':', "-");
        let dir = DataDir::new(self.dir.path());
        dir.issue(&identity, &name).expect("the authority issues");
        let tls = dir.client_tls(&name).expect("issued");
        let connect = |role| tally_rpc::connect_lazy(&self.endpoint(role), &tls);
        Channels(Role::ALL.map(|role| connect(role).expect("an address and a certificate")))
    }

    /// Where a role answers.
    pub fn endpoint(&self, role: Role) -> String {
        match self.endpoints() {
            Endpoints::One(endpoint) => endpoint,
            Endpoints::PerRole(of) => of[role as usize].clone(),
        }
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
        let operator = self.operator().await;
        for role in operator.processes() {
            let moved = operator.node(*role).advance_clock(request).await;
            moved.expect("the clock moves forward");
        }
    }

    /// The mesh's time.
    ///
    /// # Panics
    ///
    /// If it does not say.
    pub async fn now(&self) -> prost_types::Timestamp {
        let status = status(&self.operator().await, Role::Catalog).await;
        status.now.expect("a time")
    }

    /// Stops the mesh and gives its directory back.
    ///
    /// # Panics
    ///
    /// If it does not stop cleanly.
    pub async fn stop(self) -> MeshDir {
        match self.mesh {
            Running::Whole(mesh) => mesh.stop().await.expect("the mesh stops cleanly"),
            Running::Roles(processes) => processes.stop(),
        }
        self.dir
    }
}

/// A connection to each role.
pub struct Channels(pub [Channel; Role::ALL.len()]);

impl Channels {
    /// The one that leads to a contract, by its full name; to any process for
    /// what each serves.
    pub fn to(&self, contract: &str) -> &Channel {
        &self.0[Role::of_contract(contract).unwrap_or(Role::Catalog) as usize]
    }
}
