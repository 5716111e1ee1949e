//! The conformance suite on the memory store.

use std::sync::Arc;

use async_trait::async_trait;
use tally_eventlog::archive::conformance::ArchiveFixture;
use tally_eventlog::archive::{Source, Target};
use tally_eventlog::conformance::{Fixture, Setup};
use tally_eventlog::memory::{MemoryArchive, MemoryStore};
use tally_eventlog::store::EventStore;

/// The data lives as long as the last store on it.
#[derive(Default)]
struct Memory {
    store: Option<Arc<MemoryStore>>,
}

#[async_trait]
impl Fixture for Memory {
    async fn create() -> Self {
        Self::default()
    }

    async fn open(&mut self, setup: &Setup) -> Arc<dyn EventStore> {
        let clock = setup.clock.clone();
        let store = match self.store.take() {
            Some(store) => store.crash_and_reopen(clock, setup.group.clone()),
            None => MemoryStore::open(&setup.logs, setup.shards, clock, setup.group.clone(), None),
        };
        let store = Arc::new(store);
        self.store = Some(store.clone());
        store
    }

    async fn restore(&mut self, setup: &Setup) {
        let store = self.store.take().expect("it was opened");
        let (clock, group) = (setup.clock.clone(), setup.group.clone());
        self.store = Some(Arc::new(store.restored(usize::MAX, clock, group)));
    }
}

tally_eventlog::event_store_conformance!(Memory);

impl Memory {
    async fn content(&mut self, setup: &Setup) -> MemoryArchive {
        if self.store.is_none() {
            self.open(setup).await;
        }
        self.store.as_ref().expect("it is open").archive()
    }
}

#[async_trait]
impl ArchiveFixture for Memory {
    async fn source(&mut self, setup: &Setup) -> Box<dyn Source> {
        Box::new(self.content(setup).await)
    }

    async fn target(&mut self, setup: &Setup) -> Box<dyn Target> {
        Box::new(self.content(setup).await)
    }
}

mod archives {
    tally_eventlog::archive_conformance!(super::Memory);
}
