//! Why a command about a quarantined row is refused.

use tally_domain::fault::FieldFault;
use tally_rpc::Fault;

/// The right to see a row, as the contract names it.
const RIGHT_GET: &str = "collection.quarantine.get";

/// Why a command is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// There is no such row, or it is another department's.
    Unknown,
    /// It is over, or another record is coming out of it.
    Closed,
    /// It was corrected as often as one row may be.
    CorrectedTooOften,
}

impl Rejection {
    /// Stable reason.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Unknown => "QUARANTINE_UNKNOWN",
            Self::Closed => "QUARANTINE_CLOSED",
            Self::CorrectedTooOften => "QUARANTINE_CORRECTED_TOO_OFTEN",
        }
    }

    /// What is wrong and what to do.
    pub fn message(self) -> &'static str {
        match self {
            Self::Unknown => "there is no row in quarantine with this id",
            Self::Closed => {
                "the row left the quarantine: it was handed in again, or is being, or was discarded; a new row needs no place there"
            }
            Self::CorrectedTooOften => {
                "the row was corrected 50 times, and stays as it was before this time; discard it and push it anew"
            }
        }
    }

    /// The fault of a record that is handed in again.
    pub(crate) fn field_fault(self) -> FieldFault {
        let message = match self {
            // Only a record has an id that can be left out.
            Self::Unknown => &format!(
                "{}; look at it, or leave it out to push a new record",
                self.message()
            ),
            Self::Closed | Self::CorrectedTooOften => self.message(),
        };
        FieldFault::new("quarantine_id", self.reason(), message)
    }
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Unknown => Fault::unseen(rejection.reason(), RIGHT_GET, rejection.message()),
            Rejection::Closed | Rejection::CorrectedTooOften => {
                Fault::rejected(rejection.reason(), rejection.message())
            }
        }
    }
}
