//! Finished spans kept in memory, for tests that follow a trace.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use opentelemetry::Value;
use opentelemetry::trace::{SpanContext, SpanId};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};
use tokio::sync::Notify;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::init::spans;

/// A span that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedSpan {
    /// Its name; of a call, the method.
    pub name: String,
    /// Trace it belongs to, 32 hex digits.
    pub trace_id: String,
    /// Its own id, 16 hex digits.
    pub span_id: String,
    /// The span it is a child of, 16 hex digits.
    pub parent_span_id: Option<String>,
    /// Trace and span id of every span it is linked to.
    pub links: Vec<(String, String)>,
    /// Its attributes as text.
    pub attributes: Vec<(String, String)>,
    /// Its events: name, and attributes as text.
    pub events: Vec<(String, Vec<(String, String)>)>,
}

/// Every span that has ended in this process since [`in_memory`].
#[derive(Clone, Debug, Default)]
pub struct Spans(Arc<Kept>);

#[derive(Debug, Default)]
struct Kept {
    spans: Mutex<Vec<FinishedSpan>>,
    added: Notify,
}

impl Spans {
    /// All of them, in the order they ended.
    pub fn spans(&self) -> Vec<FinishedSpan> {
        self.lock().clone()
    }

    /// Those of one trace, in the order they ended.
    pub fn of_trace(&self, trace_id: &str) -> Vec<FinishedSpan> {
        let in_trace = |span: &&FinishedSpan| span.trace_id == trace_id;
        self.lock().iter().filter(in_trace).cloned().collect()
    }

    /// The span of this name in a trace, as soon as it has ended. A server's span
    /// may end after its client has the answer.
    pub async fn ended(&self, trace_id: &str, name: &str) -> FinishedSpan {
        loop {
            // Registered before looking, so that a span between both is not missed.
            let added = self.0.added.notified();
            let mut spans = self.of_trace(trace_id).into_iter();
            if let Some(span) = spans.find(|span| span.name == name) {
                return span;
            }
            added.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<FinishedSpan>> {
        // A push is the only write, so a panic elsewhere leaves whole spans.
        self.0.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SpanExporter for Spans {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.lock().extend(batch.into_iter().map(finished));
        self.0.added.notify_waiters();
        Ok(())
    }
}

/// Keeps every span of this process from now on. The first call installs it for
/// all threads; later calls give the same spans, so tests in one process tell
/// theirs by trace id.
///
/// # Panics
///
/// If the process already has another subscriber: a test chooses one.
pub fn in_memory() -> Spans {
    static INSTALLED: OnceLock<(Spans, SdkTracerProvider)> = OnceLock::new();
    let (kept, _) = INSTALLED.get_or_init(|| {
        let kept = Spans::default();
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::AlwaysOn)
            .with_simple_exporter(kept.clone())
            .build();
        tracing_subscriber::registry()
            .with(spans(&provider))
            .try_init()
            .expect("the first subscriber of this process");
        (kept, provider)
    });
    kept.clone()
}

fn finished(span: SpanData) -> FinishedSpan {
    let parent = span.parent_span_id;
    FinishedSpan {
        name: span.name.into_owned(),
        trace_id: span.span_context.trace_id().to_string(),
        span_id: span.span_context.span_id().to_string(),
        parent_span_id: (parent != SpanId::INVALID).then(|| parent.to_string()),
        links: span
            .links
            .iter()
            .map(|link| ids(&link.span_context))
            .collect(),
        attributes: texts(&span.attributes),
        events: span
            .events
            .iter()
            .map(|event| (event.name.to_string(), texts(&event.attributes)))
            .collect(),
    }
}

fn ids(context: &SpanContext) -> (String, String) {
    (
        context.trace_id().to_string(),
        context.span_id().to_string(),
    )
}

fn texts(attributes: &[opentelemetry::KeyValue]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().into_owned();
    attributes
        .iter()
        .map(|pair| (pair.key.to_string(), text(&pair.value)))
        .collect()
}
