//! Which refused rows are kept, and how they get there.
//!
//! Nothing is collected without a ground, in quarantine neither: a row is kept
//! only where its department might push such a record today. Of a row of no
//! known type, of another department's item, or about a natural person where
//! those are off, nothing stays but the refusal.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use prost::Message as _;
use tally_domain::date::LegalDate;
use tally_domain::department::DepartmentId;
use tally_domain::fault::FieldFault;
use tally_domain::legal::LegalBasisRef;
use tally_domain::subject::SubjectType;
use tally_eventlog::aggregate::Aggregate;
use tally_eventlog::append::CommandKey;
use tally_eventlog::event::EventContext;
use tally_eventlog::execute::Task;
use tally_eventlog::ids::{follow_up_id, named_id};
use tally_eventlog::merkle::Hash;
use tally_eventlog::sealing::Sealer;
use tally_proto::tally::collection::v1 as pb;
use tally_rpc::Fault;
use tally_service::reply::load_fault;
use tally_service::{Deps, Policy, digest, logs, subject};
use uuid::Uuid;

use super::codec::seal;
use super::{Command, End, Quarantine, Rejection, Row};

/// Bytes of a row that is kept. What departments exchange is far below.
const ROW_BYTES_MAX: usize = 256 << 10;

/// Id of the row that a department's command leaves in quarantine.
pub(crate) fn row_id(department: &DepartmentId, command_id: Uuid) -> Uuid {
    named_id(
        <Quarantine as Aggregate>::CATEGORY,
        &[department.as_str(), &command_id.to_string()],
    )
}

/// Where the records of a chunk are handed in again from, as far as they are.
pub(crate) struct Places(HashMap<Uuid, Quarantine>);

/// Where a record is handed in again from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It is new.
    None,
    /// From a row that waits.
    Open(Uuid),
    /// From a row that has become this record: it may be known by it again.
    Became(Uuid),
}

impl Places {
    /// Loads the rows that the requests name.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    pub async fn load(deps: &Deps, requests: &[pb::PushRecordsRequest]) -> Result<Self, Fault> {
        let mut ids: Vec<Uuid> = requests
            .iter()
            .filter_map(|request| Uuid::try_parse(&request.quarantine_id).ok())
            .collect();
        if ids.is_empty() {
            return Ok(Self(HashMap::new()));
        }
        ids.sort_unstable();
        ids.dedup();
        let names: Vec<String> = ids.iter().map(Uuid::to_string).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let rows = deps.executor.load::<Quarantine>(logs::COLLECTION, &names);
        let rows = rows.await.map_err(load_fault)?;
        let rows = rows.into_iter().map(|row| row.state);
        Ok(Self(ids.into_iter().zip(rows).collect()))
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
        let row = self.0.get(&id).ok_or_else(unknown)?;
        row.of(department.as_str())
            .map_err(Rejection::field_fault)?;
        match row.end() {
            None => Ok(Origin::Open(id)),
            Some(End::Resubmitted { record_id }) => {
                let record_id = Uuid::try_parse(record_id);
                Ok(Origin::Became(record_id.map_err(|_| unknown())?))
            }
            Some(End::Discarded { .. }) => Err(Rejection::Closed.field_fault()),
        }
    }
}

/// A refused row that may be kept. Without `Debug`: it may name persons.
pub(crate) struct Keep {
    /// Its place.
    pub place: Uuid,
    /// The command that is refused.
    pub command_id: Uuid,
    again: bool,
    legal_basis: LegalBasisRef,
    record: pb::RecordContent,
    sealer: Option<Sealer>,
}

/// By what it is judged whether a row may be kept.
pub(crate) struct Keeper<'a> {
    /// The active policy.
    pub policy: &'a Policy,
    /// The legal date now.
    pub today: LegalDate,
    /// Whose rows.
    pub department: &'a DepartmentId,
}

impl Keeper<'_> {
    /// The row, if it may be kept; `encoded` is the record as it came. It is
    /// handed in `again` where its place has a row already.
    ///
    /// # Errors
    ///
    /// The fault of a row that is too large: it is refused and not kept.
    pub fn keep(
        &self,
        encoded: &[u8],
        place: Uuid,
        again: bool,
        command_id: Uuid,
    ) -> Result<Option<Keep>, FieldFault> {
        let Ok(record) = pb::RecordContent::decode(encoded) else {
            return Ok(None);
        };
        let Some(legal_basis) = self.basis(&record) else {
            return Ok(None);
        };
        if encoded.len() > ROW_BYTES_MAX {
            return Err(FieldFault::new(
                "quarantine",
                "ROW_TOO_LARGE",
                format!("the row is not kept: it has more than {ROW_BYTES_MAX} bytes"),
            ));
        }
        Ok(Some(Keep {
            place,
            again,
            command_id,
            legal_basis,
            record,
            sealer: None,
        }))
    }

    /// The basis on which the department might push such a record today.
    fn basis(&self, record: &pb::RecordContent) -> Option<LegalBasisRef> {
        let record_type = self.policy.pack.record_type(&record.record_type)?;
        if !record_type.reporters.contains(self.department) {
            return None;
        }
        let about = if subject::names_a_person(&record.subject) {
            SubjectType::NaturalPerson
        } else {
            SubjectType::Organisation
        };
        let basis = record_type.basis_for(about)?;
        let pack = &self.policy.pack;
        pack.in_force(basis, self.today, self.department, about)
            .ok()?;
        Some(basis.clone())
    }
}

impl Keep {
    /// Gives it what seals it.
    pub fn seal_with(&mut self, sealer: Sealer) {
        self.sealer = Some(sealer);
    }

    /// The command that keeps it with its faults, or keeps it as it is now.
    ///
    /// # Panics
    ///
    /// If it has no sealer: no row is ever stored in clear.
    pub fn task(
        self,
        department: &DepartmentId,
        faults: &[FieldFault],
        at: Timestamp,
        context: Arc<EventContext>,
    ) -> Task<Quarantine> {
        let sealer = self
            .sealer
            .as_ref()
            .expect("sealers are made for all rows of a chunk that may be kept");
        let record_type = self.record.record_type.clone();
        let places = faults.iter().map(|fault| pb::RowFault {
            field: fault.field.clone(),
            reason: fault.reason.to_owned(),
        });
        // Words may quote what is wrong, so that they are sealed with it.
        let words = faults.iter().map(|fault| pb::Fault {
            field: fault.field.clone(),
            reason: fault.reason.to_owned(),
            message: fault.message.clone(),
        });
        let content = pb::QuarantinedContent {
            record: Some(self.record),
            faults: words.collect(),
        };
        let stored = pb::RowQuarantined {
            department: department.to_string(),
            record_type,
            faults: places.collect(),
            content: Some(seal(sealer, &content)),
            quarantined_at: None,
        };
        let content = digest("collection.quarantine", &stored);
        let row = Arc::new(Row {
            department: stored.department,
            record_type: stored.record_type,
            legal_basis: self.legal_basis,
            faults: stored.faults,
            content: stored.content.unwrap_or_default(),
            at,
        });
        let command = match self.again {
            true => Command::Correct(row),
            false => Command::Keep(row),
        };
        let key = follow_up(department, self.command_id, content);
        Task {
            fresh: !self.again,
            ..task(self.place, command, key, context)
        }
    }
}

/// The command that a row has become a record which was there already.
pub(crate) fn became(
    place: Uuid,
    record_id: Uuid,
    department: &DepartmentId,
    command_id: Uuid,
    at: Timestamp,
    context: Arc<EventContext>,
) -> Task<Quarantine> {
    let record_id = record_id.to_string();
    let body = pb::RowResubmitted {
        record_id: record_id.clone(),
        ..pb::RowResubmitted::default()
    };
    let key = follow_up(department, command_id, digest("collection.resubmit", &body));
    task(place, Command::Resubmit { record_id, at }, key, context)
}

fn task(
    place: Uuid,
    command: Command,
    key: CommandKey,
    context: Arc<EventContext>,
) -> Task<Quarantine> {
    Task {
        stream_id: place.to_string(),
        // Its subject is sealed with the rest.
        subject: String::new(),
        command,
        key,
        context,
        note: Bytes::new(),
        fresh: false,
        guards: Vec::new(),
    }
}

/// The caller's command is that of the record: what becomes of its row has an
/// id of its own, the same whenever the same becomes of it.
fn follow_up(department: &DepartmentId, command_id: Uuid, content: Hash) -> CommandKey {
    CommandKey {
        department: department.to_string(),
        id: follow_up_id(command_id, &content),
        digest: content,
    }
}
