//! A client asks for an action: it joins a job that runs the same, or gets a new one.

use super::{Book, job::JobState, place::again_at};
use crate::{
    Effect, Fact, JobCreated, JobId, Outcome, Rejection, Reply, Step, Submit, Timestamp,
    mutant::{Mutant, broken},
    queue::JobIx,
};

impl Book {
    pub(super) fn submit(&mut self, now: Timestamp, submit: Submit, step: &mut Step) -> Result<(), Rejection> {
        self.refuse_taken(&submit)?;
        self.refuse_outdated(submit.again)?;
        if let Some(index) = self.joinable(now, &submit) {
            let job = self.job(index);
            let more_urgent = job.state.is_waiting()
                && submit.rank < self.jobs.details(index).place.0
                && !broken(Mutant::MergeKeepsRank);
            let fact = Fact::OperationAdded {
                operation: submit.operation,
                job: job.id,
                rank: more_urgent.then_some(submit.rank),
            };
            step.reply = Reply::Submitted { job: job.id, merged: true };
            self.emit(fact, step);
            return Ok(());
        }
        if let Some(reached) = self.queue.too_many(&submit.instance, &submit.limits) {
            return Err(Rejection::LimitReached(Box::new(reached)));
        }
        let index = self.create(now, submit, step);
        self.serve_waiting(now, index, step);
        Ok(())
    }

    /// The action cache had it: the job is over before it began, and its operation can be asked for later.
    pub(super) fn submit_cached(&mut self, now: Timestamp, submit: Submit, step: &mut Step) -> Result<(), Rejection> {
        self.refuse_taken(&submit)?;
        let index = self.create(now, submit, step);
        self.complete(now, index, Outcome::Cached, step);
        Ok(())
    }

    fn refuse_taken(&self, submit: &Submit) -> Result<(), Rejection> {
        let taken =
            self.job_ix(JobId(submit.operation.0)).is_some() || self.joined_index.contains_key(&submit.operation);
        if taken { Err(Rejection::IdTaken(submit.operation.0)) } else { Ok(()) }
    }

    /// Whether such a request would join a job that is there, as things are.
    pub fn would_join(&self, now: Timestamp, submit: &Submit) -> bool {
        self.joinable(now, submit).is_some()
    }

    fn joinable(&self, now: Timestamp, submit: &Submit) -> Option<JobIx> {
        if submit.do_not_cache && !broken(Mutant::DoNotCacheJoins) {
            return None;
        }
        if let Some(index) = self.in_flight(&submit.instance, &submit.action) {
            return Some(index);
        }
        let index = self.recent(&submit.instance, &submit.action)?;
        let JobState::Completed { at, .. } = self.job(index).state else {
            panic!("a recent result is of a job that is over")
        };
        let missed = (submit.lookup_began <= at || broken(Mutant::OldResultTaken))
            && now.since(at) <= self.settings.recent_results;
        (missed && (!submit.skip_cache_lookup || broken(Mutant::SkipTakesResult))).then_some(index)
    }

    fn create(&mut self, now: Timestamp, submit: Submit, step: &mut Step) -> JobIx {
        let job = JobId(submit.operation.0);
        self.emit(
            Fact::JobCreated(Box::new(JobCreated {
                job,
                instance: submit.instance,
                action: submit.action,
                do_not_cache: submit.do_not_cache,
                requirements: submit.requirements,
                preferred: submit.preferred,
                label: submit.label,
                lane: submit.lane,
                weight: submit.weight.max(1),
                rank: submit.rank,
                limits: submit.limits,
                affinities: submit.affinities,
                age: self.ages + 1,
                queued_at: now,
                queue_timeout: submit.queue_timeout,
                execution_timeout: submit.execution_timeout,
                again: again_at(now, submit.again.after),
            })),
            step,
        );
        step.reply = Reply::Submitted { job, merged: false };
        self.job_ix(job).expect("the job was just created")
    }

    /// Ends a job and tells who watches it.
    pub(super) fn complete(&mut self, now: Timestamp, index: JobIx, outcome: Outcome, step: &mut Step) {
        let job = self.job(index).id;
        let ran_ms = self.ran_ms(now, index);
        self.jobs.speak_of(index);
        let session = self.holder(index);
        self.emit(Fact::JobCompleted { job, at: now, outcome, ran_ms, session }, step);
        if !broken(Mutant::EndNotTold) {
            step.effects.push(Effect::JobChanged { job });
        }
    }
}
