//! Everything that can go wrong here, and what clients and the engine are told.
//!
//! Messages of the variants that become `INTERNAL` stay in the log: a client learns nothing of our file system.

use std::path::PathBuf;

use berth_core::Digest;
use berth_runtime::cas::CasError;
use tonic::Status;

/// Why the storage did not do as asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The instance name is not in the configuration.
    #[error("instance_name {0:?} is not known to this server")]
    UnknownInstance(String),
    /// A field of a request cannot be what it is.
    #[error("{field}: {problem}")]
    Field {
        /// The field, as the protocol names it.
        field: &'static str,
        /// What is wrong and what would be accepted.
        problem: String,
    },
    /// More than one message may carry.
    #[error("the blobs of one batch are {bytes} bytes, the limit is {limit_bytes}; use ByteStream for larger ones")]
    BatchTooLarge {
        /// What was asked for.
        bytes: u64,
        /// What is allowed.
        limit_bytes: u64,
    },
    /// The content is not what its digest says.
    #[error("content does not match its digest {expected}: {problem}")]
    Mismatch {
        /// The digest that was announced.
        expected: Digest,
        /// How the content differs.
        problem: String,
    },
    /// A write begins or goes on at a place where the upload is not.
    #[error("write_offset {found} is wrong, this upload continues at {expected}")]
    WriteOffset {
        /// Where the upload stands.
        expected: u64,
        /// What the client sent.
        found: i64,
    },
    /// Another stream took the upload over.
    #[error("the upload was taken over by another stream")]
    TakenOver,
    /// A read begins behind the end of the blob.
    #[error("read_offset {offset} is outside of the blob, which has {size_bytes} bytes")]
    ReadOffset {
        /// What the client sent.
        offset: i64,
        /// Length of the blob.
        size_bytes: u64,
    },
    /// The blob is not here.
    #[error("blob {0} is not in the storage")]
    Missing(Digest),
    /// The action cache has no usable entry.
    #[error("no cached result for action {0}")]
    NoActionResult(Digest),
    /// A blob that should be a message is none.
    #[error("blob {digest} is not a valid {expected}: {detail}")]
    Malformed {
        /// Which blob.
        digest: Digest,
        /// Which message it should be.
        expected: &'static str,
        /// What the parser said.
        detail: String,
    },
    /// A blob is larger than the caller is ready to hold.
    #[error("blob {digest} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// Which blob.
        digest: Digest,
        /// What the caller allows.
        limit_bytes: usize,
    },
    /// No room without evicting what must stay.
    #[error("the storage is full: {0}")]
    Full(String),
    /// Clients may not write this.
    #[error("{0} is not allowed by the configuration of this server")]
    Forbidden(&'static str),
    /// A part of the protocol that is not offered.
    #[error("{0} is not implemented")]
    Unimplemented(&'static str),
    /// The process is about to end.
    #[error("the server is shutting down")]
    Stopping,
    /// The external storage answered with an error.
    #[error("external storage: {}: {}", .0.code(), .0.message())]
    External(Box<Status>),
    /// The folder was written by a version that this one does not know.
    #[error("{path}: storage format {found} is not known, this version reads format {known}")]
    Format {
        /// The folder.
        path: PathBuf,
        /// What the folder says.
        found: String,
        /// What we know.
        known: &'static str,
    },
    /// The disk has no room to start on.
    #[error("{path}: {free_bytes} bytes are free, at least {needed_bytes} are needed to start")]
    DiskFull {
        /// The folder.
        path: PathBuf,
        /// What is free.
        free_bytes: u64,
        /// What is needed.
        needed_bytes: u64,
    },
    /// The file system failed.
    #[error("storage file: {0}")]
    File(String),
    /// RocksDB failed.
    #[error("storage index: {0}")]
    Index(String),
}

impl Error {
    pub(crate) fn field(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Field { field, problem: problem.into() }
    }

    pub(crate) fn external(status: Status) -> Self {
        Self::External(Box::new(status))
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::Full("the disk has no space left".into())
            }
            _ => Self::File(error.to_string()),
        }
    }
}

impl From<rocksdb::Error> for Error {
    fn from(error: rocksdb::Error) -> Self {
        let text = error.to_string();
        if text.contains("No space left") { Self::Full("the disk has no space left".into()) } else { Self::Index(text) }
    }
}

/// The one place of this crate where an error becomes a gRPC status.
impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::UnknownInstance(_)
            | Error::Field { .. }
            | Error::BatchTooLarge { .. }
            | Error::Mismatch { .. }
            | Error::WriteOffset { .. }
            | Error::Malformed { .. } => Status::invalid_argument(message),
            Error::ReadOffset { .. } => Status::out_of_range(message),
            Error::TakenOver => Status::aborted(message),
            Error::Missing(_) | Error::NoActionResult(_) => Status::not_found(message),
            Error::TooLarge { .. } | Error::Full(_) => Status::resource_exhausted(message),
            Error::Forbidden(_) => Status::permission_denied(message),
            Error::Unimplemented(_) => Status::unimplemented(message),
            Error::Stopping => Status::unavailable(message),
            Error::External(status) => *status,
            Error::Format { .. } | Error::DiskFull { .. } | Error::File(_) | Error::Index(_) => {
                tracing::error!(error = %message, "storage failed");
                Status::internal("the storage failed; the server's log says why")
            }
        }
    }
}

/// What the engine is told.
impl From<Error> for CasError {
    fn from(error: Error) -> Self {
        match error {
            Error::UnknownInstance(name) => Self::UnknownInstance(name),
            Error::Malformed { digest, expected, detail } => Self::Malformed { digest, expected, detail },
            Error::TooLarge { digest, limit_bytes } => Self::TooLarge { digest, limit_bytes },
            Error::Full(why) => Self::Full(why),
            Error::External(status) if status.code() == tonic::Code::ResourceExhausted => {
                Self::Full(status.message().into())
            }
            Error::Field { .. }
            | Error::BatchTooLarge { .. }
            | Error::Mismatch { .. }
            | Error::WriteOffset { .. }
            | Error::TakenOver
            | Error::ReadOffset { .. }
            | Error::Missing(_)
            | Error::NoActionResult(_)
            | Error::Forbidden(_)
            | Error::Unimplemented(_)
            | Error::Stopping
            | Error::External(_)
            | Error::Format { .. }
            | Error::DiskFull { .. }
            | Error::File(_)
            | Error::Index(_) => Self::Unavailable(error.to_string()),
        }
    }
}
