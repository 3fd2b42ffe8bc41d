//! Each rule broken on purpose once: the simulation must notice every one. One that survives means that a rule is not
//! checked.
//!
//! The hooks are in `berth_core::mutant`; a new one needs its line here.

/// A mutant and who noticed.
#[derive(Clone, Debug)]
pub struct Caught {
    /// Its name.
    pub name: String,
    /// What it breaks.
    pub breaks: &'static str,
    /// Seed and step that caught it, and what broke; `None`: it survived.
    pub by: Option<(u64, u64, String)>,
    /// Seed and step that caught it where the naive model did not look: by what bots, clients and the disk can see.
    pub from_outside: Option<(u64, u64)>,
}

#[cfg(feature = "mutants")]
pub use enabled::mutants;

/// Without the feature there is nothing to break.
#[cfg(not(feature = "mutants"))]
pub fn mutants(_: impl FnMut(&Caught)) -> Option<Vec<Caught>> {
    None
}

#[cfg(feature = "mutants")]
mod enabled {
    use berth_core::mutant::{Mutant, activate};

    use super::Caught;
    use crate::{run::run_broken, world::Broken};

    /// How many seeds a mutant may survive, and how long each.
    const SEEDS: u64 = 4_000;
    const STEPS: u64 = 3_000;
    /// Rules of order and time cannot be seen from outside: no need to look long.
    const SEEDS_OUTSIDE: u64 = 40;

    /// Breaks one rule after the other, and says what noticed. `None`: built without the feature `mutants`.
    pub fn mutants(mut tell: impl FnMut(&Caught)) -> Option<Vec<Caught>> {
        let mut all = Vec::new();
        let mut judge = |name: String, breaks, broken: Broken| {
            let run = |seeds, broken| {
                let mut reports = (1..=seeds).map(|seed| run_broken(seed, STEPS, false, broken));
                reports.find_map(|report| Some((report.seed, report.steps, report.failure?)))
            };
            let by = run(SEEDS, broken);
            let outside = run(SEEDS_OUTSIDE, Broken { blind: true, ..broken });
            all.push(Caught { name, breaks, by, from_outside: outside.map(|(seed, step, _)| (seed, step)) });
            tell(all.last().expect("it was just pushed"));
        };
        for mutant in Mutant::ALL {
            activate(Some(*mutant));
            judge(format!("{mutant:?}"), breaks(*mutant), Broken::default());
        }
        activate(None);
        let early = Broken { early: true, ..Broken::default() };
        judge("ReleasedEarly".into(), "replies leave before their batch is durable", early);
        let no_sync = Broken { no_sync: true, ..Broken::default() };
        judge("NotSynced".into(), "the disk acknowledges what it has not synced", no_sync);
        Some(all)
    }

    fn breaks(mutant: Mutant) -> &'static str {
        match mutant {
            Mutant::FenceIgnored => "a report of any attempt, from any bot, counts",
            Mutant::WithdrawCounts => "an offer that was taken back counts as an attempt",
            Mutant::CancelFreesSlot => "a cancelled slot is given away before its bot lets go",
            Mutant::GhostFreesSlot => "a lease that is over frees its slot though the bot still lists it",
            Mutant::OneSlotMore => "each bot is given one lease more than it has slots",
            Mutant::AttemptsUnbounded => "a job is tried for ever",
            Mutant::UnheardKept => {
                "an offer whose call ended in the same batch stays with a bot that never heard of it"
            }
            Mutant::UndeliveredIgnored => "an answer that was not delivered keeps its leases",
            Mutant::RequeueCounts => "a job that an operator took from its bot has used an attempt",
            Mutant::RequeueFreesSlot => "a bot gets other work while it is still at what an operator took from it",
            Mutant::KickCounts => "a session that an operator ended is a lost attempt of its jobs",
            Mutant::PastForgotten => "it is not remembered which attempts of a job gave no result",
            Mutant::PoolsIgnored => "bots serve jobs of their own instance only, whatever shares bots",
            Mutant::ListedTakenBack => "a lease that its bot has listed is taken back when a later answer is lost",
            Mutant::MissingNotResent => "a lease that the bot does not list is not sent again",
            Mutant::SupersededHearsAll => "a call that was given up gets the newest offers",
            Mutant::OtherBotUpdates => "a bot may update the session of another",
            Mutant::RetryAtTheEnd => "a job that is tried again loses its place",
            Mutant::MergeKeepsRank => "a merge does not take the more urgent rank",
            Mutant::ShareIgnoresRunning => "lanes are served by weight alone, whatever they have running",
            Mutant::WeightIgnored => "lanes are served alike, whatever their weight",
            Mutant::WeightOfLastRow => "after a restart a lane's weight is that of whichever job comes last by id",
            Mutant::HeadNotAnnounced => "a job that becomes the first of its lane is not noticed",
            Mutant::LimitIgnored => "more jobs of a counter run than may",
            Mutant::ClaimIgnored => "a job does not go first though fewer run than its counter is promised",
            Mutant::QueueLimitIgnored => "more jobs of a counter wait than may",
            Mutant::FreedNotServed => "bots that wait are not served when a counter has room again",
            Mutant::EvictsAtMinimum => "a counter that has no more than it was promised gives way",
            Mutant::EvictsOwn => "a job of the counter that is owed something gives way to another one of it",
            Mutant::EvictsMostUrgent => "the most urgent of the jobs that may give way does",
            Mutant::EvictsEarly => "others give way sooner than after the time that was set",
            Mutant::EvictsThoughFree => "a job gives way though a bot is free that fits",
            Mutant::EvictsTwice => "for one job that waits two give way",
            Mutant::EvictsNobody => "nobody gives way, whatever was promised",
            Mutant::EvictionCounts => "an eviction counts as an attempt that failed",
            Mutant::CoolDownIgnored => "a counter is as large as ever after an eviction",
            Mutant::CoolDownEndless => "a counter stays smaller after an eviction",
            Mutant::LimitOfLastRow => "after a restart a counter's numbers are those of whichever job comes last by id",
            Mutant::KeysForgotten => "jobs have no keys",
            Mutant::NearNotPreferred => "of the bots that ask, one that served a job's key is not preferred",
            Mutant::NearNotFound => "a bot does not find the job of its key behind one that is kept for another",
            Mutant::KeyWeightsIgnored => "what keys are worth makes no difference",
            Mutant::PatienceEndless => "a job waits for a bot with its key for longer than its keys say",
            Mutant::PatienceNotServed => {
                "a job that waited for its bot for long enough is not given to another that asks"
            }
            Mutant::ShortestWaitFirst => "of two kinds of bots the one that came last is served first",
            Mutant::DoNotCacheJoins => "a request with do_not_cache joins another job",
            Mutant::DoNotCacheIsJoined => "others join a job with do_not_cache",
            Mutant::SkipTakesResult => "a request that skips the cache takes a finished result",
            Mutant::OldResultTaken => "a request takes a result that its own cache lookup should have found",
            Mutant::ResultsForgotten => "a request whose lookup was too early runs again what has just finished",
            Mutant::CachedDisplacesFlight => "an answer from the action cache hides the job in flight",
            Mutant::DrainIgnored => "a drained bot gets work",
            Mutant::PauseIgnored => "paused jobs go to bots",
            Mutant::ResumedNotServed => "bots that wait are not served when a pause ends",
            Mutant::UnwellGetsWork => "a bot that is unwell or going away gets work",
            Mutant::EndedCallAsks => "a bot whose call has ended gets work",
            Mutant::AvoidedBotServed => "a job goes to a bot that failed it though it is to be tried elsewhere",
            Mutant::AvoidedForEver => "a job waits for another bot though there is none",
            Mutant::ChoiceIgnored => "a bot serves the lane of the built-in rule whatever a policy chose",
            Mutant::WrongChoiceTaken => "a lane that is none is taken for the last one",
            Mutant::ClaimPassedOver => "a policy that chooses passes over jobs that have a claim to run",
            Mutant::PickyNotShown => "a policy that chooses does not see jobs that keep away from bots",
            Mutant::ScoreIgnored => "of two bots the better one does not go first",
            Mutant::PreferredIgnored => "a bot that a job would like does not go first",
            Mutant::FitIgnored => "of two bots the one that fits better does not go first",
            Mutant::UnknownServes => "what a policy has not judged yet is judged by containment",
            Mutant::UnknownIsUnmatched => "jobs may be refused though a policy has not said that no bot fits",
            Mutant::FitsOutliveSwap => "what a policy said holds when another one answers",
            Mutant::StaleFitTaken => "what a policy said counts though another one answers by now",
            Mutant::FaultNotAskedAgain => "pairs that a policy could not judge are not asked again",
            Mutant::MatchedNotServed => "bots that ask are not served when a policy says that they fit",
            Mutant::QuarantineIgnored => "a bot in quarantine gets work",
            Mutant::QuarantineEndless => "a quarantine does not end",
            Mutant::StaleVerdictTaken => "the answer to an older question counts",
            Mutant::DecidingKeepsSlot => "a job that waits for a decision keeps its bot busy",
            Mutant::NoAnswerDeadline => "a job waits for ever for a policy that does not answer",
            Mutant::UncountedCounts => "an attempt counts though a policy says that it does not",
            Mutant::FailuresUnbounded => "a job whose attempts do not count is tried for ever",
            Mutant::DelayIgnored => "a job that is put off is tried at once",
            Mutant::AmendmentIgnored => "a job keeps its requirements though a policy amended them",
            Mutant::RefusedThoughServed => "jobs of a class are refused though a bot has come that serves it",
            Mutant::UnmatchedAskedEarly => "a restart gives bots no time to come back before jobs may be refused",
            Mutant::StalePlaceTaken => "an answer of policies that are not active any more moves a job",
            Mutant::LatePlaceKept => "a request that older policies placed is taken as it is",
            Mutant::PlacedAtTheEnd => "a job that is placed again loses its age",
            Mutant::PlacedWeightIgnored => "a lane keeps its weight though a policy gave it another",
            Mutant::PlacedLimitsIgnored => "a job that is placed again belongs to no counter",
            Mutant::PlacedKeysIgnored => "a job that is placed again keeps its old keys",
            Mutant::PlacedNotServed => "a job that leaves a full counter waits though a bot asks",
            Mutant::RunningNotMoved => "a job that runs counts for the lane that it was taken from",
            Mutant::AgainForgotten => "a policy that wants to be asked again is not",
            Mutant::AskedOnceOnly => "where nobody answers, nobody is asked again",
            Mutant::AskedWhileRunning => "it is asked where a job stands that a bot has",
            Mutant::NoQueueDeadline => "a job waits longer than its queue timeout",
            Mutant::NoExecutionDeadline => "an attempt runs longer than its execution timeout",
            Mutant::SessionsLiveOn => "a session outlives its timeout",
            Mutant::HeldCallExpires => "a session whose call is held expires",
            Mutant::RestoreForgetsDrains => "a restart forgets drains",
            Mutant::RestoreForgetsPauses => "a restart forgets pauses",
            Mutant::RestoreForgetsPast => "a restart forgets which attempts of jobs gave no result",
            Mutant::RestoreKeepsContact => "a restart gives sessions no fresh timeout",
            Mutant::RestoreWithoutGrace => "a restart ends leases whose time ran out while the server was down",
            Mutant::HiddenPassed => "a bot is given a job though one that is not loaded yet would be the better one",
            Mutant::WeightOfHeads => "while jobs are loaded a lane's weight is that of a job that is not its newest",
            Mutant::SubmitNotHeld => "a request does not wait until it is known which actions are in flight",
            Mutant::LeasedNotFirst => "leases are not restored before bots are served",
            Mutant::GoneJobLoaded => "a job that ended while others were loaded comes back by its old row",
            Mutant::WaitingNotServed => "bots that wait for a job that was not loaded are not served when it is",
            Mutant::RestoreForgetsQuarantines => "a restart forgets quarantines",
            Mutant::RestoreForgetsCoolDowns => "a restart forgets evictions that count against counters",
            Mutant::RestoreForgetsLimits => "a restart forgets the numbers that an operator set",
            Mutant::RestoreForgetsDelays => "a restart ends delays",
            Mutant::RestoreForgetsScores => "a restart forgets how good bots are",
            Mutant::RestoreForgetsKeys => "a restart forgets the keys of jobs",
            Mutant::RestoreForgetsWishes => "a restart forgets which bots jobs would like",
            Mutant::RestoreAsksNobody => "a restart does not ask open questions again",
            Mutant::RestoreForgetsAgain => "a restart forgets when a policy wants to be asked again",
            Mutant::EndNotTold => "watchers do not hear that a job ended",
            Mutant::HandleEndNotTold => "watchers of a cancelled handle do not hear of it while its job goes on",
            Mutant::LeaseRowKept => "the row of a lease that was taken back stays",
            Mutant::JobRowKept => "a finished job stays among the unfinished",
            Mutant::SessionRowStale => "a session's change is not stored",
            Mutant::HandleNotStored => "the row of a job does not name a handle that joined",
            Mutant::PlaceNotStored => "a job's new place is not stored",
            Mutant::CoolDownNotStored => "an eviction that counts against a counter is not stored",
            Mutant::LimitNotStored => "the numbers that an operator sets are not stored",
            Mutant::ResultOfStraggler => "the result of an older attempt is stored for the newest",
            Mutant::ResultOfQuestionLost => "the result of an attempt that a policy is asked about is not stored",
            Mutant::ResultOfQuestionKept => "the result of an attempt that was tried again stays",
            Mutant::FeedGap => "the feed is not dense",
            Mutant::SequenceRestarts => "after a restart the feed is written over",
            Mutant::CursorBeforeKv => "a consumer's place is committed before what it wrote",
            Mutant::KvWithoutCursor => "what a consumer wrote is committed without its place",
            Mutant::EventsHandledTwice => "a consumer is given events again that it has handled",
            Mutant::FailedCallKept => "what a failed call wrote stays in memory",
            Mutant::TableAheadOfDisk => "a plugin's table is seen before it is durable",
            Mutant::GapNotTold => "a consumer that was left behind is not told",
        }
    }
}
