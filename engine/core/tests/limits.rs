//! Limits, told plainly: who is passed over, who is owed, who is refused.

use std::{sync::Arc, time::Duration};

use berth_core::{
    Book, BotStatus, Digest, Event, JobId, LaneKey, LeaseId, LeaseReport, Limit, OpenSession, OperationId, PollId,
    PropertySet, Rejection, Reply, ReportedState, SessionId, Settings, Step, Submit, Timestamp, UpdateSession, Why,
};

const NOW: Timestamp = Timestamp(1_000_000_000);

fn limit(name: &str, max_running: Option<u32>, max_queued: Option<u32>, min_running: u32) -> Arc<Limit> {
    Arc::new(Limit { name: name.into(), max_running, max_queued, min_running, ..Limit::default() })
}

/// A job with its own action.
fn submit(number: u128, limits: &[Arc<Limit>]) -> Submit {
    Submit {
        operation: OperationId(number),
        instance: "main".into(),
        action: Digest { hash: [u8::try_from(number).unwrap(); 32], size_bytes: 1 },
        do_not_cache: false,
        skip_cache_lookup: false,
        lookup_began: NOW,
        requirements: PropertySet::default(),
        label: "".into(),
        lane: LaneKey::default(),
        weight: 1,
        rank: 0,
        limits: limits.to_vec(),
        affinities: Vec::new(),
        again: berth_core::Again::default(),
        preferred: None,
        queue_timeout: None,
        execution_timeout: None,
    }
}

fn send(book: &mut Book, submit: Submit) -> Result<Step, Rejection> {
    book.handle(NOW, Event::Submit(Box::new(submit)))
}

fn open(book: &mut Book, session: u128, slots: u32) {
    let event = Event::OpenSession(Box::new(OpenSession {
        session: SessionId(session),
        instance: "main".into(),
        bot_id: format!("bot-{session}").into(),
        identity: "".into(),
        capabilities: vec![PropertySet::default()],
        slots,
        score: 0,
        hold_when_full: true,
        status: BotStatus::Ok,
        poll: PollId(1),
        hold_until: Some(NOW.after(Duration::from_secs(20))),
    }));
    book.handle(NOW, event).expect("the session is new");
}

/// What the bot was given since it was last asked.
fn given(book: &mut Book, session: u128) -> Vec<u128> {
    let answers = book.finish_batch(NOW);
    let mine = answers.into_iter().filter(|answer| answer.session == SessionId(session));
    mine.flat_map(|answer| answer.leases).map(|lease| lease.job.0).collect()
}

#[test]
fn jobs_of_a_full_counter_are_passed_over_and_go_when_it_has_room() {
    let mut book = Book::new(Settings::default());
    let team = [limit("team", Some(1), None, 0)];
    for number in [1, 2] {
        send(&mut book, submit(number, &team)).unwrap();
    }
    send(&mut book, submit(3, &[])).unwrap();
    open(&mut book, 1, 3);
    assert_eq!(given(&mut book, 1), [1, 3]);
    let waiting = book.explain(JobId(2)).unwrap();
    let Why::LimitReached { limits } = waiting.why else { panic!("{waiting:?}") };
    assert_eq!(limits[0].to_string(), "limit team: 1 running of at most 1, 1 waiting");

    let lease = |job, attempt| LeaseId { job: JobId(job), attempt };
    let done = ReportedState::Completed { code: 0, cacheable: true };
    let report = |lease, state| LeaseReport { lease, state };
    let update = Event::UpdateSession(Box::new(UpdateSession {
        session: SessionId(1),
        bot_id: "bot-1".into(),
        identity: "".into(),
        status: BotStatus::Ok,
        worker: None,
        leases: vec![report(lease(1, 1), done), report(lease(3, 1), ReportedState::Active)],
        poll: PollId(2),
        hold_until: Some(NOW.after(Duration::from_secs(20))),
    }));
    book.handle(NOW, update).unwrap();
    assert_eq!(given(&mut book, 1), [3, 2]);
}

#[test]
fn a_bot_that_waits_is_served_when_a_counter_has_room_again() {
    let mut book = Book::new(Settings::default());
    let team = [limit("team", Some(1), None, 0)];
    for number in [1, 2] {
        send(&mut book, submit(number, &team)).unwrap();
        open(&mut book, number, 1);
    }
    assert_eq!(given(&mut book, 2), [0_u128; 0]);
    // The first bot is busy with what it was given until it lets go; the other one is not.
    book.handle(NOW, Event::Cancel { operation: OperationId(1) }).unwrap();
    assert_eq!(given(&mut book, 2), [2]);
}

#[test]
fn a_greater_number_makes_room() {
    let mut book = Book::new(Settings::default());
    for number in [1, 2] {
        send(&mut book, submit(number, &[limit("team", Some(1), None, 0)])).unwrap();
    }
    open(&mut book, 1, 1);
    open(&mut book, 2, 1);
    assert_eq!(given(&mut book, 1), [1]);
    send(&mut book, submit(3, &[limit("team", Some(2), None, 0)])).unwrap();
    assert_eq!(given(&mut book, 2), [2]);
}

#[test]
fn who_is_owed_goes_first_and_no_further() {
    let mut book = Book::new(Settings::default());
    for number in [1, 2] {
        send(&mut book, submit(number, &[])).unwrap();
    }
    for number in [3, 4] {
        send(&mut book, submit(number, &[limit("team", None, None, 1)])).unwrap();
    }
    open(&mut book, 1, 4);
    assert_eq!(given(&mut book, 1), [3, 1, 2, 4]);
}

#[test]
fn what_is_too_much_is_refused_but_may_join() {
    let mut book = Book::new(Settings::default());
    let team = [limit("team", None, Some(2), 0)];
    for number in [1, 2] {
        send(&mut book, submit(number, &team)).unwrap();
    }
    let refused = send(&mut book, submit(3, &team)).unwrap_err();
    assert_eq!(refused.to_string(), "limit team is reached: 2 jobs may wait at a time");
    let same = Submit { action: submit(1, &[]).action, ..submit(4, &team) };
    assert_eq!(send(&mut book, same).unwrap().reply, Reply::Submitted { job: JobId(1), merged: true });
    // Elsewhere the name means something else.
    send(&mut book, Submit { instance: "side".into(), ..submit(5, &team) }).unwrap();
    // What runs does not wait.
    open(&mut book, 1, 1);
    send(&mut book, submit(6, &team)).unwrap();
}

#[test]
fn a_restart_counts_what_runs_and_takes_the_newest_numbers() {
    let settings = Settings::default();
    let mut book = Book::new(settings.clone());
    // The older job has the greater id, so recovery meets it last.
    send(&mut book, submit(9, &[limit("team", Some(5), None, 0)])).unwrap();
    open(&mut book, 1, 1);
    for number in [2, 1] {
        send(&mut book, submit(number, &[limit("team", Some(2), None, 0)])).unwrap();
    }
    let mut restored = Book::restore(settings, NOW, book.rows());
    open(&mut restored, 2, 5);
    assert_eq!(given(&mut restored, 2), [2]);
    assert_eq!(restored.rows().jobs.iter().map(|row| row.limits.len()).collect::<Vec<_>>(), [1, 1, 1]);
}
