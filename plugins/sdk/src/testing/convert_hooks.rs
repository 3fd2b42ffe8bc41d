//! Between the records of the cases and those of the contract: the life of a job, and events.

use berth_policy_cases as cases;

use super::convert::{properties, requester, written};
use crate::after_attempt::{self, Action, Reason, Retry, Verdict};
use crate::before_prune;
use crate::create_job;
use crate::events::{
    AttemptDecided, AttemptFailed, Bot, BotQuarantined, Change, Event, JobCompleted, JobCreated, JobPlaced, Lease,
    LeaseEvicted, LocksChanged, Operation, PolicyChanged, Session, SessionClosed, WorkSpecChanged, WorkUnitsChanged,
    WorkerChanged,
};
use crate::queue_job;

pub(super) fn create_job_question(from: &cases::CreateJobQuestion) -> create_job::Question {
    create_job::Question {
        requester: requester(&from.requester),
        action_digest: from.action_digest.clone(),
        arguments: from.arguments.clone(),
        environment: properties(&from.environment),
        platform: properties(&from.platform),
        priority: from.priority,
        timeout_ms: from.timeout_ms,
        do_not_cache: from.do_not_cache,
        input_bytes: from.input_bytes,
    }
}

pub(super) fn create_job_answer(from: create_job::Amendments) -> cases::CreateJobAnswer {
    let create_job::Amendments { platform, priority, timeout_ms, queue_timeout_ms } = from;
    cases::CreateJobAnswer { platform: platform.map(written), priority, timeout_ms, queue_timeout_ms }
}

pub(super) fn queue_job_question(from: &cases::QueueJobQuestion) -> queue_job::Question {
    queue_job::Question {
        requester: requester(&from.requester),
        action_digest: from.action_digest.clone(),
        label: from.label.clone(),
        requirements: properties(&from.requirements),
        lane: from.lane.clone(),
        rank: from.rank,
        bots: from.bots,
    }
}

pub(super) fn queue_job_answer(from: queue_job::Amendments) -> cases::QueueJobAnswer {
    cases::QueueJobAnswer { rank: from.rank, queue_timeout_ms: from.queue_timeout_ms }
}

pub(super) fn after_attempt_question(from: &cases::AfterAttemptQuestion) -> after_attempt::Question {
    after_attempt::Question {
        requester: requester(&from.requester),
        job: from.job.clone(),
        action_digest: from.action_digest.clone(),
        label: from.label.clone(),
        requirements: properties(&from.requirements),
        reason: match from.reason {
            cases::Reason::Reported => Reason::Reported,
            cases::Reason::BotLost => Reason::BotLost,
            cases::Reason::Timeout => Reason::Timeout,
            cases::Reason::CommandFailed => Reason::CommandFailed,
        },
        code: from.code,
        message: from.message.clone(),
        exit_code: from.exit_code,
        attempt: from.attempt,
        counted: from.counted,
        counted_max: from.counted_max,
        took_ms: from.took_ms,
        peak_memory_bytes: from.peak_memory_bytes,
        bot_id: from.bot_id.clone(),
        bot_failures: from.bot_failures,
        bot_attempts: from.bot_attempts,
        failed_bots: from.failed_bots,
    }
}

pub(super) fn after_attempt_answer(from: Verdict) -> cases::AfterAttemptAnswer {
    let action = match from.action {
        Action::Retry(Retry { after_ms, elsewhere, requirements, counts }) => {
            cases::Action::Retry(cases::Retry { after_ms, elsewhere, requirements: requirements.map(written), counts })
        }
        Action::Fail(why) => cases::Action::Fail(why),
        Action::Complete => cases::Action::Complete,
    };
    cases::AfterAttemptAnswer { action, quarantine_bot_ms: from.quarantine_bot_ms }
}

pub(super) fn finished_job(from: &cases::FinishedJob) -> before_prune::Job {
    before_prune::Job {
        requester: requester(&from.requester),
        job: from.job.clone(),
        action_digest: from.action_digest.clone(),
        code: from.code,
        ended_ms: from.ended_ms,
    }
}

pub(super) fn event(from: &cases::Event) -> Event {
    Event { sequence: from.sequence, at_ms: from.at_ms, change: change(from.change.clone()) }
}

fn change(from: cases::Change) -> Change {
    match from {
        cases::Change::JobCreated(cases::JobCreated {
            job,
            instance,
            tenant,
            invocation,
            action_digest,
            label,
            lane,
            weight,
            rank,
        }) => Change::JobCreated(JobCreated {
            job,
            instance,
            tenant,
            invocation,
            action_digest,
            label,
            lane,
            weight,
            rank,
        }),
        cases::Change::JobPlaced(cases::JobPlaced { job, lane, weight, rank }) => {
            Change::JobPlaced(JobPlaced { job, lane, weight, rank })
        }
        cases::Change::OperationCreated(from) => Change::OperationCreated(operation(from)),
        cases::Change::OperationCancelled(from) => Change::OperationCancelled(operation(from)),
        cases::Change::OperationDeleted(from) => Change::OperationDeleted(operation(from)),
        cases::Change::LeaseOffered(from) => Change::LeaseOffered(lease(from)),
        cases::Change::LeaseStarted(from) => Change::LeaseStarted(lease(from)),
        cases::Change::LeaseWithdrawn(from) => Change::LeaseWithdrawn(lease(from)),
        cases::Change::LeaseEvicted(cases::LeaseEvicted { job, attempt, session, counter }) => {
            Change::LeaseEvicted(LeaseEvicted { job, attempt, session, counter })
        }
        cases::Change::AttemptFailed(cases::AttemptFailed { job, attempt, session, code }) => {
            Change::AttemptFailed(AttemptFailed { job, attempt, session, code })
        }
        cases::Change::AttemptDecided(from) => {
            let cases::AttemptDecided { job, counts, after_ms, elsewhere, requirements } = from;
            let requirements = requirements.as_deref().map(properties);
            Change::AttemptDecided(AttemptDecided { job, counts, after_ms, elsewhere, requirements })
        }
        cases::Change::DelayEnded(job) => Change::DelayEnded(job),
        cases::Change::JobCompleted(from) => Change::JobCompleted(job_completed(from)),
        cases::Change::JobDeleted(job) => Change::JobDeleted(job),
        cases::Change::SessionOpened(from) => Change::SessionOpened(session(from)),
        cases::Change::SessionChanged(from) => Change::SessionChanged(session(from)),
        cases::Change::SessionClosed(cases::SessionClosed { session, reason }) => {
            Change::SessionClosed(SessionClosed { session, reason })
        }
        cases::Change::BotDrained(from) => Change::BotDrained(bot(from)),
        cases::Change::BotResumed(from) => Change::BotResumed(bot(from)),
        cases::Change::BotQuarantined(cases::BotQuarantined { instance, bot_id, until_ms }) => {
            Change::BotQuarantined(BotQuarantined { instance, bot_id, until_ms })
        }
        cases::Change::PolicyChanged(from) => {
            let cases::PolicyChanged { policy, before, after, instances, role, what } = from;
            Change::PolicyChanged(PolicyChanged { policy, before, after, instances, role, what })
        }
        cases::Change::WorkSpecChanged(from) => {
            let cases::WorkSpecChanged { namespace, spec, what } = from;
            Change::WorkSpecChanged(WorkSpecChanged { namespace, spec, what })
        }
        cases::Change::WorkUnitsChanged(from) => {
            let cases::WorkUnitsChanged { namespace, spec, what, worker, keys } = from;
            Change::WorkUnitsChanged(WorkUnitsChanged { namespace, spec, what, worker, keys })
        }
        cases::Change::WorkerChanged(from) => {
            let cases::WorkerChanged { namespace, worker, what, parent } = from;
            Change::WorkerChanged(WorkerChanged { namespace, worker, what, parent })
        }
        cases::Change::LocksChanged(from) => {
            let cases::LocksChanged { namespace, what, locker, paths } = from;
            Change::LocksChanged(LocksChanged { namespace, what, locker, paths })
        }
        cases::Change::Gap => Change::Gap,
        cases::Change::Other(name) => Change::Other(name),
    }
}

fn operation(from: cases::Operation) -> Operation {
    Operation { operation: from.operation, job: from.job }
}

fn lease(from: cases::Lease) -> Lease {
    Lease { job: from.job, attempt: from.attempt, session: from.session }
}

fn job_completed(from: cases::JobCompleted) -> JobCompleted {
    JobCompleted {
        job: from.job,
        instance: from.instance,
        tenant: from.tenant,
        invocation: from.invocation,
        label: from.label,
        code: from.code,
        cached: from.cached,
        total_ms: from.total_ms,
        ran_ms: from.ran_ms,
        attempts: from.attempts,
        session: from.session,
        refusal: from.refusal,
        exit_code: from.exit_code,
        peak_memory_bytes: from.peak_memory_bytes,
    }
}

fn session(from: cases::Session) -> Session {
    Session { session: from.session, instance: from.instance, bot_id: from.bot_id, slots: from.slots }
}

fn bot(from: cases::Bot) -> Bot {
    Bot { instance: from.instance, bot_id: from.bot_id }
}
