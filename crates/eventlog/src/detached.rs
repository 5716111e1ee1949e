//! Work that holds a connection.

use std::panic::resume_unwind;

use tracing::Instrument as _;

/// Runs work that holds one of few connections as a task of its own. A future is
/// not always polled to its end: that of a stream rests while its client reads
/// slowly, and the connection in it would be missing to everybody else.
pub async fn detached<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work.in_current_span()).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime ends, and with it whoever waits here.
            Err(_) => std::future::pending().await,
        },
    }
}
