//! Subscriptions that stay open for the whole run, one per department.

use futures::future::try_join_all;
use tally_proto::tally::sanctions::v1::SubscribeRequest;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::error::Answered as _;
use super::{Demo, DemoError, texts, wait};
use crate::client::Client;

/// The open subscriptions: how many items came on each.
pub struct Live {
    open: Vec<(watch::Receiver<u64>, JoinHandle<()>)>,
}

impl Live {
    fn counts(&self) -> Vec<u64> {
        self.open.iter().map(|(count, _)| *count.borrow()).collect()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.open.iter().for_each(|(_, task)| task.abort());
    }
}

async fn follow(system: &Client) -> Result<(watch::Receiver<u64>, JoinHandle<()>), DemoError> {
    let request = SubscribeRequest {
        cursor: None,
        until_head: false,
    };
    let stream = system.sanctions().subscribe(request).await;
    let mut stream = stream.during("subscribe for the whole run")?.into_inner();
    let (count, counted) = watch::channel(0);
    let task = tokio::spawn(async move {
        // A broken stream stops the count, and the comparison shows it.
        while let Ok(Some(_)) = stream.message().await {
            count.send_modify(|count| *count += 1);
        }
    });
    Ok((counted, task))
}

impl Demo {
    /// Opens one for every department.
    pub(super) async fn follow_live(&self) -> Result<Live, DemoError> {
        let systems = self.world.depts().map(|dept| &self.cast.desk(dept).system);
        let open = try_join_all(systems.map(follow)).await?;
        Ok(Live { open })
    }

    /// The open subscriptions must have brought what was read from cursors.
    pub(super) async fn compare_live(&mut self, live: Live) -> Result<(), DemoError> {
        let books = &self.ledger.books;
        let read: Vec<u64> = books.iter().map(|book| book.items).collect();
        let gaps: u64 = books.iter().map(|book| book.gaps).sum();
        let came = wait::until("open subscriptions bring every item", async || {
            let counts = live.counts();
            Ok(counts.iter().zip(&read).all(|(came, read)| came >= read))
        });
        let came = came.await;
        self.came_or_shows(came)?;
        let (read, came) = (format!("{read:?}"), format!("{:?}", live.counts()));
        self.summary.equal(&texts::CHECK_LIVE, &read, &came);
        self.summary.equal(&texts::CHECK_GAPS, &0, &gaps);
        Ok(())
    }
}
