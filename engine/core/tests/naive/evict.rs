//! Promises once more: who has less than it was promised, since when, and who gives way.

use super::*;
use berth_core::LeaseEvicted;

const SECOND: Duration = Duration::from_secs(1);

/// A counter that has less than it was promised, while jobs of it wait for a bot.
#[derive(Clone, Debug)]
pub(super) struct Hungry {
    pub(super) name: limits::Name,
    /// How long they wait before others give way.
    wait: Duration,
    /// When it is looked at.
    pub(super) look: Timestamp,
}

/// An eviction whose bot has not let go yet.
#[derive(Clone, Debug)]
pub(super) struct UnderWay {
    name: limits::Name,
    job: JobId,
    lease: LeaseId,
    session: SessionId,
    until: Timestamp,
}

impl Naive {
    /// After each event: a counter that is hungry is looked at when it has been for long enough.
    pub(super) fn note_hungry(&mut self, now: Timestamp) {
        if self.loading {
            return;
        }
        let from = now.max(self.grace);
        let known = std::mem::take(&mut self.hungry);
        for (name, _) in &self.limits {
            let limit = self.numbers(name).expect("it was just found");
            let waits = |job: &&Job| job.state == State::Queued && Self::keys(job).any(|key| key == *name);
            let Some(wait) = limit.evict_after.map(|wait| wait.max(SECOND)) else { continue };
            if self.counts(name).0 >= limit.min_running || !self.jobs.iter().any(|job| waits(&job)) {
                continue;
            }
            let same = known.iter().find(|hungry| hungry.name == *name && hungry.wait == wait);
            let new = || Hungry { name: name.clone(), wait, look: from.after(wait) };
            self.hungry.push(same.cloned().unwrap_or_else(new));
        }
    }

    /// Until when evictions count, counter by counter.
    pub(super) fn cool_downs(&self) -> Vec<CoolDownRow> {
        let mut names: Vec<_> = self.cooling.iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        names.dedup();
        let row = |(instance, counter): limits::Name| {
            let mine = self.cooling.iter().filter(|((of, name), _)| *of == instance && *name == counter);
            let mut until: Vec<_> = mine.map(|(_, until)| *until).collect();
            until.sort();
            CoolDownRow { instance, counter, until }
        };
        names.into_iter().map(row).collect()
    }

    pub(super) fn end_cool_downs(&mut self, now: Timestamp) {
        let mut due: Vec<_> = self.cool_downs().into_iter().filter(|row| row.until[0] <= now).collect();
        due.sort_by_key(|row| (row.until[0], row.instance.clone(), row.counter.clone()));
        for CoolDownRow { instance, counter, .. } in due {
            self.end_cooling(&(instance.clone(), counter.clone()), now);
            self.facts.push(Fact::CoolDownEnded { instance, counter, at: now });
        }
    }

    pub(super) fn look_at_hungry(&mut self, now: Timestamp) {
        if self.loading {
            return;
        }
        loop {
            self.hungry.sort_by_key(|hungry| (hungry.look, hungry.name.clone()));
            let Some(hungry) = self.hungry.first().filter(|hungry| hungry.look <= now).cloned() else { return };
            while let Some((job, victim)) = self.find_victim(now, &hungry) {
                self.evict(now, &hungry.name, job, victim);
            }
            self.hungry[0].look = now.after((hungry.wait / 4).max(SECOND));
        }
    }

    /// The first job of the counter that has waited for long enough and for which one gives way.
    fn find_victim(&mut self, now: Timestamp, hungry: &Hungry) -> Option<(JobId, JobId)> {
        let under_way = std::mem::take(&mut self.under_way);
        self.under_way = under_way.into_iter().filter(|eviction| self.is_under_way(now, eviction)).collect();
        let owed = self.numbers(&hungry.name)?.min_running.saturating_sub(self.counts(&hungry.name).0);
        if self.under_way.iter().filter(|eviction| eviction.name == hungry.name).count() >= owed as usize {
            return None;
        }
        let mine = |job: &&Job| job.state == State::Queued && Self::keys(job).any(|key| key == hungry.name);
        let waited = |job: &&Job| job.queued_at.after(hungry.wait) <= now;
        let alone = |job: &&Job| !self.under_way.iter().any(|eviction| eviction.job == job.id);
        let waiting = self.jobs.iter().filter(mine).filter(waited).filter(alone);
        let mut waiting: Vec<_> = waiting.filter(|job| !self.is_blocked(job)).collect();
        waiting.sort_by(|one, other| self.order(one, other));
        waiting.into_iter().find_map(|job| Some((job.id, self.victim_for(now, &hungry.name, job)?)))
    }

    /// Unless a bot that may have the job is free: of the attempts on such bots that may give way, the last by rank and
    /// age.
    fn victim_for(&self, now: Timestamp, name: &limits::Name, job: &Job) -> Option<JobId> {
        let willing = |session: &&Session| session.status == BotStatus::Ok && !self.is_out_of_service(session);
        let fitting = self.sessions.iter().filter(willing).filter(|session| self.fits(session, job));
        let fitting: Vec<_> = fitting.filter(|session| !self.avoids(job, session)).collect();
        if fitting.iter().any(|session| session.free() > 0) {
            return None;
        }
        let full = |session: &&&Session| session.leases.len() + session.ghosts.len() <= session.slots as usize;
        let leases = fitting.iter().filter(full).flat_map(|session| &session.leases);
        let jobs = leases.map(|job| self.job(*job).expect("a session's lease is of a known job"));
        let ends = |job: &Job| job.queue_timeout.is_some_and(|wait| job.queued_at.after(wait).max(self.grace) <= now);
        let has_more = |key: limits::Name| {
            let min = self.numbers(&key).map_or(0, |limit| limit.min_running);
            min == 0 || self.counts(&key).0 > min
        };
        let gives_way = |job: &&Job| !ends(job) && Self::keys(job).all(|key| key != *name && has_more(key));
        jobs.filter(gives_way).max_by_key(|job| (job.rank, job.age)).map(|job| job.id)
    }

    fn evict(&mut self, now: Timestamp, name: &limits::Name, job: JobId, victim: JobId) {
        let (known, grace) = (self.job(victim).expect("it runs"), self.grace);
        let State::Leased { session, .. } = known.state else { panic!("it runs") };
        let lease = known.lease();
        let own: Vec<_> = Self::keys(self.job(job).expect("it waits")).collect();
        let mut cooled: Vec<_> = Self::keys(known).filter(|key| !own.contains(key)).collect();
        cooled.sort();
        cooled.dedup();
        let time = |key: &limits::Name| self.numbers(key).map(|limit| limit.cool_down).unwrap_or_default();
        let cooled: Vec<_> =
            cooled.into_iter().filter(|key| !time(key).is_zero()).map(|key| (now.after(time(&key)), key)).collect();
        let cooling = cooled.iter().map(|(until, (_, counter))| (counter.clone(), *until)).collect();
        let evicted = LeaseEvicted { lease, session, at: now, counter: name.1.clone(), cooling };
        self.facts.push(Fact::LeaseEvicted(Box::new(evicted)));
        self.let_go(victim);
        self.cooling.extend(cooled.into_iter().map(|(until, key)| (key, until)));
        let known = self.job_mut(victim);
        known.state = State::Queued;
        known.deadline = known.queue_timeout.map(|timeout| known.queued_at.after(timeout).max(grace));
        let until = now.after(self.settings.session_timeout);
        self.under_way.push(UnderWay { name: name.clone(), job, lease, session, until });
        self.session_mut(session).ghosts.push(lease);
        self.answer_soon(session);
        self.serve(now, victim);
    }

    fn is_under_way(&self, now: Timestamp, eviction: &UnderWay) -> bool {
        let waits = self.job(eviction.job).is_some_and(|job| job.state == State::Queued);
        let held = self.session(eviction.session).is_some_and(|session| session.ghosts.contains(&eviction.lease));
        waits && now < eviction.until && held
    }
}
