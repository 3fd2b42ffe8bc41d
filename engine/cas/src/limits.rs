//! Limits of what one message may carry. Capabilities advertise them, the services enforce them.

/// The most bytes of content in one BatchUpdateBlobs or BatchReadBlobs. Less than 4 MiB, which is what gRPC
/// clients accept in one message by default: digests and framing need the rest.
pub const BATCH_BYTES_MAX: u64 = 4 * 1024 * 1024 - 256 * 1024;

/// The largest message that the services decode. Far above a full batch, because FindMissingBlobs of a large
/// input tree names many digests at once.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The most digests that one answer lists as missing: a client uploads these and asks again.
pub(crate) const MISSING_MAX: usize = 10_000;

/// The largest Directory or Tree message that is parsed: it is held in memory whole.
pub(crate) const DIRECTORY_BYTES_MAX: u64 = 64 * 1024 * 1024;
