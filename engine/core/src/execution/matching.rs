//! Pairs of classes that a policy judges, instead of containment: what is not known is asked, in batches, and counts as
//! no until it is answered. Nothing of it is durable: a restart asks anew.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use rustc_hash::FxHashMap;

use super::{Book, TICK_FACTS};
use crate::{
    Effect, InstanceName, JobClass, MatchAsked, Matched, Question, Step, Timestamp,
    mutant::{Mutant, broken},
    queue::{Pair, RequirementIx, SessionIx},
};

/// As many pairs are asked about at a time.
pub const PAIRS_MAX: usize = 1_024;

/// When nobody could say, it is asked again after this time.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// When no answer came at all.
const LOST_AFTER: Duration = Duration::from_secs(60);

/// Questions that are open.
#[derive(Debug, Default)]
pub(super) struct Matching {
    /// When each pair that was asked about is asked again, unless it is known by then.
    again: FxHashMap<Pair, Timestamp>,
    /// The same by time.
    due: BTreeSet<(Timestamp, Pair)>,
    /// Classes of jobs that bots serve from now on: bots that ask are given theirs. Empty between events, but where one
    /// event would offer too much.
    news: VecDeque<RequirementIx>,
}

impl Matching {
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        if self.news.is_empty() { self.due.first().map(|(at, _)| *at) } else { Some(Timestamp::default()) }
    }

    /// Bots that ask are given jobs of these classes.
    pub(super) fn announce(&mut self, classes: impl IntoIterator<Item = RequirementIx>) {
        self.news.extend(classes);
    }

    fn set_due(&mut self, pair: Pair, at: Option<Timestamp>) {
        let old = match at {
            Some(at) => self.again.insert(pair, at),
            None => self.again.remove(&pair),
        };
        if let Some(old) = old {
            self.due.remove(&(old, pair));
        }
        self.due.extend(at.map(|at| (at, pair)));
    }
}

impl Book {
    /// Who judges pairs of the instance from now on.
    pub(super) fn set_matching(
        &mut self,
        now: Timestamp,
        instance: &InstanceName,
        edition: Option<u64>,
        step: &mut Step,
    ) {
        if !self.queue.set_edition(instance, edition) {
            return;
        }
        self.unmatched.forget(instance);
        if edition.is_none() {
            let needs = self.queue.needs_of(instance);
            self.matching.news.extend(needs);
        }
        self.fewer_bots = true;
        self.serve_news(now, step);
    }

    /// Asks about pairs that came up, each once.
    pub(super) fn ask_matches(&mut self, now: Timestamp, step: &mut Step) {
        let mut by_instance: BTreeMap<InstanceName, Vec<Pair>> = BTreeMap::new();
        for pair in self.queue.take_unasked() {
            by_instance.entry(self.queue.class_of(pair.0).instance).or_default().push(pair);
            self.matching.set_due(pair, Some(now.after(LOST_AFTER)));
        }
        for (instance, pairs) in by_instance {
            let edition = self.queue.edition(&instance).expect("pairs are unknown only where a policy judges");
            for pairs in pairs.chunks(PAIRS_MAX) {
                let asked = self.question_of(instance.clone(), edition, pairs);
                step.effects.push(Effect::Ask(Question::Match(Box::new(asked))));
            }
        }
    }

    fn question_of(&self, instance: InstanceName, edition: u64, pairs: &[Pair]) -> MatchAsked {
        let mut asked = MatchAsked { instance, edition, needs: Vec::new(), offers: Vec::new(), pairs: Vec::new() };
        let (mut needs, mut offers) = (FxHashMap::default(), FxHashMap::default());
        for pair in pairs {
            let (class, offered) = self.queue.pair(*pair);
            let need = *needs.entry(pair.0).or_insert_with(|| {
                asked.needs.push((class.label, class.requirements));
                asked.needs.len() as u32 - 1
            });
            let offer = *offers.entry(pair.1).or_insert_with(|| {
                asked.offers.push((self.queue.instance_of(pair.1).clone(), offered.to_vec()));
                asked.offers.len() as u32 - 1
            });
            asked.pairs.push((need, offer));
        }
        asked
    }

    /// A policy answered, or could not. It counts only while the same set of policies judges.
    pub(super) fn matched(&mut self, now: Timestamp, matched: Matched, step: &mut Step) {
        let Matched { asked, scores } = matched;
        let MatchAsked { instance, edition, needs, offers, pairs } = asked;
        if self.queue.edition(&instance) != Some(edition) && !broken(Mutant::StaleFitTaken) {
            return;
        }
        let class = |(label, requirements)| JobClass { instance: instance.clone(), requirements, label };
        let needs: Vec<_> = needs.into_iter().map(|need| self.queue.find_class(&class(need))).collect();
        let offers: Vec<_> = offers.iter().map(|(bots, offer)| self.queue.find_offer(bots, offer)).collect();
        let found = |(need, offer): &(u32, u32)| Some((*needs.get(*need as usize)?, *offers.get(*offer as usize)?));
        let found = pairs.iter().map(|pair| found(pair).and_then(|(need, offer)| need.zip(offer)));
        let Some(scores) = scores.filter(|scores| scores.len() == pairs.len()) else {
            for pair in found.flatten().collect::<Vec<_>>() {
                if self.queue.is_unknown(pair) && !broken(Mutant::FaultNotAskedAgain) {
                    self.matching.set_due(pair, Some(now.after(ASK_AGAIN)));
                }
            }
            return;
        };
        let answers: Vec<_> = found.zip(scores).filter_map(|(pair, score)| Some((pair?, score))).collect();
        let news = self.queue.learn(answers.iter().copied());
        for (pair, _) in answers {
            self.matching.set_due(pair, None);
        }
        let mut needs: Vec<_> = news.iter().map(|(need, _)| *need).collect();
        needs.sort_by_cached_key(|need| self.queue.class_of(*need));
        needs.dedup();
        self.matching.news.extend(needs.into_iter().filter(|_| !broken(Mutant::MatchedNotServed)));
        for offer in news.iter().map(|(_, offer)| *offer).collect::<BTreeSet<_>>() {
            self.note_offer(offer);
        }
        self.fewer_bots |= !news.is_empty();
        self.serve_news(now, step);
    }

    /// Deadlines of pairs that nobody has said anything about.
    pub(super) fn look_at_matches(&mut self, now: Timestamp, step: &mut Step) {
        while let Some((at, pair)) = self.matching.due.first().copied()
            && at <= now
        {
            self.matching.set_due(pair, None);
            self.queue.wonder_again(pair);
        }
        self.serve_news(now, step);
    }

    /// Bots that ask are given jobs of classes that they serve from now on: the one that fits best first, each in turn.
    pub(super) fn serve_news(&mut self, now: Timestamp, step: &mut Step) {
        while let Some(need) = self.matching.news.front().copied() {
            if self.queue.has_queued(need) {
                let asking = self.queue.waiting_for(need);
                if !self.serve_asking(now, asking, TICK_FACTS, step) {
                    return;
                }
            }
            self.matching.news.pop_front();
        }
    }

    /// Bots that ask are given what fits, each one job in turn. Answers whether all were served, and not only so many
    /// as one event may.
    pub(super) fn serve_asking(
        &mut self,
        now: Timestamp,
        asking: Vec<SessionIx>,
        facts_max: usize,
        step: &mut Step,
    ) -> bool {
        let mut asking: VecDeque<_> = asking.into();
        while let Some(index) = asking.pop_front() {
            if step.facts.len() >= facts_max {
                return false;
            }
            if let Some(job) = self.best_for(now, index) {
                self.offer(now, job, index, step);
                // Behind the others, as with any offer.
                asking.extend(self.session(index).ticket.map(|_| index));
            }
        }
        true
    }
}
