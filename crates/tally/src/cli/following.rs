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
        // Under its whole name: the cursor of another stream may differ in its ending only.
        let mut draft = path.clone().into_os_string();
        draft.push(".new");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leaves_files_beside_it_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let beside = dir.path().join("mirror.new");
        std::fs::write(&beside, "another's").expect("written");
        let following = Following {
            cursor: Some(dir.path().join("mirror.records")),
            until_head: true,
        };
        let log_id = vec![7; 16].into();
        let mut cursor = Cursor::default();
        for position in [0, 1] {
            let place = ShardCursor {
                position,
                ..ShardCursor::default()
            };
            following
                .keep(&mut cursor, &log_id, place)
                .map_err(|_| ())
                .expect("kept");
        }
        assert_eq!(following.load().map_err(|_| ()), Ok(cursor));
        assert_eq!(std::fs::read(&beside).expect("there"), b"another's");
        assert_eq!(
            std::fs::read_dir(dir.path()).expect("a directory").count(),
            2
        );
    }
}
