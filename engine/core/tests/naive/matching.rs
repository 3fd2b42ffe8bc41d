//! Pairs of classes that a policy judges, once more: what is known, what was asked, and who is served by an answer.

use super::*;
use berth_core::{JobClass, MatchAsked, Matched};

const FAULT: Duration = Duration::from_millis(500);
const LOST: Duration = Duration::from_secs(60);

/// A class of jobs, and what bots offer.
pub type Pair = (JobClass, (InstanceName, Vec<PropertySet>));

/// The pairs of a question.
pub fn pairs_of(asked: &MatchAsked) -> Vec<Pair> {
    let pair = |(need, offer): &(u32, u32)| {
        let (label, requirements) = asked.needs[*need as usize].clone();
        (JobClass { instance: asked.instance.clone(), requirements, label }, asked.offers[*offer as usize].clone())
    };
    asked.pairs.iter().map(pair).collect()
}

impl Naive {
    /// How well the bot fits jobs of the class; `None`: nobody knows yet.
    pub(super) fn fit(&self, session: &Session, class: &JobClass) -> Option<u32> {
        if !self.reaches(session, class) {
            return Some(0);
        }
        if self.asks(&class.instance).matching.is_none() {
            let has = |offer: &PropertySet, wanted| offer.iter().any(|property| property == wanted);
            let fits = |offer: &PropertySet| class.requirements.iter().all(|wanted| has(offer, wanted));
            return Some(u32::from(session.capabilities.iter().any(fits)));
        }
        let known = self.known.iter().find(|((need, offer), _)| need == class && *offer == session.offer());
        known.map(|(_, fit)| *fit)
    }

    /// Whether the bot may serve the class's instance.
    fn reaches(&self, session: &Session, class: &JobClass) -> bool {
        session.instance == class.instance
            || *session.instance.0 == *"*"
            || self.settings.pools.serving(&class.instance).contains(&session.instance)
    }

    pub(super) fn fits(&self, session: &Session, job: &Job) -> bool {
        self.fit(session, &job.class()).is_some_and(|fit| fit > 0)
    }

    /// Whether the bot offers what the job would like.
    pub(super) fn is_wished(&self, session: &Session, job: &Job) -> bool {
        job.wish().is_some_and(|class| self.fit(session, &class).is_some_and(|fit| fit > 0))
    }

    /// Another policy judges, or none: nothing is known.
    pub(super) fn set_edition(&mut self, now: Timestamp, instance: &InstanceName, edition: Option<u64>) {
        self.known.retain(|((class, _), _)| class.instance != *instance);
        self.open.retain(|((class, _), _)| class.instance != *instance);
        let of_instance = |lonely: &&mut questions::Lonely| lonely.class.instance == *instance;
        self.lonely.iter_mut().filter(of_instance).for_each(|l| (l.open, l.refused) = (None, None));
        if edition.is_none() {
            let mut classes: Vec<_> = self.jobs.iter().map(Job::class).filter(|c| c.instance == *instance).collect();
            classes.sort();
            classes.dedup();
            self.serve_classes(now, classes);
        }
    }

    pub(super) fn matched(&mut self, now: Timestamp, matched: &Matched) {
        let asked = &matched.asked;
        if self.asks(&asked.instance).matching != Some(asked.edition) {
            return;
        }
        let mut served = Vec::new();
        for (at, pair) in pairs_of(asked).into_iter().enumerate() {
            if !self.is_live(&pair) || self.known.iter().any(|(known, _)| *known == pair) {
                continue;
            }
            self.open.retain(|(open, _)| *open != pair);
            match &matched.scores {
                None => self.open.push((pair, now.after(FAULT))),
                Some(scores) => {
                    if scores[at] > 0 {
                        served.push(pair.0.clone());
                    }
                    self.known.push((pair, scores[at]));
                }
            }
        }
        served.sort();
        served.dedup();
        self.serve_classes(now, served);
    }

    /// Bots that ask are given what fits them now, for one class after the other.
    pub(super) fn serve_classes(&mut self, now: Timestamp, classes: Vec<JobClass>) {
        for class in classes {
            let picky = |job: &Job| job.setbacks.as_ref().is_some_and(|setbacks| setbacks.elsewhere);
            let mut waiting = self.jobs.iter().filter(|job| job.state == State::Queued && !picky(job));
            if !waiting.any(|job| job.class() == class && !self.unloaded.contains(&job.id)) {
                continue;
            }
            let asking = self.sessions.iter().filter_map(|session| {
                let fit = self.fit(session, &class).filter(|fit| *fit > 0)?;
                Some((Reverse(fit), Reverse(session.score), session.ticket?, session.id))
            });
            let mut asking: Vec<_> = asking.collect();
            asking.sort();
            self.serve_in_turn(now, asking.into_iter().map(|(_, _, _, id)| id).collect());
        }
    }

    /// Each bot that asks is given one job after the other, in turn.
    pub(super) fn serve_in_turn(&mut self, now: Timestamp, mut asking: VecDeque<SessionId>) {
        while let Some(id) = asking.pop_front() {
            if let Some(job) = self.best(now, id) {
                self.offer(now, job, id);
                if self.session_mut(id).ticket.is_some() {
                    asking.push_back(id);
                }
            }
        }
    }

    /// What nobody answered for long is asked again.
    pub(super) fn forget_questions(&mut self, now: Timestamp) {
        self.open.retain(|(_, due)| *due > now);
    }

    /// Of what is gone nothing is known.
    pub(super) fn forget_pairs(&mut self) {
        let (known, open) = (std::mem::take(&mut self.known), std::mem::take(&mut self.open));
        self.known = known.into_iter().filter(|(pair, _)| self.is_live(pair)).collect();
        self.open = open.into_iter().filter(|(pair, _)| self.is_live(pair)).collect();
    }

    /// After each event: what is not known is asked, once.
    pub(super) fn wonder(&mut self, now: Timestamp) {
        self.forget_pairs();
        let mut pairs: BTreeSet<Pair> = BTreeSet::new();
        for session in &self.sessions {
            let unknown = self.classes().into_iter().filter(|class| self.fit(session, class).is_none());
            pairs.extend(unknown.map(|class| (class, session.offer())));
        }
        pairs.retain(|pair| !self.open.iter().any(|(open, _)| open == pair));
        self.open.extend(pairs.iter().map(|pair| (pair.clone(), now.after(LOST))));
        self.wondered.extend(pairs);
    }

    fn is_live(&self, (class, offer): &Pair) -> bool {
        let offers = |session: &Session| self.reaches(session, class) && session.offer() == *offer;
        self.sessions.iter().any(offers) && self.classes().contains(class)
    }

    /// Of all jobs that are remembered, and of what they would like.
    fn classes(&self) -> BTreeSet<JobClass> {
        let loaded = || self.jobs.iter().filter(|job| !self.unloaded.contains(&job.id));
        // Where hidden jobs stand is known, if anything is.
        let hidden = self.hidden.iter().filter(|_| !self.blind).map(Job::class);
        loaded().map(Job::class).chain(loaded().filter_map(Job::wish)).chain(hidden).collect()
    }
}

impl Session {
    /// Whose bots, and what they offer.
    fn offer(&self) -> (InstanceName, Vec<PropertySet>) {
        (self.instance.clone(), self.capabilities.clone())
    }
}

impl Job {
    /// The class of what it would like.
    fn wish(&self) -> Option<JobClass> {
        self.preferred.clone().map(|requirements| JobClass { requirements, ..self.class() })
    }
}
