//! Submit, cancel, offer, lose, complete.

use super::*;
use berth_core::{JobCreated, Submit};

impl Naive {
    pub(super) fn submit(&mut self, now: Timestamp, submit: &Submit) -> Result<Reply, Rejection> {
        self.refuse_taken(submit)?;
        if submit.again.generation < self.generation {
            return Err(Rejection::Outdated);
        }
        if let Some(job) = self.joinable(now, submit) {
            let known = self.job_mut(job);
            let waits = !matches!(known.state, State::Leased { .. } | State::Completed { .. });
            let rank = (waits && submit.rank < known.rank).then_some(submit.rank);
            known.operations.push(Handle { id: submit.operation, cancelled: None, deleted: false });
            known.rank = rank.unwrap_or(known.rank);
            self.facts.push(Fact::OperationAdded { operation: submit.operation, job, rank });
            return Ok(Reply::Submitted { job, merged: true });
        }
        if let Some(reached) = self.too_many(submit) {
            return Err(Rejection::LimitReached(Box::new(reached)));
        }
        let job = self.create(now, submit);
        self.serve(now, job);
        Ok(Reply::Submitted { job, merged: false })
    }

    pub(super) fn submit_cached(&mut self, now: Timestamp, submit: &Submit) -> Result<Reply, Rejection> {
        self.refuse_taken(submit)?;
        let job = self.create(now, submit);
        self.complete(now, job, Outcome::Cached);
        Ok(Reply::Submitted { job, merged: false })
    }

    fn refuse_taken(&self, submit: &Submit) -> Result<(), Rejection> {
        let id = submit.operation;
        let taken = self
            .jobs
            .iter()
            .any(|job| job.id.0 == id.0 || job.operations.iter().any(|handle| handle.id == id && !handle.deleted));
        if taken { Err(Rejection::IdTaken(id.0)) } else { Ok(()) }
    }

    /// A job in flight that runs the same, else the newest good result, if it came after the lookup began.
    fn joinable(&self, now: Timestamp, submit: &Submit) -> Option<JobId> {
        if submit.do_not_cache {
            return None;
        }
        let same = |job: &&Job| !job.do_not_cache && job.instance == submit.instance && job.action == submit.action;
        let over = |job: &&Job| matches!(job.state, State::Completed { .. });
        if let Some(job) = self.jobs.iter().filter(same).find(|job| !over(job)) {
            return Some(job.id);
        }
        let good = |job: &Job| match job.state {
            State::Completed { at, outcome: Outcome::Reported { code: 0, cacheable: true } } => Some((at, job.id)),
            _ => None,
        };
        let (at, job) = self.jobs.iter().filter(same).filter_map(good).max_by_key(|(at, _)| *at)?;
        let fresh = submit.lookup_began <= at && now.since(at) <= self.settings.recent_results;
        (fresh && !submit.skip_cache_lookup).then_some(job)
    }

    fn create(&mut self, now: Timestamp, submit: &Submit) -> JobId {
        self.age += 1;
        let (id, weight) = (JobId(submit.operation.0), submit.weight.max(1));
        let again = Self::first_look(now, submit.again);
        self.jobs.push(Job {
            id,
            instance: submit.instance.clone(),
            action: submit.action,
            do_not_cache: submit.do_not_cache,
            requirements: submit.requirements.clone(),
            preferred: submit.preferred.clone(),
            label: submit.label.clone(),
            lane: submit.lane.clone(),
            weight,
            rank: submit.rank,
            limits: submit.limits.clone(),
            affinities: submit.affinities.clone(),
            patience: None,
            age: self.age,
            queued_at: now,
            queue_timeout: submit.queue_timeout,
            execution_timeout: submit.execution_timeout,
            offers: 0,
            attempts_used: 0,
            operations: vec![Handle { id: submit.operation, cancelled: None, deleted: false }],
            again,
            look: again,
            setbacks: None,
            past: Vec::new(),
            state: State::Queued,
            deadline: submit.queue_timeout.map(|timeout| now.after(timeout).max(self.grace)),
        });
        self.set_weight(&submit.instance, &submit.lane, weight);
        self.set_limits(&submit.instance, &submit.limits);
        self.facts.push(Fact::JobCreated(Box::new(JobCreated {
            job: id,
            instance: submit.instance.clone(),
            action: submit.action,
            do_not_cache: submit.do_not_cache,
            requirements: submit.requirements.clone(),
            preferred: submit.preferred.clone(),
            label: submit.label.clone(),
            lane: submit.lane.clone(),
            weight,
            rank: submit.rank,
            limits: submit.limits.clone(),
            affinities: submit.affinities.clone(),
            age: self.age,
            queued_at: now,
            queue_timeout: submit.queue_timeout,
            execution_timeout: submit.execution_timeout,
            again,
        })));
        id
    }

    pub(super) fn cancel(&mut self, now: Timestamp, operation: OperationId) -> Result<(), Rejection> {
        let live = |handle: &Handle| handle.id == operation && !handle.deleted;
        let found = self.jobs.iter_mut().find(|job| job.operations.iter().any(live));
        let job = found.ok_or(Rejection::UnknownOperation(operation))?;
        let over = matches!(job.state, State::Completed { .. });
        let handle = job.operations.iter_mut().find(|handle| live(handle)).expect("the job was found by it");
        if over || handle.cancelled.is_some() {
            return Ok(());
        }
        handle.cancelled = Some(now);
        let (id, last) = (job.id, job.operations.iter().all(|handle| handle.cancelled.is_some()));
        self.facts.push(Fact::OperationCancelled { operation, job: id, at: now });
        if last {
            self.stop(now, id, Outcome::Cancelled);
        }
        Ok(())
    }

    pub(super) fn delete(&mut self, operation: OperationId, mut job: JobId) -> Result<(), Rejection> {
        for known in &mut self.jobs {
            let over = matches!(known.state, State::Completed { .. });
            if let Some(handle) = known.operations.iter_mut().find(|handle| handle.id == operation && !handle.deleted) {
                if !over && handle.cancelled.is_none() {
                    return Err(Rejection::NotFinished(operation));
                }
                handle.deleted = true;
                job = known.id;
            }
        }
        self.facts.push(Fact::OperationDeleted { operation, job });
        Ok(())
    }

    /// A job waits: of the bots that ask and fit, the one that the job would like, that fits best, that is the best, or
    /// that has asked longest is served, with the best that fits it.
    pub(super) fn serve(&mut self, now: Timestamp, job: JobId) {
        while self.job(job).is_some_and(|job| job.state == State::Queued && !self.is_blocked(job)) {
            let job = self.job(job).expect("it was just seen");
            let asking = self.sessions.iter().filter(|session| session.ticket.is_some() && self.fits(session, job));
            let asking = asking.filter(|session| !self.avoids(job, session));
            let picky = job.setbacks.as_ref().is_some_and(|setbacks| setbacks.elsewhere);
            let turn = |session: &&Session| {
                let fit = self.fit(session, &job.class());
                // A bot that served a key of the job goes first, and the weights of those keys count.
                let shared = session.shared(job).filter(|_| !picky && !self.loading);
                let worth = u64::from(session.score) + shared.unwrap_or(0);
                (shared.is_none(), !self.is_wished(session, job), Reverse(fit), Reverse(worth), session.ticket)
            };
            let id = job.id;
            let Some(session) = asking.min_by_key(turn).map(|session| session.id) else { return };
            if self.is_kept(now, id, session) {
                return self.be_patient(now, id);
            }
            // At least the job itself fits; but a hidden one may come first.
            let Some(best) = self.best(now, session) else { return };
            self.offer(now, best, session);
            // By its new keys it may take what was kept from it.
            while !self.loading
                && !self.job(best).expect("it was just given").affinities.is_empty()
                && self.session(session).is_some_and(|session| session.ticket.is_some())
                && let Some(next) = self.best(now, session)
            {
                self.offer(now, next, session);
            }
        }
    }

    pub(super) fn offer(&mut self, now: Timestamp, job: JobId, session: SessionId) {
        let known = self.job_mut(job);
        known.offers += 1;
        known.state = State::Leased { session, offered_at: now, started_at: None, told: Told::Nothing };
        known.deadline = known.execution_timeout.map(|timeout| now.after(timeout));
        let lease = known.lease();
        self.facts.push(Fact::LeaseOffered { lease, session, at: now });
        self.session_mut(session).leases.push(job);
        self.note_served(job, session);
        if self.session_mut(session).ticket.take().is_some() && self.session_mut(session).free() > 0 {
            self.ask(session);
        }
        self.answer_soon(session);
    }

    /// The job waits again, at its old place.
    pub(super) fn requeue(&mut self, now: Timestamp, job: JobId) {
        self.let_go(job);
        let grace = self.grace;
        let known = self.job_mut(job);
        known.state = State::Queued;
        known.deadline = known.queue_timeout.map(|timeout| known.queued_at.after(timeout).max(grace));
        self.serve(now, job);
    }

    pub(super) fn withdraw(&mut self, now: Timestamp, job: JobId) {
        let lease = self.job_mut(job).lease();
        let session = self.holder(job).expect("a bot was offered it");
        self.facts.push(Fact::LeaseWithdrawn { lease, session });
        self.requeue(now, job);
    }

    pub(super) fn lose(&mut self, now: Timestamp, job: JobId, code: i32) {
        let max = self.settings.attempts_max;
        let known = self.job_mut(job);
        if known.attempts_used + 1 >= max {
            self.complete(now, job, Outcome::AttemptsExhausted { code });
            return;
        }
        known.attempts_used += 1;
        let lease = known.lease();
        self.note_past(now, job, AttemptEnd::Failed { code });
        let session = self.holder(job).expect("a bot lost it");
        self.facts.push(Fact::AttemptLost { lease, session, code, at: now });
        self.requeue(now, job);
    }

    pub(super) fn complete(&mut self, now: Timestamp, job: JobId, outcome: Outcome) {
        let ran_ms = match self.job_mut(job).state {
            State::Leased { offered_at, started_at, .. } => {
                now.since(started_at.unwrap_or(offered_at)).as_millis().try_into().unwrap_or(u32::MAX)
            }
            State::Deciding { .. } => {
                let question = self.job_mut(job).setbacks.as_ref().and_then(|setbacks| setbacks.question.as_ref());
                question.expect("it is being decided").took.as_millis().try_into().unwrap_or(u32::MAX)
            }
            _ => 0,
        };
        let session = self.holder(job);
        match outcome {
            Outcome::Reported { .. } | Outcome::Cached => {}
            Outcome::AttemptsExhausted { code } | Outcome::Failed { code } => {
                self.note_past(now, job, AttemptEnd::Failed { code });
            }
            Outcome::Cancelled | Outcome::QueueTimeout | Outcome::ExecutionTimeout | Outcome::Refused => {
                self.note_past(now, job, AttemptEnd::Stopped);
            }
        }
        self.let_go(job);
        let known = self.job_mut(job);
        known.state = State::Completed { at: now, outcome };
        if let Some(setbacks) = &mut known.setbacks {
            setbacks.question = None;
        }
        known.deadline = None;
        self.facts.push(Fact::JobCompleted { job, at: now, outcome, ran_ms, session });
    }

    /// Ends a job from our side: if a bot has it, its slot stays busy until the bot lets go.
    pub(super) fn stop(&mut self, now: Timestamp, job: JobId, outcome: Outcome) {
        let (lease, state) = (self.job_mut(job).lease(), self.job_mut(job).state);
        self.complete(now, job, outcome);
        if let State::Leased { session, .. } = state {
            self.session_mut(session).ghosts.push(lease);
            self.answer_soon(session);
        }
    }

    pub(super) fn holder(&mut self, job: JobId) -> Option<SessionId> {
        match self.job_mut(job).state {
            State::Leased { session, .. } => Some(session),
            _ => None,
        }
    }

    pub(super) fn let_go(&mut self, job: JobId) {
        if let State::Leased { session, .. } = self.job_mut(job).state {
            self.note_freed(job);
            self.session_mut(session).leases.retain(|held| *held != job);
        }
    }
}
