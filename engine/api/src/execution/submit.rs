//! Policy is asked, blobs are pinned, and the job goes to the engine.

use std::sync::Arc;

use berth_core::{Again, OperationId, OperationView, Rejection};
use berth_proto::store as pb;
use berth_runtime::{
    EngineError,
    policy::{ExecutionQuestion, PlaceQuestion},
};
use tokio::sync::watch;

use super::{Execution, prepare::Prepared};
use crate::{error::Error, instances::Instance, names, pins::PinGuard};

/// How often policies are asked where a new job stands, if each time others have become active meanwhile.
const PLACINGS_MAX: u32 = 8;

impl Execution {
    /// Answers with what is to be told of the new operation. When it does, the operation is durable.
    pub(super) async fn submit(
        &self,
        instance: &Instance,
        mut prepared: Prepared,
    ) -> Result<watch::Receiver<OperationView>, Error> {
        let operation = OperationId(names::draw(instance.engine.now()));
        self.admit(instance, &mut prepared)?;
        let submit = self.place(instance, operation, &mut prepared).await?;
        match prepared.cached.take() {
            Some(action_result) => {
                let result = pb::JobResult { action_result, ..pb::JobResult::default() };
                let body = Arc::new(std::mem::take(&mut prepared.body));
                Ok(instance.engine.submit_cached(submit, body, result).await?)
            }
            None => self.submit_job(instance, submit, prepared).await,
        }
    }

    async fn place(
        &self,
        instance: &Instance,
        operation: OperationId,
        prepared: &mut Prepared,
    ) -> Result<berth_core::Submit, Error> {
        let mut submit = self.ask_policy(instance, operation, prepared)?;
        self.admit_to_queue(instance, prepared, &mut submit).await?;
        Ok(submit)
    }

    fn ask_policy(
        &self,
        instance: &Instance,
        operation: OperationId,
        prepared: &mut Prepared,
    ) -> Result<berth_core::Submit, Error> {
        let name = &*instance.name.0;
        // Before anybody is asked: the answers are of this set of policies or of a later one.
        let generation = self.policy.generation();
        let properties =
            self.policy.execution_properties(&ExecutionQuestion { instance: name, platform: &prepared.platform })?;
        let metadata = &prepared.metadata;
        let question = PlaceQuestion {
            instance: name,
            tenant: &prepared.body.tenant,
            priority: prepared.priority,
            label: &properties.label,
            invocation: &metadata.tool_invocation_id,
            correlated_invocations: &metadata.correlated_invocations_id,
            tool: metadata.tool_details.as_ref().map_or("", |tool| &tool.tool_name),
            mnemonic: &metadata.action_mnemonic,
            target: &metadata.target_id,
            locality_hint: &prepared.locality_hint,
            ..PlaceQuestion::default()
        };
        let mut place = self.policy.place(&[question]).pop().expect("a policy answers every question");
        place.limits.extend(instance.engine.cohorts().counter(&instance.name, &properties.label));
        prepared.body.priority = prepared.priority;
        prepared.body.locality_hint = prepared.locality_hint.clone();
        prepared.body.history = place.history.as_deref().unwrap_or_default().to_owned();
        Ok(berth_core::Submit {
            operation,
            instance: instance.name.clone(),
            action: prepared.action_digest,
            do_not_cache: prepared.do_not_cache,
            skip_cache_lookup: prepared.skip_cache_lookup,
            lookup_began: prepared.lookup_began,
            requirements: properties.requirements.clone(),
            preferred: properties.preferred.clone().filter(|preferred| *preferred != properties.requirements),
            label: properties.label.clone(),
            lane: place.lane,
            weight: place.weight,
            rank: place.rank,
            limits: place.limits,
            affinities: place.affinities,
            again: Again { after: place.again, generation },
            queue_timeout: prepared.queue_timeout,
            execution_timeout: Some(prepared.execution_timeout),
        })
    }

    async fn submit_job(
        &self,
        instance: &Instance,
        mut submit: berth_core::Submit,
        mut prepared: Prepared,
    ) -> Result<watch::Receiver<OperationView>, Error> {
        let (engine, operation) = (&instance.engine, submit.operation);
        let pin = PinGuard::pin(engine, &self.cas, operation, &instance.name.0, &prepared.blobs).await?;
        let mut placings = PLACINGS_MAX;
        loop {
            placings -= 1;
            let body = Arc::new(std::mem::take(&mut prepared.body));
            match engine.submit(submit, body.clone()).await {
                Ok((submitted, updates)) => {
                    if submitted.merged {
                        pin.release();
                    } else {
                        pin.keep();
                    }
                    return Ok(updates);
                }
                // Other policies became active between their answers and the job: those that are active now are asked.
                Err(EngineError::Rejected(Rejection::Outdated)) if placings > 0 => {
                    prepared.body = pb::JobBody { queue_rank: None, ..Arc::unwrap_or_clone(body) };
                    submit = self.place(instance, operation, &mut prepared).await?;
                }
                Err(error) => {
                    // The guard asks the engine whether there is a job all the same.
                    drop(pin);
                    return Err(error.into());
                }
            }
        }
    }
}
