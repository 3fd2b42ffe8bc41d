//! Which of several bots gets a job: one that the job would like before one that will do, then by what policies say of
//! how well the bot fits and how good it is, then who has asked longest.
//!
//! Kept beside the jobs and the sessions: most have no such thing.

use std::cmp::Reverse;

use rustc_hash::FxHashMap;

use super::Book;
use crate::{
    PropertySet,
    mutant::{Mutant, broken},
    queue::{JobIx, RequirementIx, SessionIx},
};

/// Preferences of jobs and scores of bots.
#[derive(Debug, Default)]
pub(super) struct Preferences {
    /// The class of what a bot should offer, for jobs that wish for more than they need.
    wishes: FxHashMap<JobIx, RequirementIx>,
    /// Scores that are not 0.
    scores: FxHashMap<SessionIx, u32>,
}

impl Book {
    /// The job would like a bot that offers this.
    pub(super) fn set_wish(&mut self, index: JobIx, preferred: Option<PropertySet>) {
        if let Some(preferred) = preferred {
            let (instance, label) = (self.instance_of(index).clone(), self.queue.requirements(self.job(index).line).1);
            let class = self.queue.enter_requirements(&instance, &preferred, &label.clone());
            self.preferences.wishes.insert(index, class);
        }
    }

    /// The job is forgotten, or is another one from now on.
    pub(super) fn drop_wish(&mut self, index: JobIx) {
        if let Some(class) = self.preferences.wishes.remove(&index) {
            self.queue.leave_requirements(class);
        }
    }

    /// What the job would like.
    pub(super) fn wish_of(&self, index: JobIx) -> Option<PropertySet> {
        self.wish_class(index).map(|class| self.queue.class_of(class).requirements)
    }

    /// Sets the score of a session that does not ask now.
    pub(super) fn set_score(&mut self, index: SessionIx, score: u32) {
        if score > 0 {
            self.preferences.scores.insert(index, score);
        } else if !self.preferences.scores.is_empty() {
            self.preferences.scores.remove(&index);
        }
    }

    /// How good a bot it is, as a policy says.
    pub(super) fn score_of(&self, index: SessionIx) -> u32 {
        if self.preferences.scores.is_empty() {
            return 0;
        }
        self.preferences.scores.get(&index).copied().unwrap_or(0)
    }

    /// The score by which it waits for work.
    pub(super) fn waits_with(&self, index: SessionIx) -> u32 {
        if broken(Mutant::ScoreIgnored) { 0 } else { self.score_of(index) }
    }

    /// Of the bots that ask, the one that is to have the job.
    pub(super) fn first_asking(&self, index: JobIx) -> Option<SessionIx> {
        let (class, wish) = (self.class_of(index), self.wish_class(index));
        let wish = wish.filter(|_| !broken(Mutant::PreferredIgnored));
        if !self.is_picky(index) {
            let is_wished = |session| wish.is_some_and(|wish| self.queue.serves(self.session(session).class, wish));
            if let Some(near) = self.near_asking(index, is_wished) {
                return Some(near);
            }
            let preferred = wish.and_then(|_| self.queue.first_waiting(class, wish));
            return preferred.or_else(|| self.queue.first_waiting(class, None));
        }
        let asking = self.sessions.iter().filter_map(|(at, session)| Some((session.ticket?, SessionIx(at as u32))));
        let may_take = asking.filter(|(_, session)| self.may_take(*session, index));
        let turn = |(ticket, session): &(_, SessionIx)| {
            let offer = self.session(*session).class;
            let other = wish.is_some_and(|wish| !self.queue.serves(offer, wish));
            (other, Reverse(self.queue.fit(offer, class)), Reverse(self.waits_with(*session)), *ticket)
        };
        may_take.min_by_key(turn).map(|(_, session)| session)
    }

    /// Everybody who asks, in the order in which they are served.
    pub(super) fn all_asking(&self) -> Vec<SessionIx> {
        let asking = self.sessions.iter().filter_map(|(at, session)| Some((session.ticket?, SessionIx(at as u32))));
        let mut asking: Vec<_> =
            asking.map(|(ticket, index)| (Reverse(self.waits_with(index)), ticket, index)).collect();
        asking.sort_unstable();
        asking.into_iter().map(|(_, _, index)| index).collect()
    }

    fn wish_class(&self, index: JobIx) -> Option<RequirementIx> {
        if self.preferences.wishes.is_empty() {
            return None;
        }
        self.preferences.wishes.get(&index).copied()
    }
}
