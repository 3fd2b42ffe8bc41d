//! Deadlines, the end of a batch, a restart.

use super::*;
use berth_core::{AttemptReason, SessionEnd};

/// What is due.
#[derive(Clone, Copy, Debug)]
enum Due {
    Job(JobId),
    Answer(SessionId),
    Expiry(SessionId),
    Quarantine(usize),
}

impl Naive {
    /// A job that is not loaded has no deadline yet.
    fn loaded_jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.iter().filter(|job| !self.unloaded.contains(&job.id))
    }

    /// When something is due next.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let jobs = self.loaded_jobs().filter_map(|job| job.deadline);
        let sessions = self.sessions.iter().filter_map(|session| match session.poll {
            Some(poll) if poll.due => None,
            Some(poll) => Some(poll.hold_until),
            None => Some(session.contact.after(self.settings.session_timeout)),
        });
        let quarantines = self.quarantines.iter().map(|(_, until)| *until);
        let pairs = self.open.iter().map(|(_, due)| *due);
        let waiting = self.jobs.iter().filter(|job| job.state == State::Queued);
        let patience = waiting.filter_map(|job| job.patience.filter(|(_, due)| *due).map(|(until, _)| until));
        let cooling = self.cooling.iter().map(|(_, until)| *until);
        let hungry = self.hungry.iter().filter(|_| !self.loading).map(|hungry| hungry.look);
        let jobs = jobs.chain(patience).chain(self.looks().map(|(at, _)| at));
        jobs.chain(sessions).chain(quarantines).chain(pairs).chain(cooling).chain(hungry).min()
    }

    pub(super) fn tick(&mut self, now: Timestamp, seen: &[Fact]) {
        self.forget_questions(now);
        let mut patient = true;
        loop {
            self.refuse(now, seen);
            let due = self.due(now);
            let Some(first) = due.first().copied() else {
                if !std::mem::take(&mut patient) {
                    return;
                }
                self.end_patience(now);
                self.end_cool_downs(now);
                self.look_at_hungry(now);
                continue;
            };
            let next = seen.get(self.facts.len());
            let chosen = due.into_iter().find(|due| self.may_begin_with(*due, next)).unwrap_or(first);
            match chosen {
                Due::Answer(session) => self.answer_soon(session),
                Due::Expiry(session) => self.close(now, session, SessionEnd::Expired),
                Due::Quarantine(at) => {
                    let (instance, bot_id) = self.quarantines[at].0.clone();
                    self.release(now, &instance, &bot_id);
                }
                Due::Job(job) => match self.job(job).expect("it is due").state {
                    State::Queued => self.stop(now, job, Outcome::QueueTimeout),
                    State::Leased { .. } => self.time_out(now, job),
                    State::Deciding { asked: false } => self.pose(now, job),
                    State::Deciding { asked: true } => self.decide(now, job, None),
                    State::Delayed { until } if until <= now => self.end_delay(now, job),
                    State::Delayed { .. } => self.stop(now, job, Outcome::QueueTimeout),
                    State::Completed { .. } => panic!("a job that is over has no deadline"),
                },
            }
        }
    }

    fn due(&self, now: Timestamp) -> Vec<Due> {
        let jobs =
            self.loaded_jobs().filter(|job| job.deadline.is_some_and(|at| at <= now)).map(|job| Due::Job(job.id));
        let sessions = self.sessions.iter().filter_map(|session| match session.poll {
            Some(poll) => (!poll.due && poll.hold_until <= now).then_some(Due::Answer(session.id)),
            None => (session.contact.after(self.settings.session_timeout) <= now).then_some(Due::Expiry(session.id)),
        });
        let quarantines = self.quarantines.iter().enumerate().filter(|(_, (_, until))| *until <= now);
        sessions.chain(jobs).chain(quarantines.map(|(at, _)| Due::Quarantine(at))).collect()
    }

    /// Whether handling what is due would give this fact first. An answer gives none, so it may come at any time.
    fn may_begin_with(&self, due: Due, next: Option<&Fact>) -> bool {
        match (due, next) {
            (Due::Answer(_), _) => true,
            (Due::Job(job), _) if self.is_unasked(job) => true,
            (Due::Job(job), Some(Fact::JobCompleted { job: done, outcome, .. })) => {
                // A lease that ends with its session is not due by itself; a question that nobody answers is.
                let by_itself = self.job(job).is_some_and(|job| matches!(job.state, State::Deciding { .. }));
                job == *done && (by_itself || !matches!(outcome, Outcome::AttemptsExhausted { .. }))
            }
            (Due::Job(job), Some(Fact::AttemptFailed(failed))) => {
                job == failed.lease.job && failed.failed.reason == AttemptReason::Timeout
            }
            (Due::Job(job), Some(Fact::AttemptDecided(decided))) => job == decided.job,
            (Due::Job(job), Some(Fact::DelayEnded { job: ended, .. })) => job == *ended,
            (Due::Quarantine(at), Some(Fact::QuarantineSet { instance, bot_id, .. })) => {
                self.quarantines[at].0 == (instance.clone(), bot_id.clone())
            }
            (Due::Expiry(session), Some(fact)) => match fact {
                Fact::SessionClosed { session: closed, .. } => session == *closed,
                Fact::AttemptLost { lease, .. } => self.session(session).is_some_and(|s| s.leases.contains(&lease.job)),
                Fact::AttemptFailed(failed) if failed.failed.reason == AttemptReason::BotLost => {
                    self.session(session).is_some_and(|s| s.leases.contains(&failed.lease.job))
                }
                Fact::JobCompleted { job, outcome: Outcome::AttemptsExhausted { .. }, .. } => {
                    self.session(session).is_some_and(|s| s.leases.contains(job))
                }
                _ => false,
            },
            (Due::Job(_) | Due::Expiry(_) | Due::Quarantine(_), _) => false,
        }
    }

    /// A restart has not asked anybody yet: to do so makes no fact.
    fn is_unasked(&self, job: JobId) -> bool {
        self.job(job).is_some_and(|job| job.state == State::Deciding { asked: false })
    }

    /// The answers that leave at the end of a batch. Finished jobs that are past their time are forgotten.
    pub fn finish_batch(&mut self, now: Timestamp) -> Vec<Answer> {
        let keep = self.settings.recent_results;
        self.jobs.retain(|job| !matches!(job.state, State::Completed { at, .. } if now.since(at) > keep));
        let mut answers = Vec::new();
        for id in std::mem::take(&mut self.due) {
            let Some(session) = self.sessions.iter_mut().find(|session| session.id == id) else { continue };
            let Some(poll) = session.poll.take_if(|poll| poll.due) else { continue };
            (session.ticket, session.contact) = (None, now);
            for job in session.leases.clone() {
                if let State::Leased { told, .. } = &mut self.job_mut(job).state {
                    *told = if *told == Told::Nothing { Told::Once(poll.id) } else { Told::MayKnow };
                }
            }
            let (leases, expires) = (self.leases_of(id, |_| true), now.after(self.settings.session_timeout));
            answers.push(Answer { session: id, poll: poll.id, leases, expires, version: 0 });
        }
        self.forget_pairs();
        answers
    }

    /// The process ends, and another begins with what is durable.
    pub fn restart(&mut self, now: Timestamp) {
        self.grace = now.after(self.settings.session_timeout);
        self.jobs.retain(|job| !matches!(job.state, State::Completed { .. }));
        self.jobs.sort_by_key(|job| job.age);
        self.age = self.jobs.last().map_or(0, |job| job.age);
        self.due.clear();
        self.hidden.clear();
        self.blind = false;
        self.loading = false;
        self.unloaded.clear();
        self.records.clear();
        self.asking.clear();
        self.known.clear();
        self.open.clear();
        self.lonely.clear();
        self.started = now;
        self.hungry.clear();
        self.under_way.clear();
        self.generation = 0;
        self.loading = false;
        self.weights.clear();
        self.limits.clear();
        for job in self.jobs.clone() {
            self.set_weight(&job.instance, &job.lane, job.weight);
            self.set_limits(&job.instance, &job.limits);
        }
        for job in &mut self.jobs {
            job.deadline = job.deadline.map(|at| at.max(self.grace));
            job.look = job.again;
            job.patience = None;
            match &mut job.state {
                State::Leased { told, .. } => *told = Told::MayKnow,
                State::Deciding { asked } => {
                    *asked = false;
                    job.deadline = Some(now);
                }
                State::Delayed { until } => {
                    let until = *until;
                    let queue = job.queue_timeout.map(|timeout| job.queued_at.after(timeout).max(self.grace));
                    job.deadline = Some(queue.map_or(until, |deadline| deadline.min(until)));
                }
                State::Queued | State::Completed { .. } => {}
            }
        }
        for session in &mut self.sessions {
            session.leases.sort();
            session.ghosts.clear();
            session.keys.clear();
            (session.poll, session.ticket, session.contact) = (None, None, now);
        }
        self.freed.clear();
        self.note_lonely(now);
        self.note_hungry(now);
    }
}
