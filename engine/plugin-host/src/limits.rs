//! What plugins may use. The contract (`wit/berth-policy-1.0.0`) promises the defaults to authors.

use std::time::Duration;

use berth_runtime::plugins::KvLimits;

use crate::stats::Function;

/// Limits of the host, and of a plugin for which the operator set no others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Plugins that may be loaded at the same time. A swap needs room for the old one and the new one.
    pub plugins_max: u32,
    /// Size of a component.
    pub component_bytes_max: usize,
    /// Native stack of one call. The calling thread must have more than this. The same for all plugins.
    pub stack_bytes_max: usize,
    /// The most memory that a plugin may be given.
    pub memory_bytes_ceiling: usize,
    /// The most table entries that a plugin may be given.
    pub table_elements_ceiling: usize,
    /// What a plugin gets if nothing else is said.
    pub plugin: PluginLimits,
}

/// Limits of one plugin. Breaking one is a fault, except where it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginLimits {
    /// Deadline of a call to anything that has none of its own.
    pub call_deadline: Duration,
    /// Deadline of a call to `priority.place`, for the whole batch.
    pub place_deadline: Duration,
    /// Deadline of a call to `choosing.choose`.
    pub choose_deadline: Duration,
    /// As much may all calls to `choosing.choose` take that are made together.
    pub choose_batch_deadline: Duration,
    /// Linear memory of one instance.
    pub memory_bytes_max: usize,
    /// Entries in all tables of one instance.
    pub table_elements_max: usize,
    /// Strings and lists that one call may hand to the host.
    pub output_bytes_max: usize,
    /// Instances that may be at work at the same time. Callers beyond that wait.
    pub instances_max: u32,
    /// Calls after which an instance is replaced although nothing is wrong with it: against guests that leak.
    pub calls_per_instance_max: u32,
    /// Messages of one call; more are dropped.
    pub log_lines_max: u32,
    /// Messages of one second; more are dropped.
    pub log_lines_per_second_max: u32,
    /// What of a message is kept.
    pub log_line_bytes_max: usize,
    /// Its table. What goes beyond is refused, and no fault.
    pub kv: KvLimits,
    /// Answers that are remembered.
    pub memo_entries_max: usize,
    /// What remembered answers and their questions may occupy together.
    pub memo_bytes_max: usize,
    /// As many faults within `fault_window` quarantine the plugin; 0: never.
    pub faults_max: u32,
    /// The window for `faults_max`.
    pub fault_window: Duration,
}

impl PluginLimits {
    /// The deadline of a call to this function.
    pub fn deadline(&self, function: Function) -> Duration {
        match function {
            Function::Place => self.place_deadline,
            // Watched by the chooser itself, which is finer than the clock of deadlines: this is the last resort.
            Function::Choose => self.choose_batch_deadline,
            Function::ExecutionProperties
            | Function::WorkerProperties
            | Function::Matches
            | Function::Nobody
            | Function::BeforeCreateJob
            | Function::BeforeQueueJob
            | Function::AfterAttempt
            | Function::BeforePrune
            | Function::OnEvents
            | Function::ConfigSchema
            | Function::Examples => self.call_deadline,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            plugins_max: 32,
            component_bytes_max: 64 << 20,
            stack_bytes_max: 512 << 10,
            memory_bytes_ceiling: 1 << 30,
            table_elements_ceiling: 100_000,
            plugin: PluginLimits::default(),
        }
    }
}

impl Default for PluginLimits {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
        Self {
            call_deadline: Duration::from_millis(50),
            place_deadline: Duration::from_millis(5),
            choose_deadline: Duration::from_micros(200),
            choose_batch_deadline: Duration::from_millis(2),
            memory_bytes_max: 64 << 20,
            table_elements_max: 20_000,
            output_bytes_max: 1 << 20,
            // A few more than worker threads: calls also come from blocking threads.
            instances_max: u32::try_from(threads).unwrap_or(u32::MAX).saturating_add(4).min(64),
            calls_per_instance_max: 100_000,
            log_lines_max: 16,
            log_lines_per_second_max: 1_000,
            log_line_bytes_max: 4096,
            kv: KvLimits::default(),
            memo_entries_max: 65_536,
            memo_bytes_max: 64 << 20,
            faults_max: 5,
            fault_window: Duration::from_secs(60),
        }
    }
}
