//! The places that records are handed in again from, and who holds them.
//!
//! A record takes its place before it is accepted, so that two never come out of
//! one. It holds the place once it was accepted from there; before that for
//! [`TAKING_LASTS`], in which it is on its way. A record that was refused, or
//! whose process died between the two, leaves the place to others.

use std::collections::HashMap;

use jiff::SignedDuration;
use tally_domain::department::DepartmentId;
use tally_domain::fault::FieldFault;
use tally_rpc::Fault;
use tally_service::reply::load_fault;
use tally_service::{Deps, logs};
use uuid::Uuid;

use super::{End, Quarantine, Rejection, Taken};
use crate::record::Record;

/// How long a record that took a place may be on its way. A commit takes
/// milliseconds, and calls have given up long before.
const TAKING_LASTS: SignedDuration = SignedDuration::from_secs(60);

/// Places in quarantine as they were found.
pub(crate) struct Places(HashMap<Uuid, Found>);

/// A place in quarantine as it was found.
#[derive(Default)]
pub(crate) struct Found {
    /// What is known of it.
    pub state: Quarantine,
    /// The record that took it and does not hold it.
    pub released: Option<String>,
    version: Option<u64>,
}

/// A place where a row waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waits {
    /// Its id.
    pub id: Uuid,
    /// Where its stream ended.
    pub version: Option<u64>,
    /// The record that took it and does not hold it.
    pub released: Option<String>,
}

/// Where a record is handed in again from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It is new.
    None,
    /// From a row that waits.
    Open(Waits),
    /// From a row that has become this record: it may be known by it again.
    Became(Uuid),
}

impl Places {
    /// Looks at these places.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    pub async fn load(deps: &Deps, mut ids: Vec<Uuid>) -> Result<Self, Fault> {
        if ids.is_empty() {
            return Ok(Self(HashMap::new()));
        }
        ids.sort_unstable();
        ids.dedup();
        let names: Vec<String> = ids.iter().map(Uuid::to_string).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let rows = deps.executor.load::<Quarantine>(logs::COLLECTION, &names);
        let rows = rows
            .await
            .map_err(load_fault)?
            .into_iter()
            .map(|row| Found {
                state: row.state,
                released: None,
                version: row.version,
            });
        let mut found: HashMap<Uuid, Found> = ids.into_iter().zip(rows).collect();
        release(deps, &mut found).await?;
        Ok(Self(found))
    }

    /// The place with this id.
    pub fn take(&mut self, id: Uuid) -> Found {
        self.0.remove(&id).unwrap_or_default()
    }

    /// The record that took a place and does not hold it.
    pub fn released(&self, id: Uuid) -> Option<String> {
        self.0.get(&id)?.released.clone()
    }

    /// True if a row has left the place or is about to.
    pub fn is_left(&self, id: Uuid) -> bool {
        let state = self.0.get(&id).map(|found| &found.state);
        state.is_some_and(|state| state.end().is_some() || state.taken().is_some())
    }

    /// Where a record is handed in again from.
    ///
    /// # Errors
    ///
    /// The fault of `quarantine_id`.
    pub fn origin(
        &self,
        department: &DepartmentId,
        quarantine_id: &str,
    ) -> Result<Origin, FieldFault> {
        if quarantine_id.is_empty() {
            return Ok(Origin::None);
        }
        let unknown = || Rejection::Unknown.field_fault();
        let id = Uuid::try_parse(quarantine_id).map_err(|_| unknown())?;
        let found = self.0.get(&id).ok_or_else(unknown)?;
        found
            .state
            .of(department.as_str())
            .map_err(Rejection::field_fault)?;
        match found.state.end() {
            None => Ok(Origin::Open(Waits {
                id,
                version: found.version,
                released: found.released.clone(),
            })),
            Some(End::Resubmitted { record_id }) => {
                let record_id = Uuid::try_parse(record_id);
                Ok(Origin::Became(record_id.map_err(|_| unknown())?))
            }
            Some(End::Discarded { .. }) => Err(Rejection::Closed.field_fault()),
        }
    }
}

/// Looks at the records that took places, and finds those that hold none.
async fn release(deps: &Deps, places: &mut HashMap<Uuid, Found>) -> Result<(), Fault> {
    let now = deps.clock.now();
    let mut taken: Vec<(Uuid, Taken)> = Vec::new();
    for (id, found) in &*places {
        let is_open = found.state.end().is_none();
        taken.extend(
            found
                .state
                .taken()
                .filter(|_| is_open)
                .map(|by| (*id, by.clone())),
        );
    }
    if taken.is_empty() {
        return Ok(());
    }
    let records: Vec<&str> = taken.iter().map(|(_, by)| by.record_id.as_str()).collect();
    let records = deps.executor.load::<Record>(logs::COLLECTION, &records);
    let records = records.await.map_err(load_fault)?;
    for ((id, by), record) in taken.into_iter().zip(records) {
        let is_released = match record.state.accepted() {
            Some(accepted) => accepted.body.quarantine_id != id.to_string(),
            None => now.duration_since(by.at) > TAKING_LASTS,
        };
        if let Some(found) = places.get_mut(&id).filter(|_| is_released) {
            found.released = Some(by.record_id);
        }
    }
    Ok(())
}
