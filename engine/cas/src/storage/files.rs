//! Large blobs as files: written aside, made durable, then renamed into place.
//!
//! `files/ab/<hash>` holds content, `uploads/` what is not whole yet. Everything in `uploads/` is swept at start.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use berth_core::Digest;
use tempfile::NamedTempFile;

use super::blobs::Hash;

pub(crate) struct Files {
    files: PathBuf,
    uploads: PathBuf,
}

impl Files {
    /// Makes the folders (all of them now, so that a write later syncs one directory only) and sweeps uploads.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let (files, uploads) = (root.join("files"), root.join("uploads"));
        match fs::remove_dir_all(&uploads) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&uploads)?,
        }
        for byte in 0..=255u8 {
            fs::create_dir_all(files.join(format!("{byte:02x}")))?;
        }
        // Up to the name of the storage itself, or a power cut takes the whole of it. At each start: the one before
        // may have been killed between making and syncing.
        sync_folder(&files)?;
        sync_folder(root)?;
        if let Some(parent) = std::path::absolute(root)?.parent() {
            sync_folder(parent)?;
        }
        Ok(Self { files, uploads })
    }

    /// A new file to write aside. It is deleted when dropped.
    pub(crate) fn create(&self) -> io::Result<NamedTempFile> {
        NamedTempFile::new_in(&self.uploads)
    }

    /// Makes the content durable under its name.
    pub(crate) fn publish(&self, written: NamedTempFile, hash: &Hash) -> io::Result<()> {
        written.as_file().sync_data()?;
        let path = self.path(hash);
        written.persist(&path).map_err(|error| error.error)?;
        sync_folder(path.parent().expect("a blob's file lies in a folder"))
    }

    pub(crate) fn read(&self, hash: &Hash) -> io::Result<File> {
        File::open(self.path(hash))
    }

    /// Removes a file; that it is gone already is fine.
    pub(crate) fn remove(&self, hash: &Hash) -> io::Result<()> {
        match fs::remove_file(self.path(hash)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// The content that is there. What has no content's name is left alone.
    pub(crate) fn list(&self) -> io::Result<HashSet<Hash>> {
        let mut found = HashSet::new();
        for folder in fs::read_dir(&self.files)? {
            for entry in fs::read_dir(folder?.path())? {
                let name = entry?.file_name();
                if let Some(digest) = name.to_str().and_then(|name| Digest::parse(name, 0).ok()) {
                    found.insert(digest.hash);
                }
            }
        }
        Ok(found)
    }

    fn path(&self, hash: &Hash) -> PathBuf {
        let name = Digest { hash: *hash, size_bytes: 0 }.hex();
        self.files.join(&name[..2]).join(name)
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
