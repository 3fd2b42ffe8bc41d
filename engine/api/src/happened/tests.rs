//! Histories of jobs whose rows are made here.

use berth_core::{LaneKey, LeaseId, PastAttempt, PropertySet, SessionId};

use super::*;

/// A second after the job came.
const fn second(seconds: u64) -> Timestamp {
    Timestamp(1_000_000 * (1_700_000_000 + seconds))
}

/// An id of version 7 that was drawn then.
fn drawn(at: Timestamp) -> OperationId {
    OperationId(u128::from(at.0 / 1_000) << 80 | 0x7000_8000_0000_0000_0001)
}

fn row(state: JobRowState) -> JobRow {
    let handle = OperationRow { operation: OperationId(1), cancelled: None, deleted: false };
    JobRow {
        job: JobId(1),
        instance: "main".into(),
        action: Digest { hash: [0; 32], size_bytes: 1 },
        do_not_cache: false,
        requirements: PropertySet::default(),
        preferred: None,
        label: "".into(),
        lane: LaneKey::default(),
        weight: 1,
        rank: 0,
        limits: Vec::new(),
        affinities: Vec::new(),
        age: 1,
        queued_at: second(0),
        queue_timeout: None,
        execution_timeout: None,
        offers: 0,
        attempts_used: 0,
        operations: vec![handle],
        again: None,
        setbacks: None,
        past: Vec::new(),
        started_at: None,
        state,
    }
}

fn past(attempt: u32, from: u64, to: u64, end: AttemptEnd) -> PastAttempt {
    let bot_id = format!("bot-{attempt}").into();
    PastAttempt { attempt, bot_id, offered_at: second(from), ended_at: second(to), end }
}

fn ended(at: u64, outcome: Outcome) -> JobRowState {
    JobRowState::Completed { at: second(at), outcome }
}

/// Seconds after the job came, and what happened, without its beginning.
fn told(row: &JobRow, lease: Option<&LeaseView>) -> Vec<(u64, What)> {
    let since = |at: Timestamp| at.since(second(0)).as_secs();
    tell(row, lease, None).into_iter().skip(2).map(|event| (since(event.at), event.what)).collect()
}

fn assigned(attempt: u32, at: u64) -> (u64, What) {
    (at, What::Assigned { bot: bot(attempt), attempt, waited: Duration::from_secs(at) })
}

fn bot(number: u32) -> Option<Arc<str>> {
    Some(format!("bot-{number}").into())
}

#[test]
fn attempts_follow_each_other_and_the_last_one_ends_the_job() {
    let (code, failed) = (14, AttemptEnd::Failed { code: 14 });
    let row = JobRow {
        offers: 3,
        past: vec![past(1, 1, 2, failed), past(2, 3, 4, AttemptEnd::Requeued), past(3, 5, 9, failed)],
        started_at: Some(second(5)),
        ..row(ended(9, Outcome::AttemptsExhausted { code }))
    };
    let expected = vec![
        assigned(1, 1),
        (2, What::Retried { attempt: 1, attempts: 2, code }),
        assigned(2, 3),
        (4, What::Requeued { bot: "bot-2".into(), attempt: 2 }),
        assigned(3, 5),
        (9, What::Completed { bot: bot(3), code: 10, took: Some(Duration::from_secs(4)) }),
    ];
    assert_eq!(told(&row, None), expected);
}

#[test]
fn a_job_that_failed_and_was_given_up_while_it_waited_was_tried_again() {
    let past = vec![past(1, 1, 2, AttemptEnd::Failed { code: 13 })];
    let row = JobRow { offers: 1, past, ..row(ended(5, Outcome::Cancelled)) };
    let retried = (2, What::Retried { attempt: 1, attempts: 2, code: 13 });
    assert_eq!(told(&row, None), [assigned(1, 1), retried, (5, What::Cancelled { bot: None })]);
}

#[test]
fn a_job_that_runs_names_its_bot_and_one_that_was_stopped_does_too() {
    let lease = LeaseView {
        lease: LeaseId { job: JobId(1), attempt: 2 },
        session: SessionId(1),
        bot_id: "bot-2".into(),
        offered_at: second(7),
        started_at: None,
    };
    let live = JobRow { offers: 2, ..row(JobRowState::Leased) };
    assert_eq!(told(&live, Some(&lease)), [assigned(2, 7)]);
    let past = vec![past(2, 7, 8, AttemptEnd::Stopped)];
    let stopped = JobRow { offers: 2, past, started_at: Some(second(7)), ..row(ended(8, Outcome::ExecutionTimeout)) };
    let end = What::Completed { bot: bot(2), code: 4, took: Some(Duration::from_secs(1)) };
    assert_eq!(told(&stopped, None), [assigned(2, 7), (8, end)]);
}

#[test]
fn handles_come_and_go_in_their_order() {
    let (later, last) = (drawn(second(3)), drawn(second(6)));
    let handle = |operation, cancelled: Option<u64>| OperationRow {
        operation,
        cancelled: cancelled.map(second),
        deleted: false,
    };
    let operations = vec![handle(OperationId(1), Some(5)), handle(later, Some(4)), handle(last, None)];
    let past = vec![past(1, 1, 9, AttemptEnd::Stopped)];
    let row = JobRow { operations, past, offers: 1, ..row(JobRowState::Queued) };
    let gone = |operation, cancelled| What::OperationCancelled { operation, bot: bot(1), cancelled, operations: 2 };
    let expected = vec![
        assigned(1, 1),
        (3, What::OperationCreated { operation: later, operations: 2 }),
        (4, gone(later, 1)),
        (5, gone(OperationId(1), 2)),
        (6, What::OperationCreated { operation: last, operations: 3 }),
    ];
    assert_eq!(told(&row, None), expected);
}

#[test]
fn what_a_bot_says_of_its_doings_is_within_the_life_of_the_job() {
    let stamp =
        |seconds: u64| Some(prost_types::Timestamp { seconds: (second(seconds).0 / 1_000_000) as i64, nanos: 0 });
    let metadata = ExecutedActionMetadata {
        worker: "bot".into(),
        input_fetch_start_timestamp: Some(prost_types::Timestamp { seconds: 3, nanos: 0 }),
        execution_start_timestamp: stamp(2),
        output_upload_completed_timestamp: stamp(99),
        ..Default::default()
    };
    let state = ended(5, Outcome::Reported { code: 0, cacheable: true });
    let row = JobRow { offers: 1, started_at: Some(second(1)), ..row(state) };
    let events = tell(&row, None, Some(&metadata));
    let progress = events.iter().filter_map(|event| match &event.what {
        What::Progress { stamp, .. } => Some((event.at.since(second(0)).as_secs(), *stamp)),
        _ => None,
    });
    let expected = [
        (0, "input_fetch_start_timestamp"),
        (2, "execution_start_timestamp"),
        (5, "output_upload_completed_timestamp"),
    ];
    assert_eq!(progress.collect::<Vec<_>>(), expected);
    assert!(matches!(events.last().map(|event| &event.what), Some(What::Completed { code: 0, .. })));
}
