//! Between the records of the cases and those of the contract: what fits what, and who goes first.

use std::collections::BTreeMap;

use berth_policy_cases as cases;

use crate::choosing::{Lanes, Worker};
use crate::matching::{Need, Offer, Pairs};
use crate::priority::{Jobs, Places};
use crate::properties::{ExecutionAnswer, ExecutionQuestion, WorkerAnswer, WorkerQuestion};
use crate::types::{Property, Refusal, Requester};
use crate::unmatched;

pub(super) fn properties(from: &[cases::Property]) -> Vec<Property> {
    from.iter().map(|property| Property::new(&property.name, &property.value)).collect()
}

pub(super) fn written(from: Vec<Property>) -> Vec<cases::Property> {
    from.into_iter().map(|Property { name, value }| cases::Property { name, value }).collect()
}

fn sets(from: &[Vec<cases::Property>]) -> Vec<Vec<Property>> {
    from.iter().map(|set| properties(set)).collect()
}

pub(super) fn requester(from: &cases::Requester) -> Requester {
    let cases::Requester { instance, tenant, invocation, correlated_invocations, tool, mnemonic, target } =
        from.clone();
    Requester { instance, tenant, invocation, correlated_invocations, tool, mnemonic, target }
}

pub(super) fn refusal(from: Refusal) -> cases::Refusal {
    match from {
        Refusal::UnknownProperty(unknown) => {
            cases::Refusal::UnknownProperty(cases::UnknownProperty { name: unknown.name, known: unknown.known })
        }
        Refusal::DuplicateProperty(name) => cases::Refusal::DuplicateProperty(name),
        Refusal::MalformedProperty(malformed) => cases::Refusal::MalformedProperty(cases::MalformedProperty {
            name: malformed.name,
            expected: malformed.expected,
        }),
        Refusal::FailedPrecondition(why) => cases::Refusal::FailedPrecondition(why),
        Refusal::Denied(why) => cases::Refusal::Denied(why),
        Refusal::Exhausted(exhausted) => cases::Refusal::Exhausted(cases::Exhausted {
            reason: exhausted.reason,
            retry_after_ms: exhausted.retry_after_ms,
        }),
    }
}

pub(super) fn execution_question(from: &cases::ExecutionQuestion) -> ExecutionQuestion {
    ExecutionQuestion { instance: from.instance.clone(), platform: properties(&from.platform) }
}

pub(super) fn execution_answer(from: ExecutionAnswer) -> cases::ExecutionAnswer {
    cases::ExecutionAnswer {
        label: from.label,
        requirements: written(from.requirements),
        preferred: from.preferred.map(written),
    }
}

pub(super) fn worker_question(from: &cases::WorkerQuestion) -> WorkerQuestion {
    WorkerQuestion {
        instance: from.instance.clone(),
        bot_id: from.bot_id.clone(),
        properties: properties(&from.properties),
    }
}

pub(super) fn worker_answer(from: WorkerAnswer) -> cases::WorkerAnswer {
    let capabilities = from.capabilities.into_iter().map(written).collect();
    cases::WorkerAnswer { labels: from.labels, capabilities, score: from.score }
}

/// Each pair has a need and an offer of its own: what Berth sends once, is here sent again.
pub(super) fn pairs(from: &cases::MatchesQuestion) -> Pairs {
    let need =
        |pair: &cases::Pair| Need { label: pair.need.label.clone(), requirements: properties(&pair.need.requirements) };
    let numbers: Vec<u32> = (0..from.pairs.len() as u32).collect();
    Pairs {
        instance: from.instance.clone(),
        needs: from.pairs.iter().map(need).collect(),
        offers: from.pairs.iter().map(|pair| Offer { capabilities: sets(&pair.offer.capabilities) }).collect(),
        need: numbers.clone(),
        offer: numbers,
    }
}

pub(super) fn nobody_question(from: &cases::NobodyQuestion) -> unmatched::Question {
    unmatched::Question {
        instance: from.instance.clone(),
        label: from.label.clone(),
        requirements: properties(&from.requirements),
        jobs: from.jobs,
        oldest_ms: from.oldest_ms,
    }
}

pub(super) fn nobody_answer(from: unmatched::Verdict) -> cases::NobodyAnswer {
    match from {
        unmatched::Verdict::Wait(ms) => cases::NobodyAnswer::Wait(ms),
        unmatched::Verdict::Refuse(why) => cases::NobodyAnswer::Refuse(refusal(why)),
    }
}

/// Rows become columns, and each text is there once.
pub(super) fn jobs(from: &[cases::Job]) -> Jobs {
    let mut strings = vec![String::new()];
    let mut known = BTreeMap::from([(String::new(), 0)]);
    let mut column = |text: fn(&cases::Job) -> &String| {
        let index = |job: &cases::Job| {
            *known.entry(text(job).clone()).or_insert_with(|| {
                strings.push(text(job).clone());
                strings.len() as u32 - 1
            })
        };
        from.iter().map(index).collect()
    };
    let (instance, tenant, label) = (column(|job| &job.instance), column(|job| &job.tenant), column(|job| &job.label));
    let (invocation, correlated_invocations) =
        (column(|job| &job.invocation), column(|job| &job.correlated_invocations));
    let (tool, mnemonic, target) = (column(|job| &job.tool), column(|job| &job.mnemonic), column(|job| &job.target));
    let locality_hint = column(|job| &job.locality_hint);
    Jobs {
        strings,
        instance,
        tenant,
        label,
        priority: from.iter().map(|job| job.priority).collect(),
        invocation,
        correlated_invocations,
        tool,
        mnemonic,
        target,
        locality_hint,
        waited_ms: from.iter().map(|job| job.waited_ms).collect(),
    }
}

/// Columns become rows; an answer that breaks the contract is told.
pub(super) fn places(from: Places, mut texts: Vec<String>, count: usize) -> Result<Vec<cases::Place>, String> {
    texts.extend(from.strings);
    let text = |index: u32| texts.get(index as usize).cloned().ok_or_else(|| format!("there is no text {index}"));
    let mut places = vec![cases::Place::default(); count];
    each(from.lane, "lane", &mut places, |place, lane| text(lane).map(|lane| place.lane = lane))?;
    each(from.weight, "weight", &mut places, |place, weight| {
        place.weight = weight;
        if weight == 0 { Err("a weight is 0".to_owned()) } else { Ok(()) }
    })?;
    each(from.rank, "rank", &mut places, |place, rank| {
        place.rank = rank;
        Ok(())
    })?;
    let limit = |index: u32| {
        let limit = from.limits.get(index as usize).ok_or_else(|| format!("there is no limit {index}"))?;
        Ok(cases::Limit {
            name: limit.name.clone(),
            max_running: limit.max_running,
            max_queued: limit.max_queued,
            min_running: limit.min_running,
            evict_after_ms: limit.evict_after_ms,
            cool_down_ms: limit.cool_down_ms,
        })
    };
    each(from.counters, "counters", &mut places, |place, counters| {
        place.limits = counters.into_iter().map(limit).collect::<Result<_, String>>()?;
        Ok(())
    })?;
    let affinity = |index: u32| {
        let affinity = from.affinities.get(index as usize).ok_or_else(|| format!("there is no affinity {index}"))?;
        Ok(cases::Affinity { key: affinity.key.clone(), weight: affinity.weight, wait_ms: affinity.wait_ms })
    };
    each(from.affine, "affine", &mut places, |place, affine| {
        place.affinities = affine.into_iter().map(affinity).collect::<Result<_, String>>()?;
        Ok(())
    })?;
    each(from.history, "history", &mut places, |place, key| text(key).map(|key| place.history = key))?;
    each(from.again_ms, "again-ms", &mut places, |place, again_ms| {
        place.again_ms = again_ms;
        Ok(())
    })?;
    Ok(places)
}

/// Writes a column into its rows.
fn each<Entry>(
    column: Option<Vec<Entry>>,
    name: &str,
    places: &mut [cases::Place],
    mut write: impl FnMut(&mut cases::Place, Entry) -> Result<(), String>,
) -> Result<(), String> {
    let Some(column) = column else { return Ok(()) };
    if column.len() != places.len() {
        return Err(format!("the column {name} has {} entries for {} jobs", column.len(), places.len()));
    }
    places.iter_mut().zip(column).try_for_each(|(place, entry)| write(place, entry))
}

pub(super) fn worker(from: &cases::Worker) -> Worker {
    Worker {
        instance: from.instance.clone(),
        bot_id: from.bot_id.clone(),
        capabilities: sets(&from.capabilities),
        busy: from.busy,
        slots: from.slots,
        recent: from.recent.clone(),
    }
}

pub(super) fn lanes(from: &[cases::Lane]) -> Lanes {
    Lanes {
        name: from.iter().map(|lane| lane.name.clone()).collect(),
        weight: from.iter().map(|lane| lane.weight).collect(),
        queued: from.iter().map(|lane| lane.queued).collect(),
        running: from.iter().map(|lane| lane.running).collect(),
        head_waited_ms: from.iter().map(|lane| lane.head_waited_ms).collect(),
        head_rank: from.iter().map(|lane| lane.head_rank).collect(),
    }
}
