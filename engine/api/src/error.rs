//! Everything that makes a call fail. What each becomes on the wire is in `status.rs`.

use berth_core::Digest;
use berth_runtime::{EngineError, cas::CasError, policy::PolicyError, store::StoreError};

/// Why a call fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A field of the request, or of a message that it names, cannot be what it is.
    #[error("{field}: {problem}")]
    Field { field: &'static str, problem: String },
    /// The instance name is not in the configuration.
    #[error("{field}: instance name {name:?} is not known to this server")]
    UnknownInstance { field: &'static str, name: String },
    /// No operation or job of this name.
    #[error("{what} {name:?} is not known")]
    UnknownName { what: &'static str, name: String },
    /// Blobs that the action needs are not in the storage.
    #[error("{} blobs that the action needs are not in the storage", .0.len())]
    Missing(Vec<Digest>),
    /// The bot's session name does not name one.
    #[error("bot session {0:?} is not known: it ended or expired; create a new one")]
    NoSession(String),
    /// Asked for from another machine.
    #[error("this service answers on the loopback interface only")]
    NotLoopback,
    /// What was asked for takes longer than a call may.
    #[error("there are too many operations to look at within {seconds} s: ask for fewer")]
    TooMuch { seconds: u64 },
    /// Not offered.
    #[error("{0} is not implemented")]
    Unimplemented(&'static str),
    /// What a finished operation gave is not stored any more.
    #[error("the result of this operation is not stored any more")]
    ResultLost,
    /// What must be stored is not.
    #[error("{0} is not in the store")]
    Broken(&'static str),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Cas(#[from] CasError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

impl Error {
    pub(crate) fn field(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Field { field, problem: problem.into() }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Engine(EngineError::Store(error))
    }
}
