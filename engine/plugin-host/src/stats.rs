//! Counters of a plugin, and the snapshot of them for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::fault::FaultKind;

/// The functions of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// `properties.execution-properties`
    ExecutionProperties,
    /// `properties.worker-properties`
    WorkerProperties,
    /// `priority.place`
    Place,
}

impl Function {
    /// All functions, in the order of their counters.
    pub const ALL: [Self; 3] = [Self::ExecutionProperties, Self::WorkerProperties, Self::Place];

    /// As the contract calls it; also a word for metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::ExecutionProperties => "properties.execution-properties",
            Self::WorkerProperties => "properties.worker-properties",
            Self::Place => "priority.place",
        }
    }
}

/// What happened to one function of one plugin since it was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionStats {
    /// Questions of the engine; for `place` one a job.
    pub questions: u64,
    /// Questions that were answered from memory.
    pub memo_hits: u64,
    /// Calls into the guest, those that ended in a fault included.
    pub guest_calls: u64,
    /// Time spent in calls into the guest: copying, checking the answer and waiting for an instance included.
    pub guest_time: Duration,
    /// Faults, in the order of [`FaultKind::ALL`].
    pub faults: [u64; FaultKind::ALL.len()],
}

impl FunctionStats {
    /// How many faults of this kind there were.
    pub fn faults_of(&self, kind: FaultKind) -> u64 {
        self.faults[kind as usize]
    }
}

/// What happened to one plugin since it was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginStats {
    /// The plugin's name.
    pub name: String,
    /// SHA-256 of the component, in hexadecimal digits.
    pub digest: String,
    /// One entry for each of [`Function::ALL`], in that order.
    pub functions: [FunctionStats; Function::ALL.len()],
    /// Instances that exist now.
    pub instances: u32,
    /// Answers that are remembered now.
    pub memo_entries: usize,
}

impl PluginStats {
    /// The counters of one function.
    pub fn function(&self, function: Function) -> &FunctionStats {
        &self.functions[function as usize]
    }
}

/// The living counters behind [`FunctionStats`]. Relaxed: each is right, they need not agree at an instant.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) questions: AtomicU64,
    pub(crate) memo_hits: AtomicU64,
    guest_calls: AtomicU64,
    guest_nanos: AtomicU64,
    faults: [AtomicU64; FaultKind::ALL.len()],
}

impl Counters {
    pub(crate) fn count_call(&self, took: Duration) {
        self.guest_calls.fetch_add(1, Relaxed);
        self.guest_nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Returns how many there are of this kind now.
    pub(crate) fn count_fault(&self, kind: FaultKind) -> u64 {
        self.faults[kind as usize].fetch_add(1, Relaxed) + 1
    }

    pub(crate) fn snapshot(&self) -> FunctionStats {
        FunctionStats {
            questions: self.questions.load(Relaxed),
            memo_hits: self.memo_hits.load(Relaxed),
            guest_calls: self.guest_calls.load(Relaxed),
            guest_time: Duration::from_nanos(self.guest_nanos.load(Relaxed)),
            faults: std::array::from_fn(|kind| self.faults[kind].load(Relaxed)),
        }
    }
}
