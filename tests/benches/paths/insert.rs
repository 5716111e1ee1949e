//! Bare group commit: one task takes all that waits, up to a bound, and commits
//! it with as few statements as the driver needs to be fast.

pub mod postgres;
pub mod sqlite;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Requests in one transaction.
const BATCH_MAX: usize = 2_048;

/// Rows that wait for a commit, and whom to tell.
struct Job {
    places: std::ops::Range<usize>,
    done: oneshot::Sender<()>,
}

/// The way into a group commit of material, by places in it.
#[derive(Clone)]
pub struct Inserts {
    queue: mpsc::UnboundedSender<Job>,
}

/// The task behind [`Inserts`]; it ends with the last of them.
pub type InsertTask = JoinHandle<()>;

impl Inserts {
    fn start(table: impl Table) -> (Self, InsertTask) {
        let (queue, jobs) = mpsc::unbounded_channel();
        (Self { queue }, tokio::spawn(run(table, jobs)))
    }

    /// Returns when the rows at these places are durable.
    pub async fn insert(&self, places: std::ops::Range<usize>) {
        let (done, committed) = oneshot::channel();
        let sent = self.queue.send(Job { places, done });
        assert!(sent.is_ok(), "the task ends with the last sender");
        committed.await.expect("the task answers every job");
    }
}

trait Table: Send + 'static {
    fn commit(
        &mut self,
        batch: &[std::ops::Range<usize>],
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
    fn close(self) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

async fn run(mut table: impl Table, mut jobs: mpsc::UnboundedReceiver<Job>) {
    while let Some(first) = jobs.recv().await {
        let mut waiting = vec![first.done];
        let mut batch = vec![first.places];
        let mut count = batch[0].len();
        while count < BATCH_MAX {
            let Ok(job) = jobs.try_recv() else { break };
            count += job.places.len();
            waiting.push(job.done);
            batch.push(job.places);
        }
        table.commit(&batch).await.expect("bare rows are inserted");
        for done in waiting {
            // A caller that has gone away waits for nothing.
            let _ = done.send(());
        }
    }
    table.close().await.expect("the bare store closes");
}
