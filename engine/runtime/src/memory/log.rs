//! The records of the simulated disk: framed and checksummed, so that a torn one is known for what it is.
//!
//! A frame is length (4 bytes), checksum (8) and payload. The format serves this simulator only; it never meets a
//! real disk and may change freely.

use crate::store::{Batch, Change, PartitionId, Table};

/// One step of the partition's history. Replaying all of them in order gives the rows.
#[derive(Debug)]
pub(super) enum Record {
    /// The partition was taken over.
    Fence { partition: PartitionId, epoch: u64 },
    /// The feed's next position, where no record shows it any more.
    Position { partition: PartitionId, next: u64 },
    /// A committed batch.
    Batch { partition: PartitionId, batch: Batch },
}

pub(super) fn fence(log: &mut Vec<u8>, partition: PartitionId, epoch: u64) {
    frame(log, |payload| {
        head(payload, 1, partition);
        payload.extend_from_slice(&epoch.to_le_bytes());
    });
}

pub(super) fn position(log: &mut Vec<u8>, partition: PartitionId, next: u64) {
    frame(log, |payload| {
        head(payload, 2, partition);
        payload.extend_from_slice(&next.to_le_bytes());
    });
}

pub(super) fn batch(log: &mut Vec<u8>, partition: PartitionId, batch: &Batch) {
    frame(log, |payload| {
        head(payload, 3, partition);
        for change in batch.changes() {
            match change {
                Change::Put { table, key, value } => {
                    payload.extend_from_slice(&[0, *table as u8]);
                    bytes(payload, batch.bytes(key));
                    bytes(payload, batch.bytes(value));
                }
                Change::Delete { table, key } => {
                    payload.extend_from_slice(&[1, *table as u8]);
                    bytes(payload, batch.bytes(key));
                }
                Change::DeleteRange { table, from, to } => {
                    payload.extend_from_slice(&[2, *table as u8]);
                    bytes(payload, batch.bytes(from));
                    bytes(payload, batch.bytes(to));
                }
                Change::Feed { sequence, record } => {
                    payload.push(3);
                    payload.extend_from_slice(&sequence.to_le_bytes());
                    bytes(payload, batch.bytes(record));
                }
                Change::TrimFeed { below } => {
                    payload.push(4);
                    payload.extend_from_slice(&below.to_le_bytes());
                }
            }
        }
    });
}

/// Hands every whole record to `visit`, up to the first that is torn or spoiled; answers where that one begins.
pub(super) fn replay(log: &[u8], mut visit: impl FnMut(Record)) -> usize {
    let mut reader = Reader(log);
    loop {
        let good = log.len() - reader.0.len();
        match reader.frame() {
            Some(payload) => {
                visit(Reader(payload).record().expect("a payload that passes its checksum was written by this file"))
            }
            None => return good,
        }
    }
}

fn head(payload: &mut Vec<u8>, tag: u8, partition: PartitionId) {
    payload.push(tag);
    payload.extend_from_slice(&partition.0.to_le_bytes());
}

fn bytes(payload: &mut Vec<u8>, bytes: &[u8]) {
    payload.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    payload.extend_from_slice(bytes);
}

fn frame(log: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    const HEADER_BYTES: usize = 12;
    let start = log.len();
    log.extend_from_slice(&[0; HEADER_BYTES]);
    fill(log);
    let payload = start + HEADER_BYTES;
    let (len, sum) = ((log.len() - payload) as u32, checksum(&log[payload..]));
    log[start..start + 4].copy_from_slice(&len.to_le_bytes());
    log[start + 4..payload].copy_from_slice(&sum.to_le_bytes());
}

/// FNV-1a: no defence against an adversary, but a power cut is none.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()? as usize;
        self.take(len)
    }

    fn table(&mut self) -> Option<Table> {
        Table::ALL.get(usize::from(self.u8()?)).copied()
    }

    fn frame(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()? as usize;
        let sum = self.u64()?;
        self.take(len).filter(|payload| checksum(payload) == sum)
    }

    fn record(&mut self) -> Option<Record> {
        let tag = self.u8()?;
        let partition = PartitionId(self.u32()?);
        match tag {
            1 => Some(Record::Fence { partition, epoch: self.u64()? }),
            2 => Some(Record::Position { partition, next: self.u64()? }),
            3 => self.batch().map(|batch| Record::Batch { partition, batch }),
            _ => None,
        }
    }

    fn batch(&mut self) -> Option<Batch> {
        let mut batch = Batch::default();
        while !self.0.is_empty() {
            match self.u8()? {
                0 => {
                    let (table, key, value) = (self.table()?, self.bytes()?, self.bytes()?);
                    batch.put(table, key, |buffer| buffer.extend_from_slice(value));
                }
                1 => batch.delete(self.table()?, self.bytes()?),
                2 => batch.delete_range(self.table()?, self.bytes()?, self.bytes()?),
                3 => {
                    let (sequence, record) = (self.u64()?, self.bytes()?);
                    batch.feed(sequence, |buffer| buffer.extend_from_slice(record));
                }
                4 => batch.trim_feed(self.u64()?),
                _ => return None,
            }
        }
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Vec<u8> {
        let mut log = Vec::new();
        let mut rows = Batch::default();
        rows.put(Table::Jobs, b"key", |value| value.extend_from_slice(b"value"));
        rows.feed(7, |record| record.extend_from_slice(b"record"));
        fence(&mut log, PartitionId(1), 2);
        batch(&mut log, PartitionId(1), &rows);
        position(&mut log, PartitionId(1), 8);
        log
    }

    fn count(log: &[u8]) -> usize {
        let mut records = 0;
        replay(log, |_| records += 1);
        records
    }

    #[test]
    fn a_log_that_is_cut_anywhere_gives_only_whole_records() {
        let log = log();
        assert_eq!(count(&log), 3);
        let counts: Vec<usize> = (0..=log.len()).map(|end| count(&log[..end])).collect();
        assert!(counts.is_sorted());
        assert!(counts[..log.len()].iter().all(|records| *records < 3));
    }

    #[test]
    fn a_byte_that_changed_ends_the_replay_before_its_record() {
        let log = log();
        for at in 0..log.len() {
            let mut spoiled = log.clone();
            spoiled[at] ^= 0x40;
            assert!(count(&spoiled) < 3, "byte {at}");
        }
    }
}
