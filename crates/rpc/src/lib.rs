//! The rpc edge: one error type with stable reasons, and the listening and
//! connecting that every role and client shares.
//!
//! Everything a caller can be told is a [`Fault`]; it becomes a gRPC status
//! with `ErrorInfo`, and `BadRequest` or `RetryInfo` where they say more.
//! Clients read it back as a [`FaultReport`].

pub mod client;
pub mod fault;
pub mod inbound;
pub mod report;
pub mod server;
pub mod timeout;
pub mod tls;

mod connection;

pub use client::{ConnectError, connect, connect_lazy};
pub use fault::{BoxError, DOMAIN, Fault};
pub use report::{FaultReport, Violation};
pub use server::{MESSAGE_BYTES_MAX, ServeError, ServeLimits, serve, with_standard_services};
pub use timeout::TimeoutLayer;
pub use tls::{ClientTls, ServerTls};
