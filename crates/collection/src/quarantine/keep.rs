//! Which refused rows are kept, and how they get there.
//!
//! Nothing is collected without a ground, in quarantine neither: a row is kept
//! only where its department might push such a record today. Of a row of no
//! known type, of another department's item, or about a natural person where
//! those are off, nothing stays but the refusal.

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
use tally_service::{Policy, digest, subject};
use uuid::Uuid;

use super::codec::seal;
use super::places::Waits;
use super::{Command, Quarantine, Row};

/// Bytes of a row that is kept. What departments exchange is far below.
const ROW_BYTES_MAX: usize = 256 << 10;

/// Id of a department's row that says this; `content` is its keyed hash.
pub(crate) fn row_id(department: &DepartmentId, content: &Hash) -> Uuid {
    let content = Uuid::new_v8(first_bytes(content)).to_string();
    named_id(
        <Quarantine as Aggregate>::CATEGORY,
        &[department.as_str(), &content],
    )
}

/// Half of a hash tells two rows apart as well as an id does.
fn first_bytes(hash: &Hash) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    bytes
}

/// A refused row that may be kept. Without `Debug`: it may name persons.
pub(crate) struct Keep {
    /// Its place.
    pub place: Uuid,
    /// The command that is refused.
    pub command_id: Uuid,
    /// It was handed in again from there.
    pub again: bool,
    /// The record that took its place and does not hold it, if one was found.
    pub released: Option<String>,
    today: LegalDate,
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
    /// The row, if it may be kept; `encoded` is the record as it came. `again`
    /// is where it was handed in again from.
    ///
    /// # Errors
    ///
    /// The fault of a row that is too large: it is refused and not kept.
    pub fn keep(
        &self,
        encoded: &[u8],
        place: Uuid,
        again: Option<&Waits>,
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
            again: again.is_some(),
            released: again.and_then(|waits| waits.released.clone()),
            command_id,
            today: self.today,
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
    /// Puts it elsewhere, because a row that said the same has left its place. The
    /// same under the same command is there again.
    pub fn elsewhere(&mut self) {
        self.place = named_id(
            <Quarantine as Aggregate>::CATEGORY,
            &[&self.place.to_string(), &self.command_id.to_string()],
        );
    }

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
            // The same row has the same digest on another day.
            ..pb::RowQuarantined::default()
        };
        let content = digest("collection.quarantine", &stored);
        let row = Arc::new(Row {
            department: stored.department,
            record_type: stored.record_type,
            legal_basis: self.legal_basis,
            faults: stored.faults,
            content: stored.content.unwrap_or_default(),
            at,
            on: Some(self.today),
        });
        let command = match self.again {
            true => Command::Correct {
                row,
                released: self.released,
            },
            false => Command::Keep(row),
        };
        let key = follow_up(department, self.command_id, content);
        Task {
            fresh: !self.again,
            ..task(self.place.to_string(), command, key, context)
        }
    }
}

/// The command that takes the place which a record is handed in again from.
pub(crate) fn take(
    from: &Waits,
    record_id: Uuid,
    department: &DepartmentId,
    command_id: Uuid,
    at: Timestamp,
    context: Arc<EventContext>,
) -> Task<Quarantine> {
    let body = pb::RowTaken {
        department: department.to_string(),
        record_id: record_id.to_string(),
        ..pb::RowTaken::default()
    };
    let content = digest("collection.take", &body);
    // Its id is of the place as it was seen: what was freed since is taken anew.
    let seen = follow_up_id(command_id, &from.version.unwrap_or_default().to_be_bytes());
    let key = follow_up(department, seen, content);
    let command = Command::Take {
        department: body.department,
        record_id: body.record_id,
        released: from.released.clone(),
        at,
    };
    task(from.id.to_string(), command, key, context)
}

/// The command that a row has become a record which was there already.
pub(crate) fn became(
    place: Uuid,
    record_id: Uuid,
    department: &DepartmentId,
    command_id: Uuid,
    (at, on): (Timestamp, LegalDate),
    context: Arc<EventContext>,
) -> Task<Quarantine> {
    let record_id = record_id.to_string();
    let on = Some(on);
    let body = pb::RowResubmitted {
        record_id: record_id.clone(),
        ..pb::RowResubmitted::default()
    };
    let key = follow_up(department, command_id, digest("collection.resubmit", &body));
    task(
        place.to_string(),
        Command::Resubmit { record_id, at, on },
        key,
        context,
    )
}

/// A command about a row.
pub(crate) fn task(
    place: String,
    command: Command,
    key: CommandKey,
    context: Arc<EventContext>,
) -> Task<Quarantine> {
    // The events are of this command; the caller's, which caused it, may have been
    // refused, and must not be taken for applied where only the events are left.
    let context = match context.command_id == key.id {
        true => context,
        false => Arc::new(EventContext {
            command_id: key.id,
            ..(*context).clone()
        }),
    };
    Task {
        stream_id: place,
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
