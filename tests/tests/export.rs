//! Spans reach a live collector over OTLP, under one trace id. In a process of
//! its own: a subscriber is global.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use tally_telemetry::TelemetryOptions;
use tally_tests::harness::*;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tracing::Instrument as _;

/// A collector that keeps what it is sent.
#[derive(Clone, Default)]
struct Collector {
    taken: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    more: Arc<Notify>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.taken
            .lock()
            .expect("no panic")
            .push(request.into_inner());
        self.more.notify_one();
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let server = Server::builder()
            .add_service(TraceServiceServer::new(collector.clone()))
            .serve_with_incoming(TcpIncoming::from(listener));
        tokio::spawn(server);
        (collector, format!("http://{address}"))
    }

    /// Names of the spans of a trace so far.
    fn names(&self, trace_id: &str) -> BTreeSet<String> {
        let taken = self.taken.lock().expect("no panic");
        let spans = taken
            .iter()
            .flat_map(|request| &request.resource_spans)
            .flat_map(|resource| &resource.scope_spans)
            .flat_map(|scope| &scope.spans);
        spans
            .filter(|span| hex(&span.trace_id) == trace_id)
            .map(|span| span.name.clone())
            .collect()
    }

    /// Names under which processes exported.
    fn services(&self) -> BTreeSet<String> {
        let taken = self.taken.lock().expect("no panic");
        let attributes = taken
            .iter()
            .flat_map(|request| &request.resource_spans)
            .filter_map(|spans| spans.resource.as_ref())
            .flat_map(|resource| &resource.attributes);
        attributes
            .filter(|attribute| attribute.key == "service.name")
            .filter_map(|attribute| attribute.value.as_ref()?.value.as_ref())
            .filter_map(|value| match value {
                Value::StringValue(text) => Some(text.clone()),
                _ => None,
            })
            .collect()
    }

    /// Waits until spans of these methods have come under one trace id.
    async fn wait_for(&self, trace_id: &str, methods: &[&str]) {
        let all = async {
            loop {
                let names = self.names(trace_id);
                let has = |method: &&str| names.iter().any(|name| name.contains(*method));
                if methods.iter().all(has) {
                    return;
                }
                self.more.notified().await;
            }
        };
        let came = tokio::time::timeout(Duration::from_secs(60), all).await;
        assert!(came.is_ok(), "there are only {:?}", self.names(trace_id));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_one_trace_from_push_to_feedback() {
    let (collector, endpoint) = Collector::start().await;
    let telemetry = tally_telemetry::init(&TelemetryOptions {
        service_name: "tally-export".to_owned(),
        otlp_endpoint: Some(endpoint),
        filter: "warn".to_owned(),
        ..TelemetryOptions::default()
    })
    .expect("it starts");
    let scene = Scene::start().await;
    let case = tracing::info_span!("case");
    async {
        scene.listed(COMPANY).await;
        scene.mesh.settle().await;
        let directive = mailbox(&scene.responder).await[0]
            .directive
            .clone()
            .expect("a directive");
        let officer = scene.mesh.officer(TAX, "7").await;
        let (id, on) = (&directive.directive_id, "2026-03-02");
        execute(&scene.responder, &officer, id, on).await;
        report(&scene.responder, id, on).await;
    }
    .instrument(case.clone())
    .await;
    let traceparent = case.in_scope(tally_telemetry::traceparent_of_current);
    drop(case);
    let trace_id = traceparent.split('-').nth(1).expect("a W3C trace context");
    collector
        .wait_for(
            trace_id,
            &["PushRecord", "Nominate", "List", "Report", "case"],
        )
        .await;
    assert_eq!(
        collector.services(),
        BTreeSet::from(["tally-export".to_owned()])
    );
    scene.mesh.stop().await;
    // What is still buffered is sent; it blocks, so not on a thread of the runtime.
    tokio::task::spawn_blocking(move || drop(telemetry))
        .await
        .expect("it ends");
}
