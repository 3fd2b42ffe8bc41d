//! Promises that are kept: who gives way for whom, when, and what becomes of both.

use std::{sync::Arc, time::Duration};

use berth_core::{
    Book, BotStatus, Digest, Event, Fact, JobId, LaneKey, LeaseId, LeaseReport, Limit, OpenSession, OperationId,
    PollId, PropertySet, ReportedState, SessionId, Settings, Step, Submit, Timestamp, UpdateSession,
};

const START: Timestamp = Timestamp(1_000_000_000);
const SECOND: Duration = Duration::from_secs(1);
const WAIT: Duration = Duration::from_secs(20);
const COOL: Duration = Duration::from_secs(600);

/// A book and its time.
struct Test {
    book: Book,
    now: Timestamp,
    polls: u64,
}

/// At least so many, after 20 s at the cost of others.
fn promised(name: &str, min_running: u32) -> Arc<Limit> {
    Arc::new(Limit { name: name.into(), min_running, evict_after: Some(WAIT), ..Limit::default() })
}

fn at_most(name: &str, max_running: u32, min_running: u32) -> Arc<Limit> {
    let max_running = Some(max_running);
    Arc::new(Limit { name: name.into(), max_running, min_running, cool_down: COOL, ..Limit::default() })
}

impl Test {
    fn new() -> Self {
        Self { book: Book::new(Settings::default()), now: START, polls: 0 }
    }

    fn handle(&mut self, event: Event) -> Step {
        self.book.handle(self.now, event).expect("nothing is refused here")
    }

    fn submit(&mut self, number: u128, rank: i64, limits: &[Arc<Limit>]) {
        self.submit_for(number, rank, limits, None);
    }

    fn submit_for(&mut self, number: u128, rank: i64, limits: &[Arc<Limit>], queue_timeout: Option<Duration>) {
        let submit = Submit {
            operation: OperationId(number),
            instance: "main".into(),
            action: Digest { hash: [u8::try_from(number).unwrap(); 32], size_bytes: 1 },
            do_not_cache: false,
            skip_cache_lookup: false,
            lookup_began: self.now,
            requirements: PropertySet::default(),
            label: "".into(),
            lane: LaneKey::default(),
            weight: 1,
            rank,
            limits: limits.to_vec(),
            affinities: Vec::new(),
            again: berth_core::Again::default(),
            preferred: None,
            queue_timeout,
            execution_timeout: None,
        };
        self.handle(Event::Submit(Box::new(submit)));
    }

    fn open(&mut self, session: u128, slots: u32) -> Vec<LeaseId> {
        self.polls += 1;
        self.handle(Event::OpenSession(Box::new(OpenSession {
            session: SessionId(session),
            instance: "main".into(),
            bot_id: format!("bot-{session}").into(),
            identity: "".into(),
            capabilities: vec![PropertySet::default()],
            slots,
            score: 0,
            hold_when_full: true,
            status: BotStatus::Ok,
            poll: PollId(self.polls),
            hold_until: Some(self.now.after(3_600 * SECOND)),
        })));
        self.heard(session)
    }

    /// The bot goes on with these, and its call is held: it has said them before.
    fn wait(&mut self, session: u128, leases: &[LeaseId]) {
        self.report(session, leases);
        assert!(self.report(session, leases).is_empty(), "a call without news is held");
    }

    /// The bot goes on with these, and hears what is its own.
    fn report(&mut self, session: u128, leases: &[LeaseId]) -> Vec<LeaseId> {
        let report = |lease: &LeaseId| LeaseReport { lease: *lease, state: ReportedState::Active };
        self.polls += 1;
        self.handle(Event::UpdateSession(Box::new(UpdateSession {
            session: SessionId(session),
            bot_id: format!("bot-{session}").into(),
            identity: "".into(),
            status: BotStatus::Ok,
            worker: None,
            leases: leases.iter().map(report).collect(),
            poll: PollId(self.polls),
            hold_until: Some(self.now.after(3_600 * SECOND)),
        })));
        self.heard(session)
    }

    /// What the newest answer to the bot lists.
    fn heard(&mut self, session: u128) -> Vec<LeaseId> {
        let answers = self.book.finish_batch(self.now);
        let mine = answers.into_iter().rfind(|answer| answer.session == SessionId(session));
        mine.map(|answer| answer.leases).unwrap_or_default()
    }

    /// Lets time pass; answers who gave way for which counter.
    fn pass(&mut self, time: Duration) -> Vec<(u128, String)> {
        let (end, mut evicted) = (self.now.after(time), Vec::new());
        while let Some(at) = self.book.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            for fact in self.handle(Event::Tick).facts {
                if let Fact::LeaseEvicted(fact) = fact {
                    evicted.push((fact.lease.job.0, fact.counter.to_string()));
                }
            }
        }
        self.now = end;
        evicted
    }
}

fn lease(job: u128, attempt: u32) -> LeaseId {
    LeaseId { job: JobId(job), attempt }
}

#[test]
fn after_its_time_the_last_in_order_gives_way_and_the_slot_goes_to_who_was_promised_it() {
    let mut test = Test::new();
    test.submit(1, 0, &[]);
    test.submit(2, 5, &[]);
    test.submit(3, 5, &[]);
    let running = test.open(1, 3);
    test.wait(1, &running);
    test.submit(4, 9, &[promised("release", 1)]);
    assert!(test.pass(WAIT - SECOND).is_empty());
    assert_eq!(test.pass(SECOND), [(3, "release".to_owned())]);
    // The bot hears at once that the lease is over. Until it lets go, its slot is busy.
    assert_eq!(test.heard(1), [lease(1, 1), lease(2, 1)]);
    assert_eq!(test.report(1, &[lease(1, 1), lease(2, 1), lease(3, 1)]), [lease(1, 1), lease(2, 1)]);
    assert_eq!(test.report(1, &[lease(1, 1), lease(2, 1)]), [lease(1, 1), lease(2, 1), lease(4, 1)]);
    let evicted = test.book.job_row(JobId(3)).unwrap();
    assert_eq!((evicted.attempts_used, evicted.offers, evicted.age), (0, 1, 3));
}

#[test]
fn an_evicted_job_comes_again_under_a_new_number() {
    let mut test = Test::new();
    test.submit(1, 0, &[]);
    let running = test.open(1, 1);
    test.wait(1, &running);
    test.submit(2, 0, &[promised("release", 1)]);
    assert_eq!(test.pass(WAIT).len(), 1);
    assert_eq!(test.report(1, &[]), [lease(2, 1)]);
    assert_eq!(test.open(2, 1), [lease(1, 2)]);
}

#[test]
fn who_has_no_more_than_was_promised_gives_way_to_nobody() {
    let mut test = Test::new();
    test.submit(1, 0, &[at_most("team", 9, 1)]);
    let running = test.open(1, 1);
    test.wait(1, &running);
    test.submit(2, 0, &[promised("release", 1)]);
    assert!(test.pass(10 * WAIT).is_empty());
    test.submit(3, 0, &[at_most("team", 9, 0)]);
    // From now on nothing is promised to it.
    assert_eq!(test.pass(WAIT), [(1, "release".to_owned())]);
}

#[test]
fn one_gives_way_for_each_that_waits_and_no_more_than_are_promised() {
    let mut test = Test::new();
    for number in 1..=6 {
        test.submit(number, 0, &[]);
    }
    let running = test.open(1, 6);
    test.report(1, &running);
    for number in 7..=10 {
        test.submit(number, 0, &[promised("release", 2)]);
    }
    assert_eq!(test.pass(WAIT).len(), 2);
    // The bot is slow to let go: it is given a session's time for that.
    let later: Vec<_> = (0..50).map(|_| (test.report(1, &running), test.pass(SECOND).len()).1).collect();
    assert_eq!(later.iter().position(|evicted| *evicted > 0), Some(44));
    assert_eq!(later.iter().sum::<usize>(), 2);
}

#[test]
fn nobody_gives_way_while_a_bot_is_free() {
    let mut test = Test::new();
    test.submit(1, 0, &[]);
    let running = test.open(1, 1);
    test.wait(1, &running);
    test.open(2, 1);
    // Between two of its calls the other bot has a free slot, and does not ask.
    test.handle(Event::PollEnded { session: SessionId(2), poll: PollId(4) });
    test.submit(2, 0, &[promised("release", 1)]);
    assert!(test.pass(40 * SECOND).is_empty());
    // It is gone.
    assert_eq!(test.pass(10 * SECOND), [(1, "release".to_owned())]);
}

#[test]
fn a_job_whose_time_to_wait_is_over_does_not_give_way() {
    let mut test = Test::new();
    test.submit_for(1, 9, &[], Some(SECOND));
    test.submit(2, 0, &[]);
    let running = test.open(1, 2);
    test.wait(1, &running);
    test.submit(3, 0, &[promised("release", 1)]);
    assert_eq!(test.pass(WAIT), [(2, "release".to_owned())]);
}

#[test]
fn a_counter_is_smaller_for_a_while_and_a_restart_knows_it() {
    let mut test = Test::new();
    for number in 1..=4 {
        test.submit(number, 0, &[at_most("team", 3, 1)]);
    }
    let running = test.open(1, 3);
    assert_eq!(running.len(), 3);
    test.wait(1, &running);
    test.submit(5, 0, &[promised("release", 1)]);
    assert_eq!(test.pass(WAIT), [(3, "release".to_owned())]);
    let rows = test.book.rows();
    assert_eq!(rows.cool_downs.len(), 1);
    assert_eq!(rows.cool_downs[0].until, [test.now.after(COOL)]);

    let mut test = Test { book: Book::restore(Settings::default(), test.now, rows), now: test.now, polls: 100 };
    test.report(1, &running[..2]);
    test.wait(1, &[running[0], running[1], lease(5, 1)]);
    // Job 5 has the slot that was made free; a new bot finds that the team may have two now.
    assert!(test.open(2, 1).is_empty());
    let why = format!("{:?}", test.book.explain(JobId(3)).unwrap().why);
    assert!(why.contains("LimitReached"), "{why}");
    test.report(2, &[]);
    test.pass(COOL);
    assert_eq!(test.heard(2), [lease(3, 2)]);
    assert!(test.book.rows().cool_downs.is_empty());
}

#[test]
fn after_a_restart_bots_have_time_to_come_back_first() {
    let mut test = Test::new();
    test.submit(1, 0, &[]);
    let running = test.open(1, 1);
    test.wait(1, &running);
    test.submit(2, 0, &[promised("release", 1)]);
    test.pass(WAIT - SECOND);
    let mut test = Test { book: Book::restore(Settings::default(), test.now, test.book.rows()), ..test };
    test.wait(1, &running);
    let timeout = Settings::default().session_timeout;
    assert!(test.pass(timeout + WAIT - SECOND).is_empty());
    assert_eq!(test.pass(SECOND), [(1, "release".to_owned())]);
}
