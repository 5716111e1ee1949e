//! The conformance suite on the Postgres store.

mod common;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use common::Schema;
use tally_eventlog::archive::conformance::ArchiveFixture;
use tally_eventlog::archive::{ArchiveError, Found, Parts, Source, StoreFacts, Target};
use tally_eventlog::conformance::{Fixture, Setup};
use tally_eventlog::store::EventStore;
use tally_store_postgres::{
    Database, Limits, MigrateOptions, OpenError, PostgresOptions, PostgresSnapshot, PostgresStore,
    PostgresTarget,
};
use tokio::runtime::{Builder, Runtime};

/// A schema with one store. The store's tasks run on a runtime of their own:
/// shutting it down stops them between two steps, as a crash would.
struct Postgres {
    runtime: Option<Runtime>,
    schema: Schema,
}

impl Postgres {
    /// Ends the runtime and all that runs on it, and waits until the database has
    /// decided on what it had been sent.
    async fn crash(&mut self) {
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        // That blocks, so it is done elsewhere.
        let end = move || runtime.shutdown_timeout(Duration::from_secs(30));
        tokio::task::spawn_blocking(end)
            .await
            .expect("it does not panic");
        self.schema
            .run("BEGIN; LOCK TABLE shard_head IN EXCLUSIVE MODE; ROLLBACK")
            .await;
    }
}

#[async_trait]
impl Fixture for Postgres {
    async fn create() -> Self {
        Self {
            runtime: None,
            schema: Schema::new(),
        }
    }

    async fn open(&mut self, setup: &Setup) -> Arc<dyn EventStore> {
        self.crash().await;
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        let runtime = self.runtime.insert(runtime.expect("a runtime"));
        let database = self.schema.database.clone();
        let migrate = migrate(setup);
        let options = PostgresOptions {
            group: setup.group.clone(),
            // Cases hold a transaction open for as long as they like.
            limits: Limits {
                transaction_idle_max: Duration::from_secs(60),
                ..Limits::default()
            },
            ..PostgresOptions::new(
                database.clone(),
                setup.logs.clone(),
                setup.shards,
                setup.clock.clone(),
            )
        };
        let open = async move {
            PostgresStore::migrate(&database, &migrate).await?;
            PostgresStore::open(options).await
        };
        let opened = runtime.spawn(open).await.expect("no panic");
        Arc::new(opened.expect("the store opens"))
    }

    async fn restore(&mut self, setup: &Setup) {
        self.crash().await;
        let renewed = PostgresStore::renew_log_ids(&self.schema.database, &setup.logs);
        renewed.await.expect("nobody has it open");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

tally_eventlog::event_store_conformance!(Postgres);

#[async_trait]
impl ArchiveFixture for Postgres {
    async fn source(&mut self, setup: &Setup) -> Box<dyn Source> {
        let opened = PostgresSnapshot::open(&self.schema.database, &setup.logs).await;
        Box::new(opened.expect("it can be read"))
    }

    async fn target(&mut self, setup: &Setup) -> Box<dyn Target> {
        self.crash().await;
        let migrate = migrate(setup);
        let migrated = PostgresStore::migrate(&self.schema.database, &migrate).await;
        migrated.expect("it is created");
        let database = self.schema.database.clone();
        let target = PostgresTarget::open(&database).await;
        Box::new(Settled {
            target: target.expect("it answers"),
            database,
            setup: setup.clone(),
        })
    }
}

/// A target whose content is settled with the end of the load, and not before.
struct Settled {
    target: PostgresTarget,
    database: Database,
    setup: Setup,
}

#[async_trait]
impl Target for Settled {
    async fn found(&mut self, facts: &StoreFacts) -> Result<Found, ArchiveError> {
        self.target.found(facts).await
    }

    async fn load(&mut self, parts: &mut dyn Parts) -> Result<(), ArchiveError> {
        self.target.load(parts).await?;
        let Setup {
            logs,
            shards,
            clock,
            ..
        } = self.setup.clone();
        let options = PostgresOptions::new(self.database.clone(), logs, shards, clock);
        match PostgresStore::open(options).await {
            Err(OpenError::Unfinished { .. }) => PostgresStore::settle(&self.database)
                .await
                .map_err(ArchiveError::store),
            _ => panic!("it is opened before it is settled"),
        }
    }
}

fn migrate(setup: &Setup) -> MigrateOptions {
    MigrateOptions {
        logs: setup.logs.clone(),
        shards: setup.shards,
        test_clock: None,
    }
}

mod archives {
    tally_eventlog::archive_conformance!(super::Postgres);
}
