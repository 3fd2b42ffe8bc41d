//! Each rule of the work book broken on purpose once: the model must notice every one.

use crate::mutants::Caught;

/// Without the feature there is nothing to break.
#[cfg(not(feature = "mutants"))]
pub fn work_mutants(_: impl FnMut(&Caught)) -> Option<Vec<Caught>> {
    None
}

#[cfg(feature = "mutants")]
pub use enabled::work_mutants;

#[cfg(feature = "mutants")]
mod enabled {
    use berth_core::work::mutant::{Mutant, activate};

    use super::Caught;
    use crate::work::run_work;

    /// How many seeds a mutant may survive, and how long each.
    const SEEDS: u64 = 300;
    const STEPS: u64 = 1_000;

    /// Breaks one rule after the other, and says which seed noticed. `None`: built without the feature `mutants`.
    pub fn work_mutants(mut tell: impl FnMut(&Caught)) -> Option<Vec<Caught>> {
        let mut all = Vec::new();
        for mutant in Mutant::ALL {
            activate(Some(*mutant));
            let mut reports = (1..=SEEDS).map(|seed| run_work(seed, STEPS));
            let by = reports.find_map(|report| Some((report.seed, report.steps, report.failure?)));
            all.push(Caught { name: format!("{mutant:?}"), breaks: breaks(*mutant), by, from_outside: None });
            tell(all.last().expect("it was just pushed"));
        }
        activate(None);
        Some(all)
    }

    fn breaks(mutant: Mutant) -> &'static str {
        match mutant {
            Mutant::PauseIgnored => "a paused spec hands out work",
            Mutant::SpecPriorityIgnored => "a spec of higher priority does not go first",
            Mutant::WeightIgnored => "specs are served alike, whatever their weight",
            Mutant::MaxRunningIgnored => "more units are pending than the spec allows",
            Mutant::MaxGetworkIgnored => "a call gets more units than the spec gives at a time",
            Mutant::RetriesUnbounded => "a unit is handed out for ever",
            Mutant::IntervalIgnored => "a continuous spec makes units without a pause",
            Mutant::AddTakesAway => "a unit that is added again is taken from its worker",
            Mutant::AdjustmentLost => "a priority is not adjusted",
            Mutant::StartExclusive => "a list leaves out the key that it starts from",
            Mutant::PriorityNotInherited => "output does not inherit the priority of its unit",
            Mutant::FinishedTwice => "a finished unit finishes again, and hands on its output again",
            Mutant::FailWins => "a finished unit fails",
            Mutant::FenceIgnored => "a worker that lost its lease, and says who it is, is heard",
            Mutant::ArchiveForgets => "archived units do not count",
            Mutant::ClearedInPlace => "what is left of units that went at once is taken for that of new ones",
            Mutant::StepsEndEarly => "a deletion in steps ends after the first",
            Mutant::TracesStay => "workers keep units that went with their spec",
            Mutant::ControlIgnored => "max_running cannot be controlled",
            Mutant::LeaseTimeIgnored => "every lease is 300 s long",
            Mutant::NegativeLeaseRenews => "a negative lease time renews instead of giving back",
            Mutant::LeasesLiveOn => "leases do not end",
            Mutant::RestoreWithoutGrace => "a restart ends leases whose time ran out while the server was down",
            Mutant::HeartbeatDataLost => "a heartbeat with new data counts as one with nothing new",
            Mutant::LocksBelowIgnored => "a path is locked although something below it is",
            Mutant::ResentDoneTwice => "a call that is sent again, because its reply was lost, is done again",
            Mutant::GoodbyeIgnored => "a call like one of a client that has left is taken for that one",
            Mutant::OnlyLastKnown => "of several calls that were under way only the last is known again",
            Mutant::StateRowKept => "the states of deleted units pile up on disk",
            Mutant::UnitRowKept => "a deleted unit is back after a restart",
            Mutant::DataNotStored => "what a worker reported of a unit is not stored",
            Mutant::SpecUnitsKept => "the units of a deleted spec stay on disk",
            Mutant::WorkerRowKept => "a worker that signed off is back after a restart",
            Mutant::UnlockNotStored => "a lock that was given back is there after a restart",
            Mutant::AttemptsNotStored => "a restart forgets how often units were handed out",
            Mutant::DeletionNotTold => "the feed does not tell of units that were deleted",
            Mutant::FeedRestarts => "after a restart the feed begins at 1",
            Mutant::ReceiptNotStored => "a restart forgets what calls were answered",
        }
    }
}
