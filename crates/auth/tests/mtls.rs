//! The gate over real mutual TLS on a local port.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use rcgen::string::Ia5String;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use tally_auth::pki::{Authority, Term, client_tls, server_tls};
use tally_auth::{AuthLayer, Caller, CallerKind, Identity, OfficerDirectory, OfficerNumber, Rules};
use tally_domain::department::{DepartmentId, OfficerId};
use tally_proto::tally::node::v1 as pb;
use tally_proto::tally::node::v1::node_service_client::NodeServiceClient;
use tally_proto::tally::node::v1::node_service_server::{NodeService, NodeServiceServer};
use tally_rpc::fault::reason;
use tally_rpc::{
    BoxError, ClientTls, FaultReport, ServeLimits, connect, connect_lazy, serve,
    with_standard_services,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::ProstCodec;
use tower::ServiceBuilder;
use tower::util::MapRequestLayer;
use uuid::Uuid;

// Made up: no such bureau; the check character is right.
const BUREAU: &str = "11990000MB0000001M";
const NUMBER: &str = "A-017";

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
        Ok(Response::new(pb::AdvanceClockResponse::default()))
    }
}

#[derive(Default)]
struct Directory {
    asked: AtomicUsize,
    down: AtomicBool,
}

#[async_trait]
impl OfficerDirectory for Directory {
    async fn officer_id(
        &self,
        department: &DepartmentId,
        number: &str,
    ) -> Result<OfficerId, BoxError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.down.load(Ordering::SeqCst) {
            return Err("closed".into());
        }
        assert_eq!((department.as_str(), number), (BUREAU, NUMBER));
        Ok(officer())
    }
}

struct Mesh {
    dir: TempDir,
    authority: Authority,
    address: SocketAddr,
    layer: AuthLayer,
    directory: Arc<Directory>,
    // What reached the services.
    seen: Arc<Mutex<Vec<Caller>>>,
}

fn officer() -> OfficerId {
    OfficerId(Uuid::from_u128(7))
}

fn bureau() -> DepartmentId {
    BUREAU.parse().expect("valid")
}

fn officer_identity() -> Identity {
    Identity::Officer {
        department: bureau(),
        number: OfficerNumber::parse(NUMBER).expect("plain"),
    }
}

fn in_two_years() -> SystemTime {
    SystemTime::now() + Duration::from_secs(2 * 365 * 24 * 60 * 60)
}

async fn mesh(wall_clock: fn() -> SystemTime) -> Mesh {
    let dir = tempfile::tempdir().expect("writable");
    let now = SystemTime::now();
    let authority = Authority::create(dir.path(), now).expect("created");
    authority
        .issue_server(&[], dir.path(), "server", Term::year_from(now))
        .expect("issued");
    let tls = server_tls(dir.path(), "server").expect("issued");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let rules = Arc::new(Rules::from_descriptors().expect("every call has a rule"));
    let directory = Arc::new(Directory::default());
    let layer = AuthLayer::new(rules, Arc::clone(&directory) as _, wall_clock);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = {
        let seen = Arc::clone(&seen);
        move |request: http::Request<tonic::body::Body>| {
            let caller = Caller::in_extensions(request.extensions()).expect("behind the gate");
            seen.lock().expect("no panic").push(caller.clone());
            request
        }
    };
    let layers = ServiceBuilder::new()
        .layer(layer.clone())
        .layer(MapRequestLayer::new(record))
        .into_inner();
    let (routes, _) = with_standard_services(Routes::new(NodeServiceServer::new(Node)));
    tokio::spawn(async move {
        let limits = ServeLimits::default();
        serve(
            listener,
            &tls,
            routes,
            layers,
            limits,
            std::future::pending(),
        )
        .await
    });
    Mesh {
        dir,
        authority,
        address,
        layer,
        directory,
        seen,
    }
}

impl Mesh {
    fn client(&self, identity: &Identity) -> ClientTls {
        let term = Term::year_from(SystemTime::now());
        self.authority
            .issue(identity, self.dir.path(), "client", term)
            .expect("issued");
        client_tls(self.dir.path(), "client").expect("issued")
    }

    async fn channel(&self, identity: &Identity) -> Channel {
        connect(&self.address.to_string(), &self.client(identity))
            .await
            .expect("a certificate of the mesh")
    }

    /// A client certificate of this mesh's authority with any names.
    fn named(&self, names: &[&str]) -> ClientTls {
        let key = KeyPair::generate().expect("random");
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = names
            .iter()
            .map(|name| SanType::URI(Ia5String::try_from(*name).expect("ascii")))
            .collect();
        let certificate = params
            .signed_by(&key, &issuer(self.dir.path()))
            .expect("signs");
        ClientTls {
            ca_pem: self.authority.certificate_pem().to_owned(),
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            server_name: None,
        }
    }

    async fn denial(&self, channel: Channel) -> FaultReport {
        let status = status_of(channel).await.expect_err("denied");
        assert!(!format!("{status:?}").contains(NUMBER));
        FaultReport::from(&status)
    }

    /// The handshake itself fails, so nothing of ours answers.
    async fn refuses(&self, tls: &ClientTls) {
        let channel = connect_lazy(&self.address.to_string(), tls).expect("usable files");
        let status = status_of(channel).await.expect_err("refused");
        assert_eq!(
            FaultReport::from(&status).reason,
            reason::UNEXPLAINED,
            "{status:?}"
        );
        assert_eq!(self.seen(), []);
    }

    fn seen(&self) -> Vec<Caller> {
        self.seen.lock().expect("no panic").clone()
    }

    fn asked(&self) -> usize {
        self.directory.asked.load(Ordering::SeqCst)
    }
}

fn issuer(dir: &Path) -> Issuer<'static, KeyPair> {
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).expect("written");
    let key = KeyPair::from_pem(&read("ca.key")).expect("a key");
    Issuer::from_ca_cert_pem(&read("ca.pem"), key).expect("an authority")
}

async fn status_of(channel: Channel) -> Result<Response<pb::GetStatusResponse>, Status> {
    NodeServiceClient::new(channel)
        .get_status(pb::GetStatusRequest {})
        .await
}

async fn healthy(channel: Channel) -> Result<(), Status> {
    HealthClient::new(channel)
        .check(HealthCheckRequest::default())
        .await
        .map(|_| ())
}

#[tokio::test]
async fn a_caller_with_the_right_passes_and_is_known() {
    let mesh = mesh(SystemTime::now).await;
    let channel = mesh.channel(&Identity::Operator("night".to_owned())).await;
    status_of(channel).await.expect("the operator's right");
    assert_eq!(mesh.seen(), [Caller::operator()]);
}

#[tokio::test]
async fn another_kind_of_caller_is_denied_and_told_the_right() {
    let mesh = mesh(SystemTime::now).await;
    for identity in [
        Identity::Department(bureau()),
        officer_identity(),
        Identity::Mesh("lists".to_owned()),
    ] {
        let denial = mesh.denial(mesh.channel(&identity).await).await;
        assert_eq!(denial.code, Code::PermissionDenied);
        assert_eq!(denial.reason, reason::RIGHT_MISSING);
        assert_eq!(denial.metadata["right"], "node.status");
    }
    assert_eq!(mesh.seen(), []);
    assert_eq!(mesh.asked(), 0, "nothing else happens on a denial");
}

#[tokio::test]
async fn an_officer_is_known_by_id_and_looked_up_once() {
    let mesh = mesh(SystemTime::now).await;
    let channel = mesh.channel(&officer_identity()).await;
    for _ in 0..3 {
        healthy(channel.clone()).await.expect("open to all");
    }
    let caller = Caller::of_officer(bureau(), officer());
    assert_eq!(caller.kind, CallerKind::Officer);
    assert_eq!(mesh.seen(), [caller.clone(), caller.clone(), caller]);
    assert_eq!(mesh.asked(), 1);
    mesh.layer.forget();
    healthy(channel).await.expect("open to all");
    assert_eq!(mesh.asked(), 2);
}

#[tokio::test]
async fn an_officer_nobody_can_look_up_waits() {
    let mesh = mesh(SystemTime::now).await;
    let channel = mesh.channel(&officer_identity()).await;
    mesh.directory.down.store(true, Ordering::SeqCst);
    let status = healthy(channel.clone())
        .await
        .expect_err("directory is down");
    let report = FaultReport::from(&status);
    assert_eq!(report.code, Code::Unavailable);
    assert!(report.retry.is_some());
    assert_eq!(mesh.seen(), []);
    mesh.directory.down.store(false, Ordering::SeqCst);
    healthy(channel).await.expect("a failure is not remembered");
}

#[tokio::test]
async fn a_call_without_a_rule_is_denied_to_everyone() {
    let mesh = mesh(SystemTime::now).await;
    let operator = Identity::Operator("night".to_owned());
    let mut grpc = tonic::client::Grpc::new(mesh.channel(&operator).await);
    for path in [
        "/tally.node.v1.NodeService/Shutdown",
        "/tally.node.v1.NodeService/GetStatus/",
        "/tally.node.v1.NodeService/getstatus",
    ] {
        grpc.ready().await.expect("connected");
        let path = http::uri::PathAndQuery::from_static(path);
        let codec = ProstCodec::<(), ()>::default();
        let status = grpc
            .unary(Request::new(()), path, codec)
            .await
            .expect_err("denied");
        assert_eq!(status.code(), Code::PermissionDenied);
        assert_eq!(FaultReport::from(&status).reason, reason::RIGHT_MISSING);
    }
    assert_eq!(mesh.seen(), []);
}

#[tokio::test]
async fn a_certificate_with_two_names_or_none_is_nobody() {
    let mesh = mesh(SystemTime::now).await;
    let cases: [&[&str]; 5] = [
        &["urn:tally:operator:night", "urn:tally:mesh:lists"],
        &["urn:tally:operator:night", "URN:TALLY:mesh:lists"],
        &["urn:tally:operator:night:x"],
        &["urn:other:operator:night"],
        &[],
    ];
    for names in cases {
        let channel = connect(&mesh.address.to_string(), &mesh.named(names))
            .await
            .expect("the authority's own");
        let denial = mesh.denial(channel).await;
        assert_eq!(denial.code, Code::Unauthenticated, "{names:?}");
        assert_eq!(denial.reason, reason::CERTIFICATE_UNKNOWN, "{names:?}");
    }
    let one = mesh.named(&["urn:tally:operator:night", "https://example.org/night"]);
    let channel = connect(&mesh.address.to_string(), &one)
        .await
        .expect("connects");
    status_of(channel).await.expect("other names do not matter");
}

#[tokio::test]
async fn no_certificate_no_connection() {
    let mesh = mesh(SystemTime::now).await;
    let root = tonic::transport::Certificate::from_pem(mesh.authority.certificate_pem());
    let bare = tonic::transport::ClientTlsConfig::new().ca_certificate(root);
    let channel = tonic::transport::Endpoint::from_shared(format!("https://{}", mesh.address))
        .expect("an address")
        .tls_config(bare)
        .expect("an authority")
        .connect_lazy();
    let status = status_of(channel).await.expect_err("refused");
    assert_eq!(FaultReport::from(&status).reason, reason::UNEXPLAINED);
    assert_eq!(mesh.seen(), []);
}

#[tokio::test]
async fn another_authority_is_unknown() {
    let mesh = mesh(SystemTime::now).await;
    let elsewhere = tempfile::tempdir().expect("writable");
    let now = SystemTime::now();
    Authority::create(elsewhere.path(), now)
        .expect("created")
        .issue(
            &Identity::Operator("night".to_owned()),
            elsewhere.path(),
            "operator",
            Term::year_from(now),
        )
        .expect("issued");
    let mut tls = client_tls(elsewhere.path(), "operator").expect("issued");
    tls.ca_pem = mesh.authority.certificate_pem().to_owned();
    mesh.refuses(&tls).await;
}

#[tokio::test]
async fn a_servers_certificate_is_not_a_clients() {
    let mesh = mesh(SystemTime::now).await;
    let tls = client_tls(mesh.dir.path(), "server").expect("issued");
    mesh.refuses(&tls).await;
}

#[tokio::test]
async fn a_connection_does_not_outlive_its_certificate() {
    let mesh = mesh(in_two_years).await;
    let operator = Identity::Operator("night".to_owned());
    let denial = mesh.denial(mesh.channel(&operator).await).await;
    assert_eq!(denial.reason, reason::CERTIFICATE_UNKNOWN);
    assert!(denial.message.contains("expired"), "{denial}");
}
