//! The mesh in one process: all roles over one SQLite store, wired together.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tally_audit::{Audit, RebuildTarget};
use tally_auth::{AuthLayer, OfficerDirectory, Rules};
use tally_domain::department::{DepartmentId, OfficerId};
use tally_eventlog::BoxError;
use tally_eventlog::clock::{Clock, MovableClock, SystemClock};
use tally_eventlog::consumer::{Consumer, ConsumerHandle, ConsumerOptions};
use tally_eventlog::execute::Executor;
use tally_eventlog::group::{GroupOptions, SpanLinker};
use tally_eventlog::ids::{REMEMBERED, first_at};
use tally_eventlog::sealing::{KeyRing, KeyRingError, PseudonymKind};
use tally_eventlog::shard::{LogName, ShardCount};
use tally_eventlog::store::{EventStore, LogSource, StoreError};
use tally_eventlog::timer::Timer;
use tally_rpc::{ServeError, ServeLimits};
use tally_sanctions::CheckOptions;
use tally_service::log_service::Logs;
use tally_service::wiring::{ConsumerSpec, Readers, TimerSpec};
use tally_service::{Catalogue, Deps, logs};
use tally_store_sqlite::keyring::{OpenKeyRingError, SqliteKeyStore};
use tally_store_sqlite::{CreateOptions, OpenError, SqliteOptions, SqliteStore};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::data_dir::{DataDir, DataDirError};
use crate::node::{NodeState, TestClock};

/// How a mesh is started.
#[derive(Debug, Clone)]
pub struct MeshOptions {
    /// The data directory; made at the first start.
    pub dir: DataDir,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Creates the store with a movable clock that starts at this time.
    pub test_clock: Option<Timestamp>,
    /// Shards of a new store; an existing one keeps its own.
    pub shards: ShardCount,
    /// How old what is known of `lists` may be for a check to be answered.
    pub check_freshness: Duration,
}

impl MeshOptions {
    /// A mesh in a directory, on a free port of this machine.
    pub fn in_dir(dir: DataDir) -> Self {
        Self {
            dir,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            test_clock: None,
            shards: ShardCount::default(),
            check_freshness: CheckOptions::default().freshness,
        }
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
    /// A movable clock is a matter of creation.
    #[error(
        "the store in {dir} was created without a movable clock; use a new directory for --test-clock"
    )]
    ClockFixed {
        /// The directory.
        dir: String,
    },
}

/// A running mesh.
pub struct Mesh {
    /// Where it listens.
    pub address: SocketAddr,
    /// How long the start took.
    pub started_in: Duration,
    /// Its store.
    pub store: Arc<SqliteStore>,
    /// Its key ring.
    pub keyring: Arc<KeyRing>,
    /// The policy packs it follows.
    pub catalogue: Arc<Catalogue>,
    /// How far its consumers are.
    pub readers: Readers,
    /// Its clock.
    pub clock: Arc<dyn Clock>,
    key_store: Arc<SqliteKeyStore>,
    consumers: Vec<ConsumerHandle>,
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
        options.dir.create()?;
        let (clock, store) = open_store(&options).await?;
        let (keyring, key_store) = open_keyring(&options.dir).await?;
        let tls = options.dir.server_tls()?;
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

        let stop_readers = CancellationToken::new();
        let source: Arc<dyn LogSource> = store.clone();
        let catalogue = Catalogue::follow(source, stop_readers.clone()).await?;
        let shared = clock.shared();
        let deps = Deps {
            log: logs::CATALOG,
            store: store.clone(),
            executor: Executor {
                store: store.clone(),
                clock: shared.clone(),
            },
            keyring: keyring.clone(),
            catalogue: catalogue.clone(),
            clock: shared.clone(),
        };
        let mut wiring = Wiring {
            store: store.clone(),
            clock: shared.clone(),
            epoch: store.epoch(),
            stop: stop_readers.clone(),
            readers: Readers::default(),
            consumers: Vec::new(),
            tasks: Vec::new(),
            rebuild: Vec::new(),
        };
        let routes = wire(
            &deps,
            &options,
            &mut wiring,
            NodeState {
                store: store.clone(),
                clock,
            },
        );
        wiring.tasks.push(forget_old_commands(
            store.clone(),
            shared.clone(),
            stop_readers.clone(),
        ));

        let stop_serving = CancellationToken::new();
        let server = serve(listener, tls, routes, keyring.clone(), stop_serving.clone());
        options.dir.write_endpoint(&format!("https://{address}"))?;
        Ok(Self {
            address,
            started_in: began.elapsed(),
            store,
            keyring,
            catalogue,
            readers: wiring.readers,
            clock: shared,
            key_store,
            consumers: wiring.consumers,
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
        self.stop_serving.cancel();
        if let Ok(Err(error)) = self.server.await {
            tracing::warn!(error = %error, "server ended with an error");
        }
        self.stop_readers.cancel();
        for consumer in self.consumers {
            consumer.join().await;
        }
        for task in self.tasks {
            // A task that panicked has been reported by the runtime.
            let _ = task.await;
        }
        self.key_store.close().await;
        self.store.close().await
    }
}

/// Puts the services together.
fn wire(deps: &Deps, options: &MeshOptions, wiring: &mut Wiring, node: NodeState) -> Routes {
    let collection = deps.on(logs::COLLECTION);
    let lists = deps.on(logs::LISTS);
    let sanctions = deps.on(logs::SANCTIONS);
    let feedback = deps.on(logs::FEEDBACK);
    wiring.start(tally_collection::consumers(&collection));
    wiring.start(tally_lists::consumers(&lists));
    wiring.start(tally_sanctions::consumers(&sanctions));
    wiring.start(tally_feedback::consumers(&feedback));
    wiring.start_timers(tally_lists::timers(&lists));
    wiring.start_timers(tally_feedback::timers(&feedback));

    let readers = &wiring.readers;
    let source: Arc<dyn LogSource> = wiring.store.clone();
    let all_logs: Logs = logs::ALL.iter().map(|log| (*log, source.clone())).collect();
    let audit = Audit {
        logs: all_logs.clone(),
        targets: std::mem::take(&mut wiring.rebuild),
        lists_writer: Some(wiring.store.clone()),
        keyring: deps.keyring.clone(),
        clock: deps.clock.clone(),
    };
    let checks = CheckOptions {
        freshness: options.check_freshness,
        ..CheckOptions::default()
    };
    let routes = Routes::new(tally_catalog::server(deps.on(logs::CATALOG)))
        .add_service(tally_collection::server(collection, readers))
        .add_service(tally_lists::server(lists, readers))
        .add_service(tally_sanctions::server_with(sanctions, readers, checks))
        .add_service(tally_feedback::server(feedback, readers))
        .add_service(tally_audit::server(audit))
        .add_service(tally_service::log_service::server(all_logs))
        .add_service(crate::node::server(
            node,
            deps.catalogue.clone(),
            readers.clone(),
        ));
    // Health says "serving" for as long as the process answers at all.
    tally_rpc::with_standard_services(routes).0
}

struct Wiring {
    store: Arc<SqliteStore>,
    clock: Arc<dyn Clock>,
    epoch: u64,
    stop: CancellationToken,
    readers: Readers,
    consumers: Vec<ConsumerHandle>,
    tasks: Vec<JoinHandle<()>>,
    rebuild: Vec<RebuildTarget>,
}

impl Wiring {
    fn start(&mut self, specs: Vec<ConsumerSpec>) {
        for spec in specs {
            let store: Arc<dyn EventStore> = self.store.clone();
            self.rebuild.push(RebuildTarget {
                consumer: spec.name,
                log: spec.source,
                source: self.store.clone(),
                projection: spec.projection.clone(),
                store: store.clone(),
            });
            let consumer = Consumer {
                name: spec.name,
                log: spec.source,
                source: self.store.clone(),
                store,
                projection: spec.projection,
                process: spec.process,
                clock: self.clock.clone(),
                epoch: self.epoch,
                options: ConsumerOptions {
                    idle_checkpoint: spec.idle_checkpoint,
                    ..ConsumerOptions::default()
                },
            };
            let handle = consumer.start(self.stop.clone());
            self.readers.insert(handle.progress().clone());
            self.consumers.push(handle);
        }
    }

    fn start_timers(&mut self, specs: Vec<TimerSpec>) {
        for spec in specs {
            let timer = Timer {
                store: self.store.clone(),
                handler: spec.handler,
                progress: self.readers.get(spec.consumer),
                clock: self.clock.clone(),
                interval: Duration::from_secs(1),
            };
            self.tasks.push(timer.start(self.stop.clone()));
        }
    }
}

fn serve(
    listener: TcpListener,
    tls: tally_rpc::ServerTls,
    routes: Routes,
    keyring: Arc<KeyRing>,
    stop: CancellationToken,
) -> JoinHandle<Result<(), ServeError>> {
    let rules =
        Arc::new(Rules::from_descriptors().expect("a test holds that every call has a rule"));
    let traced = tally_telemetry::ServerTraceLayer::new(rules.paths());
    let directory = Arc::new(KeyRingDirectory { keyring });
    let auth = AuthLayer::new(rules, directory, SystemTime::now);
    let layer = tower::ServiceBuilder::new()
        .layer(traced)
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

async fn open_store(options: &MeshOptions) -> Result<(NodeClock, Arc<SqliteStore>), StartError> {
    let path = options.dir.store();
    let info = SqliteStore::inspect(&path).await?;
    let clock = match (&info, options.test_clock) {
        (Some(info), _) if info.ahead.is_some() => {
            NodeClock::movable(info.ahead.unwrap_or(SignedDuration::ZERO))
        }
        (Some(_), Some(_)) => {
            return Err(StartError::ClockFixed {
                dir: options.dir.path().display().to_string(),
            });
        }
        (Some(_), None) | (None, None) => NodeClock::System(Arc::new(SystemClock::default())),
        (None, Some(start)) => NodeClock::movable(start.duration_since(Timestamp::now())),
    };
    let linker: SpanLinker = Arc::new(|span, parents| {
        for parent in parents {
            tally_telemetry::link(span, parent);
        }
    });
    let store = SqliteStore::open(SqliteOptions {
        path,
        logs: logs::ALL.to_vec(),
        shards: info.map_or(options.shards, |info| info.shards),
        clock: clock.shared(),
        group: GroupOptions::default(),
        linker: Some(linker),
        create: Some(CreateOptions {
            test_clock: clock.ahead(),
        }),
    })
    .await?;
    Ok((clock, Arc::new(store)))
}

/// The clock of this process.
#[derive(Clone)]
pub enum NodeClock {
    /// The system's.
    System(Arc<SystemClock>),
    /// One that can be moved.
    Movable(Arc<MovableClock>),
}

impl NodeClock {
    fn movable(ahead: SignedDuration) -> Self {
        Self::Movable(Arc::new(MovableClock::new(ahead)))
    }

    fn shared(&self) -> Arc<dyn Clock> {
        match self {
            Self::System(clock) => clock.clone(),
            Self::Movable(clock) => clock.clone(),
        }
    }

    fn ahead(&self) -> Option<SignedDuration> {
        self.test_clock().map(|clock| clock.ahead())
    }

    /// The movable clock, if it is one.
    pub fn test_clock(&self) -> Option<&TestClock> {
        match self {
            Self::System(_) => None,
            Self::Movable(clock) => Some(clock),
        }
    }
}

async fn open_keyring(dir: &DataDir) -> Result<(Arc<KeyRing>, Arc<SqliteKeyStore>), StartError> {
    let master = dir.master_key()?;
    let store = Arc::new(SqliteKeyStore::open(dir.keyring()).await?);
    let keyring = KeyRing::new(store.clone(), master);
    keyring.verify_master_key().await?;
    Ok((Arc::new(keyring), store))
}

/// Officers' ids are pseudonyms of the key ring.
struct KeyRingDirectory {
    keyring: Arc<KeyRing>,
}

#[async_trait]
impl OfficerDirectory for KeyRingDirectory {
    async fn officer_id(
        &self,
        department: &DepartmentId,
        number: &str,
    ) -> Result<OfficerId, BoxError> {
        // A number means something within its department only.
        let identifier = format!("{department}/{number}");
        let id = self
            .keyring
            .pseudonym(PseudonymKind::Officer, &identifier)
            .await?;
        Ok(OfficerId(id))
    }
}

/// Once an hour, forgets the commands whose ids would be refused as too old.
fn forget_old_commands(
    store: Arc<SqliteStore>,
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

/// Names of the logs of a mesh in one process.
pub const LOGS: [LogName; 7] = logs::ALL;
