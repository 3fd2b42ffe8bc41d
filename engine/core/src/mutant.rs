//! Rules that can be broken on purpose, one at a time, to see that the simulation notices.
//!
//! Only with the feature `mutants`, which `berth-sim` alone asks for; without it [`broken`] is a constant `false` and
//! the compiler drops what hangs on it. What each mutant does is said in `tests/sim/src/mutants.rs`.

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
    // Leases and reports.
    FenceIgnored,
    WithdrawCounts,
    CancelFreesSlot,
    GhostFreesSlot,
    OneSlotMore,
    AttemptsUnbounded,
    UnheardKept,
    UndeliveredIgnored,
    RequeueCounts,
    RequeueFreesSlot,
    KickCounts,
    PastForgotten,
    PoolsIgnored,
    ListedTakenBack,
    MissingNotResent,
    SupersededHearsAll,
    OtherBotUpdates,
    // Order.
    RetryAtTheEnd,
    MergeKeepsRank,
    ShareIgnoresRunning,
    WeightIgnored,
    WeightOfLastRow,
    HeadNotAnnounced,
    LimitIgnored,
    ClaimIgnored,
    QueueLimitIgnored,
    FreedNotServed,
    EvictsAtMinimum,
    EvictsOwn,
    EvictsMostUrgent,
    EvictsEarly,
    EvictsThoughFree,
    EvictsTwice,
    EvictsNobody,
    EvictionCounts,
    CoolDownIgnored,
    CoolDownEndless,
    LimitOfLastRow,
    ShortestWaitFirst,
    KeysForgotten,
    NearNotPreferred,
    NearNotFound,
    KeyWeightsIgnored,
    PatienceEndless,
    PatienceNotServed,
    // Merging.
    DoNotCacheJoins,
    DoNotCacheIsJoined,
    SkipTakesResult,
    OldResultTaken,
    ResultsForgotten,
    CachedDisplacesFlight,
    // Who gets work.
    DrainIgnored,
    PauseIgnored,
    ResumedNotServed,
    UnwellGetsWork,
    EndedCallAsks,
    AvoidedBotServed,
    AvoidedForEver,
    ChoiceIgnored,
    WrongChoiceTaken,
    PickyNotShown,
    ClaimPassedOver,
    ScoreIgnored,
    PreferredIgnored,
    FitIgnored,
    UnknownServes,
    UnknownIsUnmatched,
    FitsOutliveSwap,
    StaleFitTaken,
    FaultNotAskedAgain,
    MatchedNotServed,
    QuarantineIgnored,
    QuarantineEndless,
    // Questions.
    StaleVerdictTaken,
    DecidingKeepsSlot,
    NoAnswerDeadline,
    UncountedCounts,
    FailuresUnbounded,
    DelayIgnored,
    AmendmentIgnored,
    RefusedThoughServed,
    UnmatchedAskedEarly,
    // New places.
    StalePlaceTaken,
    LatePlaceKept,
    PlacedAtTheEnd,
    PlacedWeightIgnored,
    PlacedLimitsIgnored,
    PlacedKeysIgnored,
    PlacedNotServed,
    RunningNotMoved,
    AgainForgotten,
    AskedOnceOnly,
    AskedWhileRunning,
    // Time.
    NoQueueDeadline,
    NoExecutionDeadline,
    SessionsLiveOn,
    HeldCallExpires,
    // Restart.
    RestoreForgetsDrains,
    RestoreForgetsPauses,
    RestoreForgetsPast,
    RestoreKeepsContact,
    RestoreWithoutGrace,
    HiddenPassed,
    WeightOfHeads,
    SubmitNotHeld,
    LeasedNotFirst,
    GoneJobLoaded,
    WaitingNotServed,
    RestoreForgetsQuarantines,
    RestoreForgetsCoolDowns,
    RestoreForgetsLimits,
    RestoreForgetsDelays,
    RestoreForgetsScores,
    RestoreForgetsWishes,
    RestoreForgetsKeys,
    RestoreAsksNobody,
    RestoreForgetsAgain,
    // What others hear.
    EndNotTold,
    HandleEndNotTold,
    // Rows and feed, in berth-runtime.
    LeaseRowKept,
    JobRowKept,
    SessionRowStale,
    HandleNotStored,
    PlaceNotStored,
    CoolDownNotStored,
    LimitNotStored,
    ResultOfStraggler,
    ResultOfQuestionLost,
    ResultOfQuestionKept,
    FeedGap,
    SequenceRestarts,
    // Consumers of the feed, in berth-runtime.
    CursorBeforeKv,
    KvWithoutCursor,
    EventsHandledTwice,
    FailedCallKept,
    TableAheadOfDisk,
    GapNotTold,
}

#[cfg(feature = "mutants")]
mod active {
    use std::cell::Cell;

    use super::Mutant;

    thread_local! {
        // Of the thread, so that several simulations may run at a time.
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
