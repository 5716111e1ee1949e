//! Cursors of clients: where to go on, and whether it is still the same log.

use uuid::Uuid;

use crate::merkle::Hash;
use crate::pb;
use crate::sequence::Head;
use crate::shard::{LogName, Shard};
use crate::store::{LogSource, StoreError};

/// Why a cursor cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CursorError {
    /// Not a cursor of this kind of log.
    #[error("the cursor is malformed: {reason}; pass one exactly as it was received")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// The log was restored or is another one: what the client has seen after
    /// the common part does not exist here.
    #[error(
        "LOG_DIVERGED: the cursor is of log {cursor_log} at {log}/{shard}/{position}, this log is \
         {log_id} with {size} records there; subscribe with an empty cursor and reconcile by \
         directive or record id"
    )]
    Diverged {
        /// Log's name.
        log: LogName,
        /// Log id in the cursor.
        cursor_log: String,
        /// Id of this log.
        log_id: Uuid,
        /// Shard.
        shard: Shard,
        /// Position in the cursor.
        position: u64,
        /// Records in that shard here.
        size: u64,
    },
    /// The store cannot be read: retry.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where a reader goes on in one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resume {
    /// Next position.
    pub next: u64,
    /// Number of the last mailbox item seen.
    pub number: u64,
}

/// Verifies a client's cursor against a log and says where each shard goes on.
///
/// # Errors
///
/// [`CursorError`]; it says what to do.
pub async fn resume(
    source: &dyn LogSource,
    log: LogName,
    cursor: Option<&pb::Cursor>,
) -> Result<Vec<Resume>, CursorError> {
    let shards = source.shards();
    let mut resumes = vec![Resume::default(); usize::from(shards.get())];
    let Some(cursor) = cursor.filter(|cursor| !cursor.shards.is_empty()) else {
        return Ok(resumes);
    };
    let heads = source.heads(log).await?;
    let same_log = was_id(source, log, &heads, &cursor.log_id).await?;
    for place in &cursor.shards {
        let index = usize::try_from(place.shard).unwrap_or(usize::MAX);
        let Some(resume) = resumes.get_mut(index) else {
            return Err(malformed(format!(
                "shard {} of {}",
                place.shard,
                shards.get()
            )));
        };
        if *resume != Resume::default() {
            return Err(malformed(format!("shard {} twice", place.shard)));
        }
        let leaf: Hash = place.leaf_hash.as_ref().try_into().map_err(|_| {
            malformed(format!(
                "leaf hash of shard {} has not 32 bytes",
                place.shard
            ))
        })?;
        let shard = Shard(index as u16);
        let head = &heads[index];
        let found = source.read(log, shard, place.position, 1).await?;
        if !same_log || found.first().is_none_or(|record| record.leaf != leaf) {
            return Err(CursorError::Diverged {
                log,
                cursor_log: Uuid::from_slice(&cursor.log_id)
                    .map_or_else(|_| "unknown".to_owned(), |id| id.to_string()),
                log_id: head.log_id,
                shard,
                position: place.position,
                size: head.size(),
            });
        }
        *resume = Resume {
            next: place.position + 1,
            number: place.number,
        };
    }
    Ok(resumes)
}

/// True if it is the log's id, or was: what is left of before a restore is still read
/// on from.
async fn was_id(
    source: &dyn LogSource,
    log: LogName,
    heads: &[Head],
    id: &[u8],
) -> Result<bool, StoreError> {
    if heads.iter().any(|head| head.log_id.as_bytes() == id) {
        return Ok(true);
    }
    let former = source.former_ids(log).await?;
    Ok(former.iter().any(|former| former.log_id.as_bytes() == id))
}

fn malformed(reason: String) -> CursorError {
    CursorError::Malformed { reason }
}
