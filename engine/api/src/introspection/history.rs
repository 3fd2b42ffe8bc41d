//! What happened to a job in BuildGrid's words. Payloads are JSON, with the same keys.

use std::{sync::Arc, time::Duration};

use berth_core::OperationId;
use berth_proto::buildgrid::{JobEvent, JobEventType};
use serde_json::{Value, json};
use tonic::Code;
use uuid::Uuid;

use crate::{
    convert,
    happened::{Event, What},
};

/// How many attempts a job has is part of what BuildGrid says of each that failed.
pub(super) fn event(event: Event, attempts_max: u32) -> JobEvent {
    let (kind, payload) = match event.what {
        What::Created => (JobEventType::Creation, Value::Null),
        What::OperationCreated { operation, operations } => {
            let payload = json!({ "operation_name": uuid(operation), "total_operation_count": operations });
            (JobEventType::NewOperation, payload)
        }
        What::Assigned { bot, attempt: _, waited } => {
            // The engine has one way to assign; of BuildGrid's words this one says that a bot with room was chosen.
            let (strategy, waited) = ("capacity", waited.as_secs());
            let payload = json!({ "worker_name": name(bot), "assignment_strategy": strategy, "time_in_queue": waited });
            (JobEventType::Assignment, payload)
        }
        What::Progress { bot, stamp } => {
            (JobEventType::ProgressUpdate, json!({ "timestamp_name": stamp, "worker_name": *bot }))
        }
        What::Retried { attempt: _, attempts, code } => {
            let message = Code::from_i32(code).description();
            (JobEventType::Retry, retry(attempts, attempts_max, code, message))
        }
        What::Requeued { bot, attempt } => {
            let message = format!("an operator took it from {bot}");
            (JobEventType::Retry, retry(attempt as usize, attempts_max, Code::Cancelled as i32, &message))
        }
        What::OperationCancelled { operation, bot, cancelled, operations } => {
            let payload = json!({
                "worker_name": name(bot),
                "operation_name": uuid(operation),
                "cancelled_operation_count": cancelled,
                "total_operation_count": operations,
            });
            (JobEventType::OperationCancellation, payload)
        }
        What::Cancelled { bot } => (JobEventType::Cancellation, json!({ "worker_name": name(bot) })),
        What::Completed { bot, code, took } => {
            let took = took.as_ref().map(Duration::as_secs_f64);
            (JobEventType::Completion, json!({ "worker_name": name(bot), "status": code, "duration": took }))
        }
    };
    let timestamp = Some(convert::timestamp(event.at));
    JobEvent { event_type: kind as i32, timestamp, payload: payload.to_string() }
}

fn retry(attempt: usize, attempts_max: u32, code: i32, message: &str) -> Value {
    json!({
        "attempt_number": attempt,
        "max_attempts": attempts_max,
        "status_code": code,
        "status_message": message,
    })
}

fn uuid(operation: OperationId) -> String {
    Uuid::from_u128(operation.0).hyphenated().to_string()
}

fn name(bot: Option<Arc<str>>) -> Value {
    bot.map_or(Value::Null, |bot| Value::from(&*bot))
}
