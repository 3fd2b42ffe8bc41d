//! What a job carries with it once a policy was asked about an attempt of it, and its deadlines until it waits for a bot
//! again. Beside the table of jobs: most jobs never have this, and pay nothing for it.

use super::{Book, job::JobState};
use crate::{
    AttemptDecided, Setbacks, Timestamp,
    mutant::{Mutant, broken},
    queue::JobIx,
};

/// The setbacks of a job.
#[derive(Debug, Default)]
pub(super) struct Setback {
    pub(super) row: Setbacks,
    /// When the question is answered by the built-in rule, or the delay is over: as it stands in `Book::pending`.
    due: Option<Timestamp>,
}

impl Book {
    /// The job waits for a policy; whoever made it wait sees to it that the policy is asked.
    pub(super) fn await_decision(&mut self, index: JobIx, at: Timestamp) {
        self.job_mut(index).state = JobState::Deciding { asked: false };
        self.set_due(index, Some(at).filter(|_| !broken(Mutant::RestoreAsksNobody)));
    }

    /// The job waits for its time, but no longer than it may wait at all.
    pub(super) fn delay(&mut self, index: JobIx, until: Timestamp) {
        self.job_mut(index).state = JobState::Delayed { until };
        let at = self.queue_deadline_of(index).map_or(until, |deadline| deadline.min(until));
        self.set_due(index, Some(at));
    }

    /// The job waits for a bot again, or is over.
    pub(super) fn end_setback(&mut self, index: JobIx) {
        self.set_due(index, None);
        if let Some(setback) = self.setbacks.get_mut(&index) {
            setback.row.question = None;
        }
    }

    pub(super) fn apply_decided(&mut self, decided: &AttemptDecided) {
        let index = self.known_job(decided.job);
        let is_open = matches!(self.job(index).state, JobState::Deciding { .. });
        assert!(is_open, "only a job that waits for a decision gets one");
        self.end_setback(index);
        self.setbacks.entry(index).or_default().row.elsewhere = decided.elsewhere;
        self.jobs.details_mut(index).attempts_used += u32::from(decided.counts);
        if let Some(requirements) = &decided.requirements
            && !broken(Mutant::AmendmentIgnored)
        {
            let old = self.job(index).line;
            self.job_mut(index).line = self.queue.amend(old, requirements);
            self.queue.leave_line(old);
            // It was wished for what was needed then.
            self.drop_wish(index);
        }
        match decided.until {
            Some(until) => self.delay(index, until),
            None => self.enqueue(index),
        }
    }

    /// The job's setbacks, if it has any.
    pub(super) fn setbacks_of(&self, index: JobIx) -> Option<&Setbacks> {
        if self.setbacks.is_empty() {
            return None;
        }
        self.setbacks.get(&index).map(|setback| &setback.row)
    }

    pub(super) fn restore_setbacks(&mut self, index: JobIx, row: Option<Box<Setbacks>>) {
        if let Some(row) = row {
            self.setbacks.insert(index, Setback { row: *row, due: None });
        }
    }

    /// Sets the deadline of a job that waits, but not for a bot.
    pub(super) fn set_due(&mut self, index: JobIx, at: Option<Timestamp>) {
        let setback = self.setbacks.entry(index).or_default();
        if let Some(old) = std::mem::replace(&mut setback.due, at) {
            self.pending.remove(&(old, index));
        }
        self.pending.extend(at.map(|at| (at, index)));
    }
}
