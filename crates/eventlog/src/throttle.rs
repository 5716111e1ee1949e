//! Keeps a lasting trouble from flooding the log: a full disk fails every
//! attempt of everybody.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Texts that are told apart. Beyond it the oldest is forgotten.
const TEXTS_MAX: usize = 16;

/// Lets each text pass once in a while.
#[derive(Debug)]
pub struct Throttle {
    every: Duration,
    seen: Mutex<Vec<Seen>>,
}

#[derive(Debug)]
struct Seen {
    text: String,
    passed: Instant,
    held_back: u64,
}

impl Throttle {
    /// Lets each text pass once in `every`.
    pub const fn new(every: Duration) -> Self {
        Self {
            every,
            seen: Mutex::new(Vec::new()),
        }
    }

    /// Once a minute.
    pub const fn minutely() -> Self {
        Self::new(Duration::from_secs(60))
    }

    /// How often the text was held back since it passed last, if it may pass
    /// now. Nothing: hold it back.
    pub fn pass(&self, text: &str) -> Option<u64> {
        self.pass_at(Instant::now(), text)
    }

    fn pass_at(&self, now: Instant, text: &str) -> Option<u64> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = seen.iter_mut().find(|seen| seen.text == text) {
            if now.duration_since(known.passed) < self.every {
                known.held_back += 1;
                return None;
            }
            known.passed = now;
            return Some(std::mem::take(&mut known.held_back));
        }
        if seen.len() == TEXTS_MAX {
            seen.remove(0);
        }
        seen.push(Seen {
            text: text.to_owned(),
            passed: now,
            held_back: 0,
        });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_passes_once_a_minute_and_another_at_once() {
        let throttle = Throttle::minutely();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(throttle.pass_at(start, "disk full"), Some(0));
        for second in 0..59 {
            assert_eq!(throttle.pass_at(after(second), "disk full"), None);
        }
        assert_eq!(throttle.pass_at(after(1), "disk gone"), Some(0));
        assert_eq!(throttle.pass_at(after(60), "disk full"), Some(59));
        assert_eq!(throttle.pass_at(after(61), "disk full"), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let throttle = Throttle::minutely();
        for n in 0..100 {
            assert_eq!(throttle.pass(&n.to_string()), Some(0));
        }
        assert_eq!(throttle.seen.lock().expect("not poisoned").len(), TEXTS_MAX);
    }
}
