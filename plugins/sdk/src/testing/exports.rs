//! Which functions a policy has: on this machine there is no component whose exports could be looked at.

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

/// A function for each function of the contract that gives the policy's own, if it is exported.
macro_rules! exports {
    ($($function:ident: fn($($argument:ty),+) -> $answer:ty;)+) => {
        /// What a policy exports. [`export_policy!`](crate::export_policy) implements it.
        pub trait Exports {
            $(#[doc(hidden)]
            fn $function() -> Option<fn($($argument),+) -> $answer> {
                None
            })+
        }
    };
}

exports! {
    execution_properties: fn(ExecutionQuestion) -> Result<ExecutionAnswer, Refusal>;
    worker_properties: fn(WorkerQuestion) -> Result<WorkerAnswer, Refusal>;
    matches: fn(Pairs) -> Vec<u32>;
    nobody: fn(unmatched::Question) -> unmatched::Verdict;
    place: fn(Jobs) -> Places;
    choose: fn(Worker, Lanes, bool) -> Option<u32>;
    before_create_job: fn(create_job::Question) -> Result<create_job::Amendments, Refusal>;
    before_queue_job: fn(queue_job::Question) -> Result<queue_job::Amendments, Refusal>;
    after_attempt: fn(after_attempt::Question) -> after_attempt::Verdict;
    before_prune: fn(Vec<before_prune::Job>) -> Vec<u64>;
    on_events: fn(Vec<Event>) -> Result<(), String>;
}

/// The functions of one interface.
#[doc(hidden)]
#[macro_export]
macro_rules! __answers {
    (Properties, $policy:ty) => {
        fn execution_properties()
        -> Option<fn($crate::ExecutionQuestion) -> ::std::result::Result<$crate::ExecutionAnswer, $crate::Refusal>> {
            Some(<$policy as $crate::Properties>::execution_properties)
        }

        fn worker_properties()
        -> Option<fn($crate::WorkerQuestion) -> ::std::result::Result<$crate::WorkerAnswer, $crate::Refusal>> {
            Some(<$policy as $crate::Properties>::worker_properties)
        }
    };
    (Matching, $policy:ty) => {
        fn matches() -> Option<fn($crate::matching::Pairs) -> Vec<u32>> {
            Some(<$policy as $crate::Matching>::matches)
        }
    };
    (Unmatched, $policy:ty) => {
        fn nobody() -> Option<fn($crate::unmatched::Question) -> $crate::unmatched::Verdict> {
            Some(<$policy as $crate::Unmatched>::nobody)
        }
    };
    (Priority, $policy:ty) => {
        fn place() -> Option<fn($crate::Jobs) -> $crate::Places> {
            Some(<$policy as $crate::Priority>::place)
        }
    };
    (Choosing, $policy:ty) => {
        fn choose() -> Option<fn($crate::choosing::Worker, $crate::choosing::Lanes, bool) -> Option<u32>> {
            Some(<$policy as $crate::Choosing>::choose)
        }
    };
    (CreateJob, $policy:ty) => {
        fn before_create_job() -> Option<
            fn($crate::create_job::Question) -> ::std::result::Result<$crate::create_job::Amendments, $crate::Refusal>,
        > {
            Some(<$policy as $crate::CreateJob>::before_create_job)
        }
    };
    (QueueJob, $policy:ty) => {
        fn before_queue_job() -> Option<
            fn($crate::queue_job::Question) -> ::std::result::Result<$crate::queue_job::Amendments, $crate::Refusal>,
        > {
            Some(<$policy as $crate::QueueJob>::before_queue_job)
        }
    };
    (AfterAttempt, $policy:ty) => {
        fn after_attempt() -> Option<fn($crate::after_attempt::Question) -> $crate::after_attempt::Verdict> {
            Some(<$policy as $crate::AfterAttempt>::after_attempt)
        }
    };
    (BeforePrune, $policy:ty) => {
        fn before_prune() -> Option<fn(Vec<$crate::before_prune::Job>) -> Vec<u64>> {
            Some(<$policy as $crate::BeforePrune>::before_prune)
        }
    };
    (Events, $policy:ty) => {
        fn on_events() -> Option<fn(Vec<$crate::events::Event>) -> ::std::result::Result<(), String>> {
            Some(<$policy as $crate::Events>::on_events)
        }
    };
    (About, $policy:ty) => {};
}
