//! New places, where it depends on what the book remembers of old ones.

use std::{sync::Arc, time::Duration};

use berth_core::{
    Again, Book, BotStatus, Digest, Effect, Event, Fact, JobId, LaneKey, LeaseId, LeaseReport, Limit, NewPlace,
    OpenSession, OperationId, PLACES_MAX, Place, PoliciesChanged, PolicyChanged, PollId, Property, PropertySet,
    Question, Rejection, ReportedState, SessionId, Settings, Step, Submit, Timestamp, UpdateSession,
};

const NOW: Timestamp = Timestamp(1_000_000_000);

fn needs(what: &str) -> PropertySet {
    [Property::new("kind", what)].into_iter().collect()
}

fn submit(job: u128, needed: &str, lane: &str, rank: i64) -> Submit {
    Submit {
        operation: OperationId(job),
        instance: "main".into(),
        action: Digest { hash: [job as u8; 32], size_bytes: 1 },
        do_not_cache: true,
        skip_cache_lookup: false,
        lookup_began: NOW,
        requirements: needs(needed),
        label: "".into(),
        lane: LaneKey(lane.into()),
        weight: 1,
        rank,
        limits: Vec::new(),
        affinities: Vec::new(),
        again: Again::default(),
        preferred: None,
        queue_timeout: None,
        execution_timeout: None,
    }
}

fn open(bot: u128, offers: &str) -> OpenSession {
    OpenSession {
        session: SessionId(bot),
        instance: "main".into(),
        bot_id: bot.to_string().into(),
        identity: "".into(),
        capabilities: vec![needs(offers)],
        slots: 1,
        score: 0,
        hold_when_full: false,
        status: BotStatus::Ok,
        poll: PollId(1),
        hold_until: None,
    }
}

fn to(job: u128, lane: &str, rank: i64) -> NewPlace {
    let lane = LaneKey(lane.into());
    NewPlace { job: JobId(job), lane, weight: 1, rank, limits: Vec::new(), affinities: Vec::new(), again: None }
}

fn place(generation: u64, items: Vec<NewPlace>) -> Event {
    Event::Place(Box::new(Place { generation, items }))
}

struct Test {
    book: Book,
    now: Timestamp,
}

impl Test {
    fn new() -> Self {
        Self { book: Book::new(Settings::default()), now: NOW }
    }

    fn handle(&mut self, event: Event) -> Step {
        self.book.handle(self.now, event).unwrap()
    }

    fn submit(&mut self, submit: Submit) {
        self.handle(Event::Submit(Box::new(submit)));
    }

    fn open(&mut self, bot: u128, offers: &str) -> Vec<u128> {
        offered(&self.handle(Event::OpenSession(Box::new(open(bot, offers)))))
    }

    /// The bot ends the job, and asks for the next.
    fn done(&mut self, bot: u128, job: u128) -> Vec<u128> {
        let lease = LeaseId { job: JobId(job), attempt: 1 };
        let state = ReportedState::Completed { code: 0, cacheable: false };
        offered(&self.handle(Event::UpdateSession(Box::new(UpdateSession {
            session: SessionId(bot),
            bot_id: bot.to_string().into(),
            identity: "".into(),
            status: BotStatus::Ok,
            worker: None,
            leases: vec![LeaseReport { lease, state }],
            poll: PollId(2),
            hold_until: None,
        }))))
    }

    fn pass(&mut self, time: Duration) -> Vec<u128> {
        self.now = self.now.after(time);
        asked(&self.handle(Event::Tick))
    }
}

fn offered(step: &Step) -> Vec<u128> {
    let offers = step.facts.iter().filter_map(|fact| match fact {
        Fact::LeaseOffered { lease, .. } => Some(lease.job.0),
        _ => None,
    });
    offers.collect()
}

fn asked(step: &Step) -> Vec<u128> {
    let questions = step.effects.iter().filter_map(|effect| match effect {
        Effect::Ask(Question::Place(asked)) => Some(asked),
        _ => None,
    });
    questions.flatten().map(|asked| asked.job.0).collect()
}

#[test]
fn a_job_that_moves_twice_is_served_by_the_share_of_the_lane_where_it_is() {
    let mut test = Test::new();
    // Lane c has a job with a bot; lane a outlives what moves out of it.
    test.submit(submit(1, "gpu", "c", 0));
    assert_eq!(test.open(1, "gpu"), [1]);
    test.submit(submit(2, "mac", "a", 0));
    test.submit(submit(3, "linux", "x", -5));
    test.submit(submit(4, "linux", "a", 0));
    test.submit(submit(5, "linux", "y", 9));
    assert_eq!(test.open(2, "linux"), [3]);
    // The number of its first line is given to its last.
    test.handle(place(1, vec![to(4, "b", 0)]));
    test.handle(place(1, vec![to(4, "c", 0)]));
    assert_eq!(test.done(2, 3), [5], "lane y has nothing running, lane c has");
}

#[test]
fn a_job_that_runs_counts_for_its_new_lane() {
    let mut test = Test::new();
    for (job, lane) in [(1, "a"), (2, "a"), (3, "b")] {
        test.submit(submit(job, "linux", lane, 0));
    }
    assert_eq!(test.open(1, "linux"), [1]);
    test.handle(place(1, vec![to(1, "b", 0)]));
    assert_eq!(test.open(2, "linux"), [2], "what lane b has running goes before by now");
}

#[test]
fn a_job_that_leaves_a_full_counter_goes_to_the_bot_that_waits() {
    let mut test = Test::new();
    let limit = |max| {
        vec![Arc::new(Limit { name: "x".into(), max_running: Some(max), max_queued: Some(1), ..Limit::default() })]
    };
    test.submit(Submit { limits: limit(1), ..submit(1, "linux", "", 0) });
    assert_eq!(test.open(1, "linux"), [1]);
    test.submit(Submit { limits: limit(1), ..submit(2, "linux", "", 0) });
    test.submit(submit(3, "gpu", "", 0));
    let held = OpenSession { hold_until: Some(NOW.after(Duration::from_secs(40))), ..open(2, "linux") };
    assert!(offered(&test.handle(Event::OpenSession(Box::new(held)))).is_empty());
    let moved = test.handle(place(1, vec![NewPlace { limits: Vec::new(), ..to(2, "", 0) }]));
    assert_eq!(offered(&moved), [2]);
    // More may wait than the counter takes in; and what runs is counted.
    let into = |job| NewPlace { limits: limit(1), ..to(job, "", 0) };
    assert_eq!(test.handle(place(1, vec![into(3), into(2)])).facts.len(), 2);
    assert!(test.open(3, "gpu").is_empty(), "two run of at most one");
    let more = test.handle(place(1, vec![NewPlace { limits: limit(3), ..to(3, "", 0) }]));
    assert_eq!(more.facts.len(), 1, "the numbers of the newest answer hold");
    assert_eq!(test.open(4, "gpu"), [3]);
}

#[test]
fn a_job_keeps_its_age_and_a_new_place_outlasts_its_attempt() {
    let mut test = Test::new();
    for job in 1..=3 {
        test.submit(submit(job, "linux", "", 0));
    }
    test.handle(place(1, vec![to(1, "", 7)]));
    test.handle(place(1, vec![to(1, "", 0)]));
    assert_eq!(test.open(1, "linux"), [1]);
    test.handle(place(1, vec![to(1, "", 5)]));
    // The bot says goodbye: its job waits again.
    let goodbye = Event::OpenSession(Box::new(OpenSession { session: SessionId(9), slots: 3, ..open(1, "linux") }));
    assert_eq!(offered(&test.handle(goodbye)), [2, 3, 1]);
}

#[test]
fn what_is_as_it_was_is_not_written() {
    let mut test = Test::new();
    test.submit(submit(1, "linux", "a", 3));
    assert!(test.handle(place(1, vec![to(1, "a", 3), to(7, "a", 3)])).facts.is_empty());
    let again = |again| vec![NewPlace { again: Some(Duration::from_secs(again)), ..to(1, "a", 3) }];
    assert_eq!(test.handle(place(1, again(5))).facts.len(), 1, "that it is asked about is something else");
    assert!(test.handle(place(1, again(9))).facts.is_empty(), "when, is not");
    assert!(test.pass(Duration::from_secs(6)).is_empty());
    assert_eq!(test.pass(Duration::from_secs(3)), [1]);
}

#[test]
fn an_older_answer_changes_nothing_and_a_request_with_one_is_to_ask_again() {
    let mut test = Test::new();
    test.submit(submit(1, "linux", "a", 0));
    let change = PolicyChanged {
        policy: "fair".into(),
        before: "1".into(),
        after: "2".into(),
        instances: "*".into(),
        role: "lane".into(),
        what: "activated".into(),
    };
    let changed = PoliciesChanged { generation: 2, changes: vec![change.clone()] };
    let step = test.handle(Event::PoliciesChanged(Box::new(changed)));
    assert_eq!(step.facts, [Fact::PolicyChanged(Box::new(change))]);
    assert!(test.handle(place(1, vec![to(1, "b", 0)])).facts.is_empty());
    let of = |generation| Again { after: None, generation };
    let late = Submit { again: of(1), ..submit(2, "linux", "a", 0) };
    assert_eq!(test.book.handle(NOW, Event::Submit(Box::new(late.clone()))).err(), Some(Rejection::Outdated));
    // The same request, once it has asked again.
    test.submit(Submit { again: of(2), ..late });
    assert!(test.pass(Duration::from_secs(3_600)).is_empty());
}

#[test]
fn a_question_that_nobody_answers_is_asked_again_after_a_minute() {
    let mut test = Test::new();
    let again = Again { after: Some(Duration::from_secs(1)), generation: 0 };
    test.submit(Submit { again, ..submit(2, "linux", "a", 0) });
    assert_eq!(test.pass(Duration::from_secs(1)), [2]);
    assert!(test.pass(Duration::from_secs(59)).is_empty());
    assert_eq!(test.pass(Duration::from_secs(1)), [2], "nobody has answered");
    test.handle(place(2, vec![to(2, "a", 0)]));
    assert!(test.pass(Duration::from_secs(3_600)).is_empty());
}

#[test]
fn a_question_is_about_so_many_jobs_and_the_rest_is_due_at_once() {
    let mut test = Test::new();
    let jobs = PLACES_MAX as u128 + 10;
    for job in 1..=jobs {
        let again = Again { after: Some(Duration::ZERO), generation: 0 };
        test.submit(Submit { again, ..submit(job, "linux", "", 0) });
    }
    assert!(test.pass(Duration::from_millis(999)).is_empty(), "not more often than each second");
    let first = test.pass(Duration::from_millis(1));
    assert_eq!(first.len(), PLACES_MAX);
    assert_eq!(test.book.next_deadline(), Some(NOW.after(Duration::from_secs(1))));
    let rest = test.pass(Duration::ZERO);
    assert_eq!((first.len() + rest.len()) as u128, jobs);
    assert!(test.pass(Duration::ZERO).is_empty());
}

#[test]
fn a_walk_meets_each_job_that_is_not_over_once() {
    let mut test = Test::new();
    for job in 1..=100 {
        test.submit(submit(job, "linux", "", 0));
    }
    test.open(1, "linux");
    for job in 30..=60 {
        test.handle(Event::Cancel { operation: OperationId(job) });
    }
    let (mut met, mut next) = (Vec::new(), Some(0));
    while let Some(from) = next {
        let (asked, more) = test.book.places_from(from, 7);
        assert!(asked.len() <= 7);
        met.extend(asked.into_iter().map(|asked| asked.job.0));
        next = more;
    }
    met.sort();
    assert_eq!(met, (1..30).chain(61..=100).collect::<Vec<_>>());
}
