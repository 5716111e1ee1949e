//! W3C trace context (<https://www.w3.org/TR/trace-context/>, level 1), as text.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Name of the header and metadata key.
pub const TRACEPARENT: &str = "traceparent";

/// The current span as a `traceparent`; empty if there is none.
///
/// It fixes the span's parent: [`set_parent`] comes before.
pub fn traceparent_of_current() -> String {
    traceparent(&Span::current())
}

/// `span` as a `traceparent`; empty if it is disabled.
pub fn traceparent(span: &Span) -> String {
    let context = span.context();
    let context = context.span().span_context().clone();
    if !context.is_valid() {
        return String::new();
    }
    format!(
        "00-{}-{}-{:02x}",
        context.trace_id(),
        context.span_id(),
        context.trace_flags().to_u8()
    )
}

/// Makes `span` a child of the span that `traceparent` names, in its trace.
///
/// Text that is not a `traceparent` changes nothing, as the standard asks, and
/// neither does a span that was entered before.
pub fn set_parent(span: &Span, traceparent: &str) {
    let Some(parent) = parse(traceparent) else {
        return;
    };
    let context = Context::new().with_remote_span_context(parent);
    if let Err(error) = span.set_parent(context) {
        tracing::debug!(error = ?error, "span keeps its own trace");
    }
}

/// Links `span` to the span that `traceparent` names: a batch to each command in
/// it, an event's handler to the event. Text that is not a `traceparent` changes nothing.
pub fn link(span: &Span, traceparent: &str) {
    if let Some(context) = parse(traceparent) {
        span.add_link(context);
    }
}

/// Version 00 exactly; of a later version only what 00 has is read.
fn parse(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let version = hex(parts.next()?, 2)?;
    let trace = hex(parts.next()?, 32)?;
    let span = hex(parts.next()?, 16)?;
    let flags = hex(parts.next()?, 2)?;
    if version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    context.is_valid().then_some(context)
}

fn hex(text: &str, digits: usize) -> Option<&str> {
    let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == digits && text.bytes().all(lower_hex)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn the_standards_example_is_read() {
        let context = parse(EXAMPLE).expect("the standard's own");
        assert_eq!(
            context.trace_id().to_string(),
            "0af7651916cd43dd8448eb211c80319c"
        );
        assert_eq!(context.span_id().to_string(), "b7ad6b7169203331");
        assert!(context.is_sampled());
        assert!(parse(&EXAMPLE.replacen("00", "01", 1)).is_some());
        assert!(parse(&format!("{}-more", EXAMPLE.replacen("00", "01", 1))).is_some());
    }

    #[test]
    fn anything_else_is_ignored() {
        for text in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-张三00000000000000000000000000-b7ad6b7169203331-01",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn outside_of_any_span_there_is_no_traceparent() {
        assert_eq!(traceparent_of_current(), "");
    }
}
