//! Reading: from memory, from a row, or from a file piece by piece.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use berth_core::Digest;
use bytes::{Bytes, BytesMut};

use super::blobs::Place;
use super::{EMPTY, Storage, lock};
use crate::error::Error;

/// Content that is open for reading. It stays readable when the blob is evicted meanwhile.
pub(crate) enum Source {
    Memory(Bytes),
    File { file: Arc<File>, digest: Digest, storage: Arc<Storage> },
}

impl Storage {
    /// A small blob that is still in memory. Touches.
    pub(crate) fn hot(&self, digest: &Digest) -> Option<Bytes> {
        if *digest == EMPTY {
            return Some(Bytes::new());
        }
        let content = lock(&self.hot).get(&digest.hash)?;
        self.contains(digest).then_some(content)
    }

    /// Opens a blob for reading. Touches, blocks.
    pub(crate) fn open_blob(self: &Arc<Self>, digest: &Digest) -> Result<Option<Source>, Error> {
        if let Some(content) = self.hot(digest) {
            return Ok(Some(Source::Memory(content)));
        }
        let place = lock(&self.blobs).touch(digest, self.clock.now_ms(), self.ages);
        match place {
            None => Ok(None),
            Some(Place::Row) => match self.rows.content(&digest.hash)? {
                Some(content) => {
                    self.warm(digest, &content);
                    Ok(Some(Source::Memory(content)))
                }
                None => self.lost(digest),
            },
            Some(Place::File) => match self.files.read(&digest.hash) {
                Ok(file) => {
                    let source = Source::File { file: Arc::new(file), digest: *digest, storage: self.clone() };
                    Ok(Some(source))
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.lost(digest),
                Err(error) => Err(error.into()),
            },
        }
    }

    /// Reads a whole blob of at most `limit_bytes`. Touches, blocks.
    pub(crate) fn read(self: &Arc<Self>, digest: &Digest, limit_bytes: u64) -> Result<Option<Bytes>, Error> {
        match self.open_blob(digest)? {
            Some(_) if digest.size_bytes > limit_bytes => Err(Error::TooLarge {
                digest: *digest,
                limit_bytes: usize::try_from(limit_bytes).unwrap_or(usize::MAX),
            }),
            Some(source) => {
                let whole = usize::try_from(digest.size_bytes)
                    .map_err(|_| Error::TooLarge { digest: *digest, limit_bytes: usize::MAX })?;
                source.read_at(0, whole).map(Some)
            }
            None => Ok(None),
        }
    }

    /// The index promised a blob that the disk does not have: somebody removed it. From now on it is missing, and
    /// no note about complete trees counts.
    fn lost<T>(&self, digest: &Digest) -> Result<Option<T>, Error> {
        // Evicted between the look at the index and the look at the disk: then all is well.
        let Some(victim) = lock(&self.blobs).take(digest.hash) else { return Ok(None) };
        tracing::error!(blob = %digest, "content is gone from the disk, the blob is dropped");
        self.doubt_ms.store(self.clock.now_ms(), Ordering::Relaxed);
        self.delete(&[victim])?;
        Ok(None)
    }
}

impl Source {
    /// Up to `length` bytes from `offset`; fewer only at the end of the blob. Blocks.
    pub(crate) fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, Error> {
        match self {
            Self::Memory(content) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
                let end = start.saturating_add(length).min(content.len());
                Ok(content.slice(start..end))
            }
            Self::File { file, digest, storage } => {
                let left = digest.size_bytes.saturating_sub(offset);
                let length = usize::try_from(left).unwrap_or(usize::MAX).min(length);
                let mut buffer = BytesMut::zeroed(length);
                match file.read_exact_at(&mut buffer, offset) {
                    Ok(()) => Ok(buffer.freeze()),
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                        storage.lost::<()>(digest)?;
                        Err(Error::Missing(*digest))
                    }
                    Err(error) => Err(error.into()),
                }
            }
        }
    }
}
