//! Messages inside messages: `google.protobuf.Any`, as leases, operations and error details carry them.
//!
//! The type's name travels as a URL. Writers put `type.googleapis.com/` in front; readers look only at what follows
//! the last slash, as the protocol says, because some clients choose another host or none.

use prost::{DecodeError, Name};
use prost_types::Any;

/// What Bazel, BuildGrid and all Google libraries put before a type's name.
pub const TYPE_URL_PREFIX: &str = "type.googleapis.com/";

/// Wraps `message`, naming its type.
///
/// ```
/// use berth_proto::{any, reapi::Digest};
///
/// let digest = Digest { hash: "ab".repeat(32), size_bytes: 3 };
/// let packed = any::pack(&digest);
/// assert_eq!(packed.type_url, "type.googleapis.com/build.bazel.remote.execution.v2.Digest");
/// assert_eq!(any::unpack::<Digest>(&packed)?, digest);
/// # Ok::<(), any::UnpackError>(())
/// ```
pub fn pack<M: Name>(message: &M) -> Any {
    Any { type_url: format!("{TYPE_URL_PREFIX}{}", M::full_name()), value: message.encode_to_vec() }
}

/// The full name of the type inside, such as `build.bazel.remote.execution.v2.Action`.
pub fn type_name(any: &Any) -> &str {
    any.type_url.rsplit('/').next().unwrap_or_default()
}

/// Whether `any` says that it holds an `M`.
pub fn is<M: Name>(any: &Any) -> bool {
    type_name(any) == M::full_name()
}

/// Takes an `M` out of `any`.
pub fn unpack<M: Name + Default>(any: &Any) -> Result<M, UnpackError> {
    if !is::<M>(any) {
        return Err(UnpackError::Type { expected: M::full_name(), found: type_name(any).to_owned() });
    }
    M::decode(any.value.as_slice()).map_err(|source| UnpackError::Content { expected: M::full_name(), source })
}

/// Why an `Any` did not yield the message asked for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum UnpackError {
    /// It holds something else.
    #[error("expected a {expected}, found {found:?}")]
    Type {
        /// The name that was asked for.
        expected: String,
        /// The name that it carries; may be empty.
        found: String,
    },
    /// Its bytes are not such a message.
    #[error("malformed {expected}: {source}")]
    Content {
        /// The name that was asked for.
        expected: String,
        /// What is wrong with the bytes.
        source: DecodeError,
    },
}
