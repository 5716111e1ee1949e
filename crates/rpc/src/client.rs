//! Connecting to a role of the mesh.

use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use crate::server::{CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES};
use crate::tls::ClientTls;

/// Headers a client takes in. Above the 16 KiB of common clients, so that a
/// status with many violations never breaks a connection.
const HEADER_BYTES_MAX: u32 = 64 * 1024;

/// How long to wait for the connection itself, not for calls.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Silence after which the server is asked whether it is there.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// How long it may take to say so.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Correct the address: `https://host:port` or `host:port`.
    #[error("`{endpoint}` is not an address of the form https://host:port")]
    Endpoint {
        /// The address given.
        endpoint: String,
    },
    /// Correct the certificate or key files.
    #[error("certificate or key cannot be used")]
    Tls {
        /// What is wrong with them.
        source: tonic::transport::Error,
    },
    /// Nothing answers there, or one side refuses the other's certificate.
    #[error("no connection to `{endpoint}`")]
    Unreachable {
        /// The address given.
        endpoint: String,
        /// What the connection met.
        source: tonic::transport::Error,
    },
}

/// Connects now.
///
/// # Errors
///
/// [`ConnectError`] says what the caller corrects; [`ConnectError::Unreachable`]
/// may also pass by itself, so it is worth a retry.
pub async fn connect(endpoint: &str, tls: &ClientTls) -> Result<Channel, ConnectError> {
    configured(endpoint, tls)?
        .connect()
        .await
        .map_err(|source| ConnectError::Unreachable {
            endpoint: endpoint.to_owned(),
            source,
        })
}

/// A channel that connects at the first call, and again after a break. Call it
/// inside a tokio runtime.
///
/// # Errors
///
/// [`ConnectError::Endpoint`] and [`ConnectError::Tls`]: correct what was given.
pub fn connect_lazy(endpoint: &str, tls: &ClientTls) -> Result<Channel, ConnectError> {
    Ok(configured(endpoint, tls)?.connect_lazy())
}

fn configured(endpoint: &str, tls: &ClientTls) -> Result<Endpoint, ConnectError> {
    let refused = || ConnectError::Endpoint {
        endpoint: endpoint.to_owned(),
    };
    let address = match endpoint.split_once("://") {
        None => format!("https://{endpoint}"),
        Some(("https", _)) => endpoint.to_owned(),
        Some(_) => return Err(refused()),
    };
    Endpoint::from_shared(address)
        .map_err(|_| refused())?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .tls_config(tls.config())
        .map_err(|source| ConnectError::Tls { source })
}
