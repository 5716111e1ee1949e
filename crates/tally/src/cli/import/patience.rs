//! How long an import goes on by itself where the mesh asks it to try later.

use std::time::Duration;

use tally_rpc::FaultReport;
use tonic::Status;

/// Times it is tried without one row more being answered.
const TRIES_MAX: u32 = 10;

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// What was tried in vain so far.
#[derive(Debug, Default)]
pub(super) struct Patience {
    position: u64,
    tries: u32,
}

impl Patience {
    /// How long to wait before the rows after `position` are sent again; nothing
    /// if the mesh did not ask for it, or has too often.
    pub(super) fn pause(&mut self, refusal: &Status, position: u64) -> Option<Duration> {
        // A mesh that has stopped says nothing of a retry: its operator has to look.
        let asked = FaultReport::from(refusal).retry?;
        if position > self.position {
            *self = Self { position, tries: 0 };
        }
        if self.tries == TRIES_MAX {
            return None;
        }
        let pause = asked.saturating_mul(1 << self.tries).min(PAUSE_MAX);
        self.tries += 1;
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use tally_rpc::Fault;

    use super::*;

    fn busy() -> Status {
        let half = Duration::from_millis(500);
        Fault::unavailable("STORE_UNAVAILABLE", "locked", half).into()
    }

    #[test]
    fn pauses_grow_to_a_bound_and_end_unless_it_goes_on() {
        let mut patience = Patience::default();
        let mut pauses = |position| -> Vec<u128> {
            std::iter::from_fn(|| patience.pause(&busy(), position))
                .map(|pause| pause.as_millis())
                .collect()
        };
        let all = [
            500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 10_000, 10_000, 10_000,
        ];
        assert_eq!(pauses(7), all);
        assert!(pauses(7).is_empty(), "it got no further");
        assert_eq!(pauses(8), all, "it got further");
    }

    #[test]
    fn a_mesh_that_asks_for_no_retry_gets_none() {
        let mut patience = Patience::default();
        for refusal in [
            Status::unavailable("connection refused"),
            Fault::internal("a bug").into(),
        ] {
            assert_eq!(patience.pause(&refusal, 1), None);
        }
    }
}
