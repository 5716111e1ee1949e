//! A process of the mesh: all roles over one SQLite store, or one role beside
//! other processes, wired together.

mod peers;
mod shares;
mod stores;
mod wiring;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use tally_auth::{AuthLayer, Rules};
use tally_eventlog::clock::Clock;
use tally_eventlog::consumer::ConsumerHandle;
use tally_eventlog::execute::Executor;
use tally_eventlog::ids::{REMEMBERED, first_at};
use tally_eventlog::lease::KeeperOptions;
use tally_eventlog::relay::RelayHandle;
use tally_eventlog::sealing::{KeyRing, KeyRingError};
use tally_eventlog::shard::{LogName, ShardCount};
use tally_eventlog::store::{EventStore, StoreError};
use tally_eventlog::throttle::Throttle;
use tally_rpc::{ServeError, ServeLimits, TimeoutLayer};
use tally_sanctions::CheckOptions;
use tally_service::wiring::Readers;
use tally_service::{Catalogue, Deps, Sources, logs};
use tally_store_postgres::OpenError as PostgresError;
use tally_store_sqlite::OpenError;
use tally_store_sqlite::keyring::OpenKeyRingError;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::data_dir::{DataDir, DataDirError};
use crate::node::NodeState;
use crate::role::Role;
pub use peers::{PeerError, Peers, Publish};
use stores::{KeyRingDirectory, Keys, open_keyring, open_store};
pub use stores::{NodeClock, Schema, Storage, Store, init, migrate};
use wiring::{Wiring, wire};

/// Calls that take long because they do much: they read a log or a whole view, or wait
/// for others.
pub const UNBOUNDED: &[&str] = &[
    "/tally.audit.v1.AuditService/",
    "/tally.catalog.v1.CatalogService/LoadPolicyPack",
    "/tally.collection.v1.CollectionService/GetCounts",
    "/tally.collection.v1.CollectionService/GetQuarantineCounts",
    "/tally.feedback.v1.FeedbackService/GetStatistics",
    "/tally.node.v1.NodeService/AdvanceClock",
    "/tally.node.v1.NodeService/Reconcile",
    "/tally.node.v1.NodeService/ReplayParked",
    "/tally.sanctions.v1.SanctionsService/GetDecisionCounts",
];

/// How a process of the mesh is started.
#[derive(Debug, Clone)]
pub struct MeshOptions {
    /// The data directory; where all roles are in one process, made at the first start.
    pub dir: DataDir,
    /// What it serves.
    pub extent: Extent,
    /// Where it keeps what it has.
    pub storage: Storage,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Creates the store with a movable clock that starts at this time.
    pub test_clock: Option<Timestamp>,
    /// Shards of a new store; an existing one keeps its own.
    pub shards: ShardCount,
    /// How old what is known of `lists` may be for a check to be answered.
    pub check_freshness: Duration,
    /// How long a call waits for its answer, whatever it waits for.
    pub answer_max: Duration,
    /// How long the shards of a process that died wait for another replica.
    pub lease_term: Duration,
}

impl MeshOptions {
    /// Leaves in the directory where clients find what is served here: the address
    /// that leads to the role, which need not be that of this process.
    fn write_endpoint(&self, address: SocketAddr) -> Result<(), DataDirError> {
        match &self.extent {
            Extent::Whole => self.dir.write_endpoint(None, &format!("https://{address}")),
            Extent::Role(role, peers) => {
                let endpoint = &peers.endpoints[*role as usize];
                self.dir.write_endpoint(Some(*role), endpoint)
            }
        }
    }

    /// A mesh in a directory, on a free port of this machine.
    pub fn in_dir(dir: DataDir) -> Self {
        Self {
            dir,
            extent: Extent::Whole,
            storage: Storage::default(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            test_clock: None,
            shards: ShardCount::default(),
            check_freshness: CheckOptions::default().freshness,
            // What a database that hangs takes where it is asked once, and a little more.
            answer_max: Duration::from_secs(16),
            lease_term: KeeperOptions::default().term,
        }
    }
}

/// How much of the mesh a process serves.
#[derive(Debug, Clone)]
pub enum Extent {
    /// All roles, which share one store.
    Whole,
    /// One role with a store of its own; the others are where the peers say.
    Role(Role, Box<Peers>),
}

impl Extent {
    /// The roles that it serves.
    pub fn roles(&self) -> &[Role] {
        match self {
            Self::Whole => &Role::ALL,
            Self::Role(role, _) => std::slice::from_ref(role),
        }
    }

    /// The role, where it is one.
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::Whole => None,
            Self::Role(role, _) => Some(*role),
        }
    }

    /// The logs that its store has.
    fn logs(&self) -> Vec<LogName> {
        let roles = self.roles().iter();
        roles.flat_map(|role| role.logs()).copied().collect()
    }
}

/// Why a mesh did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The store in Postgres cannot be opened.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The key ring cannot be opened.
    #[error(transparent)]
    KeyRingStore(#[from] OpenKeyRingError),
    /// The key ring does not belong to the master key.
    #[error(transparent)]
    KeyRing(#[from] KeyRingError),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] StoreError),
    /// The address is taken or not this machine's.
    #[error("cannot listen on {listen}: {source}; choose another with --listen")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Another role's log cannot be read.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// There are records, but the key ring is one that was never used.
    #[error(
        "the log has records, and the key ring in {place} is empty: it is not the one that leads from them to \
         persons; name that one with keyring.url, or put it back from its backup"
    )]
    KeyRingEmpty {
        /// Where it is.
        place: String,
    },
    /// A movable clock is a matter of creation.
    #[error(
        "the store in {place} was created without a movable clock; use a new directory or schema for --test-clock"
    )]
    ClockFixed {
        /// Where it is.
        place: String,
    },
}

/// A running mesh.
pub struct Mesh {
    /// Where it listens.
    pub address: SocketAddr,
    /// How long the start took.
    pub started_in: Duration,
    /// Its store.
    pub store: Arc<dyn EventStore>,
    /// Its key ring.
    pub keyring: Arc<KeyRing>,
    /// The policy packs it follows.
    pub catalogue: Arc<Catalogue>,
    /// How far its consumers are.
    pub readers: Readers,
    /// Its clock.
    pub clock: Arc<dyn Clock>,
    health: Health,
    backing: Store,
    keys: Keys,
    consumers: Vec<ConsumerHandle>,
    relays: Vec<RelayHandle>,
    tasks: Vec<JoinHandle<()>>,
    server: JoinHandle<Result<(), ServeError>>,
    stop_serving: CancellationToken,
    stop_readers: CancellationToken,
}

impl Mesh {
    /// Starts all roles, and returns when they serve.
    ///
    /// # Errors
    ///
    /// [`StartError`]; it says what to do.
    pub async fn start(options: MeshOptions) -> Result<Self, StartError> {
        let began = Instant::now();
        // First of all: a port that is taken must not leave half a data directory behind.
        let listener =
            TcpListener::bind(options.listen)
                .await
                .map_err(|source| StartError::Listen {
                    listen: options.listen,
                    source,
                })?;
        let address = listener.local_addr().map_err(|source| StartError::Listen {
            listen: options.listen,
            source,
        })?;
        match &options.extent {
            Extent::Whole => options.dir.create()?,
            Extent::Role(..) => options.dir.verify_shared()?,
        }
        let (clock, backing) = open_store(&options).await?;
        let store = backing.events();
        let (keyring, keys) = open_keyring(&options, &*store).await?;
        let signer = Arc::new(options.dir.receipt_signer()?);
        let tls = options.dir.server_tls()?;

        let stop_readers = CancellationToken::new();
        let shared = clock.shared();
        let sources = match &options.extent {
            // Embedded, all roles keep their logs in one store.
            Extent::Whole => Sources::all_in(store.clone()),
            Extent::Role(role, peers) => {
                peers.sources(*role, &store, &options.dir, &shared).await?
            }
        };
        let owner = sources.of(logs::CATALOG).clone();
        let catalogue = Catalogue::follow(owner, stop_readers.clone()).await?;
        let deps = Deps {
            log: logs::CATALOG,
            store: store.clone(),
            sources: sources.clone(),
            executor: Executor {
                store: store.clone(),
                clock: shared.clone(),
            },
            keyring: keyring.clone(),
            catalogue: catalogue.clone(),
            clock: shared.clone(),
        };
        let mut wiring = Wiring::new(
            &backing,
            options.lease_term,
            sources,
            shared.clone(),
            stop_readers.clone(),
        );
        if let Extent::Role(role, peers) = &options.extent {
            let shares = &mut wiring.shares;
            let relays = peers.relays(*role, backing.events(), &deps, shares).await?;
            wiring.start_relays(relays);
        }
        let stop_serving = CancellationToken::new();
        let (routes, health) = wire(
            &deps,
            &options,
            &mut wiring,
            &stop_serving,
            &signer,
            NodeState {
                roles: options.extent.roles().to_vec(),
                sources: deps.sources.clone(),
                store: backing.clone(),
                clock,
            },
        );
        // Last: shares are of all names at once.
        let sharing = wiring.shares.start(stop_readers.clone());
        wiring.tasks.extend(sharing);
        wiring.tasks.push(forget_old_commands(
            store.clone(),
            shared.clone(),
            stop_readers.clone(),
        ));

        let rules = Rules::from_descriptors().expect("a test holds that every call has a rule");
        let health = Health::of(health, &rules, options.extent.roles());
        health.set(ServingStatus::Serving).await;
        let server = serve(
            listener,
            tls,
            routes,
            rules,
            keyring.clone(),
            options.answer_max,
            stop_serving.clone(),
        );
        options.write_endpoint(address)?;
        Ok(Self {
            address,
            started_in: began.elapsed(),
            store,
            keyring,
            catalogue,
            readers: wiring.readers,
            clock: shared,
            health,
            backing,
            keys,
            consumers: wiring.consumers,
            relays: wiring.relays,
            tasks: wiring.tasks,
            server,
            stop_serving,
            stop_readers,
        })
    }

    /// Waits until serving ends, by failure.
    ///
    /// # Errors
    ///
    /// [`ServeError`]: the listener is lost.
    pub async fn serving(&mut self) -> Result<(), ServeError> {
        (&mut self.server).await.unwrap_or(Ok(()))
    }

    /// Stops in order: no new calls, open ones end, readers stop, the store closes.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the store did not close cleanly; nothing is lost.
    pub async fn stop(self) -> Result<(), StoreError> {
        self.health.set(ServingStatus::NotServing).await;
        self.stop_serving.cancel();
        if let Ok(Err(error)) = self.server.await {
            tracing::warn!(error = %error, "server ended with an error");
        }
        self.stop_readers.cancel();
        for consumer in self.consumers {
            consumer.join().await;
        }
        for relay in self.relays {
            relay.join().await;
        }
        for task in self.tasks {
            // A task that panicked has been reported by the runtime.
            let _ = task.await;
        }
        self.keys.close().await;
        self.backing.close().await
    }
}

/// What health says of every service, and of the process as a whole.
struct Health {
    reporter: HealthReporter,
    services: BTreeSet<String>,
}

impl Health {
    fn of(reporter: HealthReporter, rules: &Rules, roles: &[Role]) -> Self {
        let service = |path: &str| Some(path.strip_prefix('/')?.split_once('/')?.0.to_owned());
        let here =
            |service: &String| Role::of_contract(service).is_none_or(|role| roles.contains(&role));
        let mut services: BTreeSet<String> =
            rules.paths().filter_map(service).filter(here).collect();
        services.insert(String::new());
        Self { reporter, services }
    }

    async fn set(&self, status: ServingStatus) {
        for service in &self.services {
            self.reporter.set_service_status(service, status).await;
        }
    }
}

fn serve(
    listener: TcpListener,
    tls: tally_rpc::ServerTls,
    routes: Routes,
    rules: Rules,
    keyring: Arc<KeyRing>,
    answer_max: Duration,
    stop: CancellationToken,
) -> JoinHandle<Result<(), ServeError>> {
    let rules = Arc::new(rules);
    let traced = tally_telemetry::ServerTraceLayer::new(rules.paths());
    let directory = Arc::new(KeyRingDirectory { keyring });
    let auth = AuthLayer::new(rules, directory, SystemTime::now);
    let layer = tower::ServiceBuilder::new()
        .layer(traced)
        .layer(TimeoutLayer::new(answer_max, UNBOUNDED, late))
        .layer(auth)
        .into_inner();
    tokio::spawn(async move {
        tally_rpc::serve(
            listener,
            &tls,
            routes,
            layer,
            ServeLimits::default(),
            stop.cancelled(),
        )
        .await
    })
}

fn late() {
    static THROTTLE: Throttle = Throttle::minutely();
    if let Some(held_back) = THROTTLE.pass("late") {
        tracing::error!(held_back, "calls are not answered in time");
    }
}

/// Once an hour, forgets the commands whose ids would be refused as too old.
fn forget_old_commands(
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) -> JoinHandle<()> {
    const INTERVAL: Duration = Duration::from_secs(3_600);
    tokio::spawn(async move {
        let forget = async {
            loop {
                tokio::time::sleep(INTERVAL).await;
                // A derived id has its cause's time, which a moved clock puts anywhere.
                let oldest = clock.wall().min(clock.now()) - REMEMBERED;
                if let Err(error) = store.forget_commands(first_at(oldest)).await {
                    tracing::warn!(error = %error, "old commands not forgotten; tried again in an hour");
                }
            }
        };
        stop.run_until_cancelled(forget).await;
    })
}
