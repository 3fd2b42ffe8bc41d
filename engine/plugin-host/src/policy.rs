//! The engine's policy, answered by the generation that is in force, and how another comes into force.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use berth_core::{Chooser, Verdict};
use berth_runtime::plugins::{ConsumerError, EventsConsumer, FeedEvent, KvTransaction};
use berth_runtime::policy::hooks::{
    AttemptQuestion, CreateAmendments, CreateQuestion, MatchQuestion, PruneQuestion, QueueAmendments, QueueQuestion,
    UnmatchedQuestion, UnmatchedVerdict,
};
use berth_runtime::policy::{
    Asks, ExecutionProperties, ExecutionQuestion, Fit, PlaceQuestion, Placement, Policy, PolicyError, WorkerProperties,
    WorkerQuestion,
};

use crate::generation::Generation;
use crate::observe::{Answered, Observation, Sample};
use crate::owned::{OwnedAttempt, OwnedCreate, OwnedPlace, OwnedPrune, OwnedQueue, Question};
use crate::plugin::Plugin;
use crate::services::Retreat;
use crate::stats::PluginStats;

/// See the head of the file. Shared by all threads.
#[derive(Debug)]
pub struct PluginPolicy {
    active: RwLock<Active>,
    /// Who is asked beside the generation in force.
    observation: RwLock<Option<Arc<Observation>>>,
    /// Whether there is one: looked at for every question.
    observes: AtomicBool,
}

#[derive(Debug)]
struct Active {
    generation: Arc<Generation>,
    /// By name: the version before the one in force, to go back to.
    before: HashMap<String, Arc<Plugin>>,
}

impl PluginPolicy {
    /// Starts with this generation, as number 1.
    pub fn new(mut first: Generation) -> Self {
        first.number = 1;
        first.get_ready();
        Self {
            active: RwLock::new(Active { generation: Arc::new(first), before: HashMap::new() }),
            observation: RwLock::default(),
            observes: AtomicBool::new(false),
        }
    }

    /// The generation in force. Whoever has to know which one answered asks it directly, and not this policy.
    pub fn active(&self) -> Arc<Generation> {
        // An assignment under the lock cannot leave it half done.
        Arc::clone(&self.active.read().unwrap_or_else(PoisonError::into_inner).generation)
    }

    /// Puts another generation in force and returns the one before. Calls that are running finish on the old one,
    /// whose plugins live until then.
    pub fn swap(&self, next: Generation) -> Arc<Generation> {
        self.prepare(&next);
        let before = self.exchange(next);
        self.rest(&before);
        before
    }

    /// What takes its time before [`exchange`](Self::exchange): instances that will be needed at once are made.
    pub fn prepare(&self, next: &Generation) {
        next.get_ready();
    }

    /// The part of [`swap`](Self::swap) that takes no time, for a thread that nobody may hold up.
    pub fn exchange(&self, mut next: Generation) -> Arc<Generation> {
        let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
        next.number = active.generation.number + 1;
        active.remember(&next);
        std::mem::replace(&mut active.generation, Arc::new(next))
    }

    /// What takes its time after [`exchange`](Self::exchange): plugins that are not asked any more let go of their
    /// instances.
    pub fn rest(&self, before: &Generation) {
        let stays = self.active();
        let gone = |plugin: &&Arc<Plugin>| !stays.plugins().values().any(|other| Arc::ptr_eq(other, plugin));
        before.plugins().values().filter(gone).for_each(|plugin| plugin.pool.rest());
    }

    /// The counters of the plugins in force.
    pub fn stats(&self) -> Vec<PluginStats> {
        self.active().stats()
    }

    /// Somebody who hears events: whatever version of this name is in force.
    pub fn listener(self: &Arc<Self>, plugin: impl Into<String>) -> Listener {
        Listener { policy: Arc::clone(self), plugin: plugin.into() }
    }

    /// Asks a candidate beside the generation in force from now on, in place of an earlier one. Its plugins should have
    /// tables of their own ([`LoadOptions::table`](crate::LoadOptions)).
    pub fn observe(&self, candidate: Generation) -> std::io::Result<Arc<Observation>> {
        let observation = Arc::new(Observation::start(candidate)?);
        *self.observation.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&observation));
        self.observes.store(true, Relaxed);
        Ok(observation)
    }

    /// Ends the observation, and returns what it was.
    pub fn observe_no_more(&self) -> Option<Arc<Observation>> {
        self.observes.store(false, Relaxed);
        self.observation.write().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The observation that is running.
    pub fn observation(&self) -> Option<Arc<Observation>> {
        self.observation.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks, and has the candidate asked the same if there is one.
    fn ask_beside<T: Answered + Clone + 'static>(
        &self,
        ask: impl FnOnce(&Generation) -> T,
        question: impl FnOnce() -> Question,
    ) -> T {
        let answer = self.ask(ask);
        if self.observes.load(Relaxed)
            && let Some(observation) = self.observation()
        {
            observation.take(|| Sample { question: question(), active: Box::new(answer.clone()) });
        }
        answer
    }

    /// Asks the generation in force. If that cost a plugin its place, another version takes it.
    pub(crate) fn ask<T>(&self, ask: impl FnOnce(&Generation) -> T) -> T {
        let active = self.active();
        let answer = ask(&active);
        if active.fallen().next().is_some() {
            self.retreat();
        }
        answer
    }

    /// Plugins that are in quarantine give way to the version before them; where there is none, their `on_fault`
    /// answers.
    fn retreat(&self) {
        let mut told = Vec::new();
        {
            let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
            let now = Arc::clone(&active.generation);
            let mut plugins = now.plugins().clone();
            for fallen in now.fallen() {
                let name = fallen.name().to_owned();
                let good = active.before.remove(&name).filter(|good| !good.is_quarantined());
                let good = good.filter(|good| {
                    let mut with = plugins.clone();
                    with.insert(name.clone(), Arc::clone(good));
                    // It may export less than the one that replaced it.
                    now.with(&with).is_ok()
                });
                told.push((Arc::clone(fallen), good.clone()));
                if let Some(good) = good {
                    plugins.insert(name, good);
                }
            }
            // Another thread was quicker.
            if told.is_empty() {
                return;
            }
            let mut next = now.with(&plugins).expect("every replacement was tried");
            next.number = now.number + 1;
            active.generation = Arc::new(next);
        }
        let generation = self.active().number;
        for (fallen, good) in told {
            let to = good.as_ref().map(|good| good.digest().to_owned());
            let what = Retreat { generation, plugin: fallen.name().to_owned(), from: fallen.digest().to_owned(), to };
            tracing::error!(plugin = what.plugin, from = what.from, to = what.to, generation, "plugin gave way");
            fallen.context.services.observer.retreated(&what);
        }
    }
}

impl Active {
    /// Keeps what is in force as the version to go back to, where `next` has another.
    fn remember(&mut self, next: &Generation) {
        self.before.retain(|name, _| next.plugins().contains_key(name));
        for (name, next) in next.plugins() {
            let Some(now) = self.generation.plugins().get(name) else { continue };
            if !Arc::ptr_eq(now, next) && !now.is_quarantined() {
                self.before.insert(name.clone(), Arc::clone(now));
            }
        }
    }
}

impl Generation {
    /// What the thread that runs the steps will need at once is made here, on the thread that activates.
    fn get_ready(&self) {
        for plugin in self.chains().filter_map(|chain| chain.choose.as_ref()) {
            plugin.spare.prepare(&plugin.host, &plugin.pool);
        }
    }
}

impl Policy for PluginPolicy {
    fn execution_properties(&self, question: &ExecutionQuestion<'_>) -> Result<Arc<ExecutionProperties>, PolicyError> {
        self.ask_beside(|active| active.execution_properties(question), || Question::execution(question))
    }

    fn worker_properties(&self, question: &WorkerQuestion<'_>) -> Result<WorkerProperties, PolicyError> {
        self.ask_beside(|active| active.worker_properties(question), || Question::worker(question))
    }

    fn place(&self, questions: &[PlaceQuestion<'_>]) -> Vec<Placement> {
        let copied = || Question::Place(questions.iter().map(OwnedPlace::of).collect());
        self.ask_beside(|active| active.place(questions), copied)
    }

    fn place_again(&self, questions: &[PlaceQuestion<'_>]) -> Vec<Option<Placement>> {
        self.ask(|active| active.place_again(questions))
    }

    fn asks(&self, instance: &str) -> Asks {
        self.active().asks(instance)
    }

    fn before_create_job(&self, question: &CreateQuestion<'_>) -> Result<CreateAmendments, PolicyError> {
        let copied = || Question::Create(Box::new(OwnedCreate::of(question)));
        self.ask_beside(|active| active.before_create_job(question), copied)
    }

    fn before_queue_job(&self, question: &QueueQuestion<'_>) -> Result<QueueAmendments, PolicyError> {
        let copied = || Question::Queue(Box::new(OwnedQueue::of(question)));
        self.ask_beside(|active| active.before_queue_job(question), copied)
    }

    fn after_attempt(&self, question: &AttemptQuestion<'_>) -> Option<Verdict> {
        let copied = || Question::Attempt(Box::new(OwnedAttempt::of(question)));
        self.ask_beside(|active| active.after_attempt(question), copied)
    }

    fn unmatched(&self, question: &UnmatchedQuestion<'_>) -> Option<UnmatchedVerdict> {
        self.ask_beside(|active| active.unmatched(question), || Question::unmatched(question))
    }

    fn matches(&self, question: &MatchQuestion<'_>) -> Option<Fit> {
        self.ask_beside(|active| active.matches(question), || Question::matches(question))
    }

    fn choosing(self: Arc<Self>) -> Option<Box<dyn Chooser>> {
        Some(Box::new(Self::chooser(&self)))
    }

    fn before_prune(&self, questions: &[PruneQuestion<'_>]) -> Vec<Duration> {
        let copied = || Question::Prune(questions.iter().map(OwnedPrune::of).collect());
        self.ask_beside(|active| active.before_prune(questions), copied)
    }

    fn generation(&self) -> u64 {
        self.active().number()
    }
}

/// A plugin that hears events, by its name. Made by [`PluginPolicy::listener`].
pub struct Listener {
    policy: Arc<PluginPolicy>,
    plugin: String,
}

impl EventsConsumer for Listener {
    fn on_events(&self, kv: &mut KvTransaction, events: &[FeedEvent]) -> Result<(), ConsumerError> {
        self.policy.ask(|active| match active.events.iter().find(|plugin| plugin.name() == self.plugin) {
            Some(plugin) => plugin.on_events(kv, events),
            None => Err(ConsumerError::Fault(format!("no plugin {:?} hears events now", self.plugin))),
        })
    }
}
