//! What names a person must be in no file of the data directory, and is shown
//! to the department that pushed it and to nobody else.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use tally_proto::tally::collection::v1::{GetRecordRequest, GetRecordResponse};

use super::content::{Expect, Push};
use super::error::Answered as _;
use super::world::Dept;
use super::{Demo, DemoError, texts};
use crate::client::Client;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// Finds a set of values in bytes, in one pass.
pub struct Secrets {
    values: HashSet<Vec<u8>>,
    lengths: Vec<usize>,
    prefixes: HashSet<[u8; PREFIX]>,
    first: [bool; 256],
}

const PREFIX: usize = 3;

impl Secrets {
    /// Of these values; none is shorter than three bytes.
    pub fn new(values: &HashSet<String>) -> Self {
        let values: HashSet<Vec<u8>> = values
            .iter()
            .map(|value| value.as_bytes().to_vec())
            .collect();
        let mut lengths: Vec<usize> = values.iter().map(Vec::len).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let mut first = [false; 256];
        let mut prefixes = HashSet::new();
        for prefix in values
            .iter()
            .filter_map(|value| value.first_chunk::<PREFIX>())
        {
            first[usize::from(prefix[0])] = true;
            prefixes.insert(*prefix);
        }
        Self {
            values,
            lengths,
            prefixes,
            first,
        }
    }

    /// How often any of them occurs.
    pub fn count_in(&self, bytes: &[u8]) -> u64 {
        self.count_from(bytes, bytes.len())
    }

    /// Occurrences that begin before `end`.
    fn count_from(&self, bytes: &[u8], end: usize) -> u64 {
        let mut count = 0;
        for at in (0..end).filter(|at| self.first[usize::from(bytes[*at])]) {
            let rest = &bytes[at..];
            if rest
                .first_chunk()
                .is_some_and(|prefix| self.prefixes.contains(prefix))
            {
                let candidates = self.lengths.iter().filter_map(|length| rest.get(..*length));
                count += candidates
                    .filter(|part| self.values.contains(*part))
                    .count() as u64;
            }
        }
        count
    }

    fn count_in_file(&self, path: &Path) -> io::Result<u64> {
        let longest = self.lengths.last().copied().unwrap_or(0);
        let mut file = File::open(path)?;
        let mut buffer = Vec::new();
        let mut count = 0;
        loop {
            let read = file
                .by_ref()
                .take(CHUNK_BYTES as u64)
                .read_to_end(&mut buffer)?;
            if read == 0 {
                return Ok(count + self.count_in(&buffer));
            }
            // What begins in the tail may end in the next chunk.
            let end = buffer.len().saturating_sub(longest);
            count += self.count_from(&buffer, end);
            buffer.drain(..end);
        }
    }

    /// Looks through every file under a directory; returns bytes and occurrences.
    fn count_under(&self, dir: &Path) -> io::Result<(u64, u64)> {
        let (mut bytes, mut count) = (0, 0);
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let (more_bytes, more) = if entry.file_type()?.is_dir() {
                self.count_under(&entry.path())?
            } else {
                (entry.metadata()?.len(), self.count_in_file(&entry.path())?)
            };
            bytes += more_bytes;
            count += more;
        }
        Ok((bytes, count))
    }
}

impl Demo {
    pub(super) async fn look_for_secrets(&mut self) -> Result<(), DemoError> {
        self.summary.section(&texts::SEALED);
        self.open_one().await?;
        let secrets = Secrets::new(&self.plan.secrets);
        let dir = self.dir.path().to_owned();
        let looked = tokio::task::spawn_blocking(move || secrets.count_under(&dir)).await;
        let looked = looked.map_err(io::Error::other).and_then(|result| result);
        let (bytes, found) = looked.map_err(DemoError::Directory)?;
        let megabytes = bytes / 1_000_000;
        self.summary
            .line(&texts::LOOKED_FOR.with(&[&self.plan.secrets.len(), &megabytes]));
        self.summary.equal(&texts::CHECK_SECRETS, &0, &found);
        Ok(())
    }

    /// One record with personal fields, as its department and as others see it.
    async fn open_one(&mut self) -> Result<(), DemoError> {
        let sealed = |push: &Push| push.personal && push.expect == Expect::Accepted;
        let of = |dept: Dept| self.plan.pushes[dept.index()].iter().position(sealed);
        let found = self.world.depts().find_map(|dept| Some((dept, of(dept)?)));
        let (dept, at) = found.during("find a record about a person")?;
        let other = self.world.depts().find(|other| *other != dept);
        let other = other.during("find another department")?;
        let pushes = &self.plan.pushes[dept.index()];
        let record_id = self.ledger.record_ids[dept.index()][at].clone();
        let mut expected = Vec::new();
        for field in &pushes[at].record.fields {
            if self.plan.secrets.contains(&field.value) {
                expected.push(field.clone());
            }
        }
        let own = get_record(&self.cast.desk(dept).system, &record_id).await?;
        let shown = own.record.unwrap_or_default().fields;
        let shown = expected
            .iter()
            .filter(|field| shown.contains(field))
            .count();
        let others = get_record(&self.cast.desk(other).system, &record_id).await?;
        let operator = get_record(&self.cast.operator, &record_id).await?;
        let leaked = [&others, &operator]
            .into_iter()
            .flat_map(|answer| &answer.record);
        let leaked = leaked.flat_map(|record| &record.fields);
        let leaked = leaked
            .filter(|field| self.plan.secrets.contains(&field.value))
            .count();
        let withheld = others.withheld.len() + operator.withheld.len();
        let (expected, twice) = (expected.len(), 2 * expected.len());
        self.summary.equal(&texts::CHECK_SHOWN, &expected, &shown);
        self.summary
            .equal(&texts::CHECK_WITHHELD, &twice, &withheld);
        self.summary.equal(&texts::CHECK_LEAKED, &0, &leaked);
        Ok(())
    }
}

async fn get_record(client: &Client, record_id: &str) -> Result<GetRecordResponse, DemoError> {
    let request = GetRecordRequest {
        record_id: record_id.to_owned(),
        case_number: "CASE-S1".to_owned(),
    };
    let answer = client.collection().get_record(request).await;
    Ok(answer.during("get a record")?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        Secrets::new(&HashSet::from([
            "欧沐宸".to_owned(),
            "999999199001010011".to_owned(),
        ]))
    }

    #[test]
    fn each_occurrence_is_found() {
        let text = "x欧沐宸y999999199001010011z99999919900101001欧沐欧沐宸";
        assert_eq!(secrets().count_in(text.as_bytes()), 3);
        assert_eq!(secrets().count_in(b""), 0);
    }

    #[test]
    fn an_occurrence_across_chunks_is_found_once() {
        let dir = tempfile::tempdir().expect("a directory");
        for shift in 0..20 {
            let mut bytes = vec![b'.'; CHUNK_BYTES - shift];
            bytes.extend_from_slice("999999199001010011".as_bytes());
            bytes.resize(CHUNK_BYTES + 100, b'.');
            std::fs::write(dir.path().join("file"), &bytes).expect("written");
            assert_eq!(
                secrets().count_under(dir.path()).expect("read").1,
                1,
                "{shift}"
            );
        }
    }
}
