//! A policy is asked where jobs stand that have a place already: the same question as when they came, from their rows.

use std::{collections::HashMap, sync::Arc};

use berth_core::{JobId, NewPlace, OperationId, Place, PlaceAsked, Timestamp};
use berth_proto::{reapi::RequestMetadata, store as pb};
use bytes::Bytes;
use prost::Message;

use crate::{
    clock::Clock,
    codec,
    cohorts::Cohorts,
    history::History,
    policy::{PlaceQuestion, Placement, Policy},
    store::{PartitionId, Store, StoreError, Table},
};

/// `berth.store.v1.JobBody` without what the job runs.
#[derive(Clone, PartialEq, Message)]
struct BodyHead {
    #[prost(bytes = "bytes", tag = "6")]
    request_metadata: Bytes,
    #[prost(string, tag = "7")]
    tenant: String,
    #[prost(sint32, tag = "9")]
    priority: i32,
    #[prost(string, tag = "10")]
    locality_hint: String,
    #[prost(sint64, optional, tag = "11")]
    queue_rank: Option<i64>,
}

/// What is asked about a job, beside what core said of it.
struct Known {
    body: BodyHead,
    metadata: RequestMetadata,
    /// That of the most urgent of its requests.
    priority: i32,
}

/// Asks, on a thread where that may take its time. Jobs about which nobody could say anything are not in the answer.
pub(crate) async fn ask(
    policy: &Arc<dyn Policy>,
    cohorts: &Arc<Cohorts>,
    history: &History,
    clock: &Clock,
    asked: Vec<PlaceAsked>,
) -> Result<Place, StoreError> {
    let (policy, cohorts, clock) = (policy.clone(), cohorts.clone(), clock.clone());
    let (store, partition) = (history.store().clone(), history.partition());
    let call = move || {
        // Before anybody is asked: so the answers are of this set of policies or of a later one.
        let generation = policy.generation();
        let known = known(&*store, partition, &asked)?;
        // The time as it is when the policy is asked: some see from it when a job came.
        Ok(Place { generation, items: answers(&*policy, &cohorts, clock.now(), &asked, &known) })
    };
    match tokio::task::spawn_blocking(call).await {
        Ok(place) => place,
        // A panic of the policy is a fault as any other: all keep their places.
        Err(_) => Ok(Place::default()),
    }
}

fn answers(
    policy: &dyn Policy,
    cohorts: &Cohorts,
    now: Timestamp,
    asked: &[PlaceAsked],
    known: &HashMap<JobId, Known>,
) -> Vec<NewPlace> {
    let known: Vec<_> = asked.iter().filter_map(|asked| Some((asked, known.get(&asked.job)?))).collect();
    let questions: Vec<_> = known.iter().map(|(asked, known)| question(now, asked, known)).collect();
    let answers = policy.place_again(&questions);
    let answered = known.into_iter().zip(answers).filter_map(|((asked, known), answer)| Some((asked, known, answer?)));
    let counted = answered.map(|(asked, known, mut placement)| {
        placement.limits.extend(cohorts.counter(&asked.instance, &asked.label));
        new_place(asked.job, known, placement)
    });
    counted.collect()
}

fn question<'a>(now: Timestamp, asked: &'a PlaceAsked, known: &'a Known) -> PlaceQuestion<'a> {
    let metadata = &known.metadata;
    PlaceQuestion {
        instance: &asked.instance.0,
        tenant: &known.body.tenant,
        priority: known.priority,
        label: &asked.label,
        invocation: &metadata.tool_invocation_id,
        correlated_invocations: &metadata.correlated_invocations_id,
        tool: metadata.tool_details.as_ref().map_or("", |tool| &tool.tool_name),
        mnemonic: &metadata.action_mnemonic,
        target: &metadata.target_id,
        locality_hint: &known.body.locality_hint,
        waited: now.since(asked.queued_at),
    }
}

fn new_place(job: JobId, known: &Known, placement: Placement) -> NewPlace {
    let Placement { lane, weight, rank, limits, affinities, again, history: _ } = placement;
    let is_raised = known.priority < known.body.priority;
    let rank = match known.body.queue_rank {
        None => rank,
        // Who was joined by a more urgent request is as urgent as that one would be.
        Some(given) if is_raised => given.min(rank),
        Some(given) => given,
    };
    NewPlace { job, lane, weight, rank, limits, affinities, again }
}

/// Of the jobs that have a body; what else cannot be read is as what was not sent.
fn known(store: &dyn Store, partition: PartitionId, asked: &[PlaceAsked]) -> Result<HashMap<JobId, Known>, StoreError> {
    let jobs: Vec<_> = asked.iter().map(|asked| asked.job.0).collect();
    let bodies = rows::<BodyHead>(store, partition, Table::Bodies, &jobs)?;
    let joined: Vec<_> = asked.iter().flat_map(|asked| &asked.joined).map(|OperationId(id)| *id).collect();
    let joined = rows::<pb::Operation>(store, partition, Table::Operations, &joined)?;
    let of = |asked: &PlaceAsked| {
        let body = bodies.get(&asked.job.0)?.clone();
        let metadata = RequestMetadata::decode(body.request_metadata.clone()).unwrap_or_default();
        let others = asked.joined.iter().filter_map(|operation| joined.get(&operation.0));
        let priority = others.map(|row| row.priority).fold(body.priority, i32::min);
        Some((asked.job, Known { body, metadata, priority }))
    };
    Ok(asked.iter().filter_map(of).collect())
}

fn rows<M: Message + Default>(
    store: &dyn Store,
    partition: PartitionId,
    table: Table,
    ids: &[u128],
) -> Result<HashMap<u128, M>, StoreError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let keys: Vec<_> = ids.iter().map(|id| codec::id_key(*id)).collect();
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_slice()).collect();
    let found = store.get(partition, table, &keys)?;
    Ok(ids.iter().zip(found).filter_map(|(id, row)| Some((*id, M::decode(row?).ok()?))).collect())
}
