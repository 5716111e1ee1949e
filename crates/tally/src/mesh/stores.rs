//! Clock, store and key ring of a process.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tally_auth::OfficerDirectory;
use tally_domain::department::{DepartmentId, OfficerId};
use tally_eventlog::BoxError;
use tally_eventlog::clock::{Clock, MovableClock, SystemClock};
use tally_eventlog::group::{GroupOptions, SpanLinker};
use tally_eventlog::sealing::{KeyRing, PseudonymKind};
use tally_eventlog::store::LogSource as _;
use tally_store_sqlite::keyring::SqliteKeyStore;
use tally_store_sqlite::{CreateOptions, SqliteOptions, SqliteStore};

use super::{MeshOptions, StartError};
use crate::data_dir::{DataDir, DataDirError};
use crate::node::TestClock;

pub(super) async fn open_store(
    options: &MeshOptions,
) -> Result<(NodeClock, Arc<SqliteStore>), StartError> {
    let path = options.dir.store(options.extent.role());
    let info = SqliteStore::inspect(&path).await?;
    let whole = options.extent.role().is_none();
    if whole && info.is_none() && options.dir.keyring().exists() {
        // A first start makes the store before the key ring, so this one had a store.
        return Err(DataDirError::StoreMissing { path }.into());
    }
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
        logs: options.extent.logs(),
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

    pub(super) fn shared(&self) -> Arc<dyn Clock> {
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

pub(super) async fn open_keyring(
    dir: &DataDir,
    records: &SqliteStore,
) -> Result<(Arc<KeyRing>, Arc<SqliteKeyStore>), StartError> {
    // A first start that was cut off leaves a store without key ring, but also without records.
    if !dir.keyring().exists() && has_records(records).await? {
        let path = dir.keyring();
        return Err(DataDirError::KeyRingMissing { path }.into());
    }
    let master = dir.master_key()?;
    let store = Arc::new(SqliteKeyStore::open(dir.keyring()).await?);
    let keyring = KeyRing::new(store.clone(), master);
    keyring.verify_master_key().await?;
    Ok((Arc::new(keyring), store))
}

/// Makes what the processes of a mesh share, before the first of them starts:
/// two that make it at once would be in each other's way.
///
/// # Errors
///
/// [`StartError`]; it says what to do. What was made is kept.
pub async fn init(dir: &DataDir) -> Result<(), StartError> {
    dir.init()?;
    let store = Arc::new(SqliteKeyStore::open(dir.keyring()).await?);
    let keyring = KeyRing::new(store.clone(), dir.master_key()?);
    keyring.verify_master_key().await?;
    store.close().await;
    Ok(dir.verify_shared()?)
}

async fn has_records(store: &SqliteStore) -> Result<bool, StartError> {
    for log in store.logs() {
        let heads = store.heads(log).await?;
        if heads.iter().any(|head| head.size() > 0) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Officers' ids are pseudonyms of the key ring.
pub(super) struct KeyRingDirectory {
    pub(super) keyring: Arc<KeyRing>,
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
