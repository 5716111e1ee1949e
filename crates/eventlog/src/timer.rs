//! Timers: due dates as a view of the log, fired as commands with derived ids.
//!
//! The view's keys start with the due date, so that what is due is one range.
//! Firing is effective on the due date however late it is recorded. A row that
//! cannot fire is tried again at growing intervals.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::consumer::{Progress, ReactError};
use crate::shard::Shard;
use crate::store::EventStore;
use crate::throttle::Throttle;

/// What a service does when something is due.
#[async_trait]
pub trait TimerHandler: Send + Sync + 'static {
    /// The view of due dates.
    fn view(&self) -> &'static str;

    /// Keys below this are due at `now`.
    fn due_before(&self, now: Timestamp) -> Vec<u8>;

    /// Fires a row: a command whose id is derived from the row's key. When it
    /// has been applied, the log's events take the row out of the view.
    ///
    /// # Errors
    ///
    /// [`ReactError`]: it is tried again, at first at the next turn, then at
    /// intervals that double up to [`BACKOFF_MAX`]; at once when the clock is moved.
    async fn fire(&self, shard: Shard, key: Bytes, value: Bytes) -> Result<(), ReactError>;
}

/// A timer, before it is started.
pub struct Timer {
    /// Where the view is.
    pub store: Arc<dyn EventStore>,
    /// What fires.
    pub handler: Arc<dyn TimerHandler>,
    /// The consumer that writes the view. Only shards that it holds fire here.
    pub progress: Arc<Progress>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// How often the view is looked at, besides when the clock is moved.
    pub interval: Duration,
}

/// Rows fired at a time.
const BATCH: usize = 256;

/// Longest time between two tries of a row that cannot fire.
pub const BACKOFF_MAX: Duration = Duration::from_secs(300);

/// Rows that could not fire, by shard and key. Never more than are due.
type Failing = HashMap<(Shard, Bytes), Failure>;

struct Failure {
    tries: u32,
    next: Instant,
    /// The turn in which it was seen last.
    turn: u64,
}

impl Failure {
    /// After `tries` tries of a timer that looks every `interval`.
    fn after(tries: u32, interval: Duration, turn: u64) -> Self {
        let factor = 1u32.checked_shl(tries - 1).unwrap_or(u32::MAX);
        // A little less than the turns' distance, so that no turn is missed by a hair; nothing
        // where the turns themselves are further apart.
        let pause = interval.saturating_mul(factor).min(BACKOFF_MAX);
        let pause = pause.saturating_sub(interval / 2);
        Self {
            tries,
            next: Instant::now() + pause,
            turn,
        }
    }
}

impl Timer {
    /// Runs until `stop` is cancelled.
    pub fn start(self, stop: CancellationToken) -> tokio::task::JoinHandle<()> {
        tokio::spawn(async move {
            stop.run_until_cancelled(self.run()).await;
        })
    }

    async fn run(self) {
        let mut moved = self.clock.moved();
        let mut failing = Failing::new();
        for turn in 0.. {
            moved.borrow_and_update();
            for shard in self.store.shards().all() {
                if !self.progress.with(shard, |state| state.held) {
                    continue;
                }
                if let Err(error) = self.fire_due(shard, turn, &mut failing).await {
                    self.report(shard, &error, "timer tries again");
                    // What could not be read is not gone.
                    let unread = failing.iter_mut().filter(|((at, _), _)| *at == shard);
                    unread.for_each(|(_, failure)| failure.turn = turn);
                }
            }
            failing.retain(|_, failure| failure.turn == turn);
            tokio::select! {
                _ = moved.changed() => failing.clear(),
                () = tokio::time::sleep(self.interval) => {}
            }
        }
    }

    fn report(&self, shard: Shard, error: &ReactError, what: &'static str) {
        static THROTTLE: Throttle = Throttle::minutely();
        let view = self.handler.view();
        let error = error.to_string();
        if let Some(held_back) = THROTTLE.pass(&format!("{view}: {error}")) {
            tracing::warn!(view, shard = shard.0, error, held_back, "{what}");
        }
    }

    async fn fire_due(
        &self,
        shard: Shard,
        turn: u64,
        failing: &mut Failing,
    ) -> Result<(), ReactError> {
        let due = self.handler.due_before(self.clock.now());
        let mut from = Vec::new();
        loop {
            let rows = self
                .store
                .scan(self.handler.view(), shard, &from, Some(&due), BATCH)
                .await?;
            let full = rows.len() == BATCH;
            let Some((last, _)) = rows.last() else {
                return Ok(());
            };
            from = last.to_vec();
            from.push(0);
            for (key, value) in rows {
                let row = (shard, key.clone());
                let tries = match failing.get_mut(&row) {
                    Some(failure) if Instant::now() < failure.next => {
                        failure.turn = turn;
                        continue;
                    }
                    Some(failure) => failure.tries,
                    None => 0,
                };
                // One row that cannot fire must not hold back what is due after it.
                match self.handler.fire(shard, key, value).await {
                    Ok(()) => {
                        failing.remove(&row);
                    }
                    Err(error) => {
                        self.report(shard, &error, "not fired, tried again later");
                        let failure = Failure::after(tries + 1, self.interval, turn);
                        failing.insert(row, failure);
                    }
                }
            }
            if !full {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::append::{Append, RowKey, ViewWrite};
    use crate::clock::MovableClock;
    use crate::consumer::Poison;
    use crate::group::GroupOptions;
    use crate::memory::MemoryStore;
    use crate::shard::{LogName, ShardCount};

    const LOG: LogName = LogName("timed");
    const VIEW: &str = "timed.due";

    /// Refuses every row for ever, and says so.
    struct Refusing(mpsc::UnboundedSender<Bytes>);

    #[async_trait]
    impl TimerHandler for Refusing {
        fn view(&self) -> &'static str {
            VIEW
        }

        fn due_before(&self, _now: Timestamp) -> Vec<u8> {
            vec![0xff]
        }

        async fn fire(&self, _shard: Shard, key: Bytes, _value: Bytes) -> Result<(), ReactError> {
            self.0.send(key).expect("the test listens");
            Err(Poison::new("refused").into())
        }
    }

    /// A timer with one row that is due, its clock, and what tells of its tries.
    async fn started(interval: Duration) -> (Arc<MovableClock>, mpsc::UnboundedReceiver<Bytes>) {
        let shards = ShardCount::new(1).expect("one shard");
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a timestamp");
        let clock = Arc::new(MovableClock::starting_at(start));
        let options = GroupOptions::default();
        let store = MemoryStore::open(&[LOG], shards, clock.clone(), options, None);
        let row = RowKey {
            view: VIEW,
            shard: Shard(0),
            key: Bytes::from_static(b"row"),
        };
        let write = ViewWrite {
            row,
            value: Some(Bytes::new()),
        };
        let append = Append {
            views: vec![write],
            ..Append::to(LOG, Shard(0))
        };
        store
            .append(vec![append])
            .await
            .pop()
            .expect("one outcome")
            .expect("the row is there");
        let (sender, fired) = mpsc::unbounded_channel();
        let progress = Progress::new("timed.self", LOG, shards);
        progress.update(Shard(0), |state| state.held = true);
        let timer = Timer {
            store: Arc::new(store),
            handler: Arc::new(Refusing(sender)),
            progress: Arc::new(progress),
            clock: clock.clone(),
            interval,
        };
        // It ends with the test's runtime.
        timer.start(CancellationToken::new());
        (clock, fired)
    }

    #[tokio::test]
    async fn a_row_that_is_always_refused_backs_off() {
        let began = Instant::now();
        let (_clock, mut fired) = started(Duration::from_millis(10)).await;
        for _ in 0..6 {
            fired.recv().await.expect("it fires");
        }
        // 10, 20, 40, 80 and 160 ms, each less half a turn.
        assert!(began.elapsed() >= Duration::from_millis(285));
    }

    #[tokio::test]
    async fn a_moved_clock_makes_every_row_due_at_once() {
        let (clock, mut fired) = started(Duration::from_secs(3_600)).await;
        fired.recv().await.expect("it fires");
        let later = "2027-01-01T00:00:00Z".parse().expect("a timestamp");
        clock.advance_to(later).expect("forward");
        fired.recv().await.expect("it fires");
    }

    #[test]
    fn tries_are_never_too_far_apart() {
        let now = Instant::now();
        let failure = Failure::after(1_000, Duration::from_secs(1), 0);
        let pause = failure.next - now;
        assert!(pause > BACKOFF_MAX - Duration::from_secs(1), "{pause:?}");
        assert!(pause < BACKOFF_MAX + Duration::from_secs(1), "{pause:?}");
    }
}
