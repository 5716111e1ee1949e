//! The conformance suite on the SQLite store.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tally_eventlog::archive::conformance::ArchiveFixture;
use tally_eventlog::archive::{ArchiveError, Found, Parts, Source, StoreFacts, Target};
use tally_eventlog::conformance::{Fixture, Setup};
use tally_eventlog::store::EventStore;
use tally_store_sqlite::{CreateOptions, SqliteOptions, SqliteSnapshot, SqliteStore, SqliteTarget};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// A directory with one store. The store's tasks run on a runtime of their
/// own: shutting it down stops them between two steps, as a crash would.
struct Sqlite {
    directory: TempDir,
    runtime: Option<Runtime>,
}

/// Ends a runtime and all that runs on it. That blocks, so it is done elsewhere.
async fn shut_down(runtime: Runtime) {
    let end = move || runtime.shutdown_timeout(Duration::from_secs(30));
    tokio::task::spawn_blocking(end)
        .await
        .expect("it does not panic");
}

#[async_trait]
impl Fixture for Sqlite {
    async fn create() -> Self {
        Self {
            directory: TempDir::new().expect("a temporary directory"),
            runtime: None,
        }
    }

    async fn open(&mut self, setup: &Setup) -> Arc<dyn EventStore> {
        if let Some(runtime) = self.runtime.take() {
            shut_down(runtime).await;
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        let runtime = self.runtime.insert(runtime.expect("a runtime"));
        let options = SqliteOptions {
            path: self.directory.path().join("store.db"),
            logs: setup.logs.clone(),
            shards: setup.shards,
            clock: setup.clock.clone(),
            group: setup.group.clone(),
            linker: None,
            create: Some(CreateOptions::default()),
        };
        let opened = runtime
            .spawn(SqliteStore::open(options))
            .await
            .expect("no panic");
        Arc::new(opened.expect("the store opens"))
    }

    async fn restore(&mut self, setup: &Setup) {
        if let Some(runtime) = self.runtime.take() {
            shut_down(runtime).await;
        }
        let path = self.directory.path().join("store.db");
        let renewed = SqliteStore::renew_log_ids(&path, &setup.logs, setup.shards);
        renewed.await.expect("nobody has it open");
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

tally_eventlog::event_store_conformance!(Sqlite);

/// Puts what was loaded into its place.
struct Placed(Option<SqliteTarget>);

#[async_trait]
impl Target for Placed {
    async fn found(&mut self, facts: &StoreFacts) -> Result<Found, ArchiveError> {
        self.0.as_mut().expect("not placed yet").found(facts).await
    }

    async fn load(&mut self, parts: &mut dyn Parts) -> Result<(), ArchiveError> {
        self.0.as_mut().expect("not placed yet").load(parts).await?;
        self.0.take().expect("not placed yet").finish().await
    }
}

#[async_trait]
impl ArchiveFixture for Sqlite {
    async fn source(&mut self, setup: &Setup) -> Box<dyn Source> {
        let path = self.directory.path().join("store.db");
        let opened = SqliteSnapshot::open(&path, &setup.logs).await;
        Box::new(opened.expect("it can be read"))
    }

    async fn target(&mut self, setup: &Setup) -> Box<dyn Target> {
        if let Some(runtime) = self.runtime.take() {
            shut_down(runtime).await;
        }
        let path = self.directory.path().join("store.db");
        let target = SqliteTarget::at(&path, Some(setup.shards));
        Box::new(Placed(Some(target.expect("nobody has it"))))
    }
}

mod archives {
    tally_eventlog::archive_conformance!(super::Sqlite);
}
