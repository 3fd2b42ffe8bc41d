//! Lines: the jobs of one requirement class that wait in one lane, with equal limits, in order.

use super::{JobIx, LaneIx, LimitsIx, LineIx, Place, Queue, RequirementIx, class, front::Front};

/// The waiting jobs of a class in a lane.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Line {
    pub(super) class: RequirementIx,
    pub(super) lane: LaneIx,
    /// Jobs that name the line, waiting, running or remembered: it is gone with the last.
    jobs: u32,
    pub(super) limits: LimitsIx,
    /// As its class is.
    pub(super) paused: bool,
    pub(super) waiting: Front<JobIx, 16>,
}

impl Line {
    /// The job that bots should take; `None`: there is none, or an operator keeps them from it.
    pub(super) fn head(&self) -> Option<(Place, JobIx)> {
        if self.paused { None } else { self.waiting.first() }
    }
}

impl Queue {
    /// Finds or makes the line for one more job, for which class, lane and limits were just entered.
    pub(crate) fn enter_line(&mut self, class: RequirementIx, lane: LaneIx, limits: LimitsIx) -> LineIx {
        let Self { requirements, lines, .. } = self;
        let class::RequirementClass { lines: known, paused, .. } = &mut requirements[class.0 as usize];
        if let Some(index) = known.get(&(lane, limits)).copied() {
            // The line has entered them already.
            lines[index.0 as usize].jobs += 1;
            self.leave_requirements(class);
            self.leave_lane(lane);
            self.leave_limits(limits);
            return index;
        }
        let line = Line { class, lane, jobs: 1, limits, paused: *paused, waiting: Front::default() };
        let index = LineIx(u32::try_from(lines.insert(line)).expect("fewer than 2^32 lines"));
        known.insert((lane, limits), index);
        self.list_line(index, limits, true);
        index
    }

    /// A job of the line is forgotten.
    pub(crate) fn leave_line(&mut self, index: LineIx) {
        let line = &mut self.lines[index.0 as usize];
        line.jobs -= 1;
        if line.jobs == 0 {
            let line = self.lines.remove(index.0 as usize);
            self.requirements[line.class.0 as usize].lines.remove(&(line.lane, line.limits));
            self.list_line(index, line.limits, false);
            self.leave_requirements(line.class);
            self.leave_lane(line.lane);
            self.leave_limits(line.limits);
        }
    }
}
