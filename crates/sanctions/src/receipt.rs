//! What a signed receipt says of a check: what the log's record of it says, and
//! nothing else, so that asking again gives the same.

use serde::Serialize;
use tally_proto::tally::sanctions::v1 as pb;
use tally_service::command::stored_actor;
use tally_service::reply::hex;
use uuid::Uuid;

use crate::answered::Answered;

/// The payload of a receipt. Registered names are those of RFC 7519.
#[derive(Debug, Serialize)]
pub struct Claims<'a> {
    /// Who says it: the log that recorded the answer.
    iss: String,
    /// Whom the check was about. A person is a random id here, never a number.
    sub: &'a str,
    /// When the answer was recorded, in seconds since 1970.
    iat: i64,
    /// The check.
    jti: &'a str,
    /// Who asked.
    department: String,
    purpose: &'a str,
    case_number: &'a str,
    /// On what basis it asked.
    legal_basis: Option<Basis<'a>>,
    /// The day for which it was answered.
    on: &'a str,
    /// `CLEAR`, `IN_FORCE` or `UNDETERMINED`.
    outcome: &'static str,
    /// What was said to be in force.
    entries: Vec<Entry<'a>>,
    /// Identifiers of the same organisation that were looked at too.
    linked: &'a [String],
    /// What had been seen of each shard.
    seen: Vec<Seen>,
    pack_version: &'a str,
    /// Where the log has it.
    record: Place<'a>,
}

#[derive(Debug, Serialize)]
struct Basis<'a> {
    id: &'a str,
    version: u32,
}

#[derive(Debug, Serialize)]
struct Entry<'a> {
    entry_id: &'a str,
    /// The identifier under which it is listed.
    subject: &'a str,
    list_type: &'a str,
    /// Sanctions of the department for that purpose.
    sanctions: &'a [String],
    /// Incentives of the department for that purpose.
    incentives: &'a [String],
}

#[derive(Debug, Serialize)]
struct Seen {
    shard: u32,
    lists: u64,
    lists_log_id: String,
    sanctions: u64,
    sanctions_log_id: String,
}

/// Of which log so many records had been seen; empty: none was.
fn log_id(bytes: &[u8]) -> String {
    Uuid::from_slice(bytes).map_or_else(|_| String::new(), |id| id.to_string())
}

#[derive(Debug, Serialize)]
struct Place<'a> {
    log: &'a str,
    log_id: String,
    shard: u16,
    position: u64,
    /// Hash of the leaf there (RFC 6962), in hexadecimal.
    leaf_hash: String,
    recorded_at: String,
}

impl<'a> Claims<'a> {
    /// What is said of a check.
    pub fn of(answered: &'a Answered) -> Self {
        let Answered { recorded, answer } = answered;
        let envelope = &recorded.envelope;
        let basis = envelope.legal_basis.as_ref();
        let seen = answer.basis.iter().flat_map(|basis| &basis.shards);
        Self {
            iss: recorded.log_id.urn().to_string(),
            sub: &envelope.subject,
            iat: recorded.recorded_at.as_second(),
            jti: &answer.check_id,
            department: stored_actor(envelope.actor.as_ref()).0,
            purpose: &answer.purpose,
            case_number: &answer.case_number,
            legal_basis: basis.map(|basis| Basis {
                id: &basis.id,
                version: basis.version,
            }),
            on: &answer.on,
            outcome: match answer.outcome() {
                pb::CheckOutcome::Clear => "CLEAR",
                pb::CheckOutcome::InForce => "IN_FORCE",
                pb::CheckOutcome::Undetermined | pb::CheckOutcome::Unspecified => "UNDETERMINED",
            },
            entries: entries(answer),
            linked: &answer.linked,
            seen: seen
                .map(|basis| Seen {
                    shard: basis.shard,
                    lists: basis.lists,
                    lists_log_id: log_id(&basis.lists_log_id),
                    sanctions: basis.sanctions,
                    sanctions_log_id: log_id(&basis.sanctions_log_id),
                })
                .collect(),
            pack_version: &envelope.pack_version,
            record: Place {
                log: recorded.log.0,
                log_id: recorded.log_id.to_string(),
                shard: recorded.shard.0,
                position: recorded.position,
                leaf_hash: hex(&recorded.leaf),
                recorded_at: recorded.recorded_at.to_string(),
            },
        }
    }
}

fn entries(answer: &pb::CheckAnswered) -> Vec<Entry<'_>> {
    let entries = answer.entry_ids.iter().zip(&answer.entry_subjects);
    entries
        .enumerate()
        .map(|(index, (entry_id, subject))| {
            let said = answer.said.get(index);
            Entry {
                entry_id,
                subject,
                list_type: said.map_or("", |said| &said.list_type),
                sanctions: said.map_or(&[], |said| &said.sanctions),
                incentives: said.map_or(&[], |said| &said.incentives),
            }
        })
        .collect()
}
