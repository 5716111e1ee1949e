//! Reading a stream from where the last run left off.

use std::path::{Path, PathBuf};

use clap::Args;
use prost::Message as _;
use tally_proto::tally::log::v1::{Cursor, ShardCursor};

use super::output::Failure;

/// A cursor that is kept in a file between runs.
#[derive(Debug, Args)]
pub struct Following {
    /// File that keeps the cursor; read at the start and written after each item.
    #[arg(long, value_name = "FILE")]
    cursor: Option<PathBuf>,
    /// Ends when there is no more, instead of waiting.
    #[arg(long)]
    pub(super) until_head: bool,
}

impl Following {
    /// Where it left off; the beginning, without a file.
    pub(super) fn load(&self) -> Result<Cursor, Failure> {
        let Some(path) = self.cursor.as_ref().filter(|path| path.exists()) else {
            return Ok(Cursor::default());
        };
        let bytes = std::fs::read(path).map_err(|error| unusable(path, error))?;
        Cursor::decode(bytes.as_slice()).map_err(|error| unusable(path, error))
    }

    /// Moves the cursor past an item that has been printed.
    pub(super) fn keep(
        &self,
        cursor: &mut Cursor,
        log_id: &prost::bytes::Bytes,
        place: ShardCursor,
    ) -> Result<(), Failure> {
        cursor.log_id = log_id.clone();
        match cursor
            .shards
            .iter_mut()
            .find(|known| known.shard == place.shard)
        {
            Some(known) => *known = place,
            None => cursor.shards.push(place),
        }
        let Some(path) = &self.cursor else {
            return Ok(());
        };
        // Renamed into place: a crash leaves the old cursor, and items come again.
        let draft = path.with_extension("new");
        std::fs::write(&draft, cursor.encode_to_vec())
            .and_then(|()| std::fs::rename(&draft, path))
            .map_err(|error| unusable(path, error))
    }

    /// Says that there was nothing, which would otherwise look like a command that did nothing.
    pub(super) fn ended(&self, json: bool, seen: u64) {
        if json || seen > 0 {
            return;
        }
        let since = match &self.cursor {
            Some(path) => format!(" since the cursor in {}", path.display()),
            None => String::new(),
        };
        eprintln!("nothing new{since}");
    }
}

fn unusable(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::usage(format!("cursor file {}: {error}", path.display()))
}
