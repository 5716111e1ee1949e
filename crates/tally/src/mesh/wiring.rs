//! The services put together: consumers, timers, routes.

use std::sync::Arc;
use std::time::Duration;

use tally_audit::{Audit, RebuildTarget};
use tally_eventlog::clock::Clock;
use tally_eventlog::consumer::{Consumer, ConsumerHandle, ConsumerOptions};
use tally_eventlog::shard::LogName;
use tally_eventlog::store::EventStore;
use tally_eventlog::timer::Timer;
use tally_sanctions::CheckOptions;
use tally_service::jws::Signer;
use tally_service::log_service::Logs;
use tally_service::open_streams::OpenStreams;
use tally_service::wiring::{ConsumerSpec, Readers, TimerSpec};
use tally_service::{Deps, Sources, logs};
use tally_store_sqlite::SqliteStore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;

use super::MeshOptions;
use crate::node::NodeState;

/// Puts the services together.
pub(super) fn wire(
    deps: &Deps,
    options: &MeshOptions,
    wiring: &mut Wiring,
    stop: &CancellationToken,
    signer: Arc<Signer>,
    node: NodeState,
) -> (Routes, HealthReporter) {
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
    let of = |log: LogName| (log, deps.sources.of(log).clone());
    let all_logs: Logs = logs::ALL.into_iter().map(of).collect();
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
        .add_service(tally_collection::server_with(
            collection,
            readers,
            OpenStreams::new(stop.clone()),
        ))
        .add_service(tally_lists::server_with(
            lists,
            readers,
            OpenStreams::new(stop.clone()),
        ))
        .add_service(tally_sanctions::server_with(
            sanctions,
            readers,
            checks,
            OpenStreams::new(stop.clone()),
            Some(signer),
        ))
        .add_service(tally_feedback::server_with(
            feedback,
            readers,
            OpenStreams::new(stop.clone()),
        ))
        .add_service(tally_audit::server(audit))
        .add_service(tally_service::log_service::server(all_logs))
        .add_service(crate::node::server(
            node,
            deps.catalogue.clone(),
            readers.clone(),
        ));
    tally_rpc::with_standard_services(routes)
}

/// What has been started, and for what.
pub(super) struct Wiring {
    store: Arc<SqliteStore>,
    sources: Sources,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    pub(super) readers: Readers,
    pub(super) consumers: Vec<ConsumerHandle>,
    pub(super) tasks: Vec<JoinHandle<()>>,
    rebuild: Vec<RebuildTarget>,
}

impl Wiring {
    pub(super) fn new(
        store: Arc<SqliteStore>,
        sources: Sources,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            store,
            sources,
            clock,
            stop,
            readers: Readers::default(),
            consumers: Vec::new(),
            tasks: Vec::new(),
            rebuild: Vec::new(),
        }
    }

    fn start(&mut self, specs: Vec<ConsumerSpec>) {
        for spec in specs {
            let store: Arc<dyn EventStore> = self.store.clone();
            let source = self.sources.of(spec.source).clone();
            self.rebuild.push(RebuildTarget {
                consumer: spec.name,
                log: spec.source,
                source: source.clone(),
                projection: spec.projection.clone(),
                store: store.clone(),
            });
            let consumer = Consumer {
                name: spec.name,
                log: spec.source,
                source,
                store,
                projection: spec.projection,
                process: spec.process,
                clock: self.clock.clone(),
                epoch: self.store.epoch(),
                options: ConsumerOptions {
                    idle_checkpoint: spec.idle_checkpoint,
                    gather: spec.gather,
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
