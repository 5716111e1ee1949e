//! Keeps the tail in step with what other processes append.
//!
//! A commit is announced to all who listen; who hears of one, or asks, or has not
//! looked for a while, has the sizes of all shards read at once. An announcement
//! carries no sizes, because any user of the database could send a wrong one. It is
//! sent after the commit, in a transaction of its own: within, it would hold a lock
//! over the commit's fsync that all announcing transactions of the server share.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Row as _;
use sqlx::postgres::{PgListener, PgPool};
use tally_eventlog::group::Tail;
use tally_eventlog::store::StoreError;
use tally_eventlog::throttle::Throttle;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use uuid::Uuid;

use crate::connect::Connector;
use crate::logs::{Logs, shard_of};

/// Announcements that come faster share a look.
const LOOKS_APART: Duration = Duration::from_millis(5);

/// Pause before it tries to listen again; meanwhile it polls.
const LISTEN_PAUSE: Duration = Duration::from_secs(1);

type Answer = oneshot::Sender<Result<(), StoreError>>;

/// The following of one store.
#[derive(Debug)]
pub(crate) struct Follow {
    asks: mpsc::UnboundedSender<Answer>,
    announce: Arc<Notify>,
    tasks: Vec<JoinHandle<()>>,
}

/// What the following works with.
#[derive(Clone)]
pub(crate) struct Followed {
    pub(crate) connector: Connector,
    pub(crate) pool: PgPool,
    pub(crate) logs: Arc<Logs>,
    pub(crate) tail: Arc<Tail>,
    pub(crate) poll_interval: Duration,
}

impl Follow {
    pub(crate) fn start(followed: Followed, listen: bool) -> Self {
        let (asks, asked) = mpsc::unbounded_channel();
        let (announce, heard) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        // Tells its own announcements from those of others.
        let me = Uuid::new_v4().to_string();
        let mut tasks = vec![
            tokio::spawn(followed.clone().look(asked, heard.clone())),
            tokio::spawn(followed.clone().announce(announce.clone(), me.clone())),
        ];
        if listen {
            tasks.push(tokio::spawn(followed.listen(heard, me)));
        }
        Self {
            asks,
            announce,
            tasks,
        }
    }

    /// Waits until the tail knows of everything that was committed before the call.
    pub(crate) async fn catch_up(&self) -> Result<(), StoreError> {
        let (answer, done) = oneshot::channel();
        let asked = self.asks.send(answer);
        let closed = || StoreError::new("the store is closed");
        asked.map_err(|_| closed())?;
        done.await.map_err(|_| closed())?
    }

    /// What tells others that something was committed.
    pub(crate) fn announcer(&self) -> Arc<Notify> {
        self.announce.clone()
    }

    pub(crate) fn stop(&self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Followed {
    async fn look(self, mut asked: mpsc::UnboundedReceiver<Answer>, heard: Arc<Notify>) {
        static THROTTLE: Throttle = Throttle::minutely();
        let mut polls = tokio::time::interval(self.poll_interval);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next = Instant::now();
        loop {
            let told = async {
                tokio::time::sleep_until(next).await;
                heard.notified().await;
            };
            let mut waiting = Vec::new();
            tokio::select! {
                ask = asked.recv() => match ask {
                    Some(answer) => waiting.push(answer),
                    None => return,
                },
                () = told => {}
                _ = polls.tick() => {}
            }
            // All who asked before the look begins are answered by it.
            while let Ok(answer) = asked.try_recv() {
                waiting.push(answer);
            }
            next = Instant::now() + LOOKS_APART;
            let looked = self.connector.bounded(self.sizes()).await;
            if let Err(error) = &looked {
                let error = error.to_string();
                if let Some(held_back) = THROTTLE.pass(&error) {
                    tracing::warn!(error, held_back, "sizes of shards not read, trying again");
                }
            }
            let looked = looked.map_err(StoreError::new);
            for answer in waiting {
                // Who asked may have gone.
                let _ = answer.send(looked.clone());
            }
        }
    }

    async fn sizes(&self) -> Result<(), sqlx::Error> {
        let rows = sqlx::query("SELECT log, shard, size FROM shard_head")
            .fetch_all(&self.pool)
            .await?;
        for row in rows {
            let shard = shard_of(row.try_get(1)?)?;
            if let Some(log) = self.logs.numbered(row.try_get(0)?)
                && shard.0 < self.logs.shards.get()
            {
                let size: i64 = row.try_get(2)?;
                self.tail.catch_up(log.name, shard, size.cast_unsigned());
            }
        }
        Ok(())
    }

    async fn announce(self, committed: Arc<Notify>, me: String) {
        loop {
            committed.notified().await;
            // It need not outlast a crash of the server: listeners look again then.
            let sent = sqlx::query(
                "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)",
            )
            .bind(&self.connector.schema)
            .bind(&me)
            .execute(&self.pool);
            if let Err(error) = self.connector.bounded(sent).await {
                tracing::debug!(error = %error, "a commit was not announced, others poll");
            }
        }
    }

    async fn listen(self, heard: Arc<Notify>, me: String) {
        static THROTTLE: Throttle = Throttle::minutely();
        loop {
            let Err(error) = self.listen_until_it_fails(&heard, &me).await;
            let error = error.to_string();
            if let Some(held_back) = THROTTLE.pass(&error) {
                tracing::warn!(
                    error,
                    held_back,
                    "not listening, polling until it does again"
                );
            }
            tokio::time::sleep(LISTEN_PAUSE).await;
        }
    }

    async fn listen_until_it_fails(
        &self,
        heard: &Notify,
        me: &str,
    ) -> Result<std::convert::Infallible, sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.connector.pool(1)).await?;
        listener.listen(&self.connector.schema).await?;
        loop {
            // What was announced before it listened, or listened again, is not told.
            heard.notify_one();
            while let Some(told) = listener.try_recv().await? {
                if told.payload() != me {
                    heard.notify_one();
                }
            }
        }
    }
}
