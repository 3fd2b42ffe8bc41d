//! What a job carries with it once a policy was asked about an attempt of it.

use std::time::Duration;

use berth_core::{AttemptReason, FailedAttempt, Setbacks, Timestamp};
use berth_proto::store as pb;

use super::CodecError;

pub(super) fn setbacks(from: &Setbacks) -> pb::Setbacks {
    pb::Setbacks {
        failures: from.failures,
        revision: from.revision,
        failed_on: from.failed_on.iter().map(|bot| bot.to_string()).collect(),
        elsewhere: from.elsewhere,
        question: from.question.as_ref().map(failed),
    }
}

pub(super) fn read_setbacks(from: pb::Setbacks) -> Result<Setbacks, CodecError> {
    Ok(Setbacks {
        failures: from.failures,
        revision: from.revision,
        failed_on: from.failed_on.into_iter().map(Into::into).collect(),
        elsewhere: from.elsewhere,
        question: from.question.map(read_failed).transpose()?,
    })
}

pub(super) fn failed(from: &FailedAttempt) -> pb::FailedAttempt {
    let reason = match from.reason {
        AttemptReason::Reported => pb::AttemptReason::Reported,
        AttemptReason::BotLost => pb::AttemptReason::BotLost,
        AttemptReason::Timeout => pb::AttemptReason::Timeout,
        AttemptReason::CommandFailed => pb::AttemptReason::CommandFailed,
    };
    pb::FailedAttempt {
        reason: reason.into(),
        code: from.code,
        bot_id: from.bot_id.to_string(),
        took_us: u64::try_from(from.took.as_micros()).unwrap_or(u64::MAX),
        bot_failures: from.bot_failures,
        bot_attempts: from.bot_attempts,
        at: from.at.0,
    }
}

pub(super) fn read_failed(from: pb::FailedAttempt) -> Result<FailedAttempt, CodecError> {
    let reason = match from.reason() {
        pb::AttemptReason::Reported => AttemptReason::Reported,
        pb::AttemptReason::BotLost => AttemptReason::BotLost,
        pb::AttemptReason::Timeout => AttemptReason::Timeout,
        pb::AttemptReason::CommandFailed => AttemptReason::CommandFailed,
        pb::AttemptReason::Unspecified => return Err(CodecError::Field("reason")),
    };
    Ok(FailedAttempt {
        reason,
        code: from.code,
        bot_id: from.bot_id.into(),
        took: Duration::from_micros(from.took_us),
        bot_failures: from.bot_failures,
        bot_attempts: from.bot_attempts,
        at: Timestamp(from.at),
    })
}
