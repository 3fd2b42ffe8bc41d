//! A promise is kept: where a counter has less than it was promised and its jobs have waited for long enough, somebody
//! else's attempt is evicted.
//!
//! The evicted job goes back to its old place, and it was no failure. Its bot is told, and its slot stays busy until the
//! bot lets go, as after a cancel; then the job with the claim is the first to get it. Which eviction was for whom is
//! not durable: a restart gives bots time to come back, and then looks anew.
//!
//! When counters are looked at is in `queue/hunger.rs`. A look costs one pass over the open sessions and what they run
//! for each requirement class of which a job waits, and for each eviction; there are at most `SEARCHES_MAX` such passes.

use rustc_hash::FxHashSet;

use super::{Book, TICK_FACTS, TICK_MAX, job::JobState};
use crate::{
    Effect, Fact, JobId, LeaseEvicted, LeaseId, SessionId, Step, Timestamp,
    mutant::{Mutant, broken},
    queue::{CounterName, JobIx, Place, SessionIx},
};

/// How many searches for an attempt one look at a counter makes: it goes on at the next look. A tick that made as many
/// leaves the other counters for the next tick, which is due at once.
const SEARCHES_MAX: usize = 16;

/// An eviction whose bot has not let go yet.
#[derive(Debug)]
pub(super) struct UnderWay {
    counter: CounterName,
    /// For whom.
    job: JobId,
    /// Of whom, and where.
    lease: LeaseId,
    session: SessionId,
    /// A bot that does not let go by then may never do so: another has to.
    until: Timestamp,
}

impl Book {
    /// Evictions that were long enough ago count no more.
    pub(super) fn end_cool_downs(&mut self, now: Timestamp, step: &mut Step) {
        for _ in 0..TICK_MAX {
            match self.queue.next_cooled() {
                Some((at, (instance, counter))) if *at <= now => {
                    let (instance, counter) = (instance.clone(), counter.clone());
                    self.emit(Fact::CoolDownEnded { instance, counter, at: now }, step);
                }
                _ => return,
            }
        }
    }

    /// Counters that have had less than they were promised for long enough.
    pub(super) fn look_at_hungry(&mut self, now: Timestamp, step: &mut Step) {
        if self.loading.is_some() {
            return;
        }
        let mut made = 0;
        while let Some((at, counter)) = self.queue.next_hungry()
            && at <= now
            && made < SEARCHES_MAX
            && step.facts.len() < TICK_FACTS
        {
            let mut searches = SEARCHES_MAX;
            while let Some((job, victim)) = self.find_victim(now, counter, &mut searches) {
                self.evict(now, counter, job, victim, step);
            }
            made += SEARCHES_MAX - searches;
            self.queue.look_again(counter, now);
        }
    }

    /// A job of the counter that has waited for long enough, and one that gives way to it.
    fn find_victim(&mut self, now: Timestamp, counter: usize, searches: &mut usize) -> Option<(JobIx, JobIx)> {
        let under_way = std::mem::take(&mut self.under_way);
        self.under_way = under_way.into_iter().filter(|eviction| self.is_under_way(now, eviction)).collect();
        let (name, owed, wait) = self.queue.hunger_of(counter);
        let on_its_way = self.under_way.iter().filter(|eviction| eviction.counter == name).count();
        if on_its_way >= owed as usize {
            return None;
        }
        let waits = |job: &JobIx| {
            let (id, queued_at) = (self.job(*job).id, self.jobs.details(*job).queued_at);
            queued_at.after(wait) <= now && !self.under_way.iter().any(|eviction| eviction.job == id)
        };
        let picky = self.picky.values().copied().filter(|job| self.queue.names(self.job(*job).line, counter));
        let picky = picky.filter(|job| waits(job) && !self.is_blocked(*job));
        let mut waiting: Vec<_> =
            self.queue.hungry_lines(counter).filter_map(|mut line| line.find(&waits)).chain(picky).collect();
        waiting.sort_by(|one, other| self.order(*one, *other));
        let mut in_vain = FxHashSet::default();
        for job in waiting {
            let class = self.class_of(job);
            if in_vain.contains(&class) && !self.is_picky(job) {
                continue;
            }
            *searches = searches.checked_sub(1)?;
            if let Some(victim) = self.victim_for(now, counter, job) {
                return Some((job, victim));
            }
            if !self.is_picky(job) {
                in_vain.insert(class);
            }
        }
        None
    }

    /// Of the attempts that may give way to the job, on bots that it may have, the one that goes last: the largest rank,
    /// then the youngest. `None` also where such a bot has a free slot: it will come.
    fn victim_for(&self, now: Timestamp, counter: usize, index: JobIx) -> Option<JobIx> {
        let class = self.class_of(index);
        let mut last: Option<(Place, JobIx)> = None;
        for (at, session) in self.sessions.iter().map(|(at, session)| (SessionIx(at as u32), session)) {
            if !self.queue.serves(session.class, class) || !self.is_willing(at) || self.avoids(index, at) {
                continue;
            }
            if session.free() > 0 && !broken(Mutant::EvictsThoughFree) {
                return None;
            }
            // One slot less in use would not be one that is free.
            if session.busy() > session.slots {
                continue;
            }
            for victim in session.jobs.iter().copied() {
                let place = self.jobs.details(victim).place;
                let is_later = last.is_none_or(|(other, _)| (place > other) != broken(Mutant::EvictsMostUrgent));
                if is_later && self.may_give_way(now, counter, victim) {
                    last = Some((place, victim));
                }
            }
        }
        last.map(|(_, victim)| victim)
    }

    /// A job that has waited for as long as it may would not wait again: its eviction would be its end.
    fn may_give_way(&self, now: Timestamp, counter: usize, victim: JobIx) -> bool {
        self.queue.may_give_way(self.job(victim).line, counter)
            && self.queue_deadline_of(victim).is_none_or(|deadline| deadline > now)
    }

    fn evict(&mut self, now: Timestamp, counter: usize, job: JobIx, victim: JobIx, step: &mut Step) {
        let JobState::Leased(live) = self.job(victim).state else { panic!("only what a bot has is evicted") };
        let (lease, session) = (self.job(victim).lease(), self.session(live.session).id);
        let (name, ..) = self.queue.hunger_of(counter);
        let cooled = self.queue.cooled_by(self.job(victim).line, self.job(job).line);
        let cooling = cooled.into_iter().map(|(counter, time)| (counter, now.after(time))).collect();
        self.jobs.speak_of(victim);
        let evicted = LeaseEvicted { lease, session, at: now, counter: name.1.clone(), cooling };
        self.emit(Fact::LeaseEvicted(Box::new(evicted)), step);
        step.effects.push(Effect::JobChanged { job: lease.job });
        if !broken(Mutant::EvictsTwice) {
            let until = now.after(self.settings.session_timeout);
            self.under_way.push(UnderWay { counter: name, job: self.job(job).id, lease, session, until });
        }
        self.leave_ghost(live.session, lease);
        self.serve_waiting(now, victim, step);
    }

    pub(super) fn apply_evicted(&mut self, evicted: &LeaseEvicted) {
        let index = self.known_job(evicted.lease.job);
        self.jobs.details_mut(index).attempts_used += u32::from(broken(Mutant::EvictionCounts));
        self.requeue(index);
        let instance = self.instance_of(index).clone();
        for (counter, until) in &evicted.cooling {
            self.queue.cool(&(instance.clone(), counter.clone()), *until);
        }
    }

    fn is_under_way(&self, now: Timestamp, eviction: &UnderWay) -> bool {
        let waits = self.job_ix(eviction.job).is_some_and(|job| self.job(job).state == JobState::Queued);
        let session = self.session_ix(eviction.session);
        waits && now < eviction.until && session.is_some_and(|at| self.session(at).ghosts.contains(&eviction.lease))
    }
}
