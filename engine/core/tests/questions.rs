//! Questions about jobs that nobody can serve, told plainly: when they are asked, and what a refusal ends.

use std::time::Duration;

use berth_core::{
    Asking, Book, BotStatus, Digest, Effect, Event, Fact, LaneKey, OpenSession, OperationId, PollId, Property,
    PropertySet, Question, Rows, SessionId, Settings, Step, Submit, Timestamp, UnmatchedAsked, UnmatchedDecided,
    UnmatchedVerdict,
};

const START: Timestamp = Timestamp(1_000_000_000);
const SECOND: Duration = Duration::from_secs(1);

struct House {
    book: Book,
    now: Timestamp,
    made: u128,
}

impl House {
    fn new() -> Self {
        let book = Book::restore(Settings::default(), START, Rows::default());
        let mut house = Self { book, now: START, made: 0 };
        house
            .handle(Event::Asking { instance: "main".into(), asking: Asking { unmatched: true, ..Asking::default() } });
        house
    }

    fn handle(&mut self, event: Event) -> Step {
        self.book.handle(self.now, event).expect("the event is accepted")
    }

    fn submit(&mut self, jobs: usize) -> Vec<OperationId> {
        let submit = |house: &mut Self| {
            house.made += 1;
            let operation = OperationId(house.made);
            let mut hash = [0; 32];
            hash[..16].copy_from_slice(&house.made.to_be_bytes());
            house.handle(Event::Submit(Box::new(Submit {
                operation,
                instance: "main".into(),
                action: Digest { hash, size_bytes: 1 },
                do_not_cache: false,
                skip_cache_lookup: false,
                lookup_began: house.now,
                requirements: gpu(),
                label: "".into(),
                lane: LaneKey(["", "a"][(house.made % 2) as usize].into()),
                weight: 1,
                rank: 0,
                limits: Vec::new(),
                affinities: Vec::new(),
                again: Default::default(),
                queue_timeout: None,
                execution_timeout: None,
                preferred: None,
            })));
            operation
        };
        (0..jobs).map(|_| submit(self)).collect()
    }

    fn open(&mut self) {
        self.made += 1;
        self.handle(Event::OpenSession(Box::new(OpenSession {
            session: SessionId(self.made),
            instance: "main".into(),
            bot_id: "bot".into(),
            identity: "".into(),
            capabilities: vec![gpu()],
            slots: 1,
            hold_when_full: false,
            status: BotStatus::Ok,
            poll: PollId(1),
            hold_until: None,
            score: 0,
        })));
    }

    /// Lets time pass until something is asked, or for so long.
    fn wait(&mut self, time: Duration) -> (Option<UnmatchedAsked>, usize) {
        let end = self.now.after(time);
        let mut refused = 0;
        while let Some(due) = self.book.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            let step = self.handle(Event::Tick);
            refused += refusals(&step);
            for effect in step.effects {
                if let Effect::Ask(Question::Unmatched(asked)) = effect {
                    return (Some(*asked), refused);
                }
            }
            self.book.finish_batch(self.now);
        }
        self.now = end;
        (None, refused)
    }

    fn answer(&mut self, asked: &UnmatchedAsked, verdict: UnmatchedVerdict) -> Step {
        let (class, revision) = (asked.class.clone(), asked.revision);
        self.handle(Event::Unmatched(Box::new(UnmatchedDecided { class, revision, verdict: Some(verdict) })))
    }
}

fn gpu() -> PropertySet {
    [Property::new("pool", "gpu")].into_iter().collect()
}

fn refusals(step: &Step) -> usize {
    step.facts.iter().filter(|fact| matches!(fact, Fact::JobRefused { .. })).count()
}

fn refuse() -> UnmatchedVerdict {
    UnmatchedVerdict::Refuse("no".into())
}

#[test]
fn bots_have_a_session_timeout_to_come_back_before_anybody_is_asked() {
    let mut house = House::new();
    house.submit(3);
    let (asked, _) = house.wait(Duration::from_secs(100));
    let asked = asked.expect("nobody came");
    assert!(house.now >= START.after(Settings::default().session_timeout));
    assert!(house.now <= START.after(Settings::default().session_timeout + 2 * SECOND));
    assert_eq!((asked.jobs, asked.oldest), (3, house.now.since(START)));
}

#[test]
fn a_refusal_ends_what_waits_in_steps_and_holds_for_a_while() {
    let mut house = House::new();
    house.submit(1_300);
    let (asked, _) = house.wait(Duration::from_secs(100));
    let step = house.answer(&asked.expect("nobody came"), refuse());
    assert_eq!(refusals(&step), 512);
    let (asked, refused) = house.wait(SECOND / 2);
    assert_eq!((asked, refused), (None, 1_300 - 512));
    house.submit(2);
    assert_eq!(house.wait(2 * SECOND), (None, 2));
    house.wait(Duration::from_secs(10));
    house.submit(1);
    assert_eq!(house.wait(3 * SECOND).0.expect("the refusal holds no more").jobs, 1);
}

#[test]
fn an_answer_that_comes_after_a_bot_changes_nothing() {
    let mut house = House::new();
    house.submit(2);
    let (asked, _) = house.wait(Duration::from_secs(100));
    house.open();
    assert!(house.answer(&asked.expect("nobody came"), refuse()).facts.is_empty());
}

#[test]
fn a_bot_that_is_drained_counts_because_it_will_serve_again() {
    let mut house = House::new();
    house.wait(Duration::from_secs(50));
    house.handle(Event::Drain { instance: "main".into(), bot_id: "bot".into(), on: true });
    house.open();
    house.submit(1);
    assert_eq!(house.wait(Duration::from_secs(30)), (None, 0));
    // Until its session is over.
    assert!(house.wait(Duration::from_secs(30)).0.is_some());
}

#[test]
fn nobody_is_asked_again_before_the_time_that_a_policy_named() {
    let mut house = House::new();
    house.submit(1);
    let (asked, _) = house.wait(Duration::from_secs(100));
    let wait = UnmatchedVerdict::Wait(Duration::from_secs(20));
    assert!(house.answer(&asked.expect("nobody came"), wait).facts.is_empty());
    assert_eq!(house.wait(Duration::from_secs(19)), (None, 0));
    assert!(house.wait(2 * SECOND).0.is_some());
    // An answer that does not come is a minute of peace.
    assert_eq!(house.wait(Duration::from_secs(59)), (None, 0));
    assert!(house.wait(4 * SECOND).0.is_some());
}
