//! For authors of policies in Rust: the types and traits of `berth:policy@0.1.0`, and a macro for each kind of policy.
//!
//! A policy is a crate of type `cdylib` that implements [`PropertiesPolicy`], [`PriorityPolicy`] or both for a type,
//! and exports the type:
//!
//! ```
//! use berth_policy_sdk_0_1::{Jobs, Places, PriorityPolicy};
//!
//! /// Each build gets its fair share.
//! struct ALaneForEachBuild;
//!
//! impl PriorityPolicy for ALaneForEachBuild {
//!     fn place(jobs: Jobs) -> Places {
//!         Places { lane: Some(jobs.invocation), ..Places::default() }
//!     }
//! }
//!
//! berth_policy_sdk_0_1::export_priority!(ALaneForEachBuild);
//! # fn main() {}
//! ```
//!
//! What each function is asked, when, and what its answer means is written in the WIT files (`wit/berth-policy-0.1.0`
//! in Berth's sources), and repeated at the items here. A panic is a fault of the policy; its message is in Berth's log.

#[doc(hidden)]
pub mod bindings;
mod panic;

pub use bindings::priority::exports::berth::policy::priority::{Guest as PriorityPolicy, Jobs, Places};
pub use bindings::properties::berth::policy::{log, types};
pub use bindings::properties::exports::berth::policy::properties::{
    ExecutionAnswer, ExecutionQuestion, Guest as PropertiesPolicy, WorkerAnswer, WorkerQuestion,
};
#[doc(hidden)]
pub use panic::log_panics;
pub use types::{MalformedProperty, Property, Refusal, UnknownProperty};

impl Jobs {
    /// How many jobs there are.
    pub fn len(&self) -> usize {
        self.priority.len()
    }

    /// Whether there are none. Berth does not ask about none.
    pub fn is_empty(&self) -> bool {
        self.priority.is_empty()
    }

    /// The text behind an entry of one of the columns.
    pub fn text(&self, index: u32) -> &str {
        &self.strings[index as usize]
    }
}

/// The default lane, weight 1, ordered by age.
impl Default for Places {
    fn default() -> Self {
        Self { strings: Vec::new(), lane: None, weight: None, rank: None }
    }
}

/// Exports a type that implements [`PropertiesPolicy`]. At most once in a component.
#[macro_export]
macro_rules! export_properties {
    ($policy:ty) => {
        const _: () = {
            struct Exported;

            impl $crate::PropertiesPolicy for Exported {
                fn execution_properties(
                    question: $crate::ExecutionQuestion,
                ) -> Result<$crate::ExecutionAnswer, $crate::Refusal> {
                    $crate::log_panics();
                    <$policy as $crate::PropertiesPolicy>::execution_properties(question)
                }

                fn worker_properties(
                    question: $crate::WorkerQuestion,
                ) -> Result<$crate::WorkerAnswer, $crate::Refusal> {
                    $crate::log_panics();
                    <$policy as $crate::PropertiesPolicy>::worker_properties(question)
                }
            }

            $crate::bindings::properties::export_properties_policy!(
                Exported with_types_in $crate::bindings::properties
            );
        };
    };
}

/// Exports a type that implements [`PriorityPolicy`]. At most once in a component.
#[macro_export]
macro_rules! export_priority {
    ($policy:ty) => {
        const _: () = {
            struct Exported;

            impl $crate::PriorityPolicy for Exported {
                fn place(jobs: $crate::Jobs) -> $crate::Places {
                    $crate::log_panics();
                    <$policy as $crate::PriorityPolicy>::place(jobs)
                }
            }

            $crate::bindings::priority::export_priority_policy!(
                Exported with_types_in $crate::bindings::priority
            );
        };
    };
}
