//! The trace context of incoming calls.

use std::collections::HashSet;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use tower::{Layer, Service};
use tracing::Span;
use tracing::instrument::{Instrument, Instrumented};

use crate::context::{TRACEPARENT, set_parent};

/// Name of the span of a call that this server does not have. What a client
/// wrote there is not repeated.
const UNKNOWN_METHOD: &str = "unknown method";

/// Puts every call into a span named by its method, a child of the caller's.
///
/// The span lasts until the answer's headers are sent; what a stream does later
/// has spans of its own. Nothing of the request but the name of a known method
/// and the trace context gets into it.
#[derive(Clone, Debug)]
pub struct ServerTraceLayer {
    methods: Arc<HashSet<String>>,
}

impl ServerTraceLayer {
    /// A layer for a server with these methods (`/package.Service/Method`), for
    /// example the paths of the rules table.
    pub fn new(methods: impl IntoIterator<Item = impl Into<String>>) -> ServerTraceLayer {
        ServerTraceLayer {
            methods: Arc::new(methods.into_iter().map(Into::into).collect()),
        }
    }
}

impl<S> Layer<S> for ServerTraceLayer {
    type Service = ServerTraceService<S>;

    fn layer(&self, inner: S) -> ServerTraceService<S> {
        ServerTraceService {
            methods: Arc::clone(&self.methods),
            inner,
        }
    }
}

/// A service behind [`ServerTraceLayer`].
#[derive(Clone, Debug)]
pub struct ServerTraceService<S> {
    methods: Arc<HashSet<String>>,
    inner: S,
}

impl<S, A> Service<Request<A>> for ServerTraceService<S>
where
    S: Service<Request<A>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Instrumented<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let span = self.span(&request);
        span.in_scope(|| self.inner.call(request))
            .instrument(span.clone())
    }
}

impl<S> ServerTraceService<S> {
    fn span<A>(&self, request: &Request<A>) -> Span {
        let method = self
            .methods
            .get(request.uri().path())
            .map_or(UNKNOWN_METHOD, |path| path.trim_start_matches('/'));
        let span = tracing::info_span!(
            parent: None,
            "call",
            otel.name = method,
            otel.kind = "server",
            rpc.system = "grpc",
        );
        let traceparent = request.headers().get(TRACEPARENT);
        if let Some(text) = traceparent.and_then(|value| value.to_str().ok()) {
            set_parent(&span, text);
        }
        span
    }
}
