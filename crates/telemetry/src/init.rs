//! Starting telemetry, once per process.

use std::io::IsTerminal as _;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing_subscriber::filter::{LevelFilter, ParseError};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Name of the tracer; the instrumentation scope of every span.
const SCOPE: &str = "tally";

/// What is logged and where spans go.
#[derive(Clone, Debug)]
pub struct TelemetryOptions {
    /// Name under which a collector shows this process, for example `tally-lists`.
    pub service_name: String,
    /// Collector that takes OTLP over gRPC, for example `http://localhost:4317`.
    /// Without one, spans have ids and end here.
    pub otlp_endpoint: Option<String>,
    /// Logs as one JSON object a line instead of text for people.
    pub json_logs: bool,
    /// Which logs are written, in the form of `RUST_LOG`. It does not touch spans.
    pub filter: String,
}

impl Default for TelemetryOptions {
    fn default() -> TelemetryOptions {
        TelemetryOptions {
            service_name: "tally".to_owned(),
            otlp_endpoint: None,
            json_logs: false,
            filter: "info".to_owned(),
        }
    }
}

/// Why telemetry did not start.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Correct the filter, for example `info,tally_lists=debug`.
    #[error("`{filter}` is not a log filter")]
    Filter {
        /// The filter given.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Correct the collector's address.
    #[error("the collector at `{endpoint}` cannot be used")]
    Collector {
        /// The address given.
        endpoint: String,
        /// What is wrong with it.
        source: ExporterBuildError,
    },
    /// It was started before in this process.
    #[error("telemetry was started already")]
    Started,
}

/// Sends what is still buffered when dropped. Keep it until the process ends.
#[derive(Debug)]
#[must_use = "dropping it ends the export of spans"]
pub struct Guard {
    provider: SdkTracerProvider,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!(error = %error, "spans lost at the end");
        }
    }
}

/// Starts logs and spans for this process. With a collector configured, call it
/// inside a tokio runtime.
///
/// # Errors
///
/// [`InitError`] says which option to correct.
pub fn init(options: &TelemetryOptions) -> Result<Guard, InitError> {
    let filter = EnvFilter::try_new(&options.filter).map_err(|source| InitError::Filter {
        filter: options.filter.clone(),
        source,
    })?;
    let provider = provider(options)?;
    // Colours are for people; a file would hold their control characters.
    let colours = std::io::stderr().is_terminal();
    let logs = tracing_subscriber::fmt::layer()
        .with_ansi(colours)
        .with_writer(std::io::stderr);
    let logs = if options.json_logs {
        logs.json().with_filter(filter).boxed()
    } else {
        logs.with_filter(filter).boxed()
    };
    let guard = Guard {
        provider: provider.clone(),
    };
    tracing_subscriber::registry()
        .with(logs)
        .with(spans(&provider))
        .try_init()
        .map_err(|_| InitError::Started)?;
    Ok(guard)
}

/// The layer that makes spans out of those of `tracing`.
///
/// It has a filter of its own: a quiet log must not cost events their trace context.
pub(crate) fn spans<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
{
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(SCOPE))
        // Threads and source lines cost more than they tell in an async server.
        .with_threads(false)
        .with_location(false)
        .with_tracked_inactivity(false)
        .with_filter(LevelFilter::INFO)
}

fn provider(options: &TelemetryOptions) -> Result<SdkTracerProvider, InitError> {
    let builder = SdkTracerProvider::builder().with_resource(
        Resource::builder()
            .with_service_name(options.service_name.clone())
            .build(),
    );
    let Some(endpoint) = &options.otlp_endpoint else {
        // Nobody would see the spans: they get ids and nothing is recorded.
        return Ok(builder.with_sampler(Sampler::AlwaysOff).build());
    };
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .map_err(|source| InitError::Collector {
            endpoint: endpoint.clone(),
            source,
        })?;
    // Not by the parent's flag: a caller without a collector would switch ours off.
    Ok(builder
        .with_sampler(Sampler::AlwaysOn)
        .with_batch_exporter(exporter)
        .build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_filter_is_named() {
        let options = TelemetryOptions {
            filter: "tally=loud".to_owned(),
            ..TelemetryOptions::default()
        };
        let error = init(&options).expect_err("no such level");
        assert_eq!(error.to_string(), "`tally=loud` is not a log filter");
    }

    #[tokio::test]
    async fn a_bad_collector_is_named() {
        let options = TelemetryOptions {
            otlp_endpoint: Some("not an address".to_owned()),
            ..TelemetryOptions::default()
        };
        let error = init(&options).expect_err("no such address");
        assert!(matches!(error, InitError::Collector { .. }), "{error}");
    }

    #[test]
    fn without_a_collector_spans_still_have_ids() {
        let provider = provider(&TelemetryOptions::default()).expect("nothing to reach");
        let subscriber = tracing_subscriber::registry().with(spans(&provider));
        tracing::subscriber::with_default(subscriber, || {
            let outer = tracing::info_span!("outer").entered();
            let first = crate::traceparent_of_current();
            let inner = tracing::info_span!("inner").entered();
            let second = crate::traceparent_of_current();
            assert_eq!(first.len(), 55, "{first}");
            assert_eq!(first[3..35], second[3..35]);
            assert_ne!(first[36..52], second[36..52]);
            drop((inner, outer));
        });
    }
}
