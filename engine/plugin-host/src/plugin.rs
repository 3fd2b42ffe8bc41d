//! One loaded plugin: who it is, what it exports, and how it is called.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use berth_runtime::plugins::KvTransaction;
use berth_runtime::policy::PolicyError;

use crate::context::Context;
use crate::exports::{Exports, Interface};
use crate::fault::{Fault, FaultKind};
use crate::figures::Figure;
use crate::grants::{Grant, Grants};
use crate::guard::{FaultRecord, Guard};
use crate::host::{Host, Room};
use crate::instance::Live;
use crate::limits::PluginLimits;
use crate::load::LoadCost;
use crate::memo::Memo;
use crate::on_fault::OnFault;
use crate::pool::Pool;
use crate::services::Quarantined;
use crate::spare::Spare;
use crate::stats::{Counters, Function, PluginStats};

/// The claim behind every look into the functions of an instance.
pub(crate) const EXPORTED: &str = "a plugin is asked only for what it exports";

/// A loaded component. Made by [`Host::load`]; shared by all threads.
pub struct Plugin {
    pub(crate) context: Arc<Context>,
    pub(crate) exports: Exports,
    pub(crate) grants: Grants,
    pub(crate) imports: Grants,
    pub(crate) on_fault: OnFault,
    pub(crate) cost: LoadCost,
    pub(crate) examples: String,
    pub(crate) schema: Option<String>,
    pub(crate) host: Host,
    pub(crate) spare: Spare,
    pub(crate) pool: Arc<Pool>,
    pub(crate) memo: Memo,
    pub(crate) counters: [Counters; Function::ALL.len()],
    pub(crate) guard: Guard,
    /// Given back after the instances: fields are dropped in this order.
    pub(crate) _room: Room,
}

/// What is about to be called, and for which instance name.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) function: Function,
    pub(crate) instance: &'a str,
}

impl<'a> Call<'a> {
    pub(crate) fn of(function: Function, instance: &'a str) -> Self {
        Self { function, instance }
    }
}

/// There is no answer: the call was a fault, or the plugin is in quarantine. Counted and logged already.
#[derive(Debug)]
pub(crate) enum Unanswered {
    Fault(Fault),
    Quarantined,
}

impl fmt::Display for Unanswered {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault) => write!(out, "{}: {}", fault.kind, fault.details),
            Self::Quarantined => out.write_str("it is in quarantine"),
        }
    }
}

impl Plugin {
    /// The name that the operator gave it.
    pub fn name(&self) -> &str {
        &self.context.identity.name
    }

    /// SHA-256 of the component, in hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.context.identity.digest
    }

    /// What it can be asked.
    pub fn exports(&self) -> Exports {
        self.exports
    }

    /// Whether it can be asked this.
    pub fn has(&self, interface: Interface) -> bool {
        self.exports.has(interface)
    }

    /// What it was granted.
    pub fn grants(&self) -> Grants {
        self.grants
    }

    /// What it imports: no more than it was granted.
    pub fn imports(&self) -> Grants {
        self.imports
    }

    /// Whether what it answers may depend on tables and figures of one instance name.
    pub(crate) fn reads_desk(&self) -> bool {
        self.imports.has(Grant::Kv) || self.imports.has(Grant::Stats)
    }

    /// Its limits.
    pub fn limits(&self) -> &PluginLimits {
        &self.context.limits
    }

    /// Its configuration: a JSON object.
    pub fn config(&self) -> &str {
        &self.context.config
    }

    /// What is answered where it could not.
    pub fn on_fault(&self) -> OnFault {
        self.on_fault
    }

    /// What loading it took.
    pub fn load_cost(&self) -> &LoadCost {
        &self.cost
    }

    /// Its examples, as TOML; empty if it has none.
    pub fn examples(&self) -> &str {
        &self.examples
    }

    /// The JSON Schema of its configuration, if it has one.
    pub fn config_schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// Calls of all functions that ended in a fault, without the work that [`Self::stats`] does.
    pub fn faults_all(&self) -> u64 {
        self.counters.iter().map(Counters::faults_all).sum()
    }

    /// What happened so far.
    pub fn stats(&self) -> PluginStats {
        PluginStats {
            name: self.name().to_owned(),
            digest: self.digest().to_owned(),
            functions: std::array::from_fn(|function| self.counters[function].snapshot()),
            instances: self.pool.len(),
            memo_entries: self.memo.len(),
            quarantined: self.is_quarantined(),
            log_lines_dropped: self.context.lines.dropped(),
        }
    }

    /// Figures that it reported through `metrics`, by name, and how many changes were dropped because there were too
    /// many names.
    pub fn figures(&self) -> (Vec<(String, Figure)>, u64) {
        self.context.figures.snapshot()
    }

    /// Its last faults, the newest at the end.
    pub fn recent_faults(&self) -> Vec<FaultRecord> {
        self.guard.kept()
    }

    /// Whether it made too many faults, or an operator said so: then it is not asked.
    pub fn is_quarantined(&self) -> bool {
        self.guard.is_quarantined()
    }

    /// Puts it into quarantine, because an operator says so.
    pub fn quarantine(&self) {
        self.guard.close();
    }

    /// Ends its quarantine. Earlier faults count no more.
    pub fn release(&self) {
        self.guard.open();
    }

    pub(crate) fn counters(&self, function: Function) -> &Counters {
        &self.counters[function as usize]
    }

    pub(crate) fn count_questions(&self, function: Function, questions: usize) {
        self.counters(function).questions.fetch_add(questions as u64, Relaxed);
    }

    /// Calls the guest. `ask` makes the call, `check` decides whether the answer is one. Whatever goes wrong is
    /// counted and logged here, and costs the instance its life.
    pub(crate) fn call<A, T>(
        &self,
        call: Call<'_>,
        ask: impl FnOnce(&mut Live) -> wasmtime::Result<A>,
        check: impl FnOnce(A) -> Result<T, Fault>,
    ) -> Result<T, Unanswered> {
        self.counted(call.function, || {
            let mut taken = self.pool.take(self.context.limits.deadline(call.function))?;
            let live = taken.live();
            live.begin(call.function, call.instance);
            let answer = ask(live).map_err(|error| live.fault(&error))?;
            let checked = check(answer)?;
            taken.give_back();
            Ok(checked)
        })
    }

    /// The same with a table that can be written. It is lent to the instance; a fault leaves it as it was.
    pub(crate) fn call_writing<T>(
        &self,
        call: Call<'_>,
        kv: &mut KvTransaction,
        ask: impl FnOnce(&mut Live) -> wasmtime::Result<T>,
    ) -> Result<T, Unanswered> {
        self.counted(call.function, || {
            let mut taken = self.pool.take(self.context.limits.deadline(call.function))?;
            let live = taken.live();
            live.begin(call.function, call.instance);
            live.store.data_mut().transaction = Some(std::mem::take(kv));
            let answer = ask(live);
            // Back whatever happened: the caller throws it away itself if the events were not handled.
            *kv = live.store.data_mut().transaction.take().unwrap_or_default();
            let answer = answer.map_err(|error| live.fault(&error))?;
            taken.give_back();
            Ok(answer)
        })
    }

    fn counted<T>(&self, function: Function, call: impl FnOnce() -> Result<T, Fault>) -> Result<T, Unanswered> {
        if self.guard.is_quarantined() {
            return Err(Unanswered::Quarantined);
        }
        let started = Instant::now();
        let _clock = self.host.shared.ticker.run();
        let result = call();
        self.counters(function).count_call(started.elapsed());
        result.map_err(|fault| {
            self.report(function, &fault);
            Unanswered::Fault(fault)
        })
    }

    /// Counts a fault, tells the log, and puts the plugin into quarantine if it was one too many.
    pub(crate) fn report(&self, function: Function, fault: &Fault) {
        let count = self.counters(function).count_fault(fault.kind);
        let (name, digest) = (self.name(), self.digest());
        // A plugin that fails at every job must not fill the disk with it: the first ones, then ever fewer.
        if count <= 16 || count.is_power_of_two() {
            tracing::warn!(
                plugin = name,
                digest,
                function = function.name(),
                kind = fault.kind.name(),
                count,
                details = fault.details,
                "plugin fault"
            );
        }
        let (services, limits) = (&self.context.services, &self.context.limits);
        if self.guard.note(services.clock.now(), function, fault, limits.faults_max, limits.fault_window) {
            self.tell_quarantine(fault.kind, &fault.details);
        }
    }

    fn tell_quarantine(&self, kind: FaultKind, details: &str) {
        let what = Quarantined {
            plugin: self.name().to_owned(),
            digest: self.digest().to_owned(),
            kind,
            details: crate::instance::cut(details, 1024).to_owned(),
        };
        tracing::error!(plugin = what.plugin, digest = what.digest, kind = kind.name(), "plugin quarantined");
        self.context.services.observer.quarantined(&what);
    }

    /// What the engine is told of a fault where there is no other answer.
    pub(crate) fn refusal_for_fault(&self) -> PolicyError {
        PolicyError::Fault { plugin: format!("{self:?}") }
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}@sha256:{}", self.name(), self.digest())
    }
}
