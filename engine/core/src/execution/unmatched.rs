//! Jobs that no bot can serve: a policy may say that they wait, or that they end.
//!
//! Once a second, and only while a policy wants to be asked, the book looks for classes with queued jobs and without a
//! session that could serve them. A drained bot and one in quarantine count: they will serve again. Nothing here is
//! durable but the end of the jobs: a restart looks anew, and gives bots time to come back first.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{Book, decide::ANSWER_WITHIN};
use crate::{
    Effect, Fact, InstanceName, JobClass, Question, Step, Timestamp, UnmatchedAsked, UnmatchedDecided,
    UnmatchedVerdict,
    mutant::{Mutant, broken},
    queue::{CapabilityIx, JobIx},
};

/// How often the book looks, and how long a class must have been without a bot.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// When nobody could say, it is asked again after this time.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// For this long a refusal holds for jobs that come after it, without asking once more.
const REFUSAL_HOLDS: Duration = Duration::from_secs(10);

/// The longest time for which a policy may say: wait.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Jobs that one event ends; the rest follow in the next.
const REFUSALS_MAX: usize = 512;

/// What is known of classes without a bot.
#[derive(Debug, Default)]
pub(super) struct Unmatched {
    /// When the process began to serve.
    pub(super) started: Timestamp,
    /// When to look next; `None` while no policy wants to be asked.
    pub(super) next_look: Option<Timestamp>,
    classes: BTreeMap<JobClass, Lonely>,
    revisions: u64,
}

/// A class without a bot.
#[derive(Debug)]
enum Lonely {
    /// Seen first at this time.
    Since(Timestamp),
    /// A policy is being asked, until its time is over.
    Asked { revision: u64, until: Timestamp },
    /// Nothing is asked before this time.
    Quiet { until: Timestamp },
    /// Jobs of the class end, until this time.
    Refused { text: Arc<str>, until: Timestamp },
}

impl Unmatched {
    /// What was known of the instance's classes is so no more.
    pub(super) fn forget(&mut self, instance: &InstanceName) {
        self.classes.retain(|class, _| class.instance != *instance);
    }
}

impl Book {
    pub(super) fn set_unmatched_asking(&mut self, now: Timestamp, instance: &InstanceName, on: bool) {
        if on {
            self.unmatched.next_look.get_or_insert(now);
            return;
        }
        self.unmatched.forget(instance);
        let mut others = self.asking.iter().filter(|(other, _)| *other != instance);
        if !others.any(|(_, asking)| asking.unmatched) {
            self.unmatched.next_look = None;
        }
    }

    /// A session offers this from now on: what it serves is not without a bot any more.
    pub(super) fn note_offer(&mut self, offer: CapabilityIx) {
        if !self.unmatched.classes.is_empty() && !broken(Mutant::RefusedThoughServed) {
            let Self { unmatched, queue, .. } = self;
            unmatched.classes.retain(|class, _| !queue.would_serve(offer, class));
        }
    }

    /// Looks for classes without a bot, if it is time.
    pub(super) fn look_for_unmatched(&mut self, now: Timestamp, step: &mut Step) {
        if self.unmatched.next_look.is_none_or(|at| at > now) {
            return;
        }
        self.unmatched.next_look = Some(now.after(LOOK_EVERY));
        if self.loading.is_some() {
            return;
        }
        let asking = |instance: &InstanceName| self.asking.get(instance).is_some_and(|asking| asking.unmatched);
        let apart = self.picky.values().map(|job| self.class_of(*job)).filter(|class| !self.queue.is_served(*class));
        let unserved: BTreeSet<_> = self.queue.unserved_classes().chain(apart).collect();
        let lonely = unserved.into_iter().map(|class| self.queue.class_of(class));
        let lonely: Vec<_> = lonely.filter(|class| asking(&class.instance)).collect();
        self.unmatched.classes.retain(|class, stand| match stand {
            Lonely::Since(_) => lonely.contains(class),
            Lonely::Asked { .. } => true,
            Lonely::Quiet { until } | Lonely::Refused { until, .. } => *until > now || lonely.contains(class),
        });
        for class in lonely {
            self.look_at(now, class, step);
        }
    }

    fn look_at(&mut self, now: Timestamp, class: JobClass, step: &mut Step) {
        let early = now < self.unmatched.started.after(self.settings.session_timeout);
        let early = early && !broken(Mutant::UnmatchedAskedEarly);
        match self.unmatched.classes.entry(class.clone()).or_insert(Lonely::Since(now)) {
            Lonely::Since(since) if !early && now.since(*since) >= LOOK_EVERY => self.ask_unmatched(now, class, step),
            Lonely::Since(_) => {}
            Lonely::Asked { until, .. } if *until > now => {}
            Lonely::Asked { .. } => self.stand(class, Lonely::Quiet { until: now.after(ASK_AGAIN) }),
            Lonely::Refused { text, until } if *until > now => {
                let text = text.clone();
                self.refuse_class(now, &class, &text, step);
            }
            Lonely::Quiet { until } if *until > now => {}
            Lonely::Quiet { .. } | Lonely::Refused { .. } => self.ask_unmatched(now, class, step),
        }
    }

    fn ask_unmatched(&mut self, now: Timestamp, class: JobClass, step: &mut Step) {
        self.unmatched.revisions += 1;
        let revision = self.unmatched.revisions;
        let jobs = self.queued_of(&class);
        let (count, oldest) =
            jobs.fold((0, now), |(count, oldest), job| (count + 1, self.jobs.details(job).queued_at.min(oldest)));
        let asked = UnmatchedAsked { class: class.clone(), revision, jobs: count, oldest: now.since(oldest) };
        step.effects.push(Effect::Ask(Question::Unmatched(Box::new(asked))));
        self.stand(class, Lonely::Asked { revision, until: now.after(ANSWER_WITHIN) });
    }

    /// A policy answered. It counts only while the question is open: not after a bot came that serves the class.
    pub(super) fn unmatched_decided(&mut self, now: Timestamp, decided: UnmatchedDecided, step: &mut Step) {
        let UnmatchedDecided { class, revision, verdict } = decided;
        match self.unmatched.classes.get(&class) {
            Some(Lonely::Asked { revision: open, until }) if *open == revision && *until > now => {}
            _ => return,
        }
        match verdict {
            None => self.stand(class, Lonely::Quiet { until: now.after(ASK_AGAIN) }),
            Some(UnmatchedVerdict::Wait(time)) => {
                let time = time.clamp(LOOK_EVERY, WAIT_MAX);
                self.stand(class, Lonely::Quiet { until: now.after(time) });
            }
            Some(UnmatchedVerdict::Refuse(text)) => {
                self.stand(class.clone(), Lonely::Refused { text: text.clone(), until: now.after(REFUSAL_HOLDS) });
                self.refuse_class(now, &class, &text, step);
            }
        }
    }

    /// Ends queued jobs of the class; what is too many for one event is due at once again.
    fn refuse_class(&mut self, now: Timestamp, class: &JobClass, text: &Arc<str>, step: &mut Step) {
        let jobs: Vec<_> = self.queued_of(class).take(REFUSALS_MAX + 1).collect();
        if jobs.len() > REFUSALS_MAX {
            self.unmatched.next_look = Some(now);
        }
        for index in jobs.into_iter().take(REFUSALS_MAX) {
            let job = self.job(index).id;
            self.emit(Fact::JobRefused { job, at: now, text: text.clone() }, step);
            step.effects.push(Effect::JobChanged { job });
        }
    }

    fn stand(&mut self, class: JobClass, stand: Lonely) {
        self.unmatched.classes.insert(class, stand);
    }

    fn queued_of(&self, class: &JobClass) -> impl Iterator<Item = JobIx> + '_ {
        let index = self.queue.find_class(class);
        let apart = self.picky.values().copied().filter(move |job| Some(self.class_of(*job)) == index);
        index.into_iter().flat_map(|index| self.queue.queued_of(index)).chain(apart)
    }
}
