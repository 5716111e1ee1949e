//! The aggregate of a quarantined row: a refused record that waits until its
//! department corrects it or gives it up. One stream per row, named after what
//! the row says, so that the same row is not kept twice.

pub mod codec;
pub mod view;

pub(crate) mod calls;
pub(crate) mod keep;
pub(crate) mod page;
pub(crate) mod places;
mod rejection;

use std::sync::Arc;

use jiff::Timestamp;
use tally_domain::date::LegalDate;
use tally_domain::legal::LegalBasisRef;
use tally_eventlog::aggregate::Aggregate;
use tally_proto::tally::collection::v1 as pb;
use tally_proto::tally::log::v1::Sealed;

pub use rejection::Rejection;

/// What is known of a quarantined row.
#[derive(Debug, Clone, Default)]
pub struct Quarantine {
    row: Option<Arc<Row>>,
    /// Since when it has been there; set with the row.
    since: Option<Timestamp>,
    changed_at: Option<Timestamp>,
    corrections: u32,
    taken: Option<Taken>,
    end: Option<End>,
}

/// A record that is handed in again from this place, and is on its way or out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The record.
    pub record_id: String,
    /// When it took the place.
    pub at: Timestamp,
}

/// A row as it was handed in, sealed.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Whose it is.
    pub department: String,
    /// Catalogue item that it claims.
    pub record_type: String,
    /// The item's legal basis: on it the row may be kept.
    pub legal_basis: LegalBasisRef,
    /// Why it was refused.
    pub faults: Vec<pb::RowFault>,
    /// What it says, sealed.
    pub content: Sealed,
    /// When it was handed in.
    pub at: Timestamp,
    /// The legal day of it; nothing in events from before it was noted.
    pub on: Option<LegalDate>,
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It was handed in again and accepted.
    Resubmitted {
        /// The record.
        record_id: String,
    },
    /// It was given up.
    Discarded {
        /// Why.
        reason: String,
    },
}

/// What is asked of a quarantined row.
#[derive(Debug, Clone)]
pub enum Command {
    /// Keep a row that was refused. One that waits there already stays as it is:
    /// it is the same row, or was corrected since.
    Keep(Arc<Row>),
    /// It was handed in again and refused again.
    Correct {
        /// As it is now.
        row: Arc<Row>,
        /// A record that took the place and does not hold it, if one was found.
        released: Option<String>,
    },
    /// A record is handed in again: no other may come out of this place.
    Take {
        /// Department that asks.
        department: String,
        /// The record.
        record_id: String,
        /// A record that took the place and does not hold it, if one was found.
        released: Option<String>,
        /// When.
        at: Timestamp,
    },
    /// It was handed in again and accepted.
    Resubmit {
        /// The record.
        record_id: String,
        /// When.
        at: Timestamp,
        /// The legal day of it; nothing for a record from before it was noted.
        on: Option<LegalDate>,
    },
    /// Give it up.
    Discard {
        /// Department that asks.
        department: String,
        /// Why.
        reason: String,
        /// A record that took the place and does not hold it, if one was found.
        released: Option<String>,
        /// When.
        at: Timestamp,
        /// The legal day of it.
        on: LegalDate,
    },
}

/// What happened to a quarantined row.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// It was kept.
    Quarantined(Arc<Row>),
    /// It was handed in again and refused again.
    Corrected {
        /// As it is now.
        row: Arc<Row>,
        /// Catalogue item that it claimed before.
        record_type_before: String,
        /// Since when it has been there.
        since: Timestamp,
    },
    /// A record that is handed in again took the place.
    Taken {
        /// The row as it was last.
        row: Arc<Row>,
        /// The record.
        record_id: String,
        /// Since when the row has been there.
        since: Timestamp,
        /// When.
        at: Timestamp,
    },
    /// It is over.
    Ended {
        /// The row as it was last.
        row: Arc<Row>,
        /// How.
        end: End,
        /// Since when it has been there.
        since: Timestamp,
        /// When.
        at: Timestamp,
        /// The legal day of it; nothing in events from before it was noted.
        on: Option<LegalDate>,
    },
}

/// How often one row is corrected: its stream grows by all of it each time.
const CORRECTIONS_MAX: u32 = 50;

impl Quarantine {
    /// The row as it was handed in last.
    pub fn row(&self) -> Option<&Row> {
        self.row.as_deref()
    }

    /// What became of it; nothing while it waits.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// The record that took the place last, if no correction has freed it.
    pub fn taken(&self) -> Option<&Taken> {
        self.taken.as_ref()
    }

    /// The row, for its department. Others are not told that there is one.
    ///
    /// # Errors
    ///
    /// [`Rejection::Unknown`]: look at the id.
    pub fn of(&self, department: &str) -> Result<&Row, Rejection> {
        self.row()
            .filter(|row| row.department == department)
            .ok_or(Rejection::Unknown)
    }

    /// The row without what it says.
    pub fn shown(&self, id: &str) -> Option<pb::QuarantinedRow> {
        let row = self.row()?;
        let mut shown = view::row(id, row, self.since?);
        shown.corrections = self.corrections;
        shown.changed_at = self.changed_at.map(tally_eventlog::event::to_proto_time);
        if let Some(end) = &self.end {
            view::close(&mut shown, end);
        }
        Some(shown)
    }

    fn open_for(&self, department: &str) -> Result<(&Arc<Row>, Timestamp), Rejection> {
        let (Some(row), Some(since)) = (&self.row, self.since) else {
            return Err(Rejection::Unknown);
        };
        if row.department != department {
            return Err(Rejection::Unknown);
        }
        if self.end.is_some() {
            return Err(Rejection::Closed);
        }
        Ok((row, since))
    }

    /// Refuses where a record holds the place: one that took it, and of which
    /// it was not found that it `released` it.
    fn not_held(&self, released: Option<&str>) -> Result<(), Rejection> {
        let taken = self.taken.as_ref().map(|taken| taken.record_id.as_str());
        match taken {
            Some(_) if taken != released => Err(Rejection::Closed),
            _ => Ok(()),
        }
    }

    fn keep(&self, new: &Arc<Row>) -> Result<Vec<Event>, Rejection> {
        if self.row.is_none() {
            return Ok(vec![Event::Quarantined(new.clone())]);
        }
        self.open_for(&new.department)?;
        self.not_held(None)?;
        Ok(Vec::new())
    }

    fn correct(&self, new: &Arc<Row>, released: Option<&str>) -> Result<Vec<Event>, Rejection> {
        let (row, since) = self.open_for(&new.department)?;
        self.not_held(released)?;
        // Equal rows seal equal. A place that was taken is freed by the event.
        if self.taken.is_none() && row.content == new.content && row.faults == new.faults {
            return Ok(Vec::new());
        }
        if self.corrections >= CORRECTIONS_MAX {
            return Err(Rejection::CorrectedTooOften);
        }
        Ok(vec![Event::Corrected {
            row: new.clone(),
            record_type_before: row.record_type.clone(),
            since,
        }])
    }
}

impl Aggregate for Quarantine {
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    const CATEGORY: &'static str = "quarantine";

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Keep(row) => self.keep(row),
            Command::Correct { row, released } => self.correct(row, released.as_deref()),
            Command::Take {
                department,
                record_id,
                released,
                at,
            } => {
                let (row, since) = self.open_for(department)?;
                let taken = self.taken.as_ref();
                if taken.is_some_and(|taken| taken.record_id == *record_id) {
                    return Ok(Vec::new());
                }
                self.not_held(released.as_deref())?;
                Ok(vec![Event::Taken {
                    row: row.clone(),
                    record_id: record_id.clone(),
                    since,
                    at: *at,
                }])
            }
            Command::Resubmit { record_id, at, on } => {
                // An effect: what is over stays as it is, and so does a row that
                // was corrected, or taken by another, after this record let go of it.
                let taken = self.taken.as_ref();
                let (Some(row), Some(since), None) = (&self.row, self.since, &self.end) else {
                    return Ok(Vec::new());
                };
                if taken.is_none_or(|taken| taken.record_id != *record_id) {
                    return Ok(Vec::new());
                }
                let record_id = record_id.clone();
                Ok(vec![Event::Ended {
                    row: row.clone(),
                    end: End::Resubmitted { record_id },
                    since,
                    at: *at,
                    on: *on,
                }])
            }
            Command::Discard {
                department,
                reason,
                released,
                at,
                on,
            } => {
                let (row, since) = self.open_for(department)?;
                self.not_held(released.as_deref())?;
                let reason = reason.clone();
                Ok(vec![Event::Ended {
                    row: row.clone(),
                    end: End::Discarded { reason },
                    since,
                    at: *at,
                    on: Some(*on),
                }])
            }
        }
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Quarantined(row) => {
                self.row = Some(row.clone());
                self.since = Some(row.at);
                self.changed_at = Some(row.at);
            }
            Event::Corrected { row, .. } => {
                self.row = Some(row.clone());
                self.changed_at = Some(row.at);
                self.corrections += 1;
                self.taken = None;
            }
            Event::Taken { record_id, at, .. } => {
                let record_id = record_id.clone();
                self.taken = Some(Taken { record_id, at: *at });
            }
            Event::Ended { end, at, .. } => {
                self.end = Some(end.clone());
                self.changed_at = Some(*at);
            }
        }
    }
}

#[cfg(test)]
mod tests;
