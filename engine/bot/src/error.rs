//! The two kinds of trouble: why a bot ends (`Error`), and why a lease has no ordinary result (`Failure`).

use std::io;
use std::path::PathBuf;

use berth_core::Digest;
use berth_proto::{any, rpc};

/// Why a bot cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting that cannot work.
    #[error("bot configuration: {0}")]
    Config(String),
    /// A folder of the bot is used by another bot.
    #[error("{0:?} is in use by another bot")]
    Locked(PathBuf),
    /// A folder of the bot cannot be prepared.
    #[error("{path:?}: {source}")]
    Folder {
        /// Which folder or file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The server does not want this bot, and asking again would not change that.
    #[error("the server refused the bot: {code:?}: {message}")]
    Refused {
        /// What kind of refusal.
        code: tonic::Code,
        /// The server's words.
        message: String,
    },
}

/// Why a lease ends without an ordinary result. What is not the action's fault is retryable for the server.
///
/// Messages reach the tenant: they name blobs and paths of the action, never paths of this machine.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{} input blobs are missing", .0.len())]
    Missing(Vec<Digest>),
    #[error("{0}")]
    BadAction(String),
    #[error("bot: {0}")]
    Unavailable(String),
    #[error("bot: {0}")]
    Internal(String),
    #[error("the bot dropped the work because it shuts down")]
    Killed,
}

impl Failure {
    /// A file operation of our own failed while doing `what`.
    pub(crate) fn io(what: &str, error: &io::Error) -> Self {
        let message = format!("{what}: {}", error.kind());
        match error.kind() {
            // The path is the action's: no other bot would fare better.
            io::ErrorKind::InvalidFilename => Self::BadAction(message),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Unavailable(message),
            _ => Self::Internal(message),
        }
    }

    /// What the lease reports.
    pub(crate) fn status(&self) -> rpc::Status {
        let code = match self {
            Self::Missing(_) => tonic::Code::FailedPrecondition,
            Self::BadAction(_) => tonic::Code::InvalidArgument,
            Self::Unavailable(_) | Self::Killed => tonic::Code::Unavailable,
            Self::Internal(_) => tonic::Code::Internal,
        };
        let details = match self {
            Self::Missing(digests) => vec![any::pack(&rpc::PreconditionFailure {
                violations: digests.iter().map(missing_violation).collect(),
            })],
            Self::BadAction(_) | Self::Unavailable(_) | Self::Internal(_) | Self::Killed => Vec::new(),
        };
        rpc::Status { code: code as i32, message: self.to_string(), details }
    }
}

/// The form that build clients act on: they upload the blob and try again.
fn missing_violation(digest: &Digest) -> rpc::precondition_failure::Violation {
    rpc::precondition_failure::Violation {
        r#type: "MISSING".into(),
        subject: format!("blobs/{digest}"),
        description: "an input of the action is not in the CAS".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_blobs_are_named_as_violations_that_clients_act_on() {
        let digest = crate::digest::of_bytes(b"gone");
        let status = Failure::Missing(vec![digest]).status();
        assert_eq!(status.code, tonic::Code::FailedPrecondition as i32);
        let details: rpc::PreconditionFailure = any::unpack(&status.details[0]).unwrap();
        assert_eq!(details.violations[0].r#type, "MISSING");
        assert_eq!(details.violations[0].subject, format!("blobs/{}/4", digest.hex()));
    }

    #[test]
    fn trouble_of_the_bot_itself_is_retryable_and_names_no_local_path() {
        let full = Failure::io("writing an input", &io::Error::from_raw_os_error(28));
        assert_eq!(full.status().code, tonic::Code::Unavailable as i32);
        let denied = Failure::io("writing an input", &io::Error::from(io::ErrorKind::PermissionDenied));
        assert_eq!(denied.status().code, tonic::Code::Internal as i32);
        assert_eq!(Failure::Killed.status().code, tonic::Code::Unavailable as i32);
    }
}
