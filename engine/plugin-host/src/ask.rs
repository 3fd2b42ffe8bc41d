//! How a generation answers: the plugin behind a role, what several say merged, and what is said where one cannot.

use std::sync::Arc;
use std::time::Duration;

use berth_core::Verdict;
use berth_runtime::builtin::BuiltinPolicy;
use berth_runtime::policy::hooks::{
    AttemptQuestion, CreateAmendments, CreateQuestion, MatchQuestion, PruneQuestion, QueueAmendments, QueueQuestion,
    UnmatchedQuestion, UnmatchedVerdict,
};
use berth_runtime::policy::{
    Asks, ExecutionProperties, ExecutionQuestion, Fit, PlaceQuestion, Placement, Policy, PolicyError, WorkerProperties,
    WorkerQuestion,
};

use crate::columns::Columns;
use crate::exports::Interface;
use crate::generation::{Chain, Generation};
use crate::hooks::PRUNE_JOBS_MAX;
use crate::on_fault::{AdmissionFault, AttemptFault, PropertiesFault, PruneFault};
use crate::place::BATCH_JOBS_MAX;
use crate::plugin::Plugin;

/// As long are jobs kept whose time nobody could tell: until retention comes by again.
const KEPT_ON_FAULT: Duration = Duration::from_secs(60);

impl Policy for Generation {
    fn execution_properties(&self, question: &ExecutionQuestion<'_>) -> Result<Arc<ExecutionProperties>, PolicyError> {
        let Some(plugin) = &self.chain(question.instance).properties else {
            return BuiltinPolicy.execution_properties(question);
        };
        plugin.execution_properties(question).unwrap_or_else(|_| match plugin.on_fault().properties {
            PropertiesFault::Refuse => Err(plugin.refusal_for_fault()),
            PropertiesFault::BuiltIn => BuiltinPolicy.execution_properties(question),
        })
    }

    fn worker_properties(&self, question: &WorkerQuestion<'_>) -> Result<WorkerProperties, PolicyError> {
        let Some(plugin) = &self.chain(question.instance).properties else {
            return BuiltinPolicy.worker_properties(question);
        };
        plugin.worker_properties(question).unwrap_or_else(|_| match plugin.on_fault().properties {
            PropertiesFault::Refuse => Err(plugin.refusal_for_fault()),
            PropertiesFault::BuiltIn => BuiltinPolicy.worker_properties(question),
        })
    }

    fn place(&self, questions: &[PlaceQuestion<'_>]) -> Vec<Placement> {
        let mut placements = Vec::with_capacity(questions.len());
        self.each_batch(questions, |chain, batch| placements.extend(chain.place(batch).0));
        placements
    }

    fn place_again(&self, questions: &[PlaceQuestion<'_>]) -> Vec<Option<Placement>> {
        let mut placements = Vec::with_capacity(questions.len());
        self.each_batch(questions, |chain, batch| {
            let (placed, by_all) = chain.place(batch);
            placements.extend(placed.into_iter().map(|place| by_all.then_some(place)));
        });
        placements
    }

    fn asks(&self, instance: &str) -> Asks {
        let chain = self.chain(instance);
        let properties = |interface| chain.properties.as_ref().is_some_and(|plugin| plugin.has(interface));
        Asks {
            create: !chain.create_job.is_empty(),
            queue: !chain.queue_job.is_empty(),
            attempt: !chain.after_attempt.is_empty(),
            unmatched: properties(Interface::Unmatched),
            matching: properties(Interface::Matching),
            choosing: chain.choose.is_some(),
            prune: !chain.before_prune.is_empty(),
        }
    }

    fn before_create_job(&self, question: &CreateQuestion<'_>) -> Result<CreateAmendments, PolicyError> {
        let mut amended = CreateAmendments::default();
        for plugin in &self.chain(question.requester.instance).create_job {
            let so_far = CreateQuestion {
                platform: amended.platform.as_deref().unwrap_or(question.platform),
                priority: amended.priority.unwrap_or(question.priority),
                timeout: amended.timeout.or(question.timeout),
                ..*question
            };
            let Ok(answer) = plugin.before_create_job(&so_far) else {
                admit_on_fault(plugin)?;
                continue;
            };
            let answer = answer?;
            amended = CreateAmendments {
                platform: answer.platform.or(amended.platform),
                priority: answer.priority.or(amended.priority),
                timeout: answer.timeout.or(amended.timeout),
                queue_timeout: answer.queue_timeout.or(amended.queue_timeout),
            };
        }
        Ok(amended)
    }

    fn before_queue_job(&self, question: &QueueQuestion<'_>) -> Result<QueueAmendments, PolicyError> {
        let mut amended = QueueAmendments::default();
        for plugin in &self.chain(question.requester.instance).queue_job {
            let so_far = QueueQuestion { rank: amended.rank.unwrap_or(question.rank), ..*question };
            let Ok(answer) = plugin.before_queue_job(&so_far) else {
                admit_on_fault(plugin)?;
                continue;
            };
            let answer = answer?;
            amended = QueueAmendments {
                rank: answer.rank.or(amended.rank),
                queue_timeout: answer.queue_timeout.or(amended.queue_timeout),
            };
        }
        Ok(amended)
    }

    fn after_attempt(&self, question: &AttemptQuestion<'_>) -> Option<Verdict> {
        for plugin in &self.chain(question.requester.instance).after_attempt {
            match (plugin.after_attempt(question), plugin.on_fault().after_attempt) {
                (Ok(verdict), _) => return Some(verdict),
                (Err(_), AttemptFault::BuiltIn) => return None,
                (Err(_), AttemptFault::Next) => (),
            }
        }
        None
    }

    fn unmatched(&self, question: &UnmatchedQuestion<'_>) -> Option<UnmatchedVerdict> {
        let plugin = self.chain(question.instance).properties.as_ref()?;
        if plugin.has(Interface::Unmatched) { plugin.nobody(question).ok() } else { None }
    }

    fn matches(&self, question: &MatchQuestion<'_>) -> Option<Fit> {
        let plugin = self.chain(question.instance).properties.as_ref()?;
        plugin.has(Interface::Matching).then(|| {
            let (scores, lasting) = plugin.matches(question);
            Fit { scores, lasting }
        })
    }

    fn before_prune(&self, questions: &[PruneQuestion<'_>]) -> Vec<Duration> {
        let mut kept = Vec::with_capacity(questions.len());
        let alone = self.is_alone();
        for run in questions.chunk_by(|one, next| alone || one.requester.instance == next.requester.instance) {
            let chain = self.chain(run[0].requester.instance);
            run.chunks(PRUNE_JOBS_MAX).for_each(|batch| kept.extend(chain.before_prune(batch)));
        }
        kept
    }

    fn generation(&self) -> u64 {
        self.number()
    }
}

impl Generation {
    /// Batches do not mix chains, nor instance names where a plugin looks at what belongs to one.
    fn each_batch<'q>(&self, questions: &[PlaceQuestion<'q>], mut ask: impl FnMut(&Chain, &[PlaceQuestion<'q>])) {
        let together = self.is_alone() && !self.chain("").reads_desk();
        for run in questions.chunk_by(|one, next| together || one.instance == next.instance) {
            let chain = self.chain(run[0].instance);
            run.chunks(BATCH_JOBS_MAX).for_each(|batch| ask(chain, batch));
        }
    }
}

impl Chain {
    /// The built-in places with the columns of those who own them. False: somebody could not answer.
    fn place(&self, batch: &[PlaceQuestion<'_>]) -> (Vec<Placement>, bool) {
        let mut placements = BuiltinPolicy.place(batch);
        let mut by_all = true;
        if !self.place.is_empty() {
            let columns = Columns::of(batch);
            for (plugin, owned) in &self.place {
                // The fault is counted and logged where it happened; jobs go on by the built-in rule.
                by_all &= plugin.place(batch[0].instance, &columns, *owned, &mut placements).is_ok();
            }
        }
        (placements, by_all)
    }

    fn before_prune(&self, batch: &[PruneQuestion<'_>]) -> Vec<Duration> {
        let mut kept = vec![Duration::ZERO; batch.len()];
        for plugin in &self.before_prune {
            match (plugin.before_prune(batch), plugin.on_fault().before_prune) {
                (Ok(answers), _) => kept.iter_mut().zip(answers).for_each(|(kept, answer)| *kept = answer.max(*kept)),
                (Err(_), PruneFault::Keep) => kept.iter_mut().for_each(|kept| *kept = KEPT_ON_FAULT.max(*kept)),
                (Err(_), PruneFault::Delete) => (),
            }
        }
        kept
    }
}

fn admit_on_fault(plugin: &Plugin) -> Result<(), PolicyError> {
    match plugin.on_fault().admission {
        AdmissionFault::Refuse => Err(plugin.refusal_for_fault()),
        AdmissionFault::Admit => Ok(()),
    }
}
