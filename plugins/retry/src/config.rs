//! What counts as what.

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Reports with these codes are tried again.
    pub(crate) retry_codes: Vec<Code>,
    /// An attempt that takes too long is tried again.
    pub(crate) retry_timeouts: bool,
    /// Another bot is tried first.
    pub(crate) elsewhere: bool,
    /// Whether an attempt counts whose bot was lost.
    pub(crate) lost_bots_count: bool,
    /// A job that so many different bots failed is not tried again; 0: never mind.
    pub(crate) poison_bots: u32,
    pub(crate) backoff: Backoff,
    pub(crate) quarantine: Quarantine,
    pub(crate) out_of_memory: OutOfMemory,
}

/// How long a job waits before it is tried again.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Backoff {
    /// After the first attempt.
    pub(crate) first_ms: u64,
    /// So many times longer after each further attempt.
    pub(crate) factor: u64,
    pub(crate) max_ms: u64,
}

/// When a bot is bad.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Quarantine {
    /// Of its last 16 attempts so many failed; 0: no bot is ever bad.
    pub(crate) failures: u32,
    /// And they were of so many different jobs.
    pub(crate) jobs: u32,
    /// It gets no work for so long.
    pub(crate) for_ms: u64,
    /// Whether an attempt on it counts.
    pub(crate) counts: bool,
}

/// How running out of memory is seen, and what is done about it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct OutOfMemory {
    pub(crate) codes: Vec<Code>,
    pub(crate) exit_codes: Vec<i32>,
    /// Parts of a message, whatever their case.
    pub(crate) messages: Vec<String>,
    /// The property that says how big a bot must be.
    pub(crate) property: String,
    /// Its values, from small to big. None: nothing is done.
    pub(crate) ladder: Vec<String>,
    /// Whether an attempt counts that ran out of memory.
    pub(crate) counts: bool,
}

/// `google.rpc.Code`, but OK.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Code {
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            retry_codes: vec![Code::Internal, Code::Unavailable],
            retry_timeouts: false,
            elsewhere: true,
            lost_bots_count: true,
            poison_bots: 3,
            backoff: Backoff::default(),
            quarantine: Quarantine::default(),
            out_of_memory: OutOfMemory::default(),
        }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first_ms: 0, factor: 2, max_ms: 60_000 }
    }
}

impl Default for Quarantine {
    fn default() -> Self {
        Self { failures: 8, jobs: 3, for_ms: 600_000, counts: false }
    }
}

impl Default for OutOfMemory {
    fn default() -> Self {
        Self {
            codes: vec![Code::ResourceExhausted],
            exit_codes: vec![137],
            messages: vec!["out of memory".to_owned(), "oom-kill".to_owned()],
            property: "memory".to_owned(),
            ladder: Vec::new(),
            counts: true,
        }
    }
}

/// Whether a number is one of these codes.
pub(crate) fn among(codes: &[Code], code: u32) -> bool {
    codes.iter().any(|one| *one as u32 == code)
}
