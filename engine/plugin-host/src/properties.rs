//! Asking a plugin about properties, about pairs of classes, and about jobs that nobody can serve.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use berth_runtime::policy::hooks::{MatchQuestion, UnmatchedQuestion, UnmatchedVerdict};
use berth_runtime::policy::{ExecutionProperties, ExecutionQuestion, PolicyError, WorkerProperties, WorkerQuestion};

use crate::bindings::v1::matching::{Need, Offer, Pairs};
use crate::bindings::v1::properties::{
    ExecutionAnswer, ExecutionQuestion as ForGuest, WorkerAnswer, WorkerQuestion as WorkerForGuest,
};
use crate::bindings::v1::types::PropertyParam;
use crate::bindings::v1::unmatched;
use crate::convert::{
    canonical, checked_label, checked_refusal, checked_set, checked_wait, millis, pairs_for_guest, set_for_guest,
};
use crate::fault::Fault;
use crate::memo::{self, Answer};
use crate::plugin::{Call, EXPORTED, Plugin, Unanswered};
use crate::stats::Function;

/// What the contract says of answers.
const LABELS_MAX: usize = 64;
const SETS_MAX: usize = 64;
/// Pairs in one call.
const PAIRS_MAX: usize = 1024;
const UNMATCHED_WAIT_MS_MIN: u64 = 1000;

impl Plugin {
    /// What a platform requires: from memory, or from the guest.
    pub(crate) fn execution_properties(
        &self,
        question: &ExecutionQuestion<'_>,
    ) -> Result<Result<Arc<ExecutionProperties>, PolicyError>, Unanswered> {
        self.count_questions(Function::ExecutionProperties, 1);
        let platform = match canonical(question.platform) {
            Ok(platform) => platform,
            Err(refused) => return Ok(Err(refused)),
        };
        memo::with_key(question.instance, &platform, |key| {
            if let Some(answer) = self.memo.get(key) {
                self.counters(Function::ExecutionProperties).memo_hits.fetch_add(1, Relaxed);
                return Ok(answer);
            }
            let answer = self.ask_execution_properties(question.instance, &platform)?;
            // A fault is not remembered: the next attempt may succeed.
            self.memo.put(key, &answer);
            Ok(answer)
        })
    }

    fn ask_execution_properties(&self, instance: &str, platform: &[&(String, String)]) -> Result<Answer, Unanswered> {
        let platform = pairs_for_guest(platform);
        self.call(
            Call::of(Function::ExecutionProperties, instance),
            |live| live.execution_properties(ForGuest { instance, platform: &platform }),
            |answer| match answer {
                Ok(answer) => Ok(Ok(Arc::new(checked_execution(answer)?))),
                Err(refusal) => Ok(Err(checked_refusal(refusal)?)),
            },
        )
    }

    /// What a bot can do. Not remembered: bots ask when they come, and each is different.
    pub(crate) fn worker_properties(
        &self,
        question: &WorkerQuestion<'_>,
    ) -> Result<Result<WorkerProperties, PolicyError>, Unanswered> {
        self.count_questions(Function::WorkerProperties, 1);
        let properties = match canonical(question.properties) {
            Ok(properties) => pairs_for_guest(&properties),
            Err(refused) => return Ok(Err(refused)),
        };
        let (instance, bot_id) = (question.instance, question.bot_id);
        self.call(
            Call::of(Function::WorkerProperties, instance),
            |live| live.worker_properties(WorkerForGuest { instance, bot_id, properties: &properties }),
            |answer| match answer {
                Ok(answer) => Ok(Ok(checked_worker(answer)?)),
                Err(refusal) => Ok(Err(checked_refusal(refusal)?)),
            },
        )
    }

    /// How well pairs fit, in batches. The boolean: all batches were answered; those that were not are zeros.
    pub(crate) fn matches(&self, question: &MatchQuestion<'_>) -> (Vec<u32>, bool) {
        self.count_questions(Function::Matches, question.pairs.len());
        let (mut scores, mut all) = (Vec::with_capacity(question.pairs.len()), true);
        for pairs in question.pairs.chunks(PAIRS_MAX) {
            match self.ask_matches(question, pairs) {
                Ok(answers) => scores.extend(answers),
                Err(_) => {
                    scores.extend(pairs.iter().map(|_| 0));
                    all = false;
                }
            }
        }
        (scores, all)
    }

    fn ask_matches(&self, question: &MatchQuestion<'_>, pairs: &[(u32, u32)]) -> Result<Vec<u32>, Unanswered> {
        // Only what these pairs are about.
        let (mut needs, mut offers) = (Used::default(), Used::default());
        let need: Vec<u32> = pairs.iter().map(|(need, _)| needs.index(*need)).collect();
        let offer: Vec<u32> = pairs.iter().map(|(_, offer)| offers.index(*offer)).collect();
        let requirements: Vec<Vec<PropertyParam<'_>>> =
            needs.order.iter().map(|need| set_for_guest(&question.needs[*need as usize].1)).collect();
        let needs: Vec<Need<'_>> = needs
            .order
            .iter()
            .zip(&requirements)
            .map(|(need, requirements)| Need { label: &question.needs[*need as usize].0, requirements })
            .collect();
        let sets: Vec<Vec<Vec<PropertyParam<'_>>>> = offers
            .order
            .iter()
            .map(|offer| question.offers[*offer as usize].iter().map(set_for_guest).collect())
            .collect();
        let sets: Vec<Vec<&[PropertyParam<'_>]>> =
            sets.iter().map(|sets| sets.iter().map(Vec::as_slice).collect()).collect();
        let offers: Vec<Offer<'_>> = sets.iter().map(|sets| Offer { capabilities: sets }).collect();
        self.call(
            Call::of(Function::Matches, question.instance),
            |live| {
                let guest = live.guests.matching.as_ref().expect(EXPORTED);
                let pairs =
                    Pairs { instance: question.instance, needs: &needs, offers: &offers, need: &need, offer: &offer };
                guest.call_matches(&mut live.store, pairs)
            },
            |scores| {
                if scores.len() == pairs.len() {
                    return Ok(scores);
                }
                Err(Fault::nonsense(format!("{} scores for {} pairs", scores.len(), pairs.len())))
            },
        )
    }

    /// What becomes of jobs that nobody can serve.
    pub(crate) fn nobody(&self, question: &UnmatchedQuestion<'_>) -> Result<UnmatchedVerdict, Unanswered> {
        self.count_questions(Function::Nobody, 1);
        let requirements = set_for_guest(question.requirements);
        self.call(
            Call::of(Function::Nobody, question.instance),
            |live| {
                let guest = live.guests.unmatched.as_ref().expect(EXPORTED);
                let question = unmatched::Question {
                    instance: question.instance,
                    label: question.label,
                    requirements: &requirements,
                    jobs: question.jobs,
                    oldest_ms: millis(question.oldest),
                };
                guest.call_nobody(&mut live.store, question)
            },
            |verdict| match verdict {
                unmatched::Verdict::Wait(ms) => {
                    Ok(UnmatchedVerdict::Wait(checked_wait("the wait", ms, UNMATCHED_WAIT_MS_MIN)?))
                }
                unmatched::Verdict::Refuse(refusal) => {
                    Ok(UnmatchedVerdict::Refuse(checked_refusal(refusal)?.to_string().into()))
                }
            },
        )
    }
}

/// Which entries of a list are used, in the order of their first use.
#[derive(Default)]
struct Used {
    order: Vec<u32>,
    places: HashMap<u32, u32>,
}

impl Used {
    fn index(&mut self, entry: u32) -> u32 {
        *self.places.entry(entry).or_insert_with(|| {
            self.order.push(entry);
            // Bounded by the pairs of a call.
            self.order.len() as u32 - 1
        })
    }
}

fn checked_execution(answer: ExecutionAnswer) -> Result<ExecutionProperties, Fault> {
    let (label, requirements) = (checked_label(answer.label)?, checked_set(answer.requirements)?);
    let preferred = answer.preferred.map(checked_set).transpose()?;
    if preferred.as_ref().is_some_and(|preferred| !preferred.contains_all(&requirements)) {
        return Err(Fault::nonsense("what is preferred lacks some of what is required"));
    }
    Ok(ExecutionProperties { label, requirements, preferred })
}

fn checked_worker(answer: WorkerAnswer) -> Result<WorkerProperties, Fault> {
    if answer.labels.len() > LABELS_MAX {
        return Err(Fault::nonsense(format!("{} labels; at most {LABELS_MAX} are allowed", answer.labels.len())));
    }
    let sets = answer.capabilities.len();
    if sets == 0 || sets > SETS_MAX {
        return Err(Fault::nonsense(format!("{sets} capability sets; 1 to {SETS_MAX} are allowed")));
    }
    Ok(WorkerProperties {
        labels: answer.labels.into_iter().map(checked_label).collect::<Result<_, _>>()?,
        capabilities: answer.capabilities.into_iter().map(checked_set).collect::<Result<_, _>>()?,
        score: answer.score,
    })
}
