//! A plugin's own table: a committed snapshot to read, and a transaction to write in while events are handled.
//!
//! All of it is in memory, because it is small by contract and is read on the way of every job. Not for its rows
//! in the store: `feed` writes them, together with the cursor. A snapshot is a list of sorted chunks that
//! are shared between versions, so that a reader keeps its version for the price of a pointer, and a writer copies
//! only the chunks that it changes.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

/// The most rows that one scan answers, whatever was asked for.
pub const SCAN_MAX: usize = 1_000;

/// Entries of a chunk: what one write copies at most, beside the list of chunks.
const CHUNK_MAX: usize = 64;

/// A row: key and value.
pub type KvEntry = (Arc<str>, Bytes);

/// How large a plugin's table may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvLimits {
    /// Bytes of a key.
    pub key_bytes_max: usize,
    /// Bytes of a value.
    pub value_bytes_max: usize,
    /// Bytes of all keys and values together.
    pub bytes_max: usize,
}

impl Default for KvLimits {
    fn default() -> Self {
        Self { key_bytes_max: 512, value_bytes_max: 64 << 10, bytes_max: 16 << 20 }
    }
}

/// Why nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KvError {
    /// This is not `on-events`.
    #[error("the table can be written while events are handled only")]
    ReadOnly,
    /// The key or the value is too long, or the key is empty.
    #[error("the key or the value is too long, or the key is empty")]
    TooLarge,
    /// The table would become too large.
    #[error("the table is full")]
    Full,
}

/// Reads of a plugin's table.
pub trait KvView {
    /// The value of a key.
    fn get(&self, key: &str) -> Option<Bytes>;

    /// Rows whose keys begin with the prefix, in the order of their bytes, from the first key greater than `after`;
    /// at most `limit`, and at most [`SCAN_MAX`].
    fn scan(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<KvEntry>;
}

/// A plugin's table as it was committed at some moment. Cheap to clone; never changes under its reader.
#[derive(Clone, Debug, Default)]
pub struct KvSnapshot {
    /// None is empty; sorted within and among each other.
    chunks: Arc<Vec<Arc<Vec<KvEntry>>>>,
    /// Of all keys and values.
    bytes: usize,
}

impl KvSnapshot {
    /// Bytes of all keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len()).sum()
    }

    /// All rows in order.
    pub fn entries(&self) -> impl Iterator<Item = &KvEntry> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// Writes a row, whatever its size: bounds are a transaction's business.
    pub fn set(&mut self, key: &Arc<str>, value: &Bytes) {
        let at = self.chunk_of(key);
        let chunks = Arc::make_mut(&mut self.chunks);
        let Some(chunk) = chunks.get_mut(at) else {
            chunks.push(Arc::new(vec![(key.clone(), value.clone())]));
            self.bytes += key.len() + value.len();
            return;
        };
        let chunk = Arc::make_mut(chunk);
        match chunk.binary_search_by(|(have, _)| (**have).cmp(key)) {
            Ok(found) => {
                self.bytes = self.bytes - chunk[found].1.len() + value.len();
                chunk[found].1 = value.clone();
            }
            Err(place) => {
                self.bytes += key.len() + value.len();
                chunk.insert(place, (key.clone(), value.clone()));
                if chunk.len() > CHUNK_MAX {
                    let upper = chunk.split_off(CHUNK_MAX / 2);
                    chunks.insert(at + 1, Arc::new(upper));
                }
            }
        }
    }

    /// Removes a row, if it is there.
    pub fn remove(&mut self, key: &str) {
        let at = self.chunk_of(key);
        let Some(found) = self.chunks.get(at).and_then(|chunk| find(chunk, key)) else { return };
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(&mut chunks[at]);
        let (key, value) = chunk.remove(found);
        self.bytes -= key.len() + value.len();
        if chunk.is_empty() {
            chunks.remove(at);
        }
    }

    /// The chunk that has the key, or would have it.
    fn chunk_of(&self, key: &str) -> usize {
        self.chunks.partition_point(|chunk| &*chunk[0].0 <= key).saturating_sub(1)
    }

    /// Rows from the first key that is not less than `from`, or greater than it.
    fn from<'a>(&'a self, from: &'a str, beyond: bool) -> impl Iterator<Item = &'a KvEntry> {
        let chunks = self.chunks.get(self.chunk_of(from)..).unwrap_or_default();
        let before = move |entry: &&KvEntry| if beyond { &*entry.0 <= from } else { &*entry.0 < from };
        chunks.iter().flat_map(|chunk| chunk.iter()).skip_while(before)
    }
}

impl KvView for KvSnapshot {
    fn get(&self, key: &str) -> Option<Bytes> {
        let chunk = self.chunks.get(self.chunk_of(key))?;
        find(chunk, key).map(|found| chunk[found].1.clone())
    }

    fn scan(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<KvEntry> {
        let (from, beyond) = start(prefix, after);
        let rows = self.from(from, beyond).take_while(|(key, _)| key.starts_with(prefix));
        rows.take(limit.min(SCAN_MAX)).cloned().collect()
    }
}

/// Writes of one call over a snapshot: seen by its own reads, and kept only if the call succeeds.
///
/// Owned, not borrowed, so that a host can move it into the store of a guest and out again ([`std::mem::take`]).
#[derive(Debug, Default)]
pub struct KvTransaction {
    base: KvSnapshot,
    limits: KvLimits,
    /// `None`: removed.
    writes: BTreeMap<Arc<str>, Option<Bytes>>,
    /// Of base and writes together.
    bytes: usize,
    /// Of base and writes together.
    rows: usize,
}

impl KvTransaction {
    /// Begins over what is committed.
    pub fn new(base: KvSnapshot, limits: KvLimits) -> Self {
        Self { bytes: base.bytes(), rows: base.rows(), base, limits, writes: BTreeMap::new() }
    }

    /// Sets the value of a key.
    pub fn set(&mut self, key: &str, value: &[u8]) -> Result<(), KvError> {
        let key_fits = (1..=self.limits.key_bytes_max).contains(&key.len());
        if !key_fits || value.len() > self.limits.value_bytes_max {
            return Err(KvError::TooLarge);
        }
        let before = self.size_of(key);
        let bytes = self.bytes - before + key.len() + value.len();
        if bytes > self.limits.bytes_max && bytes > self.bytes {
            return Err(KvError::Full);
        }
        self.bytes = bytes;
        self.rows += usize::from(before == 0);
        self.writes.insert(key.into(), Some(Bytes::copy_from_slice(value)));
        Ok(())
    }

    /// Removes a key, if it is there.
    pub fn delete(&mut self, key: &str) -> Result<(), KvError> {
        let size = self.size_of(key);
        if size > 0 {
            self.bytes -= size;
            self.rows -= 1;
            self.writes.insert(key.into(), None);
        }
        Ok(())
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// What was written, in the order of the keys; `None`: removed.
    pub fn writes(&self) -> impl Iterator<Item = (&Arc<str>, Option<&Bytes>)> {
        self.writes.iter().map(|(key, value)| (key, value.as_ref()))
    }

    /// The table as it is when this is committed.
    pub fn outcome(&self) -> KvSnapshot {
        let mut table = self.base.clone();
        for (key, value) in &self.writes {
            match value {
                Some(value) => table.set(key, value),
                None => table.remove(key),
            }
        }
        table
    }

    /// Bytes of the key's row; 0: there is none.
    fn size_of(&self, key: &str) -> usize {
        self.get(key).map_or(0, |value| key.len() + value.len())
    }
}

impl KvView for KvTransaction {
    fn get(&self, key: &str) -> Option<Bytes> {
        match self.writes.get(key) {
            Some(written) => written.clone(),
            None => self.base.get(key),
        }
    }

    /// Merges two sorted lists; of equal keys the written one counts.
    fn scan(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<KvEntry> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let (from, beyond) = start(prefix, after);
        let lower = if beyond { Excluded(from) } else { Included(from) };
        let mut base = self.base.from(from, beyond).take_while(|(key, _)| key.starts_with(prefix)).peekable();
        let written = self.writes.range::<str, _>((lower, Unbounded));
        let mut written = written.take_while(|(key, _)| key.starts_with(prefix)).peekable();
        let mut rows = Vec::new();
        while rows.len() < limit.min(SCAN_MAX) {
            let from_base = match (base.peek(), written.peek()) {
                (None, None) => break,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some((have, _)), Some((wrote, _))) => {
                    if have == *wrote {
                        base.next();
                    }
                    base.peek().is_some_and(|(have, _)| have < *wrote)
                }
            };
            if from_base {
                rows.extend(base.next().cloned());
            } else if let Some((key, Some(value))) = written.next() {
                rows.push((key.clone(), value.clone()));
            }
        }
        rows
    }
}

/// Where a scan begins, and whether that key itself is left out.
fn start<'a>(prefix: &'a str, after: Option<&'a str>) -> (&'a str, bool) {
    match after {
        Some(after) if after >= prefix => (after, true),
        _ => (prefix, false),
    }
}

fn find(chunk: &[KvEntry], key: &str) -> Option<usize> {
    chunk.binary_search_by(|(have, _)| (**have).cmp(key)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(rows: &[KvEntry]) -> Vec<&str> {
        rows.iter().map(|(key, _)| &**key).collect()
    }

    fn filled(count: u32) -> KvSnapshot {
        let mut table = KvSnapshot::default();
        // Not in order, so that chunks are split everywhere.
        for number in 0..count {
            let number = number * 7 % count;
            table.set(&format!("k{number:05}").into(), &Bytes::from(vec![number as u8; 3]));
        }
        table
    }

    #[test]
    fn a_table_is_sorted_whatever_the_order_of_writes() {
        let mut table = filled(1_000);
        assert!(table.entries().map(|(key, _)| key).is_sorted());
        assert_eq!((table.entries().count(), table.bytes()), (1_000, 9_000));
        assert!(table.chunks.iter().all(|chunk| (1..=CHUNK_MAX).contains(&chunk.len())));
        for number in (0..1_000).filter(|number| number % 3 != 0) {
            table.remove(&format!("k{number:05}"));
        }
        assert_eq!((table.entries().count(), table.bytes()), (334, 334 * 9));
        assert_eq!(table.get("k00003").as_deref(), Some(&[3; 3][..]));
        assert_eq!(table.get("k00004"), None);
        assert_eq!(keys(&table.scan("k000", Some("k00006"), 3)), ["k00009", "k00012", "k00015"]);
        assert_eq!(keys(&table.scan("k0099", None, 10)), ["k00990", "k00993", "k00996", "k00999"]);
        assert_eq!(keys(&table.scan("k0099", Some("k00999"), 10)), [""; 0]);
        assert_eq!(keys(&table.scan("a", None, 10)), [""; 0]);
        assert_eq!(filled(5_000).scan("", None, 5_000).len(), SCAN_MAX);
    }

    #[test]
    fn a_reader_keeps_its_version() {
        let mut table = filled(200);
        let before = table.clone();
        table.set(&"k00100".into(), &Bytes::from_static(b"new"));
        table.remove("k00101");
        assert_eq!(before.get("k00100").as_deref(), Some(&[100; 3][..]));
        assert!(before.get("k00101").is_some());
        assert_eq!((table.get("k00100").as_deref(), table.get("k00101")), (Some(&b"new"[..]), None));
    }

    #[test]
    fn a_transaction_sees_its_own_writes_and_its_base_does_not() {
        let base = filled(5);
        let mut writes = KvTransaction::new(base.clone(), KvLimits::default());
        writes.set("k00001", b"one").unwrap();
        writes.delete("k00002").unwrap();
        writes.delete("never there").unwrap();
        writes.set("k000015", b"between").unwrap();
        writes.set("k9", b"last").unwrap();
        assert_eq!(
            keys(&writes.scan("k", None, 10)),
            ["k00000", "k00001", "k000015", "k00003", "k00004", "k9"],
            "bytes decide the order"
        );
        assert_eq!(keys(&writes.scan("k", Some("k00001"), 2)), ["k000015", "k00003"]);
        assert_eq!(writes.get("k00001").as_deref(), Some(&b"one"[..]));
        assert_eq!(writes.get("k00002"), None);
        assert_eq!(base.get("k00001").as_deref(), Some(&[1; 3][..]));
        let after = writes.outcome();
        assert_eq!(after.scan("", None, 10), writes.scan("", None, 10));
        assert_eq!((after.bytes(), after.rows()), (writes.bytes, writes.rows()));
        assert_eq!(writes.writes().count(), 4);
    }

    #[test]
    fn what_does_not_fit_is_refused_and_changes_nothing() {
        let limits = KvLimits { key_bytes_max: 4, value_bytes_max: 10, bytes_max: 20 };
        let mut writes = KvTransaction::new(KvSnapshot::default(), limits);
        assert_eq!(writes.set("", b""), Err(KvError::TooLarge));
        assert_eq!(writes.set("12345", b""), Err(KvError::TooLarge));
        assert_eq!(writes.set("1", &[0; 11]), Err(KvError::TooLarge));
        assert_eq!(writes.set("1234", &[0; 10]), Ok(()));
        assert_eq!(writes.set("2", &[0; 6]), Err(KvError::Full));
        assert_eq!(writes.set("1234", &[0; 3]), Ok(()));
        assert_eq!(writes.set("2", &[0; 6]), Ok(()));
        assert_eq!(keys(&writes.scan("", None, 10)), ["1234", "2"]);
    }

    #[test]
    fn a_table_over_a_lowered_limit_can_still_shrink() {
        let limits = KvLimits { bytes_max: 10, ..KvLimits::default() };
        let mut writes = KvTransaction::new(filled(3), limits);
        assert_eq!(writes.set("k00000", b"longer"), Err(KvError::Full));
        assert_eq!(writes.set("k00000", b"x"), Ok(()));
        assert_eq!(writes.delete("k00001"), Ok(()));
    }
}
