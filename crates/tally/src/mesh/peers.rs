//! The other processes of the mesh, and how their logs are read from here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tally_eventlog::shard::LogName;
use tally_eventlog::store::LogSource;
use tally_rpc::ConnectError;
use tally_service::Sources;
use tally_service::remote_log::{RemoteLog, RemoteLogError};
use tally_store_sqlite::SqliteStore;

use crate::data_dir::{DataDir, DataDirError};
use crate::role::Role;

/// Pause before an owner that did not answer is asked again.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Where the other roles are.
#[derive(Debug, Clone)]
pub struct Peers {
    /// Address of each role, in the order of [`Role::ALL`].
    pub endpoints: [String; Role::ALL.len()],
}

/// Why another role's log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The certificate of this role cannot be read or issued.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The address or the certificate cannot be used.
    #[error("role {role}: {source}")]
    Connect {
        /// The role.
        role: Role,
        /// What is wrong.
        source: ConnectError,
    },
    /// Its log cannot be read.
    #[error("role {role}: {source}")]
    Log {
        /// The role.
        role: Role,
        /// What is wrong.
        source: RemoteLogError,
    },
    /// All about a subject must be on one shard of every log.
    #[error(
        "log `{log}` has {theirs} shards and this role's store {ours}; a mesh has one number of shards: \
         create the newer of the two again with the other's"
    )]
    ShardCount {
        /// The log.
        log: LogName,
        /// Shards of the other role's log.
        theirs: u16,
        /// Shards of this role's store.
        ours: u16,
    },
}

impl Peers {
    /// The logs that a role reads: its own from its store, the others from
    /// their owners. Waits for owners that do not answer yet.
    pub(super) async fn sources(
        &self,
        role: Role,
        store: &Arc<SqliteStore>,
        dir: &DataDir,
    ) -> Result<Sources, PeerError> {
        let tls = dir.mesh_tls(role)?;
        let mut logs: HashMap<LogName, Arc<dyn LogSource>> = HashMap::new();
        for log in role.reads() {
            let owner = Role::owner_of(*log);
            let endpoint = &self.endpoints[owner as usize];
            let channel =
                tally_rpc::connect_lazy(endpoint, &tls).map_err(|source| PeerError::Connect {
                    role: owner,
                    source,
                })?;
            let remote = loop {
                match RemoteLog::connect(*log, channel.clone()).await {
                    Ok(remote) => break remote,
                    Err(RemoteLogError::Unavailable { status, .. }) => {
                        tracing::info!(%log, endpoint, reason = status.message(), "waits for the owner");
                        tokio::time::sleep(RETRY_PAUSE).await;
                    }
                    Err(source) => {
                        return Err(PeerError::Log {
                            role: owner,
                            source,
                        });
                    }
                }
            };
            let (theirs, ours) = (remote.shards().get(), store.shards().get());
            // The audit role has no log whose order could differ.
            if theirs != ours && role != Role::Audit {
                return Err(PeerError::ShardCount {
                    log: *log,
                    theirs,
                    ours,
                });
            }
            logs.insert(*log, Arc::new(remote));
        }
        for log in role.logs() {
            logs.insert(*log, store.clone());
        }
        Ok(Sources::new(logs))
    }
}
