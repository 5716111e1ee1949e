//! A clock that tests move, and by which they hold a writer still.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use crate::clock::Clock;

/// How far the clock goes each time it is read: not a whole number of micro-
/// seconds, so that a store that rounds is noticed, and never zero, so that
/// each transaction has a time of its own.
const STEP: SignedDuration = SignedDuration::from_nanos(1_000_007);

/// Bound on a stall: a test that fails inside of one must end.
const STALL_MAX: Duration = Duration::from_secs(60);

/// A clock that goes a step each time it is read, can be set to any time, and
/// can hold whoever reads it. Group commit reads it once per transaction.
#[derive(Debug)]
pub struct TestClock {
    state: Mutex<State>,
    released: Condvar,
    held: watch::Sender<u64>,
    moved: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    now: Timestamp,
    stalled: bool,
}

impl Default for TestClock {
    fn default() -> Self {
        let now = "2026-01-02T03:04:05.123456789Z"
            .parse()
            .expect("a timestamp");
        Self {
            state: Mutex::new(State {
                now,
                stalled: false,
            }),
            released: Condvar::new(),
            held: watch::Sender::new(0),
            moved: watch::Sender::new(0),
        }
    }
}

impl TestClock {
    /// Sets the clock, also back.
    pub fn set(&self, now: Timestamp) {
        self.state().now = now;
        self.moved.send_modify(|count| *count += 1);
    }

    /// Holds whoever reads the clock from now on, until the stall is dropped.
    pub fn stall(self: &Arc<Self>) -> Stall {
        self.state().stalled = true;
        Stall {
            held: self.held.subscribe(),
            clock: self.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let mut state = self.state();
        if state.stalled {
            self.held.send_modify(|count| *count += 1);
            let waited = self
                .released
                .wait_timeout_while(state, STALL_MAX, |state| state.stalled);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.now = state.now.saturating_add(STEP).unwrap_or(Timestamp::MAX);
        state.now
    }

    fn wall(&self) -> Timestamp {
        self.state().now
    }

    fn moved(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }
}

/// Holds whoever reads the clock, until it is dropped.
#[derive(Debug)]
pub struct Stall {
    clock: Arc<TestClock>,
    held: watch::Receiver<u64>,
}

impl Stall {
    /// Waits until someone is held: a transaction is open and has not committed.
    pub async fn reached(&mut self) {
        self.held
            .changed()
            .await
            .expect("the stall keeps its clock");
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        self.clock.state().stalled = false;
        self.clock.released.notify_all();
    }
}
