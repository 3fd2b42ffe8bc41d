//! Questions once more: an attempt that failed and what an answer does, bots in quarantine, jobs that nobody can serve.

use super::*;
use berth_core::{
    Asking, AttemptAction, AttemptDecided, AttemptFailed, AttemptReason, Decided, FailedAttempt, JobClass, Setbacks,
    UnmatchedAsked, UnmatchedDecided, UnmatchedVerdict, Verdict,
};

const FAILED_PRECONDITION: i32 = 9;
const DEADLINE_EXCEEDED: i32 = 4;
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// As many jobs one event refuses.
const REFUSALS: usize = 512;

/// What the model knows of a class of jobs.
#[derive(Clone, Debug)]
pub struct Lonely {
    pub class: JobClass,
    /// Since when no session serves it.
    pub since: Timestamp,
    /// The open question.
    pub open: Option<(u64, Timestamp)>,
    /// Until when its jobs are refused, and with which text.
    pub refused: Option<(Arc<str>, Timestamp)>,
}

impl Naive {
    pub(super) fn set_asking(&mut self, now: Timestamp, instance: &InstanceName, asking: Asking) {
        let edition = self.asks(instance).matching;
        self.asking.retain(|(known, _)| known != instance);
        self.asking.push((instance.clone(), asking));
        if !asking.unmatched {
            self.lonely
                .iter_mut()
                .filter(|l| l.class.instance == *instance)
                .for_each(|l| (l.open, l.refused) = (None, None));
        }
        if asking.matching != edition {
            self.set_edition(now, instance, asking.matching);
        }
    }

    pub(super) fn asks(&self, instance: &InstanceName) -> Asking {
        self.asking.iter().find(|(known, _)| known == instance).map(|(_, asking)| *asking).unwrap_or_default()
    }

    /// The bot's attempt ended.
    pub(super) fn note_attempt(&mut self, session: SessionId, failed: bool) {
        // Only a policy wants to know.
        if self.asking.iter().all(|(_, asking)| *asking == Asking::default()) {
            return;
        }
        let key = self.bot_of(session);
        let at = match self.records.iter().position(|(known, _)| *known == key) {
            Some(at) => at,
            None => {
                self.records.push((key, Vec::new()));
                self.records.len() - 1
            }
        };
        let record = &mut self.records[at].1;
        record.push(failed);
        if record.len() > 16 {
            record.remove(0);
        }
    }

    fn bot_of(&self, session: SessionId) -> (InstanceName, Arc<str>) {
        let session = self.session(session).expect("the model names sessions that it has");
        (session.instance.clone(), session.bot_id.clone())
    }

    /// A policy is asked, if there is one that wants to be; `false`: there is none.
    pub(super) fn ask_after(&mut self, now: Timestamp, job: JobId, reason: AttemptReason, code: i32) -> bool {
        let known = self.job(job).expect("it is leased");
        let State::Leased { session, started_at, offered_at, .. } = known.state else { panic!("it is leased") };
        let of_interest = match reason {
            AttemptReason::Reported => code != FAILED_PRECONDITION,
            AttemptReason::CommandFailed => self.settings.ask_command_failed,
            AttemptReason::BotLost | AttemptReason::Timeout => true,
        };
        if !of_interest || !self.asks(&known.instance).attempts {
            return false;
        }
        let (lease, key) = (known.lease(), self.bot_of(session));
        let record = self.records.iter().find(|(bot, _)| *bot == key).map(|(_, record)| record.clone());
        let record = record.unwrap_or_default();
        let failed = FailedAttempt {
            reason,
            code,
            bot_id: key.1.clone(),
            took: now.since(started_at.unwrap_or(offered_at)),
            bot_failures: record.iter().filter(|failed| **failed).count() as u32,
            bot_attempts: record.len() as u32,
            at: now,
        };
        self.facts.push(Fact::AttemptFailed(Box::new(AttemptFailed { lease, session, failed: failed.clone() })));
        self.note_past(now, job, AttemptEnd::Failed { code });
        self.let_go(job);
        let known = self.job_mut(job);
        let setbacks = known.setbacks.get_or_insert_default();
        setbacks.failures += 1;
        setbacks.revision += 1;
        setbacks.failed_on.retain(|bot| *bot != key.1);
        setbacks.failed_on.push(key.1);
        setbacks.question = Some(failed);
        known.state = State::Deciding { asked: false };
        self.pose(now, job);
        true
    }

    pub(super) fn pose(&mut self, now: Timestamp, job: JobId) {
        let known = self.job_mut(job);
        known.state = State::Deciding { asked: true };
        known.deadline = Some(now.after(SECOND));
        let revision = known.setbacks.as_ref().expect("it failed").revision;
        self.asks.push((job, revision));
    }

    pub(super) fn time_out(&mut self, now: Timestamp, job: JobId) {
        let lease = self.job_mut(job).lease();
        let State::Leased { session, .. } = self.job_mut(job).state else { panic!("it runs") };
        self.note_attempt(session, true);
        if self.ask_after(now, job, AttemptReason::Timeout, DEADLINE_EXCEEDED) {
            self.session_mut(session).ghosts.push(lease);
            self.answer_soon(session);
        } else {
            self.stop(now, job, Outcome::ExecutionTimeout);
        }
    }

    pub(super) fn decided(&mut self, now: Timestamp, decided: &Decided) {
        let Some(job) = self.job(decided.job).filter(|job| !self.unloaded.contains(&job.id)) else { return };
        let (State::Deciding { .. }, Some(setbacks)) = (job.state, &job.setbacks) else { return };
        if setbacks.revision == decided.revision {
            self.decide(now, decided.job, decided.verdict.clone());
        }
    }

    /// With `None`, what the built-in rule says.
    pub(super) fn decide(&mut self, now: Timestamp, id: JobId, verdict: Option<Verdict>) {
        let job = self.job(id).expect("it is being decided");
        let failed = job.setbacks.as_ref().and_then(|setbacks| setbacks.question.clone()).expect("it failed");
        // The bot's own instance, which is the job's or shares its bots with it.
        let serving = self.settings.pools.serving(&job.instance);
        let has_bot = |instance: &&InstanceName| {
            self.sessions.iter().any(|s| s.instance == **instance && s.bot_id == failed.bot_id)
        };
        let instance = serving.iter().find(has_bot).unwrap_or(&job.instance).clone();
        let reported = match failed.reason {
            AttemptReason::Reported => Outcome::Reported { code: failed.code, cacheable: false },
            AttemptReason::CommandFailed => Outcome::Reported { code: 0, cacheable: false },
            AttemptReason::BotLost => Outcome::AttemptsExhausted { code: failed.code },
            AttemptReason::Timeout => Outcome::ExecutionTimeout,
        };
        let again = failed.reason == AttemptReason::BotLost
            || failed.reason == AttemptReason::Reported && matches!(failed.code, 13 | 14);
        let built_in = if again {
            AttemptAction::Retry { after: Duration::ZERO, elsewhere: false, requirements: None, counts: true }
        } else {
            AttemptAction::Complete
        };
        let verdict = verdict.unwrap_or(Verdict { action: built_in, quarantine: Duration::ZERO });
        if verdict.quarantine > Duration::ZERO {
            self.quarantine(now, &instance, &failed.bot_id, now.after(verdict.quarantine.min(7 * DAY)));
        }
        match verdict.action {
            AttemptAction::Fail { .. } => self.complete(now, id, Outcome::Failed { code: failed.code }),
            AttemptAction::Complete => self.complete(now, id, reported),
            AttemptAction::Retry { after, elsewhere, requirements, counts } => {
                let (attempts_max, failures_max) = (self.settings.attempts_max, self.settings.failures_max);
                let grace = self.grace;
                let job = self.job_mut(id);
                let used = job.attempts_used + u32::from(counts);
                let setbacks = job.setbacks.as_mut().expect("it failed");
                if used >= attempts_max || setbacks.failures >= failures_max {
                    return self.complete(now, id, Outcome::AttemptsExhausted { code: failed.code });
                }
                (setbacks.question, setbacks.elsewhere) = (None, elsewhere);
                job.attempts_used = used;
                let requirements = requirements.filter(|amended| *amended != job.requirements);
                if let Some(amended) = &requirements {
                    (job.requirements, job.preferred) = (amended.clone(), None);
                }
                let until = (!after.is_zero()).then(|| now.after(after.min(DAY)));
                let queue_deadline = job.queue_timeout.map(|timeout| job.queued_at.after(timeout).max(grace));
                match until {
                    Some(until) => {
                        job.state = State::Delayed { until };
                        job.deadline = Some(queue_deadline.map_or(until, |deadline| deadline.min(until)));
                    }
                    None => (job.state, job.deadline) = (State::Queued, queue_deadline),
                }
                let decided = AttemptDecided { job: id, at: now, counts, until, elsewhere, requirements };
                self.facts.push(Fact::AttemptDecided(Box::new(decided)));
                self.serve(now, id);
            }
        }
    }

    pub(super) fn end_delay(&mut self, now: Timestamp, job: JobId) {
        let grace = self.grace;
        let known = self.job_mut(job);
        known.state = State::Queued;
        known.deadline = known.queue_timeout.map(|timeout| known.queued_at.after(timeout).max(grace));
        self.facts.push(Fact::DelayEnded { job, at: now });
        self.serve(now, job);
    }

    /// Whether the job keeps away from the bot, because that failed it and another might take it.
    pub(super) fn avoids(&self, job: &Job, session: &Session) -> bool {
        let Some(setbacks) = job.setbacks.as_ref().filter(|setbacks| setbacks.elsewhere) else { return false };
        let failed_it = |session: &Session| setbacks.failed_on.contains(&session.bot_id);
        let willing = |other: &&Session| other.status == BotStatus::Ok && !self.is_out_of_service(other);
        failed_it(session)
            && self.sessions.iter().filter(willing).any(|other| !failed_it(other) && self.fits(other, job))
    }

    pub(super) fn is_out_of_service(&self, session: &Session) -> bool {
        let same = |instance: &InstanceName, bot: &Arc<str>| *instance == session.instance && *bot == session.bot_id;
        self.drains.iter().any(|(instance, bot)| same(instance, bot))
            || self.quarantines.iter().any(|((instance, bot), _)| same(instance, bot))
    }

    /// After each event: jobs that keep away from bots are given to whoever may take them by now.
    pub(super) fn serve_all_picky(&mut self, now: Timestamp) {
        let picky = |job: &&Job| job.state == State::Queued && job.setbacks.as_ref().is_some_and(|s| s.elsewhere);
        let mut waiting: Vec<_> = self.jobs.iter().filter(picky).map(|job| (job.age, job.id)).collect();
        waiting.sort();
        waiting.into_iter().for_each(|(_, job)| self.serve(now, job));
    }

    fn quarantine(&mut self, _now: Timestamp, instance: &InstanceName, bot_id: &Arc<str>, until: Timestamp) {
        let key = (instance.clone(), bot_id.clone());
        if self.quarantines.iter().any(|(known, set)| *known == key && *set >= until) {
            return;
        }
        self.quarantines.retain(|(known, _)| *known != key);
        self.quarantines.push((key, until));
        self.facts.push(Fact::QuarantineSet { instance: instance.clone(), bot_id: bot_id.clone(), until: Some(until) });
        let same = |session: &&mut Session| session.instance == *instance && session.bot_id == *bot_id;
        self.sessions.iter_mut().filter(same).for_each(|session| session.ticket = None);
    }

    pub(super) fn release(&mut self, now: Timestamp, instance: &InstanceName, bot_id: &Arc<str>) {
        let key = (instance.clone(), bot_id.clone());
        let before = self.quarantines.len();
        self.quarantines.retain(|(known, _)| *known != key);
        if self.quarantines.len() == before {
            return;
        }
        self.facts.push(Fact::QuarantineSet { instance: instance.clone(), bot_id: bot_id.clone(), until: None });
        let same = |session: &&Session| session.instance == *instance && session.bot_id == *bot_id;
        if let Some(id) = self.sessions.iter().find(same).map(|session| session.id) {
            self.fill(now, id);
        }
    }

    /// After each event: which classes are without a bot, and since when.
    pub(super) fn note_lonely(&mut self, now: Timestamp) {
        let live = self.jobs.iter().filter(|job| !matches!(job.state, State::Completed { .. }));
        let mut classes: Vec<_> = live.map(Job::class).chain(self.lonely.iter().map(|l| l.class.clone())).collect();
        classes.sort();
        classes.dedup();
        for class in classes {
            // What is not known may be so.
            let served = self.sessions.iter().any(|session| self.fit(session, &class).is_none_or(|fit| fit > 0));
            let known = self.lonely.iter().position(|lonely| lonely.class == class);
            match known {
                Some(at) if served => drop(self.lonely.remove(at)),
                None if !served => self.lonely.push(Lonely { class, since: now, open: None, refused: None }),
                Some(_) | None => {}
            }
        }
    }

    /// The book asks: may it? Comes back with what is wrong with that.
    pub fn asked_unmatched(&mut self, now: Timestamp, asked: &UnmatchedAsked) -> Result<(), String> {
        let started = self.started.after(self.settings.session_timeout);
        let wanted = self.asks(&asked.class.instance).unmatched;
        let waiting = self.jobs.iter().filter(|job| job.state == State::Queued && job.class() == asked.class);
        let oldest = waiting.clone().map(|job| job.queued_at).min();
        let (count, oldest) = (waiting.count() as u32, oldest.map(|at| now.since(at)));
        let Some(lonely) = self.lonely.iter_mut().find(|lonely| lonely.class == asked.class) else {
            return Err("it is asked about a class that a bot serves".into());
        };
        if !wanted || now < started || now.since(lonely.since) < SECOND {
            return Err(format!("it is asked too early: {wanted}, {started:?}, {lonely:?}"));
        }
        if count == 0 || count != asked.jobs || oldest != Some(asked.oldest) {
            return Err(format!("{count} jobs wait, the oldest for {oldest:?}"));
        }
        if lonely.open.is_some_and(|(_, until)| until > now) {
            return Err("it is asked twice at a time".into());
        }
        (lonely.open, lonely.refused) = (Some((asked.revision, now.after(SECOND))), None);
        Ok(())
    }

    pub(super) fn unmatched(&mut self, now: Timestamp, decided: &UnmatchedDecided, seen: &[Fact]) {
        let Some(lonely) = self.lonely.iter_mut().find(|lonely| lonely.class == decided.class) else { return };
        let open = lonely.open.take_if(|(revision, until)| *revision == decided.revision && *until > now);
        if let (Some(_), Some(UnmatchedVerdict::Refuse(text))) = (open, &decided.verdict) {
            lonely.refused = Some((text.clone(), now.after(10 * SECOND)));
            let queued = |job: &&Job| job.state == State::Queued && job.class() == decided.class;
            let all = self.jobs.iter().filter(queued).count();
            self.refuse(now, seen);
            assert_eq!(self.facts.len(), all.min(REFUSALS), "all jobs of a refused class end, or as many as may");
        }
    }

    /// Takes over the refusals that come next, if they are right.
    pub(super) fn refuse(&mut self, now: Timestamp, seen: &[Fact]) {
        while let Some(Fact::JobRefused { job, .. }) = seen.get(self.facts.len()) {
            let Some(known) = self.job(*job).filter(|job| job.state == State::Queued) else { return };
            let class = known.class();
            let refused = self.lonely.iter().find(|lonely| lonely.class == class).and_then(|l| l.refused.clone());
            let Some((text, _)) = refused.filter(|(_, until)| *until > now) else { return };
            let known = self.job_mut(*job);
            (known.state, known.deadline) = (State::Completed { at: now, outcome: Outcome::Refused }, None);
            self.facts.push(Fact::JobRefused { job: *job, at: now, text });
        }
    }
}

impl Job {
    pub fn class(&self) -> JobClass {
        JobClass { instance: self.instance.clone(), requirements: self.requirements.clone(), label: self.label.clone() }
    }

    /// Without what is over: an open question ends with its job.
    pub(super) fn setbacks(&self) -> Option<Box<Setbacks>> {
        self.setbacks.clone()
    }
}
