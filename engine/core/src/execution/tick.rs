//! Deadlines: waiting too long, running too long, a bot not heard of, a call held long enough.

use super::{Book, LEASES_AT_A_TIME, TICK_FACTS, TICK_MAX, Timer};
use crate::{
    Outcome, SessionEnd, Step, Timestamp,
    mutant::{Mutant, broken},
    queue::{JobIx, SessionIx},
};

impl Book {
    pub(super) fn tick(&mut self, now: Timestamp, step: &mut Step) {
        // First: what comes of it may have waited too long already.
        self.look_at_pending(now, step);
        for _ in 0..TICK_MAX {
            match self.timers.first() {
                Some(&(at, timer)) if at <= now && step.facts.len() < TICK_FACTS => match timer {
                    Timer::Job(index) => self.stop(now, index, Outcome::QueueTimeout, step),
                    Timer::Session(index) => self.session_due(now, index, step),
                },
                _ => break,
            }
        }
        self.end_quarantines(now, step);
        self.end_patience(now, TICK_FACTS, step);
        self.end_cool_downs(now, step);
        self.look_at_hungry(now, step);
        self.look_at_agains(now, step);
        self.look_at_matches(now, step);
        if step.facts.len() < TICK_FACTS {
            self.look_for_unmatched(now, step);
        }
    }

    fn session_due(&mut self, now: Timestamp, index: SessionIx, step: &mut Step) {
        let timeout = self.settings.session_timeout;
        let session = self.session_mut(index);
        let set = session.timer.take().expect("a session whose deadline is due has one");
        let (poll, expires) = (session.poll, session.contact.after(timeout));
        self.timers.remove(&(set, Timer::Session(index)));
        self.end_leases_due(now, index, step);
        match poll {
            Some(poll) if poll.hold_until <= now => {
                self.answer_soon(index);
                self.arm(index);
            }
            Some(_) if broken(Mutant::HeldCallExpires) => self.close_session(now, index, SessionEnd::Expired, step),
            Some(_) => self.arm(index),
            None if expires <= now && !broken(Mutant::SessionsLiveOn) => self.expire(now, index, step),
            None => self.arm(index),
        }
    }

    fn expire(&mut self, now: Timestamp, index: SessionIx, step: &mut Step) {
        if self.session(index).jobs.len() <= LEASES_AT_A_TIME {
            return self.close_session(now, index, SessionEnd::Expired, step);
        }
        for job in self.leases_at_a_time(index, |_| true) {
            self.note_attempt(index, true);
            self.lose_bot(now, job, step);
        }
        self.look_at_session(index, now);
    }

    fn end_leases_due(&mut self, now: Timestamp, index: SessionIx, step: &mut Step) {
        let is_due = |job: &JobIx| self.deadline_of(*job).is_some_and(|at| at <= now);
        for job in self.leases_at_a_time(index, is_due) {
            self.time_out(now, job, step);
        }
    }

    pub(super) fn leases_at_a_time(&self, index: SessionIx, wanted: impl FnMut(&JobIx) -> bool) -> Vec<JobIx> {
        self.session(index).jobs.iter().copied().filter(wanted).take(LEASES_AT_A_TIME).collect()
    }

    /// Finished jobs that are past their time are forgotten; the store still has them.
    pub(super) fn forget_finished(&mut self, now: Timestamp) {
        let keep = self.settings.recent_results;
        while let Some((at, index)) = self.finished.front().copied() {
            if now.since(at) <= keep {
                return;
            }
            self.finished.pop_front();
            self.expect_forgotten();
            self.forget_result(index);
            self.setbacks.remove(&index);
            self.past.remove(&index);
            self.limits.remove(&index);
            self.drop_affinities(index);
            self.drop_wish(index);
            self.forget_handles(index);
            self.queue.leave_line(self.job(index).line);
            self.jobs.remove(index);
        }
    }

    /// Asks early for what those who are forgotten next will need. It is known long before, and in no cache.
    fn expect_forgotten(&self) {
        if let Some((_, later)) = self.finished.get(4) {
            self.jobs.expect(*later);
        }
        if let Some((_, next)) = self.finished.get(1) {
            let job = self.job(*next);
            self.jobs.expect_id(*next);
            self.by_action.expect(job.action_hash);
            self.queue.expect(job.line);
        }
    }
}
