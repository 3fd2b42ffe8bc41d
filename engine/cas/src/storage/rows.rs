//! The rows of the storage in RocksDB: index, small blobs, touch times, action cache entries.
//!
//! The only file that knows RocksDB. A small blob and its index row are in one batch, so they are there together or
//! not at all; touch times are rows of their own, so that writing them late can never bring a deleted blob back.

use std::path::Path;

use berth_core::Digest;
use bytes::Bytes;
use rocksdb::{BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, IteratorMode};
use rocksdb::{Options, WriteBatch, WriteOptions};

use super::blobs::{Hash, Place};
use crate::error::Error;

const FORMAT: &str = "berth-cas 1";
/// hash -> place, size, time of writing
const INDEX: &str = "index";
/// hash -> content
const SMALL: &str = "small";
/// hash -> time of the last touch, where that is later; stale rows are dropped at start.
const TOUCHED: &str = "touched";
/// instance, action -> ActionResult
const ACTIONS: &str = "actions";

pub(crate) struct Rows {
    db: DB,
}

/// A blob to be made durable: its content if it goes into a row.
pub(crate) struct NewBlob<'a> {
    pub(crate) digest: Digest,
    pub(crate) content: Option<&'a [u8]>,
}

impl Rows {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        // Bounds the log that a restart reads.
        options.set_max_total_wal_size(128 << 20);
        options.set_max_open_files(256);
        options.set_keep_log_file_num(2);
        options.set_max_log_file_size(4 << 20);
        let cache = Cache::new_lru_cache(32 << 20);
        let families =
            [("default", 1), (INDEX, 8), (SMALL, 32), (TOUCHED, 4), (ACTIONS, 8)].map(|(name, buffer_mib)| {
                let mut blocks = BlockBasedOptions::default();
                blocks.set_block_cache(&cache);
                blocks.set_block_size(16 << 10);
                let mut options = Options::default();
                options.set_block_based_table_factory(&blocks);
                options.set_compression_type(DBCompressionType::Lz4);
                options.set_write_buffer_size(buffer_mib << 20);
                ColumnFamilyDescriptor::new(name, options)
            });
        let db = DB::open_cf_descriptors(&options, path, families)?;
        match db.get("format")? {
            None => db.put_opt("format", FORMAT, &synced())?,
            Some(found) if found == FORMAT.as_bytes() => {}
            Some(found) => {
                let found = String::from_utf8_lossy(&found).into_owned();
                return Err(Error::Format { path: path.into(), found, known: FORMAT });
            }
        }
        Ok(Self { db })
    }

    /// One synced batch. Concurrent callers share the sync: RocksDB writes the batches of all that wait in one go.
    pub(crate) fn add(&self, blobs: &[NewBlob<'_>], now_ms: u64) -> Result<(), Error> {
        let mut batch = WriteBatch::default();
        for blob in blobs {
            let place = if blob.content.is_some() { b'r' } else { b'f' };
            let mut row = [place; 17];
            row[1..9].copy_from_slice(&blob.digest.size_bytes.to_le_bytes());
            row[9..].copy_from_slice(&now_ms.to_le_bytes());
            batch.put_cf(self.family(INDEX), blob.digest.hash, row);
            if let Some(content) = blob.content {
                batch.put_cf(self.family(SMALL), blob.digest.hash, content);
            }
        }
        Ok(self.db.write_opt(batch, &synced())?)
    }

    /// Not synced: what a crash brings back is a whole blob again, or found without its file at start.
    pub(crate) fn delete(&self, hashes: &[Hash]) -> Result<(), Error> {
        let mut batch = WriteBatch::default();
        for hash in hashes {
            for family in [INDEX, SMALL, TOUCHED] {
                batch.delete_cf(self.family(family), hash);
            }
        }
        Ok(self.db.write_opt(batch, &WriteOptions::default())?)
    }

    /// Not synced: a crash only makes blobs look older than they are.
    pub(crate) fn set_touched(&self, touched: &[(Hash, u64)]) -> Result<(), Error> {
        let mut batch = WriteBatch::default();
        for (hash, at_ms) in touched {
            batch.put_cf(self.family(TOUCHED), hash, at_ms.to_le_bytes());
        }
        Ok(self.db.write_opt(batch, &WriteOptions::default())?)
    }

    pub(crate) fn drop_touched(&self, hashes: &[Hash]) -> Result<(), Error> {
        let mut batch = WriteBatch::default();
        for hash in hashes {
            batch.delete_cf(self.family(TOUCHED), hash);
        }
        Ok(self.db.write_opt(batch, &WriteOptions::default())?)
    }

    pub(crate) fn content(&self, hash: &Hash) -> Result<Option<Bytes>, Error> {
        Ok(self.db.get_cf(self.family(SMALL), hash)?.map(Bytes::from))
    }

    /// Calls with digest, place and time of writing.
    pub(crate) fn scan_index(&self, mut each: impl FnMut(Digest, Place, u64)) -> Result<(), Error> {
        self.scan(INDEX, |key, value| {
            let (Ok(hash), Ok(row)) = (Hash::try_from(key), <[u8; 17]>::try_from(value)) else { return false };
            let place = match row[0] {
                b'r' => Place::Row,
                b'f' => Place::File,
                _ => return false,
            };
            let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| row[at + byte]));
            each(Digest { hash, size_bytes: number(1) }, place, number(9));
            true
        })
    }

    pub(crate) fn scan_touched(&self, mut each: impl FnMut(Hash, u64)) -> Result<(), Error> {
        self.scan(TOUCHED, |key, value| match (Hash::try_from(key), <[u8; 8]>::try_from(value)) {
            (Ok(hash), Ok(at_ms)) => {
                each(hash, u64::from_le_bytes(at_ms));
                true
            }
            _ => false,
        })
    }

    pub(crate) fn put_action(&self, instance: &str, action: &Digest, result: &[u8]) -> Result<(), Error> {
        let key = action_key(instance, action);
        Ok(self.db.put_cf_opt(self.family(ACTIONS), key, result, &synced())?)
    }

    pub(crate) fn action(&self, instance: &str, action: &Digest) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.db.get_cf(self.family(ACTIONS), action_key(instance, action))?)
    }

    pub(crate) fn delete_actions(&self, keys: &[(&str, Digest)]) -> Result<(), Error> {
        let mut batch = WriteBatch::default();
        for (instance, action) in keys {
            batch.delete_cf(self.family(ACTIONS), action_key(instance, action));
        }
        Ok(self.db.write_opt(batch, &WriteOptions::default())?)
    }

    /// Calls with instance, action and length of the result.
    pub(crate) fn scan_actions(&self, mut each: impl FnMut(&str, Digest, usize)) -> Result<(), Error> {
        self.scan(ACTIONS, |key, value| {
            let Some((instance, rest)) = key.split_at_checked(key.len().wrapping_sub(40)) else { return false };
            let (hash, size) = rest.split_at(32);
            let (Ok(instance), Ok(hash), Ok(size)) =
                (std::str::from_utf8(instance), Hash::try_from(hash), <[u8; 8]>::try_from(size))
            else {
                return false;
            };
            each(instance, Digest { hash, size_bytes: u64::from_be_bytes(size) }, value.len());
            true
        })
    }

    /// Walks a family; `each` says whether the row is one of ours.
    fn scan(&self, family: &str, mut each: impl FnMut(&[u8], &[u8]) -> bool) -> Result<(), Error> {
        for row in self.db.iterator_cf(self.family(family), IteratorMode::Start) {
            let (key, value) = row?;
            if !each(&key, &value) {
                return Err(Error::Index(format!("a row of {family} has a bad key or value")));
            }
        }
        Ok(())
    }

    fn family(&self, name: &str) -> &ColumnFamily {
        self.db.cf_handle(name).expect("all column families are opened at start")
    }
}

/// The instance first and the fixed part last: no length field is needed.
fn action_key(instance: &str, action: &Digest) -> Vec<u8> {
    [instance.as_bytes(), &action.hash, &action.size_bytes.to_be_bytes()].concat()
}

fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}
