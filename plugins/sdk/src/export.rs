//! From traits to exports: what [`export_policy!`](crate::export_policy) is made of.

use std::marker::PhantomData;

use crate::bindings::{
    about, after_attempt, before_prune, choosing, create_job, events, matching, priority, properties, queue_job,
    unmatched,
};
use crate::interfaces::{
    About, AfterAttempt, BeforePrune, Choosing, CreateJob, Events, Matching, Priority, Properties, QueueJob, Unmatched,
};
use crate::panic::log_panics;
use crate::types::Refusal;

/// The generated bindings' view of a policy.
pub struct Exported<Policy>(PhantomData<Policy>);

/// The binding's `Guest` for all that implement the trait: the same functions, with panics going to the log.
macro_rules! guest {
    ($module:ident: $interface:ident { $(fn $function:ident($($argument:ident: $of:ty),*) -> $answer:ty;)+ }) => {
        impl<Policy: $interface> $module::exports::berth::policy::$module::Guest for Exported<Policy> {
            $(fn $function($($argument: $of),*) -> $answer {
                log_panics();
                Policy::$function($($argument),*)
            })+
        }
    };
}

guest!(properties: Properties {
    fn execution_properties(question: crate::properties::ExecutionQuestion)
        -> Result<crate::properties::ExecutionAnswer, Refusal>;
    fn worker_properties(question: crate::properties::WorkerQuestion)
        -> Result<crate::properties::WorkerAnswer, Refusal>;
});
guest!(matching: Matching { fn matches(pairs: crate::matching::Pairs) -> Vec<u32>; });
guest!(unmatched: Unmatched { fn nobody(question: crate::unmatched::Question) -> crate::unmatched::Verdict; });
guest!(priority: Priority { fn place(jobs: crate::priority::Jobs) -> crate::priority::Places; });
guest!(choosing: Choosing {
    fn choose(worker: crate::choosing::Worker, lanes: crate::choosing::Lanes, truncated: bool) -> Option<u32>;
});
guest!(create_job: CreateJob {
    fn before_create_job(question: crate::create_job::Question) -> Result<crate::create_job::Amendments, Refusal>;
});
guest!(queue_job: QueueJob {
    fn before_queue_job(question: crate::queue_job::Question) -> Result<crate::queue_job::Amendments, Refusal>;
});
guest!(after_attempt: AfterAttempt {
    fn after_attempt(question: crate::after_attempt::Question) -> crate::after_attempt::Verdict;
});
guest!(before_prune: BeforePrune { fn before_prune(jobs: Vec<crate::before_prune::Job>) -> Vec<u64>; });
guest!(events: Events { fn on_events(events: Vec<crate::events::Event>) -> Result<(), String>; });

impl<Policy: About> about::exports::berth::policy::about::Guest for Exported<Policy> {
    fn config_schema() -> String {
        Policy::CONFIG_SCHEMA.to_owned()
    }

    fn examples() -> String {
        Policy::EXAMPLES.to_owned()
    }
}

/// Exports a policy: a type, and the traits of this crate for which Berth is to ask it.
///
/// ```
/// # use berth_policy_sdk::{Jobs, Places, Priority};
/// # struct MyPolicy;
/// # impl Priority for MyPolicy { fn place(jobs: Jobs) -> Places { Places::default() } }
/// # impl berth_policy_sdk::About for MyPolicy {}
/// berth_policy_sdk::export_policy!(MyPolicy: Priority, About);
/// # fn main() {}
/// ```
///
/// Once in a crate. Compiled for the author's machine, it tells the cases what can be asked
/// ([`run_cases!`](crate::run_cases)).
#[macro_export]
macro_rules! export_policy {
    ($policy:ty: $($interface:ident),+ $(,)?) => {
        $($crate::__export!($interface, $policy);)+

        #[cfg(not(target_arch = "wasm32"))]
        impl $crate::testing::Exports for $policy {
            $($crate::__answers!($interface, $policy);)+
        }
    };
}

/// One interface's exports.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    (Properties, $policy:ty) => {
        $crate::__export!(properties, export_properties_bindings, $policy);
    };
    (Matching, $policy:ty) => {
        $crate::__export!(matching, export_matching_bindings, $policy);
    };
    (Unmatched, $policy:ty) => {
        $crate::__export!(unmatched, export_unmatched_bindings, $policy);
    };
    (Priority, $policy:ty) => {
        $crate::__export!(priority, export_priority_bindings, $policy);
    };
    (Choosing, $policy:ty) => {
        $crate::__export!(choosing, export_choosing_bindings, $policy);
    };
    (CreateJob, $policy:ty) => {
        $crate::__export!(create_job, export_create_job_bindings, $policy);
    };
    (QueueJob, $policy:ty) => {
        $crate::__export!(queue_job, export_queue_job_bindings, $policy);
    };
    (AfterAttempt, $policy:ty) => {
        $crate::__export!(after_attempt, export_after_attempt_bindings, $policy);
    };
    (BeforePrune, $policy:ty) => {
        $crate::__export!(before_prune, export_before_prune_bindings, $policy);
    };
    (Events, $policy:ty) => {
        $crate::__export!(events, export_events_bindings, $policy);
    };
    (About, $policy:ty) => {
        $crate::__export!(about, export_about_bindings, $policy);
    };
    ($module:ident, $export:ident, $policy:ty) => {
        const _: () = {
            type Exported = $crate::Exported<$policy>;
    $crate::bindings::$module::$export!(Exported with_types_in $crate::bindings::$module);
        };
    };
}
