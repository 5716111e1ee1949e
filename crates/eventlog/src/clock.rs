//! Time as it is passed in. Nothing below the composition root reads the
//! system clock itself.

use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

/// The clock of a process.
pub trait Clock: Send + Sync + 'static {
    /// The time that decisions, records and legal terms use.
    fn now(&self) -> Timestamp;

    /// The time of the wall clock: for what is about machines and not about
    /// law (age of ids, freshness of a reader). The same as `now` except on a
    /// store with a movable clock.
    fn wall(&self) -> Timestamp;

    /// Changes whenever the clock is moved.
    fn moved(&self) -> watch::Receiver<u64>;
}

/// The system's clock.
#[derive(Debug)]
pub struct SystemClock {
    moved: watch::Sender<u64>,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self {
            moved: watch::Sender::new(0),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    fn moved(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }
}

/// A clock that runs like the system's at a distance that can be widened. Only
/// on a store that was created for it.
#[derive(Debug)]
pub struct MovableClock {
    ahead: Mutex<SignedDuration>,
    moved: watch::Sender<u64>,
}

/// A clock moves forward only.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the clock is at {now} and moves forward only; ask for a later time than {asked}")]
pub struct ClockBackward {
    /// The time now.
    pub now: Timestamp,
    /// The time asked for.
    pub asked: Timestamp,
}

impl MovableClock {
    /// A clock at a distance from the system's; negative is behind it.
    pub fn new(ahead: SignedDuration) -> Self {
        Self {
            ahead: Mutex::new(ahead),
            moved: watch::Sender::new(0),
        }
    }

    /// A clock that shows `start` now.
    pub fn starting_at(start: Timestamp) -> Self {
        Self::new(start.duration_since(Timestamp::now()))
    }

    /// Distance from the system's clock; what has to be kept over a restart.
    pub fn ahead(&self) -> SignedDuration {
        *self
            .ahead
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Moves the clock to a later time, and returns the new distance.
    ///
    /// # Errors
    ///
    /// [`ClockBackward`]: ask for a later time.
    pub fn advance_to(&self, to: Timestamp) -> Result<SignedDuration, ClockBackward> {
        let mut ahead = self
            .ahead
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let wall = Timestamp::now();
        let now = wall.saturating_add(*ahead).unwrap_or(Timestamp::MAX);
        if to < now {
            return Err(ClockBackward { now, asked: to });
        }
        *ahead = to.duration_since(wall);
        let distance = *ahead;
        drop(ahead);
        self.moved.send_modify(|count| *count += 1);
        Ok(distance)
    }
}

impl Clock for MovableClock {
    fn now(&self) -> Timestamp {
        let ahead = self.ahead();
        Timestamp::now()
            .saturating_add(ahead)
            .unwrap_or(Timestamp::MAX)
    }

    fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    fn moved(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_movable_clock_moves_forward_only() {
        let start: Timestamp = "2011-01-01T00:00:00Z".parse().expect("a timestamp");
        let clock = MovableClock::starting_at(start);
        assert!(clock.now() >= start);
        let later: Timestamp = "2012-06-01T00:00:00Z".parse().expect("a timestamp");
        clock.advance_to(later).expect("forward");
        assert!(clock.now() >= later);
        assert!(clock.advance_to(start).is_err());
    }
}
