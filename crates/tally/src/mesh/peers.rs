//! The other processes of the mesh, and how their logs are read from here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tally_bus_kafka::{
    Access, KafkaOptions, KafkaSource, KafkaTransport, OptionsError, SourceOptions, TopicError,
    TopicOptions, log_topic, prepare_topic, published_topic,
};
use tally_domain::department::DepartmentId;
use tally_eventlog::clock::Clock;
use tally_eventlog::relay::{Relay, RelayOptions};
use tally_eventlog::shard::{LogName, ShardCount};
use tally_eventlog::store::{EventStore, LogSource};
use tally_eventlog::throttle::Throttle;
use tally_rpc::ConnectError;
use tally_service::published::{self, Publication};
use tally_service::remote_log::{RemoteLog, RemoteLogError};
use tally_service::{Deps, Sources, logs};

use super::shares::Shares;
use tonic::Status;
use tonic::transport::Channel;

use crate::data_dir::{DataDir, DataDirError};
use crate::role::Role;

/// Pause before an owner that did not answer is asked again.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Where the other roles are.
#[derive(Debug, Clone)]
pub struct Peers {
    /// Address of each role, in the order of [`Role::ALL`].
    pub endpoints: [String; Role::ALL.len()],
    /// The cluster over which records come and go.
    pub kafka: KafkaOptions,
    /// What topics of this role's logs are created with.
    pub topics: TopicOptions,
    /// What outsiders are told over topics of their own.
    pub publish: Publish,
}

/// What outsiders are told over topics, beside the streams; nothing unless said.
#[derive(Debug, Clone, Default)]
pub struct Publish {
    /// The province: all feedback.
    pub feedback: bool,
    /// The public: changes of lists.
    pub list_changes: bool,
    /// One department: new registrations, as far as they are shared with it.
    pub registrations_to: Option<DepartmentId>,
}

impl Publish {
    /// The topics that are switched on, each with the role whose log it is made of.
    pub fn topics(&self) -> Vec<(Role, &'static str)> {
        let mut topics = Vec::new();
        if self.feedback {
            topics.push((Role::Feedback, published::FEEDBACK));
        }
        if self.list_changes {
            topics.push((Role::Lists, published::LIST_CHANGES));
        }
        if self.registrations_to.is_some() {
            topics.push((Role::Collection, published::REGISTRATIONS));
        }
        topics
    }

    /// What a role tells.
    pub(super) fn of(&self, role: Role, deps: &Deps) -> Option<Publication> {
        match role {
            Role::Feedback if self.feedback => Some(tally_feedback::publication()),
            Role::Lists if self.list_changes => {
                Some(tally_lists::publication(deps.on(logs::LISTS)))
            }
            Role::Collection => {
                let reader = self.registrations_to.clone()?;
                let deps = deps.on(logs::COLLECTION);
                Some(tally_collection::publication(deps, reader))
            }
            _ => None,
        }
    }
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
    /// The topic of a log cannot be used.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// A setting of Kafka cannot be used.
    #[error(transparent)]
    Kafka(#[from] OptionsError),
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

/// Another role's log, once its owner answers.
async fn found(
    owner: Role,
    log: LogName,
    endpoint: &str,
    channel: &Channel,
) -> Result<RemoteLog, PeerError> {
    static THROTTLE: Throttle = Throttle::minutely();
    loop {
        match RemoteLog::connect(log, channel.clone()).await {
            Ok(remote) => return Ok(remote),
            Err(RemoteLogError::Unavailable { status, .. }) if may_come(&status) => {
                let reason = status.message();
                if THROTTLE.pass(&format!("{endpoint}: {reason}")).is_some() {
                    tracing::warn!(%owner, endpoint, reason, "waits for another role");
                }
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            Err(source) => {
                return Err(PeerError::Log {
                    role: owner,
                    source,
                });
            }
        }
    }
}

/// Whether what answers, or nobody, may be the owner of a log later. Who refuses
/// the certificate or has another role will do so again.
fn may_come(status: &Status) -> bool {
    use tonic::Code::{NotFound, PermissionDenied, Unauthenticated, Unimplemented};
    !matches!(
        status.code(),
        NotFound | PermissionDenied | Unauthenticated | Unimplemented
    )
}

impl Peers {
    /// The logs that a role reads: its own from its store, the others from
    /// their owners. Waits for owners that do not answer yet.
    pub(super) async fn sources(
        &self,
        role: Role,
        store: &Arc<dyn EventStore>,
        dir: &DataDir,
        clock: &Arc<dyn Clock>,
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
            let remote = found(owner, *log, endpoint, &channel).await?;
            let (theirs, ours) = (remote.shards().get(), store.shards().get());
            // The audit role has no log whose order could differ.
            if theirs != ours && role != Role::Audit {
                return Err(PeerError::ShardCount {
                    log: *log,
                    theirs,
                    ours,
                });
            }
            let remote = Arc::new(remote);
            if role == Role::Audit {
                // It follows nothing: it reads when it is asked.
                logs.insert(*log, remote);
                continue;
            }
            let topic = log_topic(&self.kafka, *log);
            self.prepare(&topic, remote.shards(), Access::Reader)
                .await?;
            let (clock, options) = (clock.clone(), SourceOptions::default());
            let source = KafkaSource::open(&self.kafka, *log, remote, clock, options)?;
            logs.insert(*log, Arc::new(source));
        }
        for log in role.logs() {
            logs.insert(*log, store.clone());
        }
        Ok(Sources::new(logs))
    }

    /// Relays that hand a role's logs to those who follow them, and tell
    /// outsiders what they may know.
    pub(super) async fn relays(
        &self,
        role: Role,
        events: Arc<dyn EventStore>,
        deps: &Deps,
        shares: &mut Shares,
    ) -> Result<Vec<Relay>, PeerError> {
        let mut relay = |name, log, transport| Relay {
            name,
            log,
            store: events.clone(),
            transport: Arc::new(transport),
            held: shares.join(name, events.shards()),
            options: RelayOptions::default(),
        };
        let access = Access::Owner(&self.topics);
        let mut relays = Vec::new();
        for (log, name) in role.relays() {
            let topic = log_topic(&self.kafka, log);
            self.prepare(&topic, events.shards(), access).await?;
            let transport = KafkaTransport::new(&self.kafka, log)?;
            let transport = transport.keeping(&self.kafka, self.topics.clone(), events.shards());
            relays.push(relay(name, log, transport));
        }
        if let Some(publication) = self.publish.of(role, deps) {
            let topic = published_topic(&self.kafka, publication.topic);
            self.prepare(&topic, events.shards(), access).await?;
            let outward = publication.outward;
            let transport = KafkaTransport::published(&self.kafka, publication.topic, outward)?;
            let transport = transport.keeping(&self.kafka, self.topics.clone(), events.shards());
            relays.push(relay(publication.relay, publication.log, transport));
        }
        Ok(relays)
    }

    /// Finds or creates a topic. A cluster that is away keeps no role from its
    /// commands: what was to be delivered waits in the log.
    async fn prepare(
        &self,
        topic: &str,
        shards: ShardCount,
        access: Access<'_>,
    ) -> Result<(), PeerError> {
        match prepare_topic(&self.kafka, topic, shards, access).await {
            Ok(()) => Ok(()),
            Err(
                error @ (TopicError::Unreachable { .. }
                | TopicError::Missing { .. }
                | TopicError::Refused { .. }),
            ) => {
                tracing::warn!(topic, error = %error, "goes on without the topic");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}
