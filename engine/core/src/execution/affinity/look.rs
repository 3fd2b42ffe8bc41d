//! Which job a bot takes where jobs have keys.
//!
//! The one that goes first, unless that is kept for another bot. Then one of the same lane that shares a key with the
//! bot, however far behind: what is kept is passed over for a bounded time only. If there is none, the first in order
//! that is not kept, among as many as are looked at; and where all of those are kept and there are more behind them,
//! the first all the same: there is enough work for everybody, so nobody is idle for a key.

use std::cmp::Reverse;

use super::{Affinities, Own};
use crate::{
    Timestamp,
    execution::Book,
    mutant::{Mutant, broken},
    queue::{JobIx, LaneIx, Place, SessionIx},
};

/// How many jobs are looked at in their order.
const LOOK_BEHIND: usize = 16;

/// Of the jobs of a lane with a key, so many are looked at: others may require what the bot does not offer.
const TRIES: usize = 8;

impl Book {
    /// The job that the bot takes where `first` goes first; `None`: all that it could take is kept for others.
    pub(in crate::execution) fn nearest(&mut self, now: Timestamp, session: SessionIx, first: JobIx) -> Option<JobIx> {
        if self.affinities.jobs.is_empty() || !self.is_kept(now, first, session) {
            return Some(first);
        }
        self.begin_patience(now, first);
        let (_, lane) = self.queue.line(self.job(first).line);
        self.near_in(lane, session).or_else(|| self.look_behind(now, session, first))
    }

    /// Whether the job waits for a bot that served its keys, which this one did not. Such a bot is there, is well, and
    /// fits; it may be busy.
    pub(in crate::execution) fn is_kept(&self, now: Timestamp, index: JobIx, session: SessionIx) -> bool {
        let Affinities { jobs, patience, .. } = &self.affinities;
        let Some(own) = jobs.get(&index).filter(|_| self.loading.is_none()) else { return false };
        let over = patience.get(&index).is_some_and(|(until, _)| *until <= now) && !broken(Mutant::PatienceEndless);
        if over || self.is_picky(index) || self.affinities.shared(session, own).is_some() {
            return false;
        }
        let class = self.class_of(index);
        let may_come = |other: SessionIx| self.queue.serves(self.session(other).class, class) && self.is_willing(other);
        own.awaited().any(|key| self.affinities.holders(key).any(may_come))
    }

    /// The first job of the lane that shares a key with the bot.
    fn near_in(&self, lane: LaneIx, session: SessionIx) -> Option<JobIx> {
        if broken(Mutant::NearNotFound) {
            return None;
        }
        let first = |(_, key): &(u64, usize)| {
            let from = (lane, (i64::MIN, 0), JobIx(0));
            let waiting = self.affinities.keys[*key].waiting.range(from..).take_while(|(of, _, _)| *of == lane);
            waiting.take(TRIES).find(|(_, _, job)| self.may_take(session, *job)).map(|(_, place, job)| (*place, *job))
        };
        let near: Option<(Place, JobIx)> = self.affinities.held(session).iter().filter_map(first).min();
        near.map(|(_, job)| job)
    }

    /// Jobs step aside until one comes that is not kept, and go back to where they stood.
    fn look_behind(&mut self, now: Timestamp, session: SessionIx, first: JobIx) -> Option<JobIx> {
        let mut passed = Vec::new();
        let found = loop {
            if passed.len() == LOOK_BEHIND {
                break Some(first);
            }
            let Some(next) = self.first_for(session) else { break None };
            if !self.is_kept(now, next, session) {
                break Some(next);
            }
            self.queue.remove(self.spot(next));
            passed.push(next);
        };
        for job in &passed {
            self.queue.push(self.spot(*job), *job);
        }
        if found.is_none() {
            // The bot would have taken each of them.
            passed.into_iter().for_each(|job| self.begin_patience(now, job));
        }
        found
    }

    /// Of the bots that ask, the one that is nearest to the job, if one shares a key: the one that the job would like,
    /// that fits best, that has the most to say for it, and that has asked longest.
    pub(in crate::execution) fn near_asking(
        &self,
        index: JobIx,
        is_wished: impl Fn(SessionIx) -> bool,
    ) -> Option<SessionIx> {
        if self.affinities.jobs.is_empty() || self.loading.is_some() || broken(Mutant::NearNotPreferred) {
            return None;
        }
        let own = self.affinities.jobs.get(&index)?;
        let class = self.class_of(index);
        let turn = |session: SessionIx| {
            let (ticket, offer) = (self.session(session).ticket?, self.session(session).class);
            let fit = Some(self.queue.fit(offer, class)).filter(|fit| *fit > 0)?;
            let worth = self.worth(session, own)?;
            Some(((!is_wished(session), Reverse(fit), Reverse(worth), ticket), session))
        };
        let holders = own.keys.iter().flat_map(|key| self.affinities.holders(*key));
        holders.filter_map(turn).min().map(|(_, session)| session)
    }

    /// The weights of the keys that the bot shares with the job, and its own score.
    fn worth(&self, session: SessionIx, own: &Own) -> Option<u64> {
        let shared = self.affinities.shared(session, own)?;
        let shared = if broken(Mutant::KeyWeightsIgnored) { 0 } else { shared };
        Some(shared + u64::from(self.waits_with(session)))
    }
}
