//! What the host needs of the engine: the time, what is behind the imports, and somebody to tell.

use std::sync::Arc;

use berth_runtime::clock::Clock;
use berth_runtime::plugins::{Desk, EmptyDesk};

use crate::fault::FaultKind;

/// A plugin was put into quarantine: it is not asked any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The plugin's name.
    pub plugin: String,
    /// SHA-256 of the component, in hexadecimal digits.
    pub digest: String,
    /// The kind of the last fault.
    pub kind: FaultKind,
    /// What the last fault was, for a person to read.
    pub details: String,
}

/// What became of a plugin that was quarantined while it was in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retreat {
    /// The generation that is in force now.
    pub generation: u64,
    /// The plugin's name.
    pub plugin: String,
    /// The digest that was quarantined.
    pub from: String,
    /// The digest that answers now; `None`: no other was good, so that the plugin's `on_fault` answers.
    pub to: Option<String>,
}

/// Is told what the operator has to know. Called on the thread that noticed, which may be the one that runs the steps:
/// hand over, and do not wait.
pub trait Observer: Send + Sync + 'static {
    /// A plugin made too many faults.
    fn quarantined(&self, what: &Quarantined);

    /// What answers in its place.
    fn retreated(&self, _what: &Retreat) {}
}

/// Tells nobody; what happens is in the log all the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn quarantined(&self, _: &Quarantined) {}
}

/// All that the host is given.
#[derive(Clone)]
pub struct Services {
    /// The time.
    pub clock: Clock,
    /// Plugins' tables, and what the engine counts.
    pub desk: Arc<dyn Desk>,
    /// Who is told.
    pub observer: Arc<dyn Observer>,
}

/// The system's clock, empty tables, and nobody to tell.
impl Default for Services {
    fn default() -> Self {
        Self { clock: Clock::system(), desk: Arc::new(EmptyDesk), observer: Arc::new(Unobserved) }
    }
}
