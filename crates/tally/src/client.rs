//! A client of the contracts: what the command line and the demo call with.

use std::path::Path;

use tally_proto::tally::audit::v1::audit_service_client::AuditServiceClient;
use tally_proto::tally::catalog::v1::catalog_service_client::CatalogServiceClient;
use tally_proto::tally::collection::v1::collection_service_client::CollectionServiceClient;
use tally_proto::tally::feedback::v1::feedback_service_client::FeedbackServiceClient;
use tally_proto::tally::lists::v1::lists_service_client::ListsServiceClient;
use tally_proto::tally::log::v1::Receipt;
use tally_proto::tally::log::v1::log_service_client::LogServiceClient;
use tally_proto::tally::node::v1::node_service_client::NodeServiceClient;
use tally_proto::tally::sanctions::v1::sanctions_service_client::SanctionsServiceClient;
use tally_proto::tally::sanctions::v1::{ConsistencyToken, ShardBasis};
use tally_rpc::{ClientTls, ConnectError};
use tally_telemetry::TraceInterceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::data_dir::{DataDir, DataDirError, Endpoints};
use crate::role::Role;

/// A channel that sends the trace along.
pub type Traced = InterceptedService<Channel, TraceInterceptor>;

/// Connections to the roles of a mesh, under one certificate.
#[derive(Debug, Clone)]
pub struct Client {
    /// One per role, in order; all the same where one process has all roles.
    channels: [Channel; Role::ALL.len()],
    /// Which of them lead to a process of their own.
    processes: Vec<Role>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The data directory lacks what is needed.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// Nobody answers there, or not as expected.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

impl Client {
    /// Connects to a process that has all roles.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]; it says what to check.
    pub async fn connect(endpoint: &str, tls: &ClientTls) -> Result<Self, ConnectError> {
        let channel = tally_rpc::connect(endpoint, tls).await?;
        Ok(Self {
            channels: std::array::from_fn(|_| channel.clone()),
            processes: vec![Role::Catalog],
        })
    }

    /// To a mesh with a process per role: connects to each at its first call,
    /// so that one that is away keeps nobody from the others.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]: correct the addresses or the certificate.
    pub fn of_roles(
        endpoint: impl Fn(Role) -> String,
        tls: &ClientTls,
    ) -> Result<Self, ConnectError> {
        let connect = |role| tally_rpc::connect_lazy(&endpoint(role), tls);
        let channels: Result<Vec<Channel>, _> = Role::ALL.into_iter().map(connect).collect();
        let channels = channels?.try_into();
        Ok(Self {
            channels: channels.expect("one channel per role"),
            processes: Role::ALL.to_vec(),
        })
    }

    /// Connects to the mesh of a data directory under one of its certificates.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; it says what to do first.
    pub async fn of_dir(dir: &Path, certificate: &str) -> Result<Self, ClientError> {
        let dir = DataDir::new(dir);
        let endpoints = dir.endpoints()?;
        Ok(Self::of_endpoints(&endpoints, &dir.client_tls(certificate)?).await?)
    }

    /// Connects to a mesh, wherever its roles are.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]; it says what to check.
    pub async fn of_endpoints(
        endpoints: &Endpoints,
        tls: &ClientTls,
    ) -> Result<Self, ConnectError> {
        match endpoints {
            Endpoints::One(endpoint) => Self::connect(endpoint, tls).await,
            Endpoints::PerRole(of) => Self::of_roles(|role| of[role as usize].clone(), tls),
        }
    }

    /// One role of each process: where to ask what every process answers for itself.
    pub fn processes(&self) -> &[Role] {
        &self.processes
    }

    fn channel(&self, role: Role) -> Channel {
        self.channels[role as usize].clone()
    }

    /// The catalogue.
    pub fn catalog(&self) -> CatalogServiceClient<Traced> {
        CatalogServiceClient::with_interceptor(self.channel(Role::Catalog), TraceInterceptor)
    }

    /// Collection.
    pub fn collection(&self) -> CollectionServiceClient<Traced> {
        CollectionServiceClient::with_interceptor(self.channel(Role::Collection), TraceInterceptor)
    }

    /// Lists.
    pub fn lists(&self) -> ListsServiceClient<Traced> {
        ListsServiceClient::with_interceptor(self.channel(Role::Lists), TraceInterceptor)
    }

    /// Sanctions.
    pub fn sanctions(&self) -> SanctionsServiceClient<Traced> {
        SanctionsServiceClient::with_interceptor(self.channel(Role::Sanctions), TraceInterceptor)
    }

    /// Feedback.
    pub fn feedback(&self) -> FeedbackServiceClient<Traced> {
        FeedbackServiceClient::with_interceptor(self.channel(Role::Feedback), TraceInterceptor)
    }

    /// Audit.
    pub fn audit(&self) -> AuditServiceClient<Traced> {
        AuditServiceClient::with_interceptor(self.channel(Role::Audit), TraceInterceptor)
    }

    /// What the process of a role says of its own logs and views.
    pub fn audit_of(&self, role: Role) -> AuditServiceClient<Traced> {
        AuditServiceClient::with_interceptor(self.channel(role), TraceInterceptor)
    }

    /// The logs of a role.
    pub fn log(&self, role: Role) -> LogServiceClient<Traced> {
        LogServiceClient::with_interceptor(self.channel(role), TraceInterceptor)
    }

    /// The process of a role.
    pub fn node(&self, role: Role) -> NodeServiceClient<Traced> {
        NodeServiceClient::with_interceptor(self.channel(role), TraceInterceptor)
    }
}

/// A new command id: a UUIDv7 of the system's clock.
pub fn command_id() -> String {
    Uuid::now_v7().to_string()
}

/// The token by which an answer has seen what a receipt of `lists` stands for.
pub fn token_of(receipt: &Receipt) -> ConsistencyToken {
    let shard = ShardBasis {
        shard: receipt.shard,
        lists: receipt.position + 1,
        lists_log_id: receipt.log_id.clone(),
        ..ShardBasis::default()
    };
    ConsistencyToken {
        shards: vec![shard],
        ..ConsistencyToken::default()
    }
}
