//! What a policy may answer: one trait for each interface of the contract. A policy implements those that it is about
//! and names them in [`export_policy!`](crate::export_policy).
//!
//! When each function is asked, with what deadline, and what follows from a fault is told in the contract
//! (`wit/berth-policy-1.0.0`); the records and their fields carry its words here too.

use crate::after_attempt;
use crate::before_prune;
use crate::choosing::{Lanes, Worker};
use crate::create_job;
use crate::events::Event;
use crate::matching::Pairs;
use crate::priority::{Jobs, Places};
use crate::properties::{ExecutionAnswer, ExecutionQuestion, WorkerAnswer, WorkerQuestion};
use crate::queue_job;
use crate::types::Refusal;
use crate::unmatched;

/// What a job requires, and what a bot offers. Only `log` and `config` may be imported: answers are remembered.
pub trait Properties {
    /// What does this platform require? Asked once for each platform, while the client waits.
    fn execution_properties(question: ExecutionQuestion) -> Result<ExecutionAnswer, Refusal>;

    /// What can this bot do? Asked when a bot opens a session, and when its properties change.
    fn worker_properties(question: WorkerQuestion) -> Result<WorkerAnswer, Refusal>;
}

/// Whether a need fits an offer, where containment is not enough. Only `log` and `config` may be imported.
pub trait Matching {
    /// How well does each pair fit? 0: not at all. One number a pair; see [`Pairs::each`].
    fn matches(pairs: Pairs) -> Vec<u32>;
}

/// What to do with jobs that no bot can serve.
pub trait Unmatched {
    /// Nobody can serve this: wait, or refuse?
    fn nobody(question: unmatched::Question) -> unmatched::Verdict;
}

/// Who goes first.
pub trait Priority {
    /// Where do these jobs stand? The columns of the answer are made by hand, or with
    /// [`Placing`](crate::priority::Placing).
    fn place(jobs: Jobs) -> Places;
}

/// Which lane a bot serves, where the weights of lanes are not enough.
pub trait Choosing {
    /// Which lane? An index into the columns; none: Berth decides by weight.
    fn choose(worker: Worker, lanes: Lanes, truncated: bool) -> Option<u32>;
}

/// Whether a job may come in.
pub trait CreateJob {
    /// May this come in, and with what changes?
    fn before_create_job(question: create_job::Question) -> Result<create_job::Amendments, Refusal>;
}

/// Whether a job may be queued, when it is known where it would stand.
pub trait QueueJob {
    /// May it be queued, and with what changes?
    fn before_queue_job(question: queue_job::Question) -> Result<queue_job::Amendments, Refusal>;
}

/// What happens after an attempt that did not give a result.
pub trait AfterAttempt {
    /// What now?
    fn after_attempt(question: after_attempt::Question) -> after_attempt::Verdict;
}

/// Which finished jobs are kept beyond their time.
pub trait BeforePrune {
    /// How much longer is each kept, in milliseconds? 0: delete it. One number a job.
    fn before_prune(jobs: Vec<before_prune::Job>) -> Vec<u64>;
}

/// What happened.
pub trait Events {
    /// This happened. What the call writes to [`kv`](crate::kv) is kept with the note that these events were handled;
    /// with an error, nothing of it is kept.
    fn on_events(events: Vec<Event>) -> Result<(), String>;
}

/// What a policy says of itself. A JSON Schema and a file of cases are usually included:
/// `const EXAMPLES: &str = include_str!("../cases.toml");`
pub trait About {
    /// A JSON Schema for the policy's configuration. Empty: none, so any table is accepted.
    const CONFIG_SCHEMA: &str = "";
    /// Examples as TOML, which Berth runs before it uses the policy. Empty: none.
    const EXAMPLES: &str = "";
}
