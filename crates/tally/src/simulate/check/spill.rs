//! Rows too many for memory, sorted into files by what they are about, so that
//! all about one thing is met together and the rest stays on the disk.

use std::fs::File;
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{self, BufWriter, Read as _, Seek as _, Write as _};
use std::marker::PhantomData;
use std::path::Path;

use bytes::Bytes;
use prost::Message;

/// Files. Memory holds the rows of one at a time: checking a million commands, all
/// of them lost, took the whole process 93 MB.
const BUCKETS: usize = 64;

/// Rows on the disk. The files have no name, so that nothing is left of them.
pub struct Spill<T> {
    files: Vec<BufWriter<File>>,
    rows: PhantomData<T>,
}

impl<T: Message + Default> Spill<T> {
    /// An empty one.
    ///
    /// # Errors
    ///
    /// No file can be made in that directory.
    pub fn in_dir(dir: &Path) -> io::Result<Self> {
        let file = |_| Ok(BufWriter::new(tempfile::tempfile_in(dir)?));
        Ok(Self {
            files: (0..BUCKETS).map(file).collect::<io::Result<_>>()?,
            rows: PhantomData,
        })
    }

    /// Puts a row to those of the same key.
    ///
    /// # Errors
    ///
    /// It cannot be written, often because the disk is full.
    pub fn put(&mut self, key: &[u8], row: &T) -> io::Result<()> {
        let mut hasher = DefaultHasher::new();
        hasher.write(key);
        let bucket = hasher.finish() % BUCKETS as u64;
        let bucket = usize::try_from(bucket).expect("buckets are few");
        self.files[bucket].write_all(&row.encode_length_delimited_to_vec())
    }

    /// The rows, one bucket after the other; within one in the order in which they were put.
    pub fn buckets(self) -> impl Iterator<Item = io::Result<Vec<T>>> {
        self.files.into_iter().map(|file| {
            let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.rewind()?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            let mut bytes = Bytes::from(bytes);
            let mut rows = Vec::new();
            while !bytes.is_empty() {
                let row = T::decode_length_delimited(&mut bytes);
                rows.push(row.map_err(io::Error::other)?);
            }
            Ok(rows)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn all_of_a_key_come_together_in_their_order() {
        let mut spill: Spill<String> = Spill::in_dir(&std::env::temp_dir()).expect("files");
        for number in 0..10_000_u32 {
            let key = (number % 97).to_le_bytes();
            spill.put(&key, &number.to_string()).expect("put");
        }
        let mut buckets_of: BTreeMap<u32, usize> = BTreeMap::new();
        let mut last: BTreeMap<u32, u32> = BTreeMap::new();
        for (bucket, rows) in spill.buckets().enumerate() {
            for row in rows.expect("read") {
                let number: u32 = row.parse().expect("a number");
                let key = number % 97;
                assert_eq!(*buckets_of.entry(key).or_insert(bucket), bucket);
                assert!(
                    last.insert(key, number)
                        .is_none_or(|before| before < number)
                );
            }
        }
        assert_eq!(last.len(), 97);
        assert!(
            last.iter()
                .all(|(key, number)| number + 97 > 9_999 && number % 97 == *key)
        );
        let used: std::collections::BTreeSet<_> = buckets_of.values().collect();
        assert!(used.len() > BUCKETS / 2, "they are spread");
    }
}
