//! One trace over a real connection, from the client's span to what the server
//! would write into an envelope.

use std::sync::{Arc, Mutex};

use tally_telemetry::{
    ServerTraceLayer, TraceInterceptor, in_memory, link, set_parent, traceparent_of_current,
};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::util::MapRequestLayer;
use tracing::Instrument;

const CHECK: &str = "grpc.health.v1.Health/Check";

/// Starts a server that keeps the traceparent each of its calls sees.
async fn serve() -> (Channel, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = {
        let seen = Arc::clone(&seen);
        move |request: http::Request<tonic::body::Body>| {
            let traceparent = traceparent_of_current();
            seen.lock().expect("no panic").push(traceparent);
            request
        }
    };
    let (_, health) = tonic_health::server::health_reporter();
    let server = Server::builder()
        .layer(ServerTraceLayer::new([format!("/{CHECK}")]))
        .layer(MapRequestLayer::new(record))
        .add_service(health)
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .expect("an address")
        .connect()
        .await
        .expect("it listens");
    (channel, seen)
}

#[tokio::test]
async fn the_servers_span_is_the_clients_child() {
    let kept = in_memory();
    let (channel, seen) = serve().await;
    let mut client = HealthClient::with_interceptor(channel, TraceInterceptor);
    let request = HealthCheckRequest {
        service: "张三".to_owned(),
    };
    let sent = async {
        client.check(request).await.expect_err("no such service");
        traceparent_of_current()
    }
    .instrument(tracing::info_span!("push"))
    .await;

    let trace_id = &sent[3..35];
    let traceparent = seen.lock().expect("no panic")[0].clone();
    assert_eq!(&traceparent[3..35], trace_id);
    let server = kept.ended(trace_id, CHECK).await;
    let client = kept.ended(trace_id, "push").await;
    assert_eq!(server.parent_span_id, Some(client.span_id));
    assert_eq!(&traceparent[36..52], server.span_id);
    let spans = kept.of_trace(trace_id);
    assert!(!format!("{spans:?}").contains("张三"), "{spans:?}");
}

#[tokio::test]
async fn a_call_without_context_starts_a_trace_and_an_unknown_one_is_not_named() {
    let kept = in_memory();
    let (channel, seen) = serve().await;
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.expect("connected");
    let path = http::uri::PathAndQuery::from_static("/110101199003070000/x");
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    grpc.unary(tonic::Request::new(()), path, codec)
        .await
        .expect_err("no such call");
    let traceparent = seen.lock().expect("no panic")[0].clone();
    let span = kept.ended(&traceparent[3..35], "unknown method").await;
    assert_eq!(span.parent_span_id, None);
    assert!(!format!("{:?}", kept.spans()).contains("110101199003070000"));
}

#[test]
fn a_batch_links_its_commands() {
    let kept = in_memory();
    let command = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let batch = tracing::info_span!("append batch");
    link(&batch, command);
    link(&batch, "not a traceparent");
    let own = batch.in_scope(traceparent_of_current);
    drop(batch);
    let spans = kept.of_trace(&own[3..35]);
    let expected = (command[3..35].to_owned(), command[36..52].to_owned());
    assert_eq!(spans[0].links, [expected]);
}

#[test]
fn a_handler_of_an_event_continues_its_trace() {
    let kept = in_memory();
    let event = "00-1bf7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let handler = tracing::info_span!("handle", position = 7);
    set_parent(&handler, event);
    let inside = handler.in_scope(traceparent_of_current);
    assert_eq!(inside[3..35], event[3..35]);
    // Too late: the span is under way and stays where it is.
    set_parent(
        &handler,
        "00-2cf7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
    );
    drop(handler);
    let spans = kept.of_trace(&event[3..35]);
    assert_eq!(spans[0].parent_span_id.as_deref(), Some("b7ad6b7169203331"));
    assert!(
        spans[0]
            .attributes
            .contains(&("position".to_owned(), "7".to_owned()))
    );
}
