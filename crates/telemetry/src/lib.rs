//! Logs, spans and the trace context that travels with every event.
//!
//! Spans carry names of calls, counts and positions, never contents: what names
//! or identifies a person has no place in them. Logs go to standard error; spans
//! go to an OpenTelemetry collector when one is configured. Trace ids exist in
//! either case, so that the envelope always has one.

pub mod client;
pub mod context;
pub mod memory;
pub mod server;

mod init;

pub use client::TraceInterceptor;
pub use context::{link, set_parent, traceparent_of_current};
pub use init::{Guard, InitError, TelemetryOptions, init};
pub use memory::{FinishedSpan, Spans, in_memory};
pub use server::{ServerTraceLayer, ServerTraceService};
