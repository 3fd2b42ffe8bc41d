//! Fills the cache from the CAS: each blob once, however many actions wait for it.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use berth_core::Digest;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::watch;

use super::index::Claim;
use super::loan::{Lent, Loan};
use super::{FileCache, Key};
use crate::cas::{BATCH_BLOB_BYTES_MAX, CasClient, batches};
use crate::digest;
use crate::error::Failure;
use crate::job::blocking;

/// Batches, and beside them streams, at a time for one action.
const PARALLEL: usize = 4;

/// The duty to fetch one entry. Others wait until it is dropped.
struct Duty {
    cache: Arc<FileCache>,
    key: Key,
    on_disk: bool,
    _done: watch::Sender<()>,
}

impl Drop for Duty {
    fn drop(&mut self) {
        // Does nothing if the entry was installed. The channel closes after this.
        self.cache.index().given_up(&self.key);
    }
}

/// What became of a part of the work: entries that are there now, and blobs that the CAS does not have.
#[derive(Default)]
struct Fetched {
    lent: Vec<Lent>,
    missing: Vec<Digest>,
}

impl FileCache {
    /// Lends `keys`, after fetching what is not here. All blobs that are missing are named together.
    pub(crate) async fn borrow(self: &Arc<Self>, cas: &CasClient, keys: Vec<Key>) -> Result<Loan, Failure> {
        let mut loan = Loan::default();
        let mut wanted = keys;
        wanted.sort_unstable();
        wanted.dedup();
        let mut missing = Vec::new();
        while !wanted.is_empty() {
            let mut duties = Vec::new();
            let mut coming = Vec::new();
            for key in wanted {
                match self.index().claim(key) {
                    Claim::Ready(ready) => loan.add(Lent::new(Arc::clone(self), key, ready)),
                    Claim::Coming(done) => coming.push((key, done)),
                    Claim::Yours { done, on_disk } => {
                        duties.push(Duty { cache: Arc::clone(self), key, on_disk, _done: done });
                    }
                }
            }
            // Our own part first: two actions that wait for each other's parts would wait for ever.
            self.fetch(cas, duties, &mut loan, &mut missing).await?;
            for (_, done) in &mut coming {
                // An error says that the sender is gone, which is what we wait for.
                let _ = done.changed().await;
            }
            wanted = coming.into_iter().map(|(key, _)| key).collect();
        }
        if missing.is_empty() { Ok(loan) } else { Err(Failure::Missing(missing)) }
    }

    async fn fetch(
        self: &Arc<Self>,
        cas: &CasClient,
        duties: Vec<Duty>,
        loan: &mut Loan,
        missing: &mut Vec<Digest>,
    ) -> Result<(), Failure> {
        let duties = self.adopt_old(duties, loan).await?;
        let (small, large): (Vec<_>, Vec<_>) =
            duties.into_iter().partition(|duty| duty.key.digest.size_bytes <= BATCH_BLOB_BYTES_MAX);
        let small = stream::iter(batches(small, |duty| duty.key.digest.size_bytes))
            .map(|batch| self.fetch_batch(cas, batch))
            .buffer_unordered(PARALLEL);
        let large = stream::iter(large).map(|duty| self.fetch_stream(cas, duty)).buffer_unordered(PARALLEL);
        // Boxed, because the two have different types.
        let mut parts = stream::select(small.boxed(), large.boxed());
        while let Some(fetched) = parts.try_next().await? {
            fetched.lent.into_iter().for_each(|lent| loan.add(lent));
            missing.extend(fetched.missing);
        }
        Ok(())
    }

    /// Takes over files of an earlier run whose content still fits; answers what is left to fetch.
    async fn adopt_old(self: &Arc<Self>, duties: Vec<Duty>, loan: &mut Loan) -> Result<Vec<Duty>, Failure> {
        let (old, mut left): (Vec<_>, Vec<_>) = duties.into_iter().partition(|duty| duty.on_disk);
        if old.is_empty() {
            return Ok(left);
        }
        let cache = Arc::clone(self);
        let (adopted, gone) = blocking(move || {
            let mut adopted = Vec::new();
            let mut gone = Vec::new();
            for duty in old {
                match cache.adopt(&duty.key) {
                    Some(lent) => adopted.push(lent),
                    None => gone.push(duty),
                }
            }
            (adopted, gone)
        })
        .await;
        adopted.into_iter().for_each(|lent| loan.add(lent));
        left.extend(gone);
        Ok(left)
    }

    /// Blocks.
    fn adopt(self: &Arc<Self>, key: &Key) -> Option<Lent> {
        let path = self.path(key);
        // A copy: something of the earlier run may still have the file open for writing.
        let mut copy = self.incoming().ok()?;
        let copied = File::open(&path).and_then(|mut old| io::copy(&mut old, &mut copy));
        self.delete(key);
        let copy = copy.into_temp_path();
        let fits = copied.is_ok() && digest::of_file(&copy).is_ok_and(|found| found == key.digest);
        if fits { self.install(key, copy).ok() } else { None }
    }

    async fn fetch_batch(self: &Arc<Self>, cas: &CasClient, batch: Vec<Duty>) -> Result<Fetched, Failure> {
        let mut digests: Vec<_> = batch.iter().map(|duty| duty.key.digest).filter(|one| one.size_bytes > 0).collect();
        // The plain and the executable file of one content.
        digests.sort_unstable();
        digests.dedup();
        let mut found = if digests.is_empty() { Vec::new() } else { cas.read_batch(&digests).await? };
        // The empty blob is never sent.
        let empty = digest::of_bytes(b"");
        found.push((empty, Some(Bytes::new())));
        found.sort_unstable_by_key(|(digest, _)| *digest);
        let cache = Arc::clone(self);
        blocking(move || {
            let mut fetched = Fetched::default();
            for duty in batch {
                let at = found.binary_search_by_key(&duty.key.digest, |(digest, _)| *digest);
                match at.ok().and_then(|at| found[at].1.as_ref()) {
                    Some(data) => fetched.lent.push(cache.install_bytes(&duty.key, data)?),
                    None => fetched.missing.push(duty.key.digest),
                }
            }
            Ok(fetched)
        })
        .await
    }

    /// Makes checked content the entry of `key`. Blocks.
    pub(super) fn install_bytes(self: &Arc<Self>, key: &Key, data: &[u8]) -> Result<Lent, Failure> {
        let mut file = self.incoming()?;
        file.write_all(data).map_err(|error| Failure::io("writing an input file", &error))?;
        self.install(key, file.into_temp_path())
    }

    async fn fetch_stream(self: &Arc<Self>, cas: &CasClient, duty: Duty) -> Result<Fetched, Failure> {
        let (file, path) = self.incoming()?.into_parts();
        let mut sink = tokio::io::BufWriter::with_capacity(1 << 20, tokio::fs::File::from_std(file));
        if !cas.download(&duty.key.digest, &mut sink).await? {
            return Ok(Fetched { missing: vec![duty.key.digest], ..Fetched::default() });
        }
        drop(sink);
        let cache = Arc::clone(self);
        blocking(move || {
            let lent = cache.install(&duty.key, path)?;
            Ok(Fetched { lent: vec![lent], ..Fetched::default() })
        })
        .await
    }
}
