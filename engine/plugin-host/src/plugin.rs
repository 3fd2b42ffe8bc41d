//! One loaded plugin: who it is, what it exports, and how it is called.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use berth_runtime::policy::PolicyError;

use crate::fault::Fault;
use crate::host::{Host, Room};
use crate::instance::{Identity, Live};
use crate::memo::Memo;
use crate::pool::Pool;
use crate::stats::{Counters, Function, PluginStats};

/// Which interfaces of the contract a component exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exports {
    /// `properties`: what a job requires and a bot offers.
    pub properties: bool,
    /// `priority`: who goes first.
    pub priority: bool,
}

/// A loaded component. Made by [`Host::load`]; shared by all threads.
pub struct Plugin {
    pub(crate) identity: Arc<Identity>,
    pub(crate) exports: Exports,
    pub(crate) host: Host,
    pub(crate) pool: Pool,
    pub(crate) memo: Memo,
    pub(crate) counters: [Counters; Function::ALL.len()],
    /// Given back after `pool`: fields are dropped in this order.
    pub(crate) _room: Room,
}

impl Plugin {
    /// The name that the operator gave it.
    pub fn name(&self) -> &str {
        &self.identity.name
    }

    /// SHA-256 of the component, in hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.identity.digest
    }

    /// What it can be asked.
    pub fn exports(&self) -> Exports {
        self.exports
    }

    /// What happened so far.
    pub fn stats(&self) -> PluginStats {
        PluginStats {
            name: self.identity.name.clone(),
            digest: self.identity.digest.clone(),
            functions: std::array::from_fn(|function| self.counters[function].snapshot()),
            instances: self.pool.len(),
            memo_entries: self.memo.len(),
        }
    }

    pub(crate) fn counters(&self, function: Function) -> &Counters {
        &self.counters[function as usize]
    }

    /// Calls the guest. `ask` makes the call, `check` decides whether the answer is one. Whatever goes wrong is
    /// counted and logged here, and costs the instance its life.
    pub(crate) fn call<A, T>(
        &self,
        function: Function,
        deadline: Duration,
        ask: impl FnOnce(&mut Live) -> wasmtime::Result<A>,
        check: impl FnOnce(A) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let started = Instant::now();
        let result = self.attempt(deadline, ask, check);
        self.counters(function).count_call(started.elapsed());
        if let Err(fault) = &result {
            self.report(function, fault);
        }
        result
    }

    fn attempt<A, T>(
        &self,
        deadline: Duration,
        ask: impl FnOnce(&mut Live) -> wasmtime::Result<A>,
        check: impl FnOnce(A) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let _clock = self.host.shared.ticker.run();
        let mut taken = self.pool.take(deadline)?;
        let live = taken.live();
        live.begin(deadline);
        let answer = ask(live).map_err(|error| Fault::from_call(&error))?;
        let checked = check(answer)?;
        taken.give_back();
        Ok(checked)
    }

    fn report(&self, function: Function, fault: &Fault) {
        let count = self.counters(function).count_fault(fault.kind);
        // A plugin that fails at every job must not fill the disk with it: the first ones, then ever fewer.
        if count <= 16 || count.is_power_of_two() {
            tracing::warn!(
                plugin = self.identity.name,
                digest = self.identity.digest,
                function = function.name(),
                kind = fault.kind.name(),
                count,
                details = fault.details,
                "plugin fault"
            );
        }
    }

    /// What the engine is told of a fault where there is no other answer.
    pub(crate) fn refusal_for_fault(&self) -> PolicyError {
        PolicyError::Fault { plugin: format!("{}@sha256:{}", self.identity.name, self.identity.digest) }
    }

    pub(crate) fn count_questions(&self, function: Function, questions: usize) {
        self.counters(function).questions.fetch_add(questions as u64, Relaxed);
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}@sha256:{}", self.identity.name, self.identity.digest)
    }
}
