//! Rules of the work book that can be broken on purpose, one at a time, to see that the model test notices.
//!
//! Only with the feature `mutants`, which the tests alone ask for; without it [`broken`] is a constant `false`.

macro_rules! mutants {
    ($($name:ident),* $(,)?) => {
        /// A rule that can be broken.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub enum Mutant {
            $($name),*
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &[Mutant] = &[$(Mutant::$name),*];
        }
    };
}

mutants! {
    // Who gets what.
    PauseIgnored,
    SpecPriorityIgnored,
    WeightIgnored,
    MaxRunningIgnored,
    MaxGetworkIgnored,
    RetriesUnbounded,
    IntervalIgnored,
    // Units.
    AddTakesAway,
    AdjustmentLost,
    StartExclusive,
    PriorityNotInherited,
    FinishedTwice,
    FailWins,
    FenceIgnored,
    ArchiveForgets,
    ClearedInPlace,
    StepsEndEarly,
    TracesStay,
    ControlIgnored,
    // Time.
    LeaseTimeIgnored,
    NegativeLeaseRenews,
    LeasesLiveOn,
    RestoreWithoutGrace,
    // Workers and locks.
    HeartbeatDataLost,
    LocksBelowIgnored,
    // Calls that are sent again.
    ResentDoneTwice,
    GoodbyeIgnored,
    OnlyLastKnown,
    // Rows, in berth-runtime.
    StateRowKept,
    UnitRowKept,
    DataNotStored,
    SpecUnitsKept,
    WorkerRowKept,
    UnlockNotStored,
    AttemptsNotStored,
    ReceiptNotStored,
    // The feed, in berth-runtime.
    DeletionNotTold,
    FeedRestarts,
}

#[cfg(feature = "mutants")]
mod active {
    use std::cell::Cell;

    use super::Mutant;

    thread_local! {
        // Of the thread, so that several models may run at a time.
        static ACTIVE: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Breaks a rule from now on, on this thread; `None`: none is broken.
    pub fn activate(mutant: Option<Mutant>) {
        ACTIVE.set(mutant);
    }

    /// Whether the rule is broken now.
    pub fn broken(mutant: Mutant) -> bool {
        ACTIVE.get() == Some(mutant)
    }
}

#[cfg(feature = "mutants")]
pub use active::{activate, broken};

/// Whether the rule is broken now: never.
#[cfg(not(feature = "mutants"))]
pub const fn broken(_: Mutant) -> bool {
    false
}
