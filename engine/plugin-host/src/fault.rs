//! Faults: what a plugin did wrong in one call.

use std::fmt;

use wasmtime::Trap;

/// The kinds of faults. One counter each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The call took too long.
    Deadline,
    /// The guest wanted more memory or table entries than it may have.
    Memory,
    /// The guest used up its stack.
    Stack,
    /// A panic or another trap.
    Trap,
    /// The answer was larger than the host takes.
    Output,
    /// The answer broke the rules of the contract.
    Nonsense,
    /// No instance could be made.
    Instantiation,
    /// All instances were busy until the deadline.
    Busy,
    /// Calls that belong together took longer than they may, though none of them alone did.
    Budget,
}

impl FaultKind {
    /// All kinds, in the order of their counters.
    pub const ALL: [Self; 9] = [
        Self::Deadline,
        Self::Memory,
        Self::Stack,
        Self::Trap,
        Self::Output,
        Self::Nonsense,
        Self::Instantiation,
        Self::Busy,
        Self::Budget,
    ];

    /// Whether it says more of the load than of the plugin: then it is counted, but leads to no quarantine.
    pub fn is_of_load(self) -> bool {
        matches!(self, Self::Busy | Self::Budget)
    }

    /// A word for metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Stack => "stack",
            Self::Trap => "trap",
            Self::Output => "output",
            Self::Nonsense => "nonsense",
            Self::Instantiation => "instantiation",
            Self::Busy => "busy",
            Self::Budget => "budget",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// One fault: its kind, and the details for the log.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    pub(crate) details: String,
}

impl Fault {
    /// An answer that breaks the rule in `details`.
    pub(crate) fn nonsense(details: impl Into<String>) -> Self {
        Self { kind: FaultKind::Nonsense, details: details.into() }
    }

    /// What ended a call, from wasmtime's words for it, after those of the guest, if it had any.
    pub(crate) fn from_call(error: &wasmtime::Error, last_words: Option<String>) -> Self {
        // With the backtrace of the guest, where there is one.
        let details = format!("{error:#}");
        let kind = match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => FaultKind::Deadline,
            Some(Trap::StackOverflow) => FaultKind::Stack,
            Some(_) => FaultKind::Trap,
            None if error.is::<OverLimit>() => FaultKind::Memory,
            None if error.is::<Misuse>() => FaultKind::Nonsense,
            // The type of this error is private to wasmtime.
            None if details.contains("fuel allocated for hostcalls") => FaultKind::Output,
            None => FaultKind::Trap,
        };
        let words = last_words.filter(|_| kind == FaultKind::Trap);
        Self { kind, details: words.map_or(details.clone(), |words| format!("{words}\n{details}")) }
    }
}

/// Why memory or a table did not grow. Raised by the limiter, so that it is not mistaken for a panic of the guest.
#[derive(Debug, thiserror::Error)]
#[error("wanted {wanted} {unit}; {allowed} are allowed")]
pub(crate) struct OverLimit {
    pub(crate) wanted: usize,
    pub(crate) allowed: usize,
    pub(crate) unit: &'static str,
}

/// An import was called where the contract does not allow it, or with an argument that it does not allow.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misuse(pub(crate) String);
