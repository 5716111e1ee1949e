//! A client of the contracts: what the command line and the demo call with.

use std::path::Path;

use tally_proto::tally::audit::v1::audit_service_client::AuditServiceClient;
use tally_proto::tally::catalog::v1::catalog_service_client::CatalogServiceClient;
use tally_proto::tally::collection::v1::collection_service_client::CollectionServiceClient;
use tally_proto::tally::feedback::v1::feedback_service_client::FeedbackServiceClient;
use tally_proto::tally::lists::v1::lists_service_client::ListsServiceClient;
use tally_proto::tally::log::v1::log_service_client::LogServiceClient;
use tally_proto::tally::node::v1::node_service_client::NodeServiceClient;
use tally_proto::tally::sanctions::v1::sanctions_service_client::SanctionsServiceClient;
use tally_rpc::{ClientTls, ConnectError};
use tally_telemetry::TraceInterceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::data_dir::{DataDir, DataDirError};

/// A channel that sends the trace along.
pub type Traced = InterceptedService<Channel, TraceInterceptor>;

/// A connection under one certificate.
#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
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
    /// Connects to an endpoint.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]; it says what to check.
    pub async fn connect(endpoint: &str, tls: &ClientTls) -> Result<Self, ConnectError> {
        Ok(Self {
            channel: tally_rpc::connect(endpoint, tls).await?,
        })
    }

    /// Connects to the mesh of a data directory under one of its certificates.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; it says what to do first.
    pub async fn of_dir(dir: &Path, certificate: &str) -> Result<Self, ClientError> {
        let dir = DataDir::new(dir);
        let endpoint = dir.endpoint()?;
        Ok(Self::connect(&endpoint, &dir.client_tls(certificate)?).await?)
    }

    /// The catalogue.
    pub fn catalog(&self) -> CatalogServiceClient<Traced> {
        CatalogServiceClient::with_interceptor(self.channel.clone(), TraceInterceptor)
    }

    /// Collection.
    pub fn collection(&self) -> CollectionServiceClient<Traced> {
        CollectionServiceClient::with_interceptor(self.channel.clone(), TraceInterceptor)
    }

    /// Lists.
    pub fn lists(&self) -> ListsServiceClient<Traced> {
        ListsServiceClient::with_interceptor(self.channel.clone(), TraceInterceptor)
    }

    /// Sanctions.
    pub fn sanctions(&self) -> SanctionsServiceClient<Traced> {
        SanctionsServiceClient::with_interceptor(self.channel.clone(), TraceInterceptor)
    }

    /// Feedback.
    pub fn feedback(&self) -> FeedbackServiceClient<Traced> {
        FeedbackServiceClient::with_interceptor(self.channel.clone(), TraceInterceptor)
    }

    /// Audit.
    pub fn audit(&self) -> AuditServiceClient<Traced> {
        AuditServiceClient::with_interceptor(self.channel.clone(), TraceInterceptor)
    }

    /// The logs.
    pub fn log(&self) -> LogServiceClient<Traced> {
        LogServiceClient::with_interceptor(self.channel.clone(), TraceInterceptor)
    }

    /// The process.
    pub fn node(&self) -> NodeServiceClient<Traced> {
        NodeServiceClient::with_interceptor(self.channel.clone(), TraceInterceptor)
    }
}

/// A new command id: a UUIDv7 of the system's clock.
pub fn command_id() -> String {
    Uuid::now_v7().to_string()
}
