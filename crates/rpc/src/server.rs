//! Listening: mutual TLS, bounds on everything a caller can pile up, and an end
//! that waits for open calls but not for ever.

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http::{Request, Response};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::server::HealthReporter;
use tower::util::MapResponse;
use tower::{Layer, Service};

use crate::connection;
use crate::fault::BoxError;
use crate::inbound;
use crate::tls::ServerTls;

/// Largest message taken in, in bytes. It is also tonic's default, so that a
/// generated server needs no setting; packs and logs travel item by item.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of one stream under way. The default of 64 KiB makes one record
/// stream wait for every round trip.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;

/// Bytes of one connection under way, over all its streams.
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// Headers of one request: a traceparent and what clients send by themselves.
const HEADER_BYTES_MAX: u32 = 16 * 1024;

/// Time for a client to finish its handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Bounds of one listener.
#[derive(Clone, Debug)]
pub struct ServeLimits {
    /// Connections at a time; more wait in the system's accept queue.
    pub connections_max: usize,
    /// Calls that one connection may have open at a time, streams included.
    pub streams_per_connection_max: u32,
    /// Calls of one connection whose answer has not started; more wait.
    pub calls_per_connection_max: usize,
    /// Silence after which a client is asked whether it is there.
    pub keepalive_interval: Duration,
    /// How long it may take to say so before it is dropped.
    pub keepalive_timeout: Duration,
    /// After the shutdown signal, how long open calls may take to end before
    /// their connections are cut. A subscription never ends by itself.
    pub drain: Duration,
}

impl Default for ServeLimits {
    fn default() -> ServeLimits {
        ServeLimits {
            connections_max: 8_192,
            streams_per_connection_max: 2_048,
            calls_per_connection_max: 2_048,
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(20),
            drain: Duration::from_secs(5),
        }
    }
}

/// Why serving could not start or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Correct the server's certificate, key or authority.
    #[error("the server's certificate, key or authority cannot be used")]
    Tls(#[source] tonic::transport::Error),
    /// The listener failed.
    #[error("serving stopped")]
    Transport(#[source] tonic::transport::Error),
}

/// The routes as a layer finds them inside [`serve`].
pub type InnerRoutes = MapResponse<Routes, fn(Response<Body>) -> Response<Body>>;

/// Serves `routes` behind `layer` on `listener` until `shutdown` is ready and
/// the open calls have ended or [`ServeLimits::drain`] is over.
///
/// Bad messages are answered with [`crate::fault::reason::MESSAGE_TOO_LARGE`] or
/// [`crate::fault::reason::MALFORMED_MESSAGE`]. `layer` is outside of that; combine
/// several with `tower::ServiceBuilder`, and `tower::layer::util::Identity` is none.
///
/// # Errors
///
/// [`ServeError::Tls`] before anything is accepted: correct the files.
/// [`ServeError::Transport`]: the listener is lost; start again.
pub async fn serve<L, B>(
    listener: TcpListener,
    tls: &ServerTls,
    routes: Routes,
    layer: L,
    limits: ServeLimits,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError>
where
    L: Layer<InnerRoutes>,
    L::Service: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    <L::Service as Service<Request<Body>>>::Future: Send,
    <L::Service as Service<Request<Body>>>::Error: Into<BoxError> + Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let clear: fn(Response<Body>) -> Response<Body> = inbound::clear;
    let service = layer.layer(MapResponse::new(routes.prepare(), clear));
    let cut = CancellationToken::new();
    let incoming = connection::accept(listener, limits.connections_max, cut.clone());
    let stopping = CancellationToken::new();
    let signal = shutdown.map(|()| stopping.cancel());
    let served = builder(tls, &limits)?.serve_with_incoming_shutdown(service, incoming, signal);
    let drained = async {
        stopping.cancelled().await;
        tokio::time::sleep(limits.drain).await;
    };
    let mut served = std::pin::pin!(served);
    tokio::select! {
        ended = &mut served => return ended.map_err(ServeError::Transport),
        () = drained => {}
    }
    tracing::info!("cutting connections that outlived the drain");
    cut.cancel();
    served.await.map_err(ServeError::Transport)
}

impl ServerTls {
    /// Makes sure that a server can use certificate, key and authority, without
    /// listening.
    ///
    /// # Errors
    ///
    /// [`ServeError::Tls`]: correct the files.
    pub fn verify(&self) -> Result<(), ServeError> {
        builder(self, &ServeLimits::default()).map(drop)
    }
}

fn builder(tls: &ServerTls, limits: &ServeLimits) -> Result<Server, ServeError> {
    let config = tls.config().timeout(HANDSHAKE_TIMEOUT);
    Ok(Server::builder()
        .tls_config(config)
        .map_err(ServeError::Tls)?
        .http2_keepalive_interval(Some(limits.keepalive_interval))
        .http2_keepalive_timeout(Some(limits.keepalive_timeout))
        .max_concurrent_streams(limits.streams_per_connection_max)
        .concurrency_limit_per_connection(limits.calls_per_connection_max)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES))
}

/// Adds health and reflection (v1 and v1alpha) to `routes`.
///
/// The reporter sets what health says about a service; until then it says that
/// the server as a whole is serving.
pub fn with_standard_services(routes: Routes) -> (Routes, HealthReporter) {
    let (reporter, health) = tonic_health::server::health_reporter();
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(tally_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // Details of errors travel as `Any`: without these a client that knows
            // only what reflection tells cannot print them.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let contracts = "the contracts' own descriptors decode, or they would not have compiled";
    let routes = routes
        .add_service(health)
        .add_service(reflection().build_v1().expect(contracts))
        .add_service(reflection().build_v1alpha().expect(contracts));
    (routes, reporter)
}
