//! `tally follow`: what is public, and what is newly registered, as a stream.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use prost::{Message, Name};
use tally_proto::tally::collection::v1 as collection;
use tally_proto::tally::lists::v1 as lists;
use tally_proto::tally::log::v1::{Cursor, ShardCursor};
use tonic::Streaming;

use super::Global;
use super::following::Following;
use super::output::{Failure, line, to_json};

/// What to follow. A cursor file goes on only with what it was written by.
#[derive(Debug, Subcommand)]
pub enum Follow {
    /// What says that an organisation was newly registered.
    Registrations {
        /// Only by departments of this division and those below it: six digits, GB/T 2260.
        #[arg(long, default_value = "", hide_default_value = true)]
        division: String,
        #[command(flatten)]
        following: Following,
    },
    /// What the public may see of records.
    Records {
        /// Only records of this type; may be repeated.
        #[arg(long = "type", value_name = "TYPE")]
        record_types: Vec<String>,
        #[command(flatten)]
        following: Following,
    },
    /// Who is on the lists that the public may see.
    Lists(Entries),
}

/// Arguments of `tally follow lists`.
#[derive(Debug, Args)]
pub struct Entries {
    #[command(flatten)]
    following: Following,
}

impl Follow {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let client = global.client().await?;
        match self {
            Self::Registrations {
                division,
                following,
            } => {
                let cursor = following.load()?;
                let request = collection::FollowRegistrationsRequest {
                    cursor: Some(cursor.clone()),
                    until_head: following.until_head,
                    division: division.clone(),
                };
                let items = client.collection().follow_registrations(request).await?;
                all(global, following, cursor, items.into_inner()).await
            }
            Self::Records {
                record_types,
                following,
            } => {
                let cursor = following.load()?;
                let request = collection::FollowPublicationsRequest {
                    cursor: Some(cursor.clone()),
                    until_head: following.until_head,
                    record_types: record_types.clone(),
                };
                let items = client.collection().follow_publications(request).await?;
                all(global, following, cursor, items.into_inner()).await
            }
            Self::Lists(Entries { following }) => {
                let cursor = following.load()?;
                let request = lists::FollowPublicationsRequest {
                    cursor: Some(cursor.clone()),
                    until_head: following.until_head,
                };
                let items = client.lists().follow_publications(request).await?;
                all(global, following, cursor, items.into_inner()).await
            }
        }
    }
}

/// Prints the items of a stream. People are told nothing of a checkpoint; a program
/// is, since another policy pack may be heard of by nothing else.
async fn all<M: Followed>(
    global: &Global,
    following: &Following,
    mut cursor: Cursor,
    mut items: Streaming<M>,
) -> Result<ExitCode, Failure> {
    let mut seen = 0;
    while let Some(item) = items.message().await? {
        let words = item.words();
        seen += u64::from(words.is_some());
        match (words, global.json) {
            (_, true) => line(&to_json(&item).to_string()),
            (Some(words), false) => line(&words),
            (None, false) => {}
        }
        if let (log_id, Some(place)) = item.place() {
            following.keep(&mut cursor, log_id, place.clone())?;
        }
    }
    following.ended(global.json, seen);
    Ok(ExitCode::SUCCESS)
}

/// An item of a stream that is followed.
trait Followed: Message + Name {
    /// The item for people; nothing of a checkpoint.
    fn words(&self) -> Option<String>;
    /// Where it is.
    fn place(&self) -> (&prost::bytes::Bytes, Option<&ShardCursor>);
}

impl Followed for collection::FollowRegistrationsResponse {
    fn words(&self) -> Option<String> {
        record_words(self.kind(), &self.record_id, self.record.as_ref())
    }

    fn place(&self) -> (&prost::bytes::Bytes, Option<&ShardCursor>) {
        (&self.log_id, self.cursor.as_ref())
    }
}

impl Followed for collection::FollowPublicationsResponse {
    fn words(&self) -> Option<String> {
        record_words(self.kind(), &self.record_id, self.record.as_ref())
    }

    fn place(&self) -> (&prost::bytes::Bytes, Option<&ShardCursor>) {
        (&self.log_id, self.cursor.as_ref())
    }
}

impl Followed for lists::FollowPublicationsResponse {
    fn words(&self) -> Option<String> {
        use lists::ListPublicationKind::{Checkpoint, Ended};
        let kind = self.kind();
        if kind == Checkpoint {
            return None;
        }
        let name = kind
            .as_str_name()
            .trim_start_matches("LIST_PUBLICATION_KIND_");
        let what = match &self.entry {
            Some(entry) => format!(
                ": {} on {} by {}, {}",
                entry.subject,
                entry.list_type,
                entry.department,
                until(&entry.display_until)
            ),
            None if kind == Ended => {
                let end = self.end().as_str_name();
                format!(": {}", end.trim_start_matches("PUBLICATION_END_"))
            }
            None => String::new(),
        };
        Some(format!("{name} {}{what}", self.entry_id))
    }

    fn place(&self) -> (&prost::bytes::Bytes, Option<&ShardCursor>) {
        (&self.log_id, self.cursor.as_ref())
    }
}

fn record_words(
    kind: collection::PublicationKind,
    record_id: &str,
    record: Option<&collection::PublishedRecord>,
) -> Option<String> {
    if kind == collection::PublicationKind::Checkpoint {
        return None;
    }
    let name = kind.as_str_name().trim_start_matches("PUBLICATION_KIND_");
    let what = record.map(|record| {
        format!(
            ": {} {} of {} by {}, {}",
            record.record_type,
            record.document_number,
            record.subject,
            record.department,
            until(&record.display_until)
        )
    });
    Some(format!("{name} {record_id}{}", what.unwrap_or_default()))
}

fn until(day: &str) -> String {
    match day {
        "" => "without an end".to_owned(),
        day => format!("until {day}"),
    }
}
