//! Counters of a plugin, and the snapshot of them for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::fault::FaultKind;
use crate::times::Times;

/// The functions of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Function {
    /// `properties.execution-properties`
    ExecutionProperties,
    /// `properties.worker-properties`
    WorkerProperties,
    /// `matching.matches`
    Matches,
    /// `unmatched.nobody`
    Nobody,
    /// `priority.place`
    Place,
    /// `choosing.choose`
    Choose,
    /// `create-job.before-create-job`
    BeforeCreateJob,
    /// `queue-job.before-queue-job`
    BeforeQueueJob,
    /// `after-attempt.after-attempt`
    AfterAttempt,
    /// `before-prune.before-prune`
    BeforePrune,
    /// `events.on-events`
    OnEvents,
    /// `about.config-schema`
    ConfigSchema,
    /// `about.examples`
    Examples,
}

impl Function {
    /// All functions, in the order of their counters.
    pub const ALL: [Self; 13] = [
        Self::ExecutionProperties,
        Self::WorkerProperties,
        Self::Matches,
        Self::Nobody,
        Self::Place,
        Self::Choose,
        Self::BeforeCreateJob,
        Self::BeforeQueueJob,
        Self::AfterAttempt,
        Self::BeforePrune,
        Self::OnEvents,
        Self::ConfigSchema,
        Self::Examples,
    ];

    /// As the contract calls it; also a word for metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::ExecutionProperties => "properties.execution-properties",
            Self::WorkerProperties => "properties.worker-properties",
            Self::Matches => "matching.matches",
            Self::Nobody => "unmatched.nobody",
            Self::Place => "priority.place",
            Self::Choose => "choosing.choose",
            Self::BeforeCreateJob => "create-job.before-create-job",
            Self::BeforeQueueJob => "queue-job.before-queue-job",
            Self::AfterAttempt => "after-attempt.after-attempt",
            Self::BeforePrune => "before-prune.before-prune",
            Self::OnEvents => "events.on-events",
            Self::ConfigSchema => "about.config-schema",
            Self::Examples => "about.examples",
        }
    }

    /// The interface that it is of: what the name begins with.
    pub fn interface(self) -> &'static str {
        self.name().split_once('.').map_or(self.name(), |(interface, _)| interface)
    }

    /// Whether its answers are remembered, so that they may depend on nothing but the question and the configuration.
    pub fn is_pure(self) -> bool {
        match self {
            Self::ExecutionProperties
            | Self::WorkerProperties
            | Self::Matches
            | Self::ConfigSchema
            | Self::Examples => true,
            Self::Nobody
            | Self::Place
            | Self::Choose
            | Self::BeforeCreateJob
            | Self::BeforeQueueJob
            | Self::AfterAttempt
            | Self::BeforePrune
            | Self::OnEvents => false,
        }
    }
}

/// What happened to one function of one plugin since it was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionStats {
    /// Questions of the engine; for `place` and `before-prune` one a job, for `matches` one a pair.
    pub questions: u64,
    /// Questions that were answered from memory.
    pub memo_hits: u64,
    /// Calls into the guest, those that ended in a fault included.
    pub guest_calls: u64,
    /// Time spent in calls into the guest: copying, checking the answer and waiting for an instance included.
    pub guest_time: Duration,
    /// Half of the calls took no longer than this, to within an eighth.
    pub guest_time_p50: Duration,
    /// Of a hundred calls 99 took no longer than this, to within an eighth.
    pub guest_time_p99: Duration,
    /// Faults, in the order of [`FaultKind::ALL`].
    pub faults: [u64; FaultKind::ALL.len()],
}

impl FunctionStats {
    /// How many faults of this kind there were.
    pub fn faults_of(&self, kind: FaultKind) -> u64 {
        self.faults[kind as usize]
    }

    /// How many faults there were.
    pub fn faults_all(&self) -> u64 {
        self.faults.iter().sum()
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
    /// Whether it made too many faults and is not asked any more.
    pub quarantined: bool,
    /// Messages that were not written because there were too many.
    pub log_lines_dropped: u64,
}

impl PluginStats {
    /// The counters of one function.
    pub fn function(&self, function: Function) -> &FunctionStats {
        &self.functions[function as usize]
    }

    /// Faults of all functions.
    pub fn faults_all(&self) -> u64 {
        self.functions.iter().map(FunctionStats::faults_all).sum()
    }
}

/// The living counters behind [`FunctionStats`]. Relaxed: each is right, they need not agree at an instant.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) questions: AtomicU64,
    pub(crate) memo_hits: AtomicU64,
    times: Times,
    faults: [AtomicU64; FaultKind::ALL.len()],
}

impl Counters {
    pub(crate) fn count_call(&self, took: Duration) {
        self.times.add(took);
    }

    /// Returns how many there are of this kind now.
    pub(crate) fn count_fault(&self, kind: FaultKind) -> u64 {
        self.faults[kind as usize].fetch_add(1, Relaxed) + 1
    }

    pub(crate) fn faults_all(&self) -> u64 {
        self.faults.iter().map(|count| count.load(Relaxed)).sum()
    }

    pub(crate) fn snapshot(&self) -> FunctionStats {
        let times = self.times.snapshot();
        FunctionStats {
            questions: self.questions.load(Relaxed),
            memo_hits: self.memo_hits.load(Relaxed),
            guest_calls: times.calls,
            guest_time: times.sum,
            guest_time_p50: times.p50,
            guest_time_p99: times.p99,
            faults: std::array::from_fn(|kind| self.faults[kind].load(Relaxed)),
        }
    }
}
