//! Lanes that a policy chooses, told plainly: what it is shown, and when it is not asked.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use berth_core::{
    Asking, Book, BotStatus, Chooser, Digest, Event, Fact, Hidden, InstanceName, JobId, LANE_VIEWS_MAX, LaneKey,
    LaneView, OpenSession, OperationId, PollId, Property, PropertySet, SessionId, Settings, Step, Submit, Timestamp,
    WorkerView,
};

const NOW: Timestamp = Timestamp(1_000_000_000);

/// What was shown of a lane: name, weight, queued, running, time that the head waited, its rank.
type Shown = (String, u32, u32, u32, Duration, i64);

/// The lanes of a question, and whether there were more.
type Asked = (Vec<Shown>, bool);

#[derive(Clone, Default)]
struct Record {
    /// Lanes by their name; `None` chooses nothing.
    wish: Arc<Mutex<Option<&'static str>>>,
    shown: Arc<Mutex<Vec<Asked>>>,
    /// Busy and free slots of the bot.
    bots: Arc<Mutex<Vec<(String, u32, u32)>>>,
}

impl Chooser for Record {
    fn asks(&mut self, instance: &str) -> bool {
        instance == "main"
    }

    fn choose(&mut self, worker: &WorkerView<'_>, lanes: &[LaneView<'_>], truncated: bool) -> Option<usize> {
        let view = |l: &LaneView<'_>| (l.name.to_owned(), l.weight, l.queued, l.running, l.head_waited, l.head_rank);
        self.shown.lock().unwrap().push((lanes.iter().map(view).collect(), truncated));
        self.bots.lock().unwrap().push((worker.bot_id.to_owned(), worker.busy, worker.slots));
        let wish = (*self.wish.lock().unwrap())?;
        // What is not there is a wrong answer.
        Some(lanes.iter().position(|lane| lane.name == wish).unwrap_or(usize::MAX))
    }
}

fn house() -> (Book, Record) {
    let mut book = Book::new(Settings::default());
    let record = Record::default();
    book.set_chooser(Box::new(record.clone()));
    asking(&mut book, true);
    (book, record)
}

fn asking(book: &mut Book, choosing: bool) {
    for instance in ["main", "side"] {
        handle(book, Event::Asking { instance: instance.into(), asking: Asking { choosing, ..Asking::default() } });
    }
}

fn handle(book: &mut Book, event: Event) -> Step {
    book.handle(NOW, event).expect("the event is accepted")
}

fn submit(book: &mut Book, job: u128, lane: &str, weight: u32, rank: i64) {
    submit_to(book, "main", job, lane, weight, rank, NOW);
}

fn submit_to(book: &mut Book, instance: &str, job: u128, lane: &str, weight: u32, rank: i64, now: Timestamp) {
    let mut hash = [0; 32];
    hash[..16].copy_from_slice(&job.to_be_bytes());
    let submit = Submit {
        operation: OperationId(job),
        instance: instance.into(),
        action: Digest { hash, size_bytes: 1 },
        do_not_cache: false,
        skip_cache_lookup: false,
        lookup_began: now,
        requirements: PropertySet::default(),
        label: "".into(),
        lane: LaneKey(lane.into()),
        weight,
        rank,
        limits: Vec::new(),
        affinities: Vec::new(),
        again: berth_core::Again::default(),
        queue_timeout: None,
        execution_timeout: None,
        preferred: None,
    };
    book.handle(now, Event::Submit(Box::new(submit))).expect("the job is new");
}

/// A bot says hello, and is given these jobs.
fn open(book: &mut Book, now: Timestamp, instance: &str, bot: &str, slots: u32) -> Vec<u128> {
    let session = SessionId(u128::from(bot.as_bytes()[0]) << 64);
    let event = Event::OpenSession(Box::new(OpenSession {
        session,
        instance: InstanceName::from(instance),
        bot_id: bot.into(),
        identity: "".into(),
        capabilities: vec![[Property::new("os", "linux")].into_iter().collect()],
        slots,
        hold_when_full: false,
        status: BotStatus::Ok,
        poll: PollId(1),
        hold_until: None,
        score: 0,
    }));
    let facts = book.handle(now, event).expect("the session is new").facts;
    let offered = |fact: &Fact| match fact {
        Fact::LeaseOffered { lease, .. } => Some(lease.job.0),
        _ => None,
    };
    facts.iter().filter_map(offered).collect()
}

#[test]
fn the_lane_that_is_chosen_is_served_and_what_is_shown_is_how_the_lanes_stand() {
    let (mut book, record) = house();
    submit(&mut book, 1, "slow", 1, 0);
    submit(&mut book, 2, "fast", 4, 3);
    submit(&mut book, 3, "fast", 4, -2);
    submit_to(&mut book, "side", 4, "other", 1, 0, NOW);
    *record.wish.lock().unwrap() = Some("slow");
    let later = NOW.after(Duration::from_secs(7));
    assert_eq!(open(&mut book, later, "main", "bot", 3), [1, 3, 2]);
    let seven = Duration::from_secs(7);
    let first = vec![("fast".into(), 4, 2, 0, seven, -2), ("slow".into(), 1, 1, 0, seven, 0)];
    // With one lane left there is nothing to choose.
    assert_eq!(*record.shown.lock().unwrap(), [(first, false)]);
    assert_eq!(*record.bots.lock().unwrap(), [("bot".to_owned(), 0, 3)]);
}

#[test]
fn no_choice_and_a_wrong_one_leave_it_to_the_built_in_rule() {
    for wish in [None, Some("no such lane")] {
        let (mut book, record) = house();
        submit(&mut book, 1, "slow", 1, 0);
        submit(&mut book, 2, "fast", 4, 0);
        *record.wish.lock().unwrap() = wish;
        assert_eq!(open(&mut book, NOW, "main", "bot", 1), [2]);
        assert_eq!(record.shown.lock().unwrap().len(), 1);
    }
}

#[test]
fn at_most_so_many_lanes_are_shown_the_best_first() {
    let (mut book, record) = house();
    let count = LANE_VIEWS_MAX as u128 + 50;
    for job in 1..=count {
        // The later, the better.
        submit(&mut book, job, &format!("lane {job}"), 1, -(job as i64));
    }
    assert_eq!(open(&mut book, NOW, "main", "bot", 1), [count]);
    let shown = record.shown.lock().unwrap();
    let (lanes, truncated) = &shown[0];
    assert!(*truncated);
    let ranks: Vec<_> = lanes.iter().map(|lane| lane.5).collect();
    assert_eq!(ranks, (51..=count as i64).rev().map(|job| -job).collect::<Vec<_>>());
}

#[test]
fn nobody_is_asked_where_nobody_answers() {
    let (mut book, record) = house();
    for job in 1..3 {
        submit_to(&mut book, "side", job, ["a", "b"][job as usize - 1], 1, 0, NOW);
    }
    assert_eq!(open(&mut book, NOW, "side", "bot", 1).len(), 1);
    asking(&mut book, false);
    submit(&mut book, 10, "a", 1, 0);
    submit(&mut book, 11, "b", 1, 0);
    assert_eq!(open(&mut book, NOW, "main", "x", 1).len(), 1);
    assert!(record.shown.lock().unwrap().is_empty());
}

#[test]
fn nobody_is_asked_before_every_job_is_loaded() {
    let (mut book, _) = house();
    for job in 1..=4 {
        submit(&mut book, job, ["a", "b"][job as usize % 2], 1, 0);
    }
    let mut rows = book.rows();
    let hidden = rows.jobs.split_off(2);
    let lines = hidden.iter().map(|row| berth_core::HiddenLine { first: row.clone(), weight: 1, newest: row.age });
    let hidden = Hidden { jobs: 2, lines: Some(lines.collect()) };
    let late = book.rows().jobs;
    let mut book = Book::restore_partly(Settings::default(), NOW, rows, hidden);
    let record = Record::default();
    *record.wish.lock().unwrap() = Some("a");
    book.set_chooser(Box::new(record.clone()));
    asking(&mut book, true);
    assert_eq!(open(&mut book, NOW, "main", "bot", 1), [1], "the built-in rule, which goes by age");
    assert!(record.shown.lock().unwrap().is_empty());
    handle(&mut book, Event::JobsLoaded { rows: late, last: true });
    assert!(book.job_row(JobId(4)).is_some());
    assert_eq!(open(&mut book, NOW, "main", "x", 1), [2], "lane a");
    assert_eq!(record.shown.lock().unwrap().len(), 1);
}
