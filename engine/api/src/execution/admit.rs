//! Hooks before there is a job: may it come in, and may it be queued? Asked only where a policy answers.

use std::time::Duration;

use berth_core::{JobClass, Submit};
use berth_runtime::policy::hooks::{CreateQuestion, QueueQuestion, Requester};

use super::{Execution, prepare::Prepared};
use crate::{error::Error, instances::Instance};

impl Execution {
    /// `before-create-job`: first of all, for what the action cache did not answer. Amends the request.
    pub(super) fn admit(&self, instance: &Instance, prepared: &mut Prepared) -> Result<(), Error> {
        let name = &*instance.name.0;
        if prepared.cached.is_some() || !self.policy.asks(name).create {
            return Ok(());
        }
        let environment = prepared.command.environment_variables.iter();
        let environment: Vec<_> = environment.map(|variable| (variable.name.clone(), variable.value.clone())).collect();
        let question = CreateQuestion {
            requester: requester(name, prepared),
            action_digest: &prepared.action_digest.to_string(),
            arguments: &prepared.command.arguments,
            environment: &environment,
            platform: &prepared.platform,
            priority: prepared.priority,
            timeout: prepared.timeout,
            do_not_cache: prepared.do_not_cache,
            input_bytes: 0,
        };
        let amended = self.policy.before_create_job(&question)?;
        if let Some(platform) = amended.platform {
            prepared.platform = platform;
        }
        prepared.priority = amended.priority.unwrap_or(prepared.priority);
        if let Some(timeout) = amended.timeout {
            prepared.execution_timeout = self.with_grace(timeout.min(self.config.execution_timeout_max_of(name)));
        }
        prepared.queue_timeout = amended.queue_timeout.or(prepared.queue_timeout);
        Ok(())
    }

    /// `before-queue-job`: when it is known what it needs and where it would stand; not if it joins a job in flight.
    pub(super) async fn admit_to_queue(
        &self,
        instance: &Instance,
        prepared: &mut Prepared,
        submit: &mut Submit,
    ) -> Result<(), Error> {
        let name = &*instance.name.0;
        if prepared.cached.is_some() || !self.policy.asks(name).queue {
            return Ok(());
        }
        let class = JobClass {
            instance: submit.instance.clone(),
            requirements: submit.requirements.clone(),
            label: submit.label.clone(),
        };
        let (now, alike) = (instance.engine.now(), submit.clone());
        let look = move |book: &berth_core::Book| (book.would_join(now, &alike), book.bots_for(&class));
        let (joins, bots) = instance.engine.peek(look).await?;
        if joins {
            return Ok(());
        }
        let amended = self.policy.before_queue_job(&QueueQuestion {
            requester: requester(name, prepared),
            action_digest: &submit.action.to_string(),
            label: &submit.label,
            requirements: &submit.requirements,
            lane: &submit.lane.0,
            rank: submit.rank,
            bots: u32::try_from(bots).unwrap_or(u32::MAX),
        })?;
        submit.rank = amended.rank.unwrap_or(submit.rank);
        prepared.body.queue_rank = amended.rank;
        submit.queue_timeout = amended.queue_timeout.or(submit.queue_timeout);
        Ok(())
    }

    /// How long an attempt may take by our clock, if the action may take that long.
    pub(super) fn with_grace(&self, timeout: Duration) -> Duration {
        timeout.saturating_add(self.config.execution_grace)
    }
}

fn requester<'a>(instance: &'a str, prepared: &'a Prepared) -> Requester<'a> {
    let metadata = &prepared.metadata;
    Requester {
        instance,
        tenant: &prepared.body.tenant,
        invocation: &metadata.tool_invocation_id,
        correlated_invocations: &metadata.correlated_invocations_id,
        tool: metadata.tool_details.as_ref().map_or("", |tool| &tool.tool_name),
        mnemonic: &metadata.action_mnemonic,
        target: &metadata.target_id,
    }
}
