//! The lanes among which a policy may choose for a bot. Off the hot path: where no policy chooses, nothing of this is
//! read.

use super::{CapabilityIx, JobIx, LaneIx, Place, Queue};
use crate::LaneKey;

/// The job of a lane that bots of a class would get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneHead {
    pub(crate) lane: LaneIx,
    pub(crate) place: Place,
    pub(crate) job: JobIx,
    /// Whether its limits give it a claim to go before others.
    pub(crate) owed: bool,
}

/// What is counted of a lane, whatever its jobs require.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneCounts<'a> {
    pub(crate) key: &'a LaneKey,
    pub(crate) weight: u32,
    pub(crate) queued: u32,
    pub(crate) running: u32,
}

impl Queue {
    /// No more lanes than these have a job for the bots of the class. Right after [`Queue::best`], as the next is.
    pub(crate) fn lanes_with_heads(&self, class: CapabilityIx) -> usize {
        self.groups[self.capabilities[class.0 as usize].group.0 as usize].heads.len()
    }

    /// Of each such lane the first job of each kind of limits that may begin now.
    pub(crate) fn lane_heads(&mut self, class: CapabilityIx) -> Vec<LaneHead> {
        let group = self.capabilities[class.0 as usize].group;
        let mut found = Vec::new();
        let mut position = 0;
        while let Some((&(lane, limits), _)) = self.groups[group.0 as usize].heads.get_index(position) {
            if self.is_blocked(limits) {
                position += 1;
            } else if let Some((place, job)) = self.true_head(group, position) {
                found.push(LaneHead { lane, place, job, owed: self.is_owed(limits) });
                position += 1;
            }
        }
        found
    }

    /// How a lane stands.
    pub(crate) fn lane_counts(&self, lane: LaneIx) -> LaneCounts<'_> {
        let lane = &self.lanes[lane.0 as usize];
        LaneCounts { key: &lane.key, weight: lane.weight, queued: lane.queued, running: lane.running }
    }
}
