//! Attempts of a job that gave no result.

use berth_core::{AttemptEnd, PastAttempt, Timestamp};
use berth_proto::store::{self as pb, past_attempt::End};

use super::CodecError;

pub(super) fn past(from: &PastAttempt) -> pb::PastAttempt {
    let end = match from.end {
        AttemptEnd::Failed { code } => End::Failed(code),
        AttemptEnd::Requeued => End::Requeued(pb::Nothing {}),
        AttemptEnd::Stopped => End::Stopped(pb::Nothing {}),
    };
    pb::PastAttempt {
        attempt: from.attempt,
        bot_id: from.bot_id.to_string(),
        offered_at: from.offered_at.0,
        ended_at: from.ended_at.0,
        end: Some(end),
    }
}

pub(super) fn read_past(from: pb::PastAttempt) -> Result<PastAttempt, CodecError> {
    let end = match from.end.ok_or(CodecError::Field("end"))? {
        End::Failed(code) => AttemptEnd::Failed { code },
        End::Requeued(_) => AttemptEnd::Requeued,
        End::Stopped(_) => AttemptEnd::Stopped,
    };
    Ok(PastAttempt {
        attempt: from.attempt,
        bot_id: from.bot_id.into(),
        offered_at: Timestamp(from.offered_at),
        ended_at: Timestamp(from.ended_at),
        end,
    })
}
