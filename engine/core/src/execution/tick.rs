//! Deadlines: waiting too long, running too long, a bot not heard of, a call held long enough.

use super::{Book, TICK_MAX, Timer, job::JobState};
use crate::{
    Outcome, SessionEnd, Step, Timestamp,
    mutant::{Mutant, broken},
    queue::{JobIx, SessionIx},
};

impl Book {
    pub(super) fn tick(&mut self, now: Timestamp, step: &mut Step) {
        for _ in 0..TICK_MAX {
            match self.timers.first() {
                Some(&(at, timer)) if at <= now => match timer {
                    Timer::Job(index) => self.job_due(now, index, step),
                    Timer::Session(index) => self.session_due(now, index, step),
                },
                _ => return,
            }
        }
    }

    fn job_due(&mut self, now: Timestamp, index: JobIx, step: &mut Step) {
        match self.job(index).state {
            JobState::Queued => self.stop(now, index, Outcome::QueueTimeout, step),
            JobState::Leased(_) => self.stop(now, index, Outcome::ExecutionTimeout, step),
            JobState::Completed { .. } => panic!("a job that is over has no deadline"),
        }
    }

    fn session_due(&mut self, now: Timestamp, index: SessionIx, step: &mut Step) {
        let timeout = self.settings.session_timeout;
        let session = self.session_mut(index);
        let set = session.timer.take().expect("a session whose deadline is due has one");
        let (poll, expires) = (session.poll, session.contact.after(timeout));
        self.timers.remove(&(set, Timer::Session(index)));
        match poll {
            Some(poll) if poll.hold_until <= now => self.answer_soon(index),
            Some(_) if broken(Mutant::HeldCallExpires) => self.close_session(now, index, SessionEnd::Expired, step),
            Some(_) => self.arm(index),
            None if expires <= now && !broken(Mutant::SessionsLiveOn) => {
                self.close_session(now, index, SessionEnd::Expired, step)
            }
            None => self.arm(index),
        }
    }

    /// Finished jobs that are past their time are forgotten; the store still has them.
    pub(super) fn forget_finished(&mut self, now: Timestamp) {
        let keep = self.settings.recent_results;
        while let Some((at, index)) = self.finished.front().copied() {
            if now.since(at) <= keep {
                return;
            }
            self.finished.pop_front();
            self.forget_result(index);
            let job = self.jobs.remove(index.0 as usize);
            self.queue.leave_requirements(job.class);
            self.queue.leave_lane(job.lane);
            self.job_index.remove(&job.id);
            for row in job.operations() {
                self.operations.remove(&row.operation);
            }
        }
    }
}
