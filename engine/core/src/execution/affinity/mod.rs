//! Affinity: a bot that served a job with the same key lately is preferred.
//!
//! A job that only others ask for waits for such a bot, as long as its keys say and no longer; what stands behind it may
//! pass meanwhile. Which job a bot takes is in `look`, which bot gets a job in `prefer.rs`; what is remembered is here.
//!
//! A job's keys are stored with it. What bots served, and how long a job has been passed over, is not: a restart begins
//! anew, and a job waits at most as long again. Nobody pays for it where no job has a key.

mod look;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use rustc_hash::FxHashMap;
use slab::Slab;
use smallvec::SmallVec;

use super::Book;
use crate::{
    Affinity, InstanceName, Step, Timestamp,
    mutant::{Mutant, broken},
    queue::{JobIx, LaneIx, Place, SessionIx},
};

/// How many keys of a bot are remembered: those of which it served a job last.
const KEYS_MAX: usize = 16;

/// Of the bots that served a key, so many are looked at, the newest first: an assignment has a bounded cost, however
/// common the key.
const HOLDERS_MAX: usize = 32;

/// Number of a key in this process.
type KeyIx = usize;

/// What is remembered of keys.
#[derive(Debug, Default)]
pub(super) struct Affinities {
    keys: Slab<Key>,
    index: FxHashMap<(InstanceName, Arc<str>), KeyIx>,
    /// Of jobs that have keys.
    jobs: FxHashMap<JobIx, Own>,
    /// What bots served, oldest first.
    sessions: FxHashMap<SessionIx, SmallVec<[(u64, KeyIx); KEYS_MAX]>>,
    /// Numbers what bots served.
    served: u64,
    /// Until when jobs wait that were passed over, with their ages; past times of jobs that still wait included.
    patience: FxHashMap<JobIx, (Timestamp, u64)>,
    /// The same in order, until that time comes.
    due: BTreeSet<(Timestamp, u64, JobIx)>,
}

/// A key of an instance: there as long as a job names it or a bot is remembered for it.
#[derive(Debug)]
struct Key {
    name: (InstanceName, Arc<str>),
    /// How many jobs name it.
    jobs: u32,
    /// Bots that served it, oldest first.
    holders: BTreeSet<(u64, SessionIx)>,
    /// Jobs that stand in the queue, lane by lane, in their order.
    waiting: BTreeSet<(LaneIx, Place, JobIx)>,
}

/// The keys of a job.
#[derive(Debug)]
struct Own {
    keys: SmallVec<[KeyIx; 4]>,
    /// As they came, in the same order.
    came: Box<[Arc<Affinity>]>,
}

impl Own {
    fn wait(&self) -> Duration {
        self.came.iter().map(|affinity| affinity.wait).max().unwrap_or_default()
    }

    /// Keys for which the job waits.
    fn awaited(&self) -> impl Iterator<Item = KeyIx> + '_ {
        self.keys.iter().zip(&self.came).filter(|(_, affinity)| !affinity.wait.is_zero()).map(|(key, _)| *key)
    }
}

impl Affinities {
    fn held(&self, session: SessionIx) -> &[(u64, KeyIx)] {
        self.sessions.get(&session).map_or(&[], |held| held)
    }

    /// Names of the keys that the bot served, oldest first.
    pub(super) fn recent(&self, session: SessionIx) -> impl Iterator<Item = &str> {
        self.held(session).iter().map(|(_, key)| &*self.keys[*key].name.1)
    }

    /// What the keys that the bot shares with the job are worth; `None`: it shares none.
    fn shared(&self, session: SessionIx, own: &Own) -> Option<u64> {
        let held = self.held(session);
        let shared = own.keys.iter().zip(&own.came).filter(|(key, _)| held.iter().any(|(_, held)| held == *key));
        shared.map(|(_, affinity)| u64::from(affinity.weight)).reduce(|sum, weight| sum + weight)
    }

    /// Bots that served the key, the newest first.
    fn holders(&self, key: KeyIx) -> impl Iterator<Item = SessionIx> + '_ {
        self.keys[key].holders.iter().rev().take(HOLDERS_MAX).map(|(_, session)| *session)
    }

    fn drop_unused(&mut self, key: KeyIx) {
        if self.keys[key].jobs == 0 && self.keys[key].holders.is_empty() {
            let key = self.keys.remove(key);
            self.index.remove(&key.name);
        }
    }

    /// The job waits no more, or for nobody any longer.
    fn calm(&mut self, index: JobIx) {
        if let Some((until, age)) = self.patience.remove(&index) {
            self.due.remove(&(until, age, index));
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _, _)| *at)
    }
}

impl Book {
    /// The job has these keys from now on. It does not stand in the queue.
    pub(super) fn set_affinities(&mut self, index: JobIx, came: &[Arc<Affinity>]) {
        self.drop_affinities(index);
        if came.is_empty() || broken(Mutant::KeysForgotten) {
            return;
        }
        let instance = self.instance_of(index).clone();
        let Affinities { keys, index: known, .. } = &mut self.affinities;
        let enter = |affinity: &Arc<Affinity>| {
            let name = (instance.clone(), affinity.key.clone());
            let key = *known.entry(name.clone()).or_insert_with(|| {
                keys.insert(Key { name, jobs: 0, holders: BTreeSet::new(), waiting: BTreeSet::new() })
            });
            keys[key].jobs += 1;
            key
        };
        let own = Own { keys: came.iter().map(enter).collect(), came: came.into() };
        self.affinities.jobs.insert(index, own);
    }

    /// The job is forgotten, or has other keys from now on.
    pub(super) fn drop_affinities(&mut self, index: JobIx) {
        if self.affinities.jobs.is_empty() {
            return;
        }
        let Some(own) = self.affinities.jobs.remove(&index) else { return };
        for key in own.keys {
            self.affinities.keys[key].jobs -= 1;
            self.affinities.drop_unused(key);
        }
    }

    /// Whether any job has keys.
    pub(super) fn has_keys(&self) -> bool {
        !self.affinities.jobs.is_empty()
    }

    /// The job's keys, as they came.
    pub(super) fn affinities_of(&self, index: JobIx) -> &[Arc<Affinity>] {
        if self.affinities.jobs.is_empty() {
            return &[];
        }
        self.affinities.jobs.get(&index).map_or(&[], |own| &own.came)
    }

    /// The job stands in the queue from now on, or no more.
    pub(super) fn list_keys(&mut self, index: JobIx, stands: bool) {
        if self.affinities.jobs.is_empty() {
            return;
        }
        let spot = self.spot(index);
        let entry = (self.queue.line(spot.line).1, spot.place, index);
        let Affinities { jobs, keys, .. } = &mut self.affinities;
        for key in jobs.get(&index).iter().flat_map(|own| &own.keys) {
            let waiting = &mut keys[*key].waiting;
            if stands {
                waiting.insert(entry);
            } else {
                waiting.remove(&entry);
            }
        }
    }

    /// The bot is given the job: what it serves is remembered.
    pub(super) fn note_served(&mut self, session: SessionIx, index: JobIx) {
        if self.affinities.jobs.is_empty() {
            return;
        }
        let Affinities { jobs, keys, sessions, served, .. } = &mut self.affinities;
        let Some(own) = jobs.get(&index) else { return };
        let held = sessions.entry(session).or_default();
        let mut left = SmallVec::<[KeyIx; 4]>::new();
        for key in &own.keys {
            *served += 1;
            if let Some(at) = held.iter().position(|(_, held)| held == key) {
                let (stamp, _) = held.remove(at);
                keys[*key].holders.remove(&(stamp, session));
            }
            held.push((*served, *key));
            keys[*key].holders.insert((*served, session));
            if held.len() > KEYS_MAX {
                let (stamp, oldest) = held.remove(0);
                keys[oldest].holders.remove(&(stamp, session));
                left.push(oldest);
            }
        }
        left.into_iter().for_each(|key| self.affinities.drop_unused(key));
        self.affinities.calm(index);
    }

    /// The session is over.
    pub(super) fn forget_served(&mut self, session: SessionIx) {
        for (stamp, key) in self.affinities.sessions.remove(&session).unwrap_or_default() {
            self.affinities.keys[key].holders.remove(&(stamp, session));
            self.affinities.drop_unused(key);
        }
    }

    /// The job is over.
    pub(super) fn end_patience_of(&mut self, index: JobIx) {
        if !self.affinities.patience.is_empty() {
            self.affinities.calm(index);
        }
    }

    /// Only others ask for the job: from now on it waits for a bot that served its keys. Once for each attempt.
    pub(super) fn begin_patience(&mut self, now: Timestamp, index: JobIx) {
        if self.affinities.patience.contains_key(&index) {
            return;
        }
        let until = now.after(self.affinities.jobs[&index].wait());
        let age = self.jobs.details(index).place.1;
        self.affinities.patience.insert(index, (until, age));
        self.affinities.due.insert((until, age, index));
    }

    /// Jobs that have waited for their bots for long enough go to whoever asks.
    pub(super) fn end_patience(&mut self, now: Timestamp, facts_max: usize, step: &mut Step) {
        while let Some((at, _, index)) = self.affinities.due.first().copied()
            && at <= now
            && step.facts.len() < facts_max
        {
            self.affinities.due.pop_first();
            if !broken(Mutant::PatienceNotServed) {
                self.serve_waiting(now, index, step);
            }
        }
    }

    /// Until when the job waits for a bot that served its keys, and which bots those are; `None`: it waits for any.
    pub(super) fn waits_near(&self, index: JobIx) -> Option<(Timestamp, Vec<Arc<str>>)> {
        let (until, age) = *self.affinities.patience.get(&index)?;
        let own = self.affinities.jobs.get(&index).filter(|_| self.affinities.due.contains(&(until, age, index)))?;
        let holders: BTreeSet<_> = own.awaited().flat_map(|key| self.affinities.holders(key)).collect();
        let class = self.class_of(index);
        let fits = holders.into_iter().map(|holder| self.session(holder)).filter(|s| self.queue.serves(s.class, class));
        Some((until, fits.map(|session| session.bot_id().into()).collect()))
    }

    /// The keys that are remembered of a bot, the newest first.
    pub(super) fn keys_of(&self, session: SessionIx) -> Vec<Arc<str>> {
        let held = self.affinities.held(session).iter().rev();
        held.map(|(_, key)| self.affinities.keys[*key].name.1.clone()).collect()
    }
}
