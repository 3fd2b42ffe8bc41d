//! One event makes at most 1 024 facts, whatever ends at once.

use std::time::Duration;

use berth_core::{
    Book, BotStatus, Digest, Event, Fact, LaneKey, OpenSession, OperationId, PollId, PropertySet, SLOTS_MAX, SessionId,
    Settings, Submit, Timestamp,
};

const NOW: Timestamp = Timestamp(1_000_000_000);

fn submit(operation: u128, execution_timeout: Option<Duration>) -> Event {
    let mut hash = [0; 32];
    hash[..16].copy_from_slice(&operation.to_be_bytes());
    Event::Submit(Box::new(Submit {
        operation: OperationId(operation),
        instance: "main".into(),
        action: Digest { hash, size_bytes: 1 },
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
        execution_timeout,
        preferred: None,
    }))
}

/// A bot with as many leases as one may have, told of all.
fn busy(execution_timeout: Option<Duration>) -> Book {
    let mut book = Book::new(Settings::default());
    let open = OpenSession {
        session: SessionId(1),
        instance: "main".into(),
        bot_id: "bot".into(),
        identity: "".into(),
        capabilities: vec![PropertySet::default()],
        slots: SLOTS_MAX,
        hold_when_full: false,
        status: BotStatus::Ok,
        poll: PollId(1),
        hold_until: Some(NOW.after(Duration::from_secs(60))),
        score: 0,
    };
    book.handle(NOW, Event::OpenSession(Box::new(open))).expect("the session is new");
    for operation in 0..u128::from(SLOTS_MAX) {
        book.handle(NOW, submit(operation + 1, execution_timeout)).expect("the id is new");
    }
    assert_eq!(book.finish_batch(NOW)[0].leases.len(), SLOTS_MAX as usize);
    book
}

/// Ticks until nothing is due; answers how many facts of a kind there were.
fn ticks(book: &mut Book, now: Timestamp, wanted: impl Fn(&Fact) -> bool) -> usize {
    let mut count = 0;
    while book.next_deadline().is_some_and(|at| at <= now) {
        let step = book.handle(now, Event::Tick).expect("a tick is not refused");
        assert!(step.facts.len() <= 1_024, "{} facts", step.facts.len());
        count += step.facts.iter().filter(|fact| wanted(fact)).count();
    }
    count
}

#[test]
fn a_session_with_a_thousand_leases_expires_in_steps() {
    let mut book = busy(None);
    let later = NOW.after(Duration::from_secs(60));
    let lost = ticks(&mut book, later, |fact| matches!(fact, Fact::AttemptLost { .. }));
    assert_eq!(lost, SLOTS_MAX as usize);
    assert!(book.session_view(SessionId(1)).is_none());
    assert_eq!(book.counts().queued, SLOTS_MAX as usize);
}

#[test]
fn a_thousand_leases_of_a_bot_run_out_of_time_in_steps() {
    let mut book = busy(Some(Duration::from_secs(10)));
    let later = NOW.after(Duration::from_secs(10));
    let ended = ticks(&mut book, later, |fact| matches!(fact, Fact::JobCompleted { .. }));
    assert_eq!(ended, SLOTS_MAX as usize);
    assert!(book.session_view(SessionId(1)).is_some());
}
