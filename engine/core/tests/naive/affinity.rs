//! Keys once more: which job a bot takes where some are kept for bots that served their keys.

use super::*;

/// So many keys of a bot are remembered.
const KEYS: usize = 16;
/// So many jobs are looked at in their order, and of those with a key of the bot.
const LOOK_AHEAD: usize = 16;
const TRIES: usize = 8;

impl Naive {
    /// The job that the bot takes where this one goes first.
    pub(super) fn nearest(&mut self, now: Timestamp, session: SessionId, first: JobId) -> Option<JobId> {
        if !self.is_kept(now, first, session) {
            return Some(first);
        }
        self.be_patient(now, first);
        if let Some(near) = self.near(session, first) {
            return Some(near);
        }
        let mut passed = Vec::new();
        while passed.len() < LOOK_AHEAD {
            let Some(next) = self.best_of(session, |job| !passed.contains(&job.id)) else {
                passed.into_iter().for_each(|job| self.be_patient(now, job));
                return None;
            };
            if !self.is_kept(now, next, session) {
                return Some(next);
            }
            passed.push(next);
        }
        Some(first)
    }

    /// Whether a bot that served a key of the job may come for it.
    pub(super) fn is_kept(&self, now: Timestamp, job: JobId, session: SessionId) -> bool {
        let job = self.job(job).expect("the model names jobs that it has");
        let picky = job.setbacks.as_ref().is_some_and(|setbacks| setbacks.elsewhere);
        if self.loading || picky || job.patience.is_some_and(|(until, _)| until <= now) {
            return false;
        }
        let session = self.session(session).expect("the model names sessions that it has");
        let awaited = |other: &Session| {
            let mut awaited = job.affinities.iter().filter(|affinity| !affinity.wait.is_zero());
            awaited.any(|affinity| other.keys.contains(&(job.instance.clone(), affinity.key.clone())))
        };
        let willing = |other: &&Session| other.status == BotStatus::Ok && !self.is_out_of_service(other);
        let mut others = self.sessions.iter().filter(willing).filter(|other| self.fits(other, job));
        session.shared(job).is_none() && others.any(awaited)
    }

    /// Of each key of the bot the first job of the lane that has it, among as many as are looked at; the first of these.
    fn near(&self, session: SessionId, first: JobId) -> Option<JobId> {
        let session = self.session(session).expect("the model names sessions that it has");
        let first = self.job(first).expect("the model names jobs that it has");
        let plain = |job: &&Job| job.setbacks.as_ref().is_none_or(|setbacks| !setbacks.elsewhere);
        let of_lane = |job: &&Job| job.instance == first.instance && job.lane == first.lane;
        // A key of another instance is another key.
        let with_key = |(instance, key): &(InstanceName, Arc<str>)| {
            let mut jobs: Vec<_> = self.jobs.iter().filter(|job| job.state == State::Queued).collect();
            jobs.retain(|job| plain(job) && of_lane(job) && job.instance == *instance);
            jobs.retain(|job| job.affinities.iter().any(|own| own.key == *key));
            jobs.sort_by_key(|job| (job.rank, job.age));
            jobs.into_iter().take(TRIES).find(|job| self.fits(session, job) && !self.is_blocked(job))
        };
        let near = session.keys.iter().filter_map(with_key);
        near.min_by_key(|job| (job.rank, job.age)).map(|job| job.id)
    }

    /// Once for each attempt.
    pub(super) fn be_patient(&mut self, now: Timestamp, job: JobId) {
        let job = self.job_mut(job);
        let wait = job.affinities.iter().map(|affinity| affinity.wait).max().unwrap_or_default();
        job.patience.get_or_insert((now.after(wait), true));
    }

    /// Jobs that waited long enough go to whoever asks.
    pub(super) fn end_patience(&mut self, now: Timestamp) {
        let is_due = |job: &Job| {
            let (until, _) = job.patience.filter(|(until, due)| *due && *until <= now && job.state == State::Queued)?;
            Some((until, job.age, job.id))
        };
        while let Some((_, _, id)) = self.jobs.iter().filter_map(is_due).min() {
            self.job_mut(id).patience.as_mut().expect("it is due").1 = false;
            self.serve(now, id);
        }
    }

    /// The bot is given the job.
    pub(super) fn note_served(&mut self, job: JobId, session: SessionId) {
        let job = self.job_mut(job);
        job.patience = None;
        let keys = job.affinities.iter().map(|affinity| (job.instance.clone(), affinity.key.clone()));
        let keys: Vec<_> = keys.collect();
        let session = self.session_mut(session);
        for key in keys {
            session.keys.retain(|known| *known != key);
            session.keys.push(key);
            let more = session.keys.len().saturating_sub(KEYS);
            session.keys.drain(..more);
        }
    }
}

impl Session {
    /// What the keys that it shares with the job are worth.
    pub(super) fn shared(&self, job: &Job) -> Option<u64> {
        let has = |key: &Arc<str>| self.keys.contains(&(job.instance.clone(), key.clone()));
        let shared = job.affinities.iter().filter(|affinity| has(&affinity.key));
        shared.map(|affinity| u64::from(affinity.weight)).reduce(|sum, weight| sum + weight)
    }
}
