//! For authors of policies in Rust: the contract `berth:policy@1.0.0` as traits and records, one macro that exports a
//! policy, and a stand-in for Berth, so that a policy is tested without WebAssembly.
//!
//! A policy is a crate of type `cdylib` with a type that implements the traits of the interfaces that it is about:
//!
//! ```
//! use berth_policy_sdk::{Jobs, Places, Priority};
//!
//! /// Each build gets its fair share.
//! struct ALaneForEachBuild;
//!
//! impl Priority for ALaneForEachBuild {
//!     fn place(jobs: Jobs) -> Places {
//!         Places { lane: Some(jobs.invocation), ..Places::default() }
//!     }
//! }
//!
//! berth_policy_sdk::export_policy!(ALaneForEachBuild: Priority);
//! # fn main() {}
//! ```
//!
//! - Traits: [`Properties`], [`Matching`], [`Unmatched`], [`Priority`], [`Choosing`], [`CreateJob`], [`QueueJob`],
//!   [`AfterAttempt`], [`BeforePrune`], [`Events`], [`About`]. The records of each are in the module of its name.
//! - What Berth offers to a policy: [`log`], [`config()`], [`clock`], [`kv`], [`stats`], [`metrics`]. What is not used
//!   is not imported, and needs no grant.
//! - Tests: [`run_cases!`] asks the policy what a file of cases says, and [`testing`] sets what it finds around it.
//!
//! A panic is a fault of the policy; its message is in Berth's log. There is no state but [`kv`]: an instance may be
//! gone at the next question.

#[doc(hidden)]
pub mod bindings;
pub mod clock;
mod config;
mod export;
mod interfaces;
pub mod kv;
pub mod log;
pub mod metrics;
mod panic;
mod placing;
mod records;
pub mod stats;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use config::config;
#[doc(hidden)]
pub use export::Exported;
pub use interfaces::{
    About, AfterAttempt, BeforePrune, Choosing, CreateJob, Events, Matching, Priority, Properties, QueueJob, Unmatched,
};
pub use priority::{Jobs, Places};
pub use properties::{ExecutionAnswer, ExecutionQuestion, WorkerAnswer, WorkerQuestion};
pub use types::{Property, Refusal, Requester};

/// What the interfaces share.
pub mod types {
    pub use crate::bindings::imports::berth::policy::types::{
        Exhausted, MalformedProperty, Property, Refusal, Requester, UnknownProperty,
    };
}

/// The records of [`Properties`].
pub mod properties {
    pub use crate::bindings::properties::exports::berth::policy::properties::{
        ExecutionAnswer, ExecutionQuestion, WorkerAnswer, WorkerQuestion,
    };
}

/// The records of [`Matching`].
pub mod matching {
    pub use crate::bindings::matching::exports::berth::policy::matching::{Need, Offer, Pairs};
}

/// The records of [`Unmatched`].
pub mod unmatched {
    pub use crate::bindings::unmatched::exports::berth::policy::unmatched::{Question, Verdict};
}

/// The records of [`Priority`], and help with their columns.
pub mod priority {
    pub use crate::bindings::priority::exports::berth::policy::priority::{Affinity, Jobs, Limit, Places};
    pub use crate::placing::{Job, Placing};
}

/// The records of [`Choosing`].
pub mod choosing {
    pub use crate::bindings::choosing::exports::berth::policy::choosing::{Lanes, Worker};
}

/// The records of [`CreateJob`].
pub mod create_job {
    pub use crate::bindings::create_job::exports::berth::policy::create_job::{Amendments, Question};
}

/// The records of [`QueueJob`].
pub mod queue_job {
    pub use crate::bindings::queue_job::exports::berth::policy::queue_job::{Amendments, Question};
}

/// The records of [`AfterAttempt`].
pub mod after_attempt {
    pub use crate::bindings::after_attempt::exports::berth::policy::after_attempt::{
        Action, Question, Reason, Retry, Verdict,
    };
}

/// The records of [`BeforePrune`].
pub mod before_prune {
    pub use crate::bindings::before_prune::exports::berth::policy::before_prune::Job;
}

/// The records of [`Events`].
pub mod events {
    pub use crate::bindings::events::exports::berth::policy::events::{
        AttemptDecided, AttemptFailed, Bot, BotQuarantined, Change, Event, JobCompleted, JobCreated, JobPlaced, Lease,
        LeaseEvicted, LocksChanged, Operation, PolicyChanged, Session, SessionClosed, WorkSpecChanged,
        WorkUnitsChanged, WorkerChanged,
    };
}
