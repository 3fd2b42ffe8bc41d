//! What a plugin may use. The contract (`wit/berth-policy-0.1.0`) promises the defaults to authors.

use std::time::Duration;

/// Limits of the host and of each plugin. Breaking one of the latter is a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Deadline of a call to `properties.*`.
    pub properties_deadline: Duration,
    /// Deadline of a call to `priority.place`, for the whole batch.
    pub place_deadline: Duration,
    /// Linear memory of one instance.
    pub memory_bytes_max: usize,
    /// Native stack of one call. The calling thread must have more than this.
    pub stack_bytes_max: usize,
    /// Entries in all tables of one instance.
    pub table_elements_max: usize,
    /// Strings and lists that one call may hand to the host.
    pub output_bytes_max: usize,
    /// Instances of one plugin that may be at work at the same time. Callers beyond that wait.
    pub instances_max: u32,
    /// Plugins that may be loaded at the same time. A swap needs room for the old one and the new one.
    pub plugins_max: u32,
    /// Calls after which an instance is replaced although nothing is wrong with it: against guests that leak.
    pub calls_per_instance_max: u32,
    /// Size of a component.
    pub component_bytes_max: usize,
    /// Answers of one plugin that are remembered.
    pub memo_entries_max: usize,
    /// What remembered answers and their questions may occupy together.
    pub memo_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
        Self {
            properties_deadline: Duration::from_millis(50),
            place_deadline: Duration::from_millis(5),
            memory_bytes_max: 64 << 20,
            stack_bytes_max: 512 << 10,
            table_elements_max: 20_000,
            output_bytes_max: 1 << 20,
            // A few more than worker threads: calls also come from blocking threads.
            instances_max: u32::try_from(threads).unwrap_or(u32::MAX).saturating_add(4).min(64),
            plugins_max: 16,
            calls_per_instance_max: 100_000,
            component_bytes_max: 64 << 20,
            memo_entries_max: 65_536,
            memo_bytes_max: 64 << 20,
        }
    }
}
