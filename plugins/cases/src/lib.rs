//! Questions and answers of the contract `berth:policy@1.0.0` as people write them (TOML, JSON), and cases: questions
//! with the answers that are expected.
//!
//! A policy carries its cases as its examples. They are run in three places: natively in the policy's own tests
//! (`run_cases!` of `berth-policy-sdk`), against the component by `berth plugin test`, and whenever Berth loads it.
//! Each is an [`Answerer`]; the records here are neither the guest's nor the host's bindings, and both convert.
//!
//! ```
//! let cases = berth_policy_cases::read(r#"
//!     [[case]]
//!     name = "urgent jobs go first"
//!     function = "place"
//!     question.jobs = [{ priority = -5 }, {}]
//!     answer.places = [{ rank = -5 }, {}]
//! "#).unwrap();
//! assert_eq!(cases[0].name, "urgent jobs go first");
//! ```
//!
//! Not for running components, and without any WebAssembly.

mod bytes;
mod common;
mod diff;
mod events;
mod file;
mod function;
mod hooks;
mod matching;
mod priority;
mod property;
mod run;
mod surroundings;

pub use bytes::Bytes;
pub use common::{Exhausted, MalformedProperty, Record, Refusal, Requester, UnknownProperty};
pub use diff::differences;
pub use events::{
    AttemptDecided, AttemptFailed, Bot, BotQuarantined, Change, Event, EventsAnswer, EventsQuestion, JobCompleted,
    JobCreated, JobPlaced, Lease, LeaseEvicted, LocksChanged, Operation, PolicyChanged, Session, SessionClosed,
    WorkSpecChanged, WorkUnitsChanged, WorkerChanged,
};
pub use file::{Case, FileError, read};
pub use function::{Answer, Answerer, Fault, Function, Question, Reply, UnknownFunction};
pub use hooks::{
    Action, AfterAttemptAnswer, AfterAttemptQuestion, BeforePruneAnswer, BeforePruneQuestion, CreateJobAnswer,
    CreateJobQuestion, FinishedJob, QueueJobAnswer, QueueJobQuestion, Reason, Retry,
};
pub use matching::{
    ExecutionAnswer, ExecutionQuestion, MatchesAnswer, MatchesQuestion, Need, NobodyAnswer, NobodyQuestion, Offer,
    Pair, WorkerAnswer, WorkerQuestion,
};
pub use priority::{
    Affinity, ChooseAnswer, ChooseQuestion, Job, Lane, Limit, Place, PlaceAnswer, PlaceQuestion, Worker,
};
pub use property::Property;
pub use run::{Failure, Outcome, run};
pub use surroundings::{History, Load, Stats, Surroundings};
