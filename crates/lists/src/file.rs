//! A subject's file: what the views hold of it and of the identifiers linked to it.

use bytes::Bytes;
use prost::Message;
use tally_eventlog::consumer::{Poison, Progress};
use tally_eventlog::store::{EventStore, StoreError};
use tally_proto::tally::lists::v1 as pb;
use tally_service::Deps;

use crate::projection::{ENTRY_VIEW, SUBJECT_VIEW, row};

/// Linked identifiers that are followed at most; an organisation has two or three.
pub const LINKED_MAX: usize = 16;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The store cannot be read: retry.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The views are behind the log: retry.
    #[error("the views are behind the log; retry")]
    Behind,
    /// Events of a subject wait until an operator has replayed them.
    #[error("events of the subject are parked; the operator has to replay them")]
    Parked,
    /// A row cannot be read: rebuild the views.
    #[error(transparent)]
    Row(#[from] Poison),
}

/// The rows of a subject and of the identifiers linked to it, also through
/// others, nearest first, at most [`LINKED_MAX`] besides itself. With
/// `progress`, each is read when it holds what the log holds now.
///
/// # Errors
///
/// [`FileError`]; it says what to do.
pub async fn subject_rows(
    deps: &Deps,
    progress: Option<&Progress>,
    subject: &str,
) -> Result<Vec<(String, pb::SubjectRow)>, FileError> {
    let store = &*deps.store;
    let mut wanted = vec![subject.to_owned()];
    let mut rows: Vec<(String, pb::SubjectRow)> = Vec::new();
    while rows.len() < wanted.len() {
        let subjects = &wanted[rows.len()..];
        if let Some(progress) = progress {
            for subject in subjects {
                be_current(deps, progress, subject).await?;
            }
        }
        let keys: Vec<_> = subjects
            .iter()
            .map(|subject| row(SUBJECT_VIEW, store.shards().of(subject), subject))
            .collect();
        let values = store.rows(&keys).await?;
        let found: Vec<_> = subjects
            .iter()
            .cloned()
            .zip(values)
            .map(|(subject, value)| {
                Ok((
                    subject,
                    decode::<pb::SubjectRow>(value)?.unwrap_or_default(),
                ))
            })
            .collect::<Result<_, Poison>>()?;
        for linked in found.iter().flat_map(|(_, row)| &row.linked_subjects) {
            if wanted.len() <= LINKED_MAX && !wanted.contains(linked) {
                wanted.push(linked.clone());
            }
        }
        rows.extend(found);
    }
    Ok(rows)
}

/// The entries of a subject, in the order of nomination.
///
/// # Errors
///
/// [`FileError`]; it says what to do.
pub async fn entries(
    store: &dyn EventStore,
    subject: &str,
    ids: &[String],
) -> Result<Vec<pb::Entry>, FileError> {
    let shard = store.shards().of(subject);
    let keys: Vec<_> = ids.iter().map(|id| row(ENTRY_VIEW, shard, id)).collect();
    let values = store.rows(&keys).await?;
    let rows: Vec<Option<pb::EntryRow>> =
        values.into_iter().map(decode).collect::<Result<_, _>>()?;
    Ok(rows
        .into_iter()
        .flatten()
        .filter_map(|row| row.entry)
        .collect())
}

async fn be_current(deps: &Deps, progress: &Progress, subject: &str) -> Result<(), FileError> {
    let shard = deps.store.shards().of(subject);
    if !deps.sources.caught_up(progress, shard).await {
        return Err(FileError::Behind);
    }
    if progress.with(shard, |state| state.parked.contains_key(subject)) {
        return Err(FileError::Parked);
    }
    Ok(())
}

/// A row's message.
pub(crate) fn decode<M: Message + Default>(value: Option<Bytes>) -> Result<Option<M>, Poison> {
    value.map(M::decode).transpose().map_err(|error| {
        Poison::new(format!(
            "a row cannot be decoded: {error}; rebuild the views"
        ))
    })
}
