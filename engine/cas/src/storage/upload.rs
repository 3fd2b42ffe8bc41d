//! Uploads in pieces, which survive a broken stream.
//!
//! An upload is known by instance, id and digest. Its bytes are hashed as they come; a stream that breaks leaves
//! it as it is, and the next one continues where it stands. The latest stream owns it: the one before may be a
//! dead connection that nobody has noticed yet. Uploads do not survive a restart; a client then begins again.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use berth_core::Digest;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::blobs::{Place, cost};
use super::put::{check_hash, check_size, place};
use super::space::Reservation;
use super::{Storage, lock};
use crate::error::Error;

/// What names an upload. Clients may use one id for several blobs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct UploadKey {
    pub(crate) instance: String,
    pub(crate) upload: String,
    pub(crate) digest: Digest,
}

#[derive(Default)]
pub(crate) struct Uploads {
    by_key: HashMap<UploadKey, Arc<Mutex<Upload>>>,
}

struct Upload {
    /// Counts the streams that took it; only the latest may append.
    owner: u64,
    received_bytes: u64,
    active_ms: u64,
    content: Content,
}

enum Content {
    /// Becomes a row: is verified when it is put.
    Memory(Vec<u8>),
    /// Becomes a file; the room for all of it is reserved.
    File { file: NamedTempFile, hasher: Sha256, reservation: Reservation },
    /// Committed or refused; whoever still holds it is late.
    Ended,
}

/// One stream's hold on an upload.
pub(crate) struct Attached {
    storage: Arc<Storage>,
    key: UploadKey,
    upload: Arc<Mutex<Upload>>,
    owner: u64,
}

impl Storage {
    /// How much of an unfinished upload is here. Answered from memory.
    pub(crate) fn upload_received(&self, key: &UploadKey) -> Option<u64> {
        let upload = lock(&self.uploads).by_key.get(key).cloned()?;
        let received_bytes = lock(&upload).received_bytes;
        Some(received_bytes)
    }

    /// Begins or continues an upload at an offset; 0 always means from the beginning. Blocks.
    pub(crate) fn attach(self: &Arc<Self>, key: UploadKey, offset: i64) -> Result<Attached, Error> {
        let now_ms = self.clock.now_ms();
        let known = lock(&self.uploads).by_key.get(&key).cloned();
        let upload = match known {
            Some(upload) => upload,
            None => {
                if offset != 0 {
                    return Err(Error::WriteOffset { expected: 0, found: offset });
                }
                let content = self.fresh(&key.digest)?;
                let new = Upload { owner: 0, received_bytes: 0, active_ms: now_ms, content };
                let mut uploads = lock(&self.uploads);
                if uploads.by_key.len() >= self.options.uploads_max {
                    let max = self.options.uploads_max;
                    return Err(Error::Full(format!("{max} uploads are unfinished, which is the limit")));
                }
                uploads.by_key.entry(key.clone()).or_insert_with(|| Arc::new(Mutex::new(new))).clone()
            }
        };
        let mut state = lock(&upload);
        if offset == 0 && state.received_bytes > 0 {
            // The room stays reserved, so this cannot fail for lack of it.
            state.rewind()?;
        }
        if u64::try_from(offset) != Ok(state.received_bytes) {
            return Err(Error::WriteOffset { expected: state.received_bytes, found: offset });
        }
        state.owner += 1;
        state.active_ms = now_ms;
        let owner = state.owner;
        drop(state);
        Ok(Attached { storage: self.clone(), key, upload, owner })
    }

    /// Drops uploads that nobody continued.
    pub(crate) fn drop_idle_uploads(&self) {
        let idle_ms = u64::try_from(self.options.upload_idle.as_millis()).unwrap_or(u64::MAX);
        let now_ms = self.clock.now_ms();
        let idle = |upload: &Arc<Mutex<Upload>>| now_ms.saturating_sub(lock(upload).active_ms) >= idle_ms;
        let dropped: Vec<_> = lock(&self.uploads).by_key.extract_if(|_, upload| idle(upload)).collect();
        // Outside of the lock: this deletes files, and gives back room under another lock.
        for (_, upload) in &dropped {
            lock(upload).content = Content::Ended;
        }
    }

    fn fresh(self: &Arc<Self>, digest: &Digest) -> Result<Content, Error> {
        Ok(match place(digest.size_bytes) {
            Place::Row => Content::Memory(Vec::new()),
            Place::File => Content::File {
                reservation: self.reserve(cost(digest.size_bytes, Place::File))?,
                file: self.files.create()?,
                hasher: Sha256::new(),
            },
        })
    }
}

impl Upload {
    fn rewind(&mut self) -> Result<(), Error> {
        match &mut self.content {
            Content::Memory(bytes) => bytes.clear(),
            Content::File { file, hasher, .. } => {
                file.as_file_mut().set_len(0)?;
                std::io::Seek::rewind(file)?;
                *hasher = Sha256::new();
            }
            Content::Ended => return Err(Error::TakenOver),
        }
        self.received_bytes = 0;
        Ok(())
    }
}

impl Attached {
    pub(crate) fn received(&self) -> u64 {
        lock(&self.upload).received_bytes
    }

    /// Adds bytes. More than the digest says ends the upload: no continuation could make it right. Blocks.
    pub(crate) fn append(&self, bytes: &[u8]) -> Result<(), Error> {
        let mut upload = lock(&self.upload);
        if upload.owner != self.owner {
            return Err(Error::TakenOver);
        }
        let received_bytes = upload.received_bytes + bytes.len() as u64;
        if received_bytes > self.key.digest.size_bytes {
            upload.content = Content::Ended;
            drop(upload);
            self.forget();
            let problem = format!("it has at least {received_bytes} bytes");
            return Err(Error::Mismatch { expected: self.key.digest, problem });
        }
        match &mut upload.content {
            Content::Memory(content) => content.extend_from_slice(bytes),
            Content::File { file, hasher, .. } => {
                if let Err(error) = file.write_all(bytes) {
                    // How much of it was written is unknown: only a new beginning helps.
                    upload.content = Content::Ended;
                    drop(upload);
                    self.forget();
                    return Err(error.into());
                }
                hasher.update(bytes);
            }
            Content::Ended => return Err(Error::TakenOver),
        }
        upload.received_bytes = received_bytes;
        upload.active_ms = self.storage.clock.now_ms();
        Ok(())
    }

    /// Checks the whole and stores it. However it ends, the upload is over. Blocks.
    pub(crate) fn commit(&self) -> Result<(), Error> {
        let (content, received_bytes) = {
            let mut upload = lock(&self.upload);
            if upload.owner != self.owner {
                return Err(Error::TakenOver);
            }
            (std::mem::replace(&mut upload.content, Content::Ended), upload.received_bytes)
        };
        let digest = &self.key.digest;
        let done = check_size(digest, received_bytes).and_then(|()| match content {
            Content::Memory(bytes) => self.storage.put(digest, Bytes::from(bytes)),
            Content::File { file, hasher, reservation } => {
                check_hash(digest, hasher.finalize().into())?;
                self.storage.put_file(digest, file, reservation)
            }
            Content::Ended => Err(Error::TakenOver),
        });
        // Only now: who asks for the status meanwhile still finds it.
        self.forget();
        done
    }

    fn forget(&self) {
        let mut uploads = lock(&self.storage.uploads);
        if uploads.by_key.get(&self.key).is_some_and(|upload| Arc::ptr_eq(upload, &self.upload)) {
            uploads.by_key.remove(&self.key);
        }
    }
}
