//! Offers that go wrong on their way to a bot, and requests that meet: bugs that the naive model found, told plainly.

use std::{sync::Arc, time::Duration};

use berth_core::{
    Book, BotStatus, Digest, Effect, Event, Fact, JobId, LaneKey, LeaseId, LeaseReport, OpenSession, OperationId,
    Outcome, PollId, Property, PropertySet, Reply, ReportedState, SessionId, Settings, Step, Submit, Timestamp,
    UpdateSession,
};

const NOW: Timestamp = Timestamp(1_000_000_000);

fn soon() -> Timestamp {
    NOW.after(Duration::from_secs(20))
}

fn submit(operation: u128, action: u8) -> Submit {
    Submit {
        operation: OperationId(operation),
        instance: "main".into(),
        action: Digest { hash: [action; 32], size_bytes: 1 },
        do_not_cache: false,
        skip_cache_lookup: false,
        lookup_began: NOW,
        requirements: PropertySet::default(),
        label: "".into(),
        lane: LaneKey::default(),
        weight: 1,
        rank: 0,
        limits: Vec::new(),
        affinities: Vec::new(),
        again: Default::default(),
        queue_timeout: None,
        execution_timeout: None,
        preferred: None,
    }
}

fn open(book: &mut Book, session: u128, bot: &str, slots: u32, capabilities: PropertySet) {
    let event = Event::OpenSession(Box::new(OpenSession {
        session: SessionId(session),
        instance: "main".into(),
        bot_id: bot.into(),
        identity: "".into(),
        capabilities: vec![capabilities],
        slots,
        hold_when_full: false,
        status: BotStatus::Ok,
        poll: PollId(1),
        hold_until: Some(soon()),
        score: 0,
    }));
    book.handle(NOW, event).expect("the session is new");
}

fn update(book: &mut Book, session: u128, bot: &str, poll: u64, leases: Vec<LeaseReport>) -> Step {
    let event = Event::UpdateSession(Box::new(UpdateSession {
        session: SessionId(session),
        bot_id: Arc::from(bot),
        identity: "".into(),
        status: BotStatus::Ok,
        worker: None,
        leases,
        poll: PollId(poll),
        hold_until: Some(soon()),
    }));
    book.handle(NOW, event).expect("the session is known")
}

fn handle(book: &mut Book, event: Event) -> Step {
    book.handle(NOW, event).expect("the event is accepted")
}

fn lease(job: u128, attempt: u32) -> LeaseId {
    LeaseId { job: JobId(job), attempt }
}

#[test]
fn a_lease_that_its_bot_has_listed_is_not_taken_back_when_a_later_answer_is_lost() {
    let mut book = Book::new(Settings::default());
    open(&mut book, 1, "bot", 2, PropertySet::default());
    handle(&mut book, Event::Submit(Box::new(submit(10, 1))));
    assert_eq!(book.finish_batch(NOW)[0].leases, [lease(10, 1)]);
    update(&mut book, 1, "bot", 2, vec![LeaseReport { lease: lease(10, 1), state: ReportedState::Pending }]);
    handle(&mut book, Event::Submit(Box::new(submit(11, 2))));
    assert_eq!(book.finish_batch(NOW)[0].leases, [lease(10, 1), lease(11, 1)]);

    let step = handle(&mut book, Event::Undelivered { session: SessionId(1), poll: PollId(2) });

    assert_eq!(step.facts, [Fact::LeaseWithdrawn { lease: lease(11, 1), session: SessionId(1) }]);
}

#[test]
fn an_offer_is_taken_back_when_its_call_ends_in_the_same_batch() {
    let mut book = Book::new(Settings::default());
    open(&mut book, 1, "first", 1, PropertySet::default());
    handle(&mut book, Event::Submit(Box::new(submit(10, 1))));
    let step = handle(&mut book, Event::PollEnded { session: SessionId(1), poll: PollId(1) });
    assert_eq!(step.facts, [Fact::LeaseWithdrawn { lease: lease(10, 1), session: SessionId(1) }]);
    assert_eq!(book.finish_batch(NOW), []);

    open(&mut book, 2, "second", 1, PropertySet::default());

    assert_eq!(book.finish_batch(NOW)[0].leases, [lease(10, 2)]);
    assert_eq!(book.job_view(JobId(10)).expect("it runs").attempts_used, 0);
}

#[test]
fn an_answer_from_the_action_cache_does_not_hide_the_job_in_flight() {
    let mut book = Book::new(Settings::default());
    handle(&mut book, Event::Submit(Box::new(Submit { skip_cache_lookup: true, ..submit(10, 1) })));
    handle(&mut book, Event::SubmitCached(Box::new(submit(11, 1))));

    let step = handle(&mut book, Event::Submit(Box::new(Submit { skip_cache_lookup: true, ..submit(12, 1) })));

    assert_eq!(step.reply, Reply::Submitted { job: JobId(10), merged: true });
}

#[test]
fn an_answer_from_the_action_cache_does_not_hide_a_result_that_has_just_come() {
    let mut book = Book::new(Settings::default());
    open(&mut book, 1, "bot", 1, PropertySet::default());
    handle(&mut book, Event::Submit(Box::new(submit(10, 1))));
    let done = ReportedState::Completed { code: 0, cacheable: true };
    update(&mut book, 1, "bot", 2, vec![LeaseReport { lease: lease(10, 1), state: done }]);
    handle(&mut book, Event::SubmitCached(Box::new(submit(11, 1))));

    let step = handle(&mut book, Event::Submit(Box::new(submit(12, 1))));

    assert_eq!(step.reply, Reply::Submitted { job: JobId(10), merged: true });
}

#[test]
fn a_lane_has_the_weight_of_its_newest_job_after_a_restart_too() {
    let settings = Settings::default();
    let mut book = Book::new(settings.clone());
    // The older job has the greater id, so recovery meets it last.
    let in_lane = |operation, action, lane: &str, weight| Submit {
        lane: LaneKey(lane.into()),
        weight,
        ..submit(operation, action)
    };
    handle(&mut book, Event::Submit(Box::new(in_lane(99, 1, "a", 1))));
    handle(&mut book, Event::Submit(Box::new(in_lane(1, 2, "a", 10))));
    handle(&mut book, Event::Submit(Box::new(in_lane(50, 3, "b", 2))));
    handle(&mut book, Event::Submit(Box::new(in_lane(51, 4, "b", 2))));
    let mut restored = Book::restore(settings, NOW, book.rows());

    open(&mut book, 1, "bot", 3, PropertySet::default());
    open(&mut restored, 1, "bot", 3, PropertySet::default());

    let (live, again) = (book.finish_batch(NOW), restored.finish_batch(NOW));
    assert_eq!(live[0].leases, [lease(99, 1), lease(1, 1), lease(50, 1)]);
    assert_eq!(again[0].leases, live[0].leases);
    assert!(again[0].version > live[0].version, "versions go on growing");
}

#[test]
fn classes_that_come_and_go_by_the_thousand_leave_the_right_job_for_each_bot() {
    let settings = Settings { recent_results: Duration::ZERO, ..Settings::default() };
    let mut book = Book::new(settings.clone());
    let kind = |n: u32| PropertySet::from_iter([Property::new("kind", n.to_string())]);
    open(&mut book, 1, "patient", 1, kind(1_000_000));
    let mut now = NOW;
    // More than are remembered without jobs, and more heads than the journal holds.
    for n in 0..40_000_u32 {
        let job = Submit { requirements: kind(n), do_not_cache: true, ..submit(u128::from(n) + 10, 0) };
        book.handle(now, Event::Submit(Box::new(job))).expect("the id is new");
        book.handle(now, Event::Cancel { operation: OperationId(u128::from(n) + 10) }).expect("it is there");
        now = Timestamp(now.0 + 1);
        book.finish_batch(now);
    }
    assert_eq!(book.session_view(SessionId(1)).expect("it waits").leases, []);
    for n in [2_000_000, 1_000_000, 7] {
        let job = Submit { requirements: kind(n), do_not_cache: true, ..submit(u128::from(n) * 100, 0) };
        book.handle(now, Event::Submit(Box::new(job))).expect("the id is new");
    }
    assert_eq!(book.session_view(SessionId(1)).expect("it waits").leases, [lease(100_000_000, 1)]);
    open(&mut book, 2, "seven", 2, kind(7));
    assert_eq!(book.session_view(SessionId(2)).expect("it is open").leases, [lease(700, 1)]);
    open(&mut book, 3, "two", 2, kind(2_000_000));
    assert_eq!(book.session_view(SessionId(3)).expect("it is open").leases, [lease(200_000_000, 1)]);
}

#[test]
fn the_last_handle_that_is_cancelled_ends_the_job_and_its_watchers_hear() {
    let mut book = Book::new(Settings::default());
    handle(&mut book, Event::Submit(Box::new(submit(10, 1))));
    handle(&mut book, Event::Submit(Box::new(submit(11, 1))));
    let first = handle(&mut book, Event::Cancel { operation: OperationId(10) });
    assert_eq!(first.effects, [Effect::OperationCancelled { operation: OperationId(10), job: JobId(10) }]);
    let last = handle(&mut book, Event::Cancel { operation: OperationId(11) });
    assert_eq!(last.effects, [Effect::JobChanged { job: JobId(10) }]);
    assert_eq!(
        last.facts.last(),
        Some(&Fact::JobCompleted { job: JobId(10), at: NOW, outcome: Outcome::Cancelled, ran_ms: 0, session: None })
    );
}
