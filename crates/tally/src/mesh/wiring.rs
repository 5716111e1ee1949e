//! The services put together: consumers, timers, routes.

use std::sync::Arc;
use std::time::Duration;

use tally_audit::{Audit, RebuildTarget};
use tally_eventlog::clock::Clock;
use tally_eventlog::consumer::{Consumer, ConsumerHandle, ConsumerOptions};
use tally_eventlog::relay::{Relay, RelayHandle};
use tally_eventlog::shard::LogName;
use tally_eventlog::store::EventStore;
use tally_eventlog::timer::Timer;
use tally_sanctions::CheckOptions;
use tally_service::jws::Signer;
use tally_service::log_service::Logs;
use tally_service::open_streams::OpenStreams;
use tally_service::wiring::{ConsumerSpec, Readers, TimerSpec};
use tally_service::{Deps, Sources, logs};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;

use super::shares::Shares;
use super::{MeshOptions, Store};
use crate::node::{Divergences, NodeState, Parked};
use crate::role::Role;

/// Puts the services of a process together.
pub(super) fn wire(
    deps: &Deps,
    options: &MeshOptions,
    wiring: &mut Wiring,
    stop: &CancellationToken,
    signer: &Arc<Signer>,
    node: NodeState,
) -> (Routes, HealthReporter) {
    let mut routes = Routes::default();
    for role in options.extent.roles() {
        let (consumers, timers) = needs(*role, deps);
        wiring.start(consumers);
        wiring.start_timers(timers);
        routes = match role {
            Role::Catalog => routes.add_service(tally_catalog::server(deps.on(logs::CATALOG))),
            Role::Collection => {
                let deps = deps.on(logs::COLLECTION);
                let open = OpenStreams::new(stop.clone());
                routes.add_service(tally_collection::server_with(deps, &wiring.readers, open))
            }
            Role::Lists => {
                let deps = deps.on(logs::LISTS);
                let open = OpenStreams::new(stop.clone());
                routes.add_service(tally_lists::server_with(deps, &wiring.readers, open))
            }
            Role::Sanctions => {
                let deps = deps.on(logs::SANCTIONS);
                let checks = CheckOptions {
                    freshness: options.check_freshness,
                    ..CheckOptions::default()
                };
                let open = OpenStreams::new(stop.clone());
                let signer = Some(signer.clone());
                routes.add_service(tally_sanctions::server_with(
                    deps,
                    &wiring.readers,
                    checks,
                    open,
                    signer,
                ))
            }
            Role::Feedback => {
                let deps = deps.on(logs::FEEDBACK);
                let open = OpenStreams::new(stop.clone());
                routes.add_service(tally_feedback::server_with(deps, &wiring.readers, open))
            }
            // Every process answers for its own logs and views, below.
            Role::Audit => routes,
        };
    }
    let own = options.extent.logs();
    let source = |log: LogName| (log, deps.sources.of(log).clone());
    let audited = match options.extent.role() {
        Some(Role::Audit) => logs::ALL.to_vec(),
        _ => own.clone(),
    };
    let audit = Audit {
        logs: audited.into_iter().map(source).collect(),
        targets: std::mem::take(&mut wiring.rebuild),
        lists_writer: own.contains(&logs::LISTS).then(|| wiring.store.clone()),
        keyring: deps.keyring.clone(),
        clock: deps.clock.clone(),
    };
    let own: Logs = own.into_iter().map(source).collect();
    let (catalogue, readers) = (deps.catalogue.clone(), wiring.readers.clone());
    let parked = Parked::of(&wiring.consumers);
    let divergences = Divergences::of(&wiring.consumers);
    let routes = routes
        .add_service(tally_audit::server(audit))
        .add_service(tally_service::log_service::server(own))
        .add_service(crate::node::server(
            node,
            catalogue,
            readers,
            parked,
            divergences,
        ));
    tally_rpc::with_standard_services(routes)
}

/// The consumers and timers of a role.
fn needs(role: Role, deps: &Deps) -> (Vec<ConsumerSpec>, Vec<TimerSpec>) {
    match role {
        Role::Catalog | Role::Audit => (Vec::new(), Vec::new()),
        Role::Collection => {
            let deps = deps.on(logs::COLLECTION);
            (tally_collection::consumers(&deps), Vec::new())
        }
        Role::Lists => {
            let deps = deps.on(logs::LISTS);
            (tally_lists::consumers(&deps), tally_lists::timers(&deps))
        }
        Role::Sanctions => {
            let deps = deps.on(logs::SANCTIONS);
            (tally_sanctions::consumers(&deps), Vec::new())
        }
        Role::Feedback => {
            let deps = deps.on(logs::FEEDBACK);
            (
                tally_feedback::consumers(&deps),
                tally_feedback::timers(&deps),
            )
        }
    }
}

/// What has been started, and for what.
pub(super) struct Wiring {
    store: Arc<dyn EventStore>,
    pub(super) shares: Shares,
    sources: Sources,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    pub(super) readers: Readers,
    pub(super) consumers: Vec<ConsumerHandle>,
    pub(super) relays: Vec<RelayHandle>,
    pub(super) tasks: Vec<JoinHandle<()>>,
    rebuild: Vec<RebuildTarget>,
}

impl Wiring {
    pub(super) fn new(
        store: &Store,
        lease_term: Duration,
        sources: Sources,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            store: store.events(),
            shares: Shares::of(store, lease_term),
            sources,
            clock,
            stop,
            readers: Readers::default(),
            consumers: Vec::new(),
            relays: Vec::new(),
            tasks: Vec::new(),
            rebuild: Vec::new(),
        }
    }

    fn start(&mut self, specs: Vec<ConsumerSpec>) {
        for spec in specs {
            let store = self.store.clone();
            let source = self.sources.of(spec.source).clone();
            self.rebuild.push(RebuildTarget {
                consumer: spec.name,
                log: spec.source,
                source: source.clone(),
                projection: spec.projection.clone(),
                store: store.clone(),
            });
            let held = self.shares.join(spec.name, source.shards());
            let consumer = Consumer {
                name: spec.name,
                log: spec.source,
                source,
                store,
                projection: spec.projection,
                process: spec.process,
                clock: self.clock.clone(),
                held,
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

    pub(super) fn start_relays(&mut self, relays: Vec<Relay>) {
        for relay in relays {
            let handle = relay.start(self.stop.clone());
            self.readers.insert(handle.progress().clone());
            self.relays.push(handle);
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

#[cfg(test)]
mod tests {
    use tally_domain::department::DepartmentId;
    use tally_eventlog::clock::SystemClock;
    use tally_eventlog::execute::Executor;
    use tally_eventlog::group::GroupOptions;
    use tally_eventlog::memory::MemoryStore;
    use tally_eventlog::sealing::{KeyRing, MasterKey, MemoryKeyStore};
    use tally_eventlog::shard::ShardCount;
    use tally_service::Catalogue;

    use super::*;
    use crate::mesh::Publish;

    async fn deps(stop: &CancellationToken) -> Deps {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let (shards, group) = (ShardCount::default(), GroupOptions::default());
        let store = MemoryStore::open(&logs::ALL, shards, clock.clone(), group, None);
        let store: Arc<dyn EventStore> = Arc::new(store);
        let sources = Sources::all_in(store.clone());
        let catalogue = Catalogue::follow(sources.of(logs::CATALOG).clone(), stop.clone()).await;
        let master = MasterKey::generate().expect("randomness");
        Deps {
            log: logs::CATALOG,
            store: store.clone(),
            sources,
            executor: Executor {
                store,
                clock: clock.clone(),
            },
            keyring: Arc::new(KeyRing::new(Arc::new(MemoryKeyStore::default()), master)),
            catalogue: catalogue.expect("an empty catalogue"),
            clock,
        }
    }

    /// An archive of a store that all roles share is taken apart by the names alone.
    #[tokio::test]
    async fn names_of_consumers_views_and_relays_say_whose_they_are() {
        let stop = CancellationToken::new();
        let deps = deps(&stop).await;
        let publish = Publish {
            feedback: true,
            list_changes: true,
            registrations_to: DepartmentId::parse("11990000MB0000107X").ok(),
        };
        let (mut consumers, mut outward) = (0, 0);
        for role in Role::ALL {
            let (specs, timers) = needs(role, &deps);
            for spec in specs {
                consumers += 1;
                let name = spec.name;
                assert_eq!(Role::of_consumer(name), Some(role), "{name}");
                for view in spec.projection.views() {
                    assert_eq!(Role::of_row(view, b"key"), Some(role), "{view}");
                }
                let parked = [name.as_bytes(), b"\0cn-uscc:1\0"].concat();
                assert_eq!(Role::of_row("parked", &parked), Some(role));
                assert_eq!(Role::of_row("parked.changes", name.as_bytes()), Some(role));
                assert_eq!(Role::of_row("reader.paused", name.as_bytes()), Some(role));
            }
            for timer in timers {
                let view = timer.handler.view();
                assert_eq!(Role::of_row(view, b"key"), Some(role), "{view}");
            }
            for (_, relay) in role.relays() {
                assert_eq!(Role::of_consumer(relay), Some(role), "{relay}");
            }
            if let Some(publication) = publish.of(role, &deps) {
                outward += 1;
                let relay = publication.relay;
                assert_eq!(Role::of_consumer(relay), Some(role), "{relay}");
            }
        }
        assert_eq!(outward, publish.topics().len());
        assert!(consumers >= 9, "{consumers}");
        for nobody in ["list.self", "relay.audit", "parked", "self", ""] {
            assert_eq!(Role::of_consumer(nobody), None, "{nobody}");
        }
        stop.cancel();
    }
}
