//! The edge over real mutual TLS on a local port.

use std::net::SocketAddr;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tally_proto::tally::node::v1 as pb;
use tally_proto::tally::node::v1::node_service_server::{NodeService, NodeServiceServer};
use tally_rpc::fault::reason;
use tally_rpc::{
    ClientTls, ConnectError, Fault, FaultReport, MESSAGE_BYTES_MAX, ServeError, ServeLimits,
    ServerTls, connect, serve, with_standard_services,
};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
use tonic_prost::ProstCodec;
use tower::layer::util::Identity;

struct Node;

#[tonic::async_trait]
impl NodeService for Node {
    async fn get_status(
        &self,
        _: Request<pb::GetStatusRequest>,
    ) -> Result<Response<pb::GetStatusResponse>, Status> {
        Ok(Response::new(pb::GetStatusResponse::default()))
    }

    async fn list_parked(
        &self,
        _: Request<pb::ListParkedRequest>,
    ) -> Result<Response<pb::ListParkedResponse>, Status> {
        Ok(Response::new(pb::ListParkedResponse::default()))
    }

    async fn get_parked(
        &self,
        _: Request<pb::GetParkedRequest>,
    ) -> Result<Response<pb::GetParkedResponse>, Status> {
        Ok(Response::new(pb::GetParkedResponse::default()))
    }

    async fn reconcile(
        &self,
        _: Request<pb::ReconcileRequest>,
    ) -> Result<Response<pb::ReconcileResponse>, Status> {
        Ok(Response::new(pb::ReconcileResponse::default()))
    }

    async fn replay_parked(
        &self,
        _: Request<pb::ReplayParkedRequest>,
    ) -> Result<Response<pb::ReplayParkedResponse>, Status> {
        Ok(Response::new(pb::ReplayParkedResponse::default()))
    }

    async fn pause_reader(
        &self,
        _: Request<pb::PauseReaderRequest>,
    ) -> Result<Response<pb::PauseReaderResponse>, Status> {
        Ok(Response::new(pb::PauseReaderResponse::default()))
    }

    async fn advance_clock(
        &self,
        _: Request<pb::AdvanceClockRequest>,
    ) -> Result<Response<pb::AdvanceClockResponse>, Status> {
        Err(Fault::rejected("CLOCK_NOT_MOVABLE", "this store has no movable clock").into())
    }
}

/// One authority and a certificate of it that serves for both ends.
fn certificates() -> (ServerTls, ClientTls) {
    let mut authority = CertificateParams::new(Vec::new()).expect("no names");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().expect("random");
    let root = authority.self_signed(&authority_key).expect("signs").pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().expect("random");
    let leaf = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()])
        .expect("names")
        .signed_by(&key, &issuer)
        .expect("signs")
        .pem();
    let server = ServerTls {
        certificate_pem: leaf.clone(),
        key_pem: key.serialize_pem(),
        client_ca_pem: root.clone(),
    };
    let client = ClientTls {
        ca_pem: root,
        certificate_pem: leaf,
        key_pem: key.serialize_pem(),
        server_name: None,
    };
    (server, client)
}

struct Running {
    address: SocketAddr,
    client: ClientTls,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), ServeError>>,
}

async fn start(drain: Duration) -> Running {
    let (server, client) = certificates();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (stop, stopped) = oneshot::channel();
    let (routes, reporter) = with_standard_services(Routes::new(NodeServiceServer::new(Node)));
    reporter.set_serving::<NodeServiceServer<Node>>().await;
    let limits = ServeLimits {
        drain,
        ..ServeLimits::default()
    };
    let served = tokio::spawn(async move {
        let signal = async move {
            stopped.await.expect("the test says when");
        };
        serve(listener, &server, routes, Identity::new(), limits, signal).await
    });
    Running {
        address,
        client,
        stop,
        served,
    }
}

impl Running {
    async fn channel(&self) -> tonic::transport::Channel {
        connect(&self.address.to_string(), &self.client)
            .await
            .expect("the server listens")
    }

    /// Calls with field 1 set to `bytes`, whatever the method takes there.
    async fn send(&self, method: &'static str, bytes: Vec<u8>) -> Status {
        let mut grpc = tonic::client::Grpc::new(self.channel().await);
        grpc.ready().await.expect("connected");
        let path = http::uri::PathAndQuery::from_static(method);
        let codec = ProstCodec::<Vec<u8>, ()>::default();
        grpc.unary(Request::new(bytes), path, codec)
            .await
            .expect_err("a bad message")
    }
}

#[tokio::test]
async fn a_fault_arrives_with_its_reason() {
    let running = start(Duration::from_secs(5)).await;
    let mut node = pb::node_service_client::NodeServiceClient::new(running.channel().await);
    let status = node
        .advance_clock(pb::AdvanceClockRequest::default())
        .await
        .expect_err("refused");
    let report = FaultReport::from(&status);
    assert_eq!(report.code, Code::FailedPrecondition);
    assert_eq!(report.reason, "CLOCK_NOT_MOVABLE");
}

#[tokio::test]
async fn an_oversized_message_is_refused_clearly_and_service_goes_on() {
    let running = start(Duration::from_secs(5)).await;
    for bytes in [MESSAGE_BYTES_MAX + 1, 50 * 1024 * 1024] {
        let status = running
            .send("/tally.node.v1.NodeService/GetStatus", vec![0; bytes])
            .await;
        let report = FaultReport::from(&status);
        assert_eq!(report.code, Code::ResourceExhausted, "{status:?}");
        assert_eq!(report.reason, reason::MESSAGE_TOO_LARGE);
        assert_eq!(
            report.metadata["limit_bytes"],
            MESSAGE_BYTES_MAX.to_string()
        );
    }
    let mut node = pb::node_service_client::NodeServiceClient::new(running.channel().await);
    node.get_status(pb::GetStatusRequest {})
        .await
        .expect("still serving");
}

#[tokio::test]
async fn a_broken_message_is_the_callers_fault() {
    let running = start(Duration::from_secs(5)).await;
    let status = running
        .send("/tally.node.v1.NodeService/AdvanceClock", vec![0xff; 9])
        .await;
    let report = FaultReport::from(&status);
    assert_eq!(report.code, Code::InvalidArgument);
    assert_eq!(report.reason, reason::MALFORMED_MESSAGE);
    assert!(
        report.message.contains("AdvanceClockRequest.to"),
        "{report}"
    );
}

#[tokio::test]
async fn health_and_reflection_answer() {
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    let running = start(Duration::from_secs(5)).await;
    let channel = running.channel().await;
    let health = HealthClient::new(channel.clone())
        .check(HealthCheckRequest {
            service: "tally.node.v1.NodeService".to_owned(),
        })
        .await
        .expect("answers")
        .into_inner();
    assert_eq!(health.status(), ServingStatus::Serving);

    let request = tonic_reflection::pb::v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answer = ServerReflectionClient::new(channel)
        .server_reflection_info(tokio_stream::once(request))
        .await
        .expect("answers")
        .into_inner()
        .message()
        .await
        .expect("a message")
        .expect("not the end");
    let Some(MessageResponse::ListServicesResponse(services)) = answer.message_response else {
        panic!("not a list of services: {answer:?}");
    };
    let names: Vec<_> = services.service.into_iter().map(|s| s.name).collect();
    for expected in ["tally.node.v1.NodeService", "grpc.health.v1.Health"] {
        assert!(names.iter().any(|name| name == expected), "{names:?}");
    }
}

#[tokio::test]
async fn reflection_knows_the_details_of_errors() {
    use tonic_reflection::pb::{v1, v1alpha};

    let running = start(Duration::from_secs(5)).await;
    let channel = running.channel().await;
    for symbol in ["ErrorInfo", "BadRequest", "RetryInfo"] {
        let symbol = format!("google.rpc.{symbol}");
        let request = v1::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(
                v1::server_reflection_request::MessageRequest::FileContainingSymbol(symbol.clone()),
            ),
        };
        let answer = v1::server_reflection_client::ServerReflectionClient::new(channel.clone())
            .server_reflection_info(tokio_stream::once(request))
            .await
            .expect("answers")
            .into_inner()
            .message()
            .await
            .expect("a message")
            .expect("not the end");
        assert!(
            matches!(
                answer.message_response,
                Some(v1::server_reflection_response::MessageResponse::FileDescriptorResponse(_))
            ),
            "{symbol}: {answer:?}"
        );
        let request = v1alpha::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(
                v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(symbol),
            ),
        };
        let answer =
            v1alpha::server_reflection_client::ServerReflectionClient::new(channel.clone())
                .server_reflection_info(tokio_stream::once(request))
                .await
                .expect("answers")
                .into_inner()
                .message()
                .await
                .expect("a message")
                .expect("not the end");
        assert!(
            matches!(
                answer.message_response,
                Some(
                    v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse(_)
                )
            ),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn unusable_certificates_are_found_without_listening() {
    let (server, _) = certificates();
    server.verify().expect("they belong together");
    let (other, _) = certificates();
    for unusable in [
        ServerTls {
            certificate_pem: "no certificate".to_owned(),
            ..server.clone()
        },
        ServerTls {
            key_pem: other.key_pem.clone(),
            ..server.clone()
        },
        ServerTls {
            key_pem: String::new(),
            ..server.clone()
        },
        ServerTls {
            client_ca_pem: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"
                .to_owned(),
            ..server.clone()
        },
        ServerTls {
            client_ca_pem: String::new(),
            ..server.clone()
        },
    ] {
        let refused = unusable.verify();
        assert!(matches!(refused, Err(ServeError::Tls(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn stopping_cuts_a_stream_that_never_ends() {
    let running = start(Duration::from_millis(1)).await;
    let mut watch = HealthClient::new(running.channel().await)
        .watch(HealthCheckRequest::default())
        .await
        .expect("answers")
        .into_inner();
    watch.message().await.expect("a message").expect("a state");
    running.stop.send(()).expect("it runs");
    running
        .served
        .await
        .expect("no panic")
        .expect("a clean stop");
    watch.message().await.expect_err("cut");
}

#[tokio::test]
async fn stopping_ends_at_once_when_nothing_is_open() {
    let running = start(Duration::from_secs(3_600)).await;
    let mut node = pb::node_service_client::NodeServiceClient::new(running.channel().await);
    node.get_status(pb::GetStatusRequest {})
        .await
        .expect("answers");
    running.stop.send(()).expect("it runs");
    running
        .served
        .await
        .expect("no panic")
        .expect("a clean stop");
}

#[tokio::test]
async fn bad_files_and_addresses_are_refused_before_use() {
    let (mut server, client) = certificates();
    server.key_pem = "not a key".to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let served = serve(
        listener,
        &server,
        Routes::default(),
        Identity::new(),
        ServeLimits::default(),
        std::future::pending(),
    )
    .await;
    assert!(matches!(served, Err(ServeError::Tls(_))));
    assert!(matches!(
        connect("http://localhost:1", &client).await,
        Err(ConnectError::Endpoint { .. })
    ));
}
