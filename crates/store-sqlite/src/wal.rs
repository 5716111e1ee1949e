//! Checkpoints of the write-ahead log, so that no append waits for one.
//!
//! SQLite's own automatic checkpoint runs inside some unlucky commit and copies
//! thousands of pages there. Here a second connection copies them beside the
//! writer, which a passive checkpoint allows. It alone never ends under load,
//! because the writer always adds frames behind it, and the file would grow for
//! ever. So when the file has grown large, the writer copies the short rest
//! itself between two transactions, and its next one starts the file again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::SqliteConnection;
use tally_eventlog::sequence::Rows;
use tally_eventlog::throttle::Throttle;
use tokio::sync::mpsc;

/// Changed rows after which the pages are copied. One changes two pages or so:
/// its own, shared with neighbours, and one of an index.
const CHECKPOINT_ROWS: usize = 4_096;

/// Frames after which the writer ends the checkpoint itself: 64 MiB of pages.
const FRAMES_MAX: i64 = 16_384;

/// The writer's side.
#[derive(Debug)]
pub(crate) struct WalGauge {
    wake: mpsc::Sender<()>,
    finish: Arc<AtomicBool>,
    rows: usize,
}

impl WalGauge {
    /// Starts copying on `connection` whenever enough was written; it ends with the gauge.
    pub(crate) fn start(
        connection: SqliteConnection,
    ) -> (Self, tokio::task::JoinHandle<SqliteConnection>) {
        let (wake, woken) = mpsc::channel(1);
        let finish = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(copy_pages(connection, woken, finish.clone()));
        (
            Self {
                wake,
                finish,
                rows: 0,
            },
            task,
        )
    }

    /// Between two transactions: ends the checkpoint if the file is large.
    pub(crate) async fn before_transaction(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<(), sqlx::Error> {
        if self.finish.swap(false, Ordering::Relaxed) {
            passive(connection).await?;
        }
        Ok(())
    }

    pub(crate) fn committed(&mut self, rows: &Rows) {
        self.rows += rows.events.len() + rows.views.len() + rows.commands.len() / 16;
        if self.rows >= CHECKPOINT_ROWS {
            self.rows = 0;
            // If it is still copying, it takes these pages along next time.
            let _ = self.wake.try_send(());
        }
    }
}

async fn copy_pages(
    mut connection: SqliteConnection,
    mut woken: mpsc::Receiver<()>,
    finish: Arc<AtomicBool>,
) -> SqliteConnection {
    let throttle = Throttle::minutely();
    while woken.recv().await.is_some() {
        match passive(&mut connection).await {
            Ok(frames) if frames > FRAMES_MAX => finish.store(true, Ordering::Relaxed),
            Ok(_) => {}
            // The log only grows meanwhile; the next wake tries again.
            Err(error) => {
                let error = error.to_string();
                if let Some(held_back) = throttle.pass(&error) {
                    tracing::warn!(error, held_back, "write-ahead log not checkpointed");
                }
            }
        }
    }
    connection
}

/// Copies what can be copied without waiting for anyone; returns the number of
/// frames in the log.
async fn passive(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    let (_busy, frames, _copied): (i64, i64, i64) =
        sqlx::query_as("PRAGMA wal_checkpoint(PASSIVE)")
            .fetch_one(connection)
            .await?;
    Ok(frames)
}
