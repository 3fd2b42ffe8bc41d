//! The edge to older versions of the contract: their calls made in the words of the newest.
//!
//! Questions lose what the older version has no word for; answers gain what it could not say.

use crate::bindings::v0_1;
use crate::bindings::v1::priority::{Jobs, Places};
use crate::bindings::v1::properties::{ExecutionAnswer, ExecutionQuestion, WorkerAnswer, WorkerQuestion};
use crate::bindings::v1::types::{MalformedProperty, PropertyParam, PropertyResult, Refusal, UnknownProperty};
use crate::instance::Live;

const EXPORTED: &str = "a plugin is asked only for what it exports";

impl Live {
    pub(crate) fn execution_properties(
        &mut self,
        question: ExecutionQuestion<'_>,
    ) -> wasmtime::Result<Result<ExecutionAnswer, Refusal>> {
        if let Some(guest) = &self.guests.properties {
            return guest.call_execution_properties(&mut self.store, question);
        }
        let guest = self.guests.properties_0_1.as_ref().expect(EXPORTED);
        let platform = older(question.platform);
        let question = v0_1::properties::ExecutionQuestion { instance: question.instance, platform: &platform };
        let answer = guest.call_execution_properties(&mut self.store, question)?;
        Ok(answer.map_err(refusal).map(|answer| ExecutionAnswer {
            label: answer.label,
            requirements: newer(answer.requirements),
            preferred: None,
        }))
    }

    pub(crate) fn worker_properties(
        &mut self,
        question: WorkerQuestion<'_>,
    ) -> wasmtime::Result<Result<WorkerAnswer, Refusal>> {
        if let Some(guest) = &self.guests.properties {
            return guest.call_worker_properties(&mut self.store, question);
        }
        let guest = self.guests.properties_0_1.as_ref().expect(EXPORTED);
        let properties = older(question.properties);
        let question = v0_1::properties::WorkerQuestion {
            instance: question.instance,
            bot_id: question.bot_id,
            properties: &properties,
        };
        let answer = guest.call_worker_properties(&mut self.store, question)?;
        Ok(answer.map_err(refusal).map(|answer| WorkerAnswer {
            labels: answer.labels,
            capabilities: answer.capabilities.into_iter().map(newer).collect(),
            score: 0,
        }))
    }

    pub(crate) fn place(&mut self, jobs: Jobs<'_>) -> wasmtime::Result<Places> {
        if let Some(guest) = &self.guests.priority {
            return guest.call_place(&mut self.store, jobs);
        }
        let guest = self.guests.priority_0_1.as_ref().expect(EXPORTED);
        let jobs = v0_1::priority::Jobs {
            strings: jobs.strings,
            instance: jobs.instance,
            label: jobs.label,
            priority: jobs.priority,
            invocation: jobs.invocation,
            correlated_invocations: jobs.correlated_invocations,
            tool: jobs.tool,
            mnemonic: jobs.mnemonic,
            target: jobs.target,
        };
        let places = guest.call_place(&mut self.store, jobs)?;
        Ok(Places {
            strings: places.strings,
            lane: places.lane,
            weight: places.weight,
            rank: places.rank,
            limits: Vec::new(),
            counters: None,
            affinities: Vec::new(),
            affine: None,
            history: None,
            again_ms: None,
        })
    }
}

fn older<'a>(properties: &[PropertyParam<'a>]) -> Vec<v0_1::types::PropertyParam<'a>> {
    let older =
        |property: &PropertyParam<'a>| v0_1::types::PropertyParam { name: property.name, value: property.value };
    properties.iter().map(older).collect()
}

fn newer(properties: Vec<v0_1::types::PropertyResult>) -> Vec<PropertyResult> {
    properties.into_iter().map(|property| PropertyResult { name: property.name, value: property.value }).collect()
}

fn refusal(refusal: v0_1::types::Refusal) -> Refusal {
    match refusal {
        v0_1::types::Refusal::UnknownProperty(unknown) => {
            Refusal::UnknownProperty(UnknownProperty { name: unknown.name, known: unknown.known })
        }
        v0_1::types::Refusal::DuplicateProperty(name) => Refusal::DuplicateProperty(name),
        v0_1::types::Refusal::MalformedProperty(malformed) => {
            Refusal::MalformedProperty(MalformedProperty { name: malformed.name, expected: malformed.expected })
        }
        v0_1::types::Refusal::Denied(reason) => Refusal::Denied(reason),
    }
}
