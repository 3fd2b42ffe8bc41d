//! What operators do: pause jobs, take one from its bot, end a session; and what is remembered of attempts without a result.

use super::*;
use berth_core::SessionEnd;

impl Naive {
    pub(super) fn is_paused(&self, job: &Job) -> bool {
        let mut pauses = self.pauses.iter().filter(|(instance, _)| *instance == job.instance);
        pauses.any(|(_, label)| label.as_ref().is_none_or(|label| *label == job.label))
    }

    pub(super) fn pause(&mut self, now: Timestamp, instance: &InstanceName, label: Option<&Arc<str>>, on: bool) {
        let key = (instance.clone(), label.cloned());
        if self.pauses.contains(&key) == on {
            return;
        }
        if on {
            self.pauses.push(key);
        } else {
            self.pauses.retain(|paused| *paused != key);
        }
        self.facts.push(Fact::PauseSet { instance: instance.clone(), label: label.cloned(), on });
        if !on {
            let mut classes: Vec<_> = self.jobs.iter().map(Job::class).collect();
            classes.retain(|class| class.instance == *instance && label.is_none_or(|label| *label == class.label));
            classes.sort();
            classes.dedup();
            self.serve_classes(now, classes);
        }
    }

    pub(super) fn requeue_job(&mut self, now: Timestamp, job: JobId, counts: bool) -> Result<(), Rejection> {
        let known = self.job(job).filter(|job| !self.unloaded.contains(&job.id));
        let known = known.ok_or(Rejection::UnknownJob(job))?;
        let lease = known.lease();
        let session = match known.state {
            State::Leased { session, .. } => session,
            State::Completed { .. } => return Err(Rejection::UnknownJob(job)),
            State::Queued | State::Deciding { .. } | State::Delayed { .. } => return Err(Rejection::NotExecuting(job)),
        };
        self.session_mut(session).ghosts.push(lease);
        self.answer_soon(session);
        if counts {
            self.lose_bot(now, session, job);
        } else {
            self.put_back(now, job);
        }
        Ok(())
    }

    pub(super) fn kick(&mut self, now: Timestamp, id: SessionId) -> Result<(), Rejection> {
        if self.session(id).is_none() {
            return Err(Rejection::UnknownSession(id));
        }
        self.session_mut(id).ticket = None;
        self.take_back(now, id, Told::Nothing);
        for job in self.session_mut(id).leases.clone() {
            self.put_back(now, job);
        }
        self.end(now, id, SessionEnd::Kicked);
        Ok(())
    }

    fn put_back(&mut self, now: Timestamp, job: JobId) {
        let lease = self.job_mut(job).lease();
        let session = self.holder(job).expect("a bot has it");
        self.note_past(now, job, AttemptEnd::Requeued);
        self.facts.push(Fact::LeaseRequeued { lease, session, at: now });
        self.requeue(now, job);
    }

    /// The attempt that the job is in ends.
    pub(super) fn note_past(&mut self, now: Timestamp, job: JobId, end: AttemptEnd) {
        let known = self.job(job).expect("the model names jobs that it has");
        let State::Leased { session, offered_at, .. } = known.state else { return };
        let bot_id = self.session(session).expect("a lease is of a session").bot_id.clone();
        let known = self.job_mut(job);
        known.past.push(PastAttempt { attempt: known.offers, bot_id, offered_at, ended_at: now, end });
        if known.past.len() > PAST_ATTEMPTS_MAX {
            known.past.remove(0);
        }
    }
}
