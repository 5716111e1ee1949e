//! Reads back all there is: every record of the logs that commands go to, from
//! their disks, and the mailboxes.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use tally_eventlog::merkle::leaf_hash;
use tally_eventlog::shard::LogName;
use tally_proto::tally::log::v1::{Envelope, GetHeadsRequest, ReadLogRequest, Record};
use tally_proto::tally::node::v1::GetStatusRequest;
use tally_proto::tally::sanctions::v1::{DirectiveTriggered, SubscribeRequest};
use tally_service::logs;
use tonic::Status;

use super::commands::{CommandRow, Known};
use super::faults::{FaultKind, Faults};
use super::mailbox::Numbers;
use super::spill::Spill;
use super::subjects::{About, SubjectRow};
use crate::client::Client;
use crate::role::Role;

/// The logs that commands of a run and their consequences go to.
const LOGS: [LogName; 5] = [
    logs::COLLECTION,
    logs::LISTS,
    logs::SANCTIONS,
    logs::SANCTIONS_ACCESS,
    logs::FEEDBACK,
];

/// Pause between two looks at whether readers have come to the end.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Why what there is cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A role refused, or is away.
    #[error("{what} cannot be read: {status}")]
    Call {
        /// What was being read.
        what: String,
        /// What was answered.
        status: Box<Status>,
    },
    /// Look at the space left on the disk.
    #[error("what was read cannot be kept for sorting")]
    Spill(#[from] io::Error),
}

fn called(what: impl Into<String>) -> impl FnOnce(Status) -> ReadError {
    let what = what.into();
    move |status| ReadError::Call {
        what,
        status: Box::new(status),
    }
}

/// Number of records by log and shard.
type Sizes = BTreeMap<(&'static str, u32), u64>;

async fn sizes(operator: &Client) -> Result<Sizes, ReadError> {
    let mut sizes = Sizes::new();
    for log in logs::ALL {
        let request = GetHeadsRequest {
            log: log.0.to_owned(),
        };
        let heads = operator.log(Role::owner_of(log)).get_heads(request).await;
        let heads = heads.map_err(called(format!("the heads of {log}")))?;
        let heads = heads.into_inner().heads;
        sizes.extend(heads.iter().map(|head| ((log.0, head.shard), head.size)));
    }
    Ok(sizes)
}

/// Waits until every reader has applied all there is and nothing grew meanwhile;
/// who still has something to do after so long is returned in words.
///
/// # Errors
///
/// [`ReadError::Call`]: a role is away even then.
pub async fn settle(operator: &Client, limit: Duration) -> Result<Vec<String>, ReadError> {
    let deadline = tokio::time::Instant::now() + limit;
    let mut before = Sizes::new();
    loop {
        let looked = look(operator).await;
        let over = tokio::time::Instant::now() >= deadline;
        match looked {
            Ok((sizes, behind)) if behind.is_empty() && sizes == before => return Ok(behind),
            Ok((_, behind)) if over => return Ok(behind),
            Ok((sizes, _)) => before = sizes,
            // A role may be about to come back.
            Err(error) if over => return Err(error),
            Err(_) => {}
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn look(operator: &Client) -> Result<(Sizes, Vec<String>), ReadError> {
    let sizes = sizes(operator).await?;
    let mut behind = Vec::new();
    for role in operator.processes() {
        let status = operator.node(*role).get_status(GetStatusRequest {}).await;
        let status = status.map_err(called(format!("the status of {role}")))?;
        for reader in status.into_inner().readers {
            let applied = (0..).zip(&reader.applied);
            let size = |shard| {
                sizes
                    .iter()
                    .find(|((log, at), _)| *log == reader.source && *at == shard)
            };
            let lag = applied.map(|(shard, applied)| {
                size(shard).map_or(0, |(_, size)| size.saturating_sub(*applied))
            });
            let lag: u64 = lag.sum();
            if lag > 0 || !reader.stopped.is_empty() {
                let stopped = match reader.stopped.as_str() {
                    "" => String::new(),
                    reason => format!(", stopped: {reason}"),
                };
                behind.push(format!(
                    "{} has {lag} records to apply{stopped}",
                    reader.consumer
                ));
            }
            if reader.parked > 0 {
                behind.push(format!(
                    "{} has {} subjects parked",
                    reader.consumer, reader.parked
                ));
            }
        }
    }
    Ok((sizes, behind))
}

/// Where rows go.
pub struct Rows {
    /// By command.
    pub commands: Spill<CommandRow>,
    /// By subject.
    pub subjects: Spill<SubjectRow>,
}

impl Rows {
    fn subject(&mut self, row: &SubjectRow) -> io::Result<()> {
        self.subjects.put(row.subject.as_bytes(), row)
    }
}

/// Every record of the logs; how many there were.
///
/// # Errors
///
/// [`ReadError`]; what does not fit is a fault and no error.
pub async fn logs(
    operator: &Client,
    rows: &mut Rows,
    faults: &mut Faults,
) -> Result<u64, ReadError> {
    let sizes = sizes(operator).await?;
    let mut read = 0;
    for log in LOGS {
        for ((_, shard), size) in sizes.iter().filter(|((of, _), _)| *of == log.0) {
            read += shard_of(operator, log, *shard, *size, rows, faults).await?;
        }
    }
    Ok(read)
}

async fn shard_of(
    operator: &Client,
    log: LogName,
    shard: u32,
    size: u64,
    rows: &mut Rows,
    faults: &mut Faults,
) -> Result<u64, ReadError> {
    let what = || format!("{log}/{shard}");
    let request = ReadLogRequest {
        log: log.0.to_owned(),
        shard,
        durable: true,
        ..ReadLogRequest::default()
    };
    let records = operator.log(Role::owner_of(log)).read_log(request).await;
    let mut records = records.map_err(called(what()))?.into_inner();
    let mut position = 0;
    while let Some(answer) = records.message().await.map_err(called(what()))? {
        let leaf = leaf_hash(&answer.record);
        let record = Record::decode(answer.record.clone()).unwrap_or_default();
        let envelope = Envelope::decode(record.envelope.clone()).unwrap_or_default();
        if answer.leaf_hash[..] != leaf[..] || envelope.event_id.is_empty() {
            faults.add(FaultKind::Log, || {
                format!("{log}/{shard}/{position} has not the hash of its bytes, or is no record")
            });
        }
        if (record.shard, record.position) != (shard, position) {
            faults.add(FaultKind::Gap, || {
                let (at, of) = (record.position, record.shard);
                format!(
                    "{log}/{shard} has position {at} of shard {of} where {position} was expected"
                )
            });
        }
        position += 1;
        rows.commands.put(
            &envelope.command_id,
            &CommandRow {
                id: envelope.command_id.clone(),
                known: Known::Found.into(),
                what: envelope.event_type.clone(),
                log: log.0.to_owned(),
                shard,
                position: record.position,
                leaf: Bytes::copy_from_slice(&leaf),
            },
        )?;
        if let Some(row) = about_subject(log, &record, &envelope) {
            rows.subject(&row)?;
        }
    }
    if position < size {
        faults.add(FaultKind::Gap, || {
            format!("{log}/{shard} has {position} records, and its head says {size}")
        });
    }
    Ok(position)
}

/// What an event says of its subject, where that is judged.
fn about_subject(log: LogName, record: &Record, envelope: &Envelope) -> Option<SubjectRow> {
    let name = envelope.event_type.rsplit('.').next().unwrap_or_default();
    let about = match (log, envelope.category.as_str(), name) {
        (logs::LISTS, "entry", "EntryListed") => About::Listed,
        (logs::LISTS, "entry", _) => About::OtherOfLists,
        (logs::SANCTIONS, "directive", "DirectiveTriggered") => About::Triggered,
        (
            logs::SANCTIONS,
            "directive",
            "DirectiveSuspended" | "DirectiveResumed" | "DirectiveLifted",
        ) => About::Changed,
        (logs::FEEDBACK, "feedback", "FeedbackDue") => About::Due,
        _ => return None,
    };
    let mut row = SubjectRow {
        about: about.into(),
        subject: envelope.subject.clone(),
        shard: record.shard,
        position: record.position,
        event: envelope.event_id.clone(),
        cause: envelope.causation_id.clone(),
        ..SubjectRow::default()
    };
    match about {
        About::Listed | About::OtherOfLists => row.entry = envelope.stream_id.clone(),
        _ => row.directive = envelope.stream_id.clone(),
    }
    match about {
        About::Triggered => {
            let event = DirectiveTriggered::decode(envelope.payload.clone()).unwrap_or_default();
            let directive = event.directive.unwrap_or_default();
            row.entry = directive.entry_id;
            row.what = directive.measure;
            row.whose = directive.department;
        }
        About::Changed => row.whose = department_of(&envelope.payload),
        _ => {}
    }
    Some(row)
}

/// The department of a change of a directive: the first field of each of these events.
fn department_of(payload: &Bytes) -> String {
    use tally_proto::tally::sanctions::v1::DirectiveSuspended;
    let event = DirectiveSuspended::decode(payload.clone());
    event.unwrap_or_default().department
}

/// A department's mailbox, from its beginning to its end; how many items there were.
///
/// # Errors
///
/// [`ReadError`]; a gap is a fault and no error.
pub async fn mailbox(
    client: &Client,
    department: &str,
    rows: &mut Rows,
    faults: &mut Faults,
) -> Result<u64, ReadError> {
    let what = || format!("the mailbox of {department}");
    let request = SubscribeRequest {
        cursor: None,
        until_head: true,
    };
    let items = client.sanctions().subscribe(request).await;
    let mut items = items.map_err(called(what()))?.into_inner();
    let mut numbers = Numbers::default();
    let mut read = 0;
    while let Some(item) = items.message().await.map_err(called(what()))? {
        read += 1;
        let place = item.cursor.unwrap_or_default();
        let directive = item.directive.unwrap_or_default();
        if let Err(gap) = numbers.take(place.shard, place.number, place.position) {
            faults.add(FaultKind::Gap, || format!("{}: {gap}", what()));
        }
        rows.subject(&SubjectRow {
            about: About::Item.into(),
            subject: directive.subject,
            shard: place.shard,
            position: place.position,
            directive: directive.directive_id,
            whose: department.to_owned(),
            ..SubjectRow::default()
        })?;
    }
    Ok(read)
}
