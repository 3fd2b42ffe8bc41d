//! Which bot gets a job, told plainly: what a policy says of pairs of classes, what a job would like, how good a bot is.

use std::time::Duration;

use berth_core::{
    Asking, Book, BotStatus, Digest, Effect, Event, Fact, JobId, LaneKey, MatchAsked, Matched, OpenSession,
    OperationId, PAIRS_MAX, PollId, Property, PropertySet, Question, SessionId, Settings, Step, Submit, Timestamp,
};

const START: Timestamp = Timestamp(1_000_000_000);

struct House {
    book: Book,
    now: Timestamp,
    made: u128,
}

impl House {
    fn new(edition: Option<u64>) -> Self {
        let mut house = Self { book: Book::new(Settings::default()), now: START, made: 0 };
        house.judge(edition);
        house
    }

    fn judge(&mut self, edition: Option<u64>) -> Step {
        let asking = Asking { matching: edition, ..Asking::default() };
        self.handle(Event::Asking { instance: "main".into(), asking })
    }

    fn handle(&mut self, event: Event) -> Step {
        self.book.handle(self.now, event).expect("the event is accepted")
    }

    fn submit(&mut self, needs: &[(&str, &str)], preferred: Option<&[(&str, &str)]>) -> (JobId, Step) {
        self.made += 1;
        let mut hash = [0; 32];
        hash[..16].copy_from_slice(&self.made.to_be_bytes());
        let submit = Submit {
            operation: OperationId(self.made),
            instance: "main".into(),
            action: Digest { hash, size_bytes: 1 },
            do_not_cache: false,
            skip_cache_lookup: false,
            lookup_began: self.now,
            requirements: set(needs),
            preferred: preferred.map(set),
            label: "".into(),
            lane: LaneKey::default(),
            weight: 1,
            rank: 0,
            limits: Vec::new(),
            affinities: Vec::new(),
            again: berth_core::Again::default(),
            queue_timeout: None,
            execution_timeout: None,
        };
        (JobId(self.made), self.handle(Event::Submit(Box::new(submit))))
    }

    /// A bot says hello and asks for work.
    fn open(&mut self, bot: &str, offers: &[(&str, &str)], score: u32) -> (SessionId, Step) {
        self.made += 1;
        let open = OpenSession {
            session: SessionId(self.made),
            instance: "main".into(),
            bot_id: bot.into(),
            identity: "".into(),
            capabilities: vec![set(offers)],
            slots: 1,
            hold_when_full: false,
            status: BotStatus::Ok,
            score,
            poll: PollId(1),
            hold_until: Some(self.now.after(Duration::from_secs(600))),
        };
        (SessionId(self.made), self.handle(Event::OpenSession(Box::new(open))))
    }

    fn answer(&mut self, asked: MatchAsked, scores: Option<Vec<u32>>) -> Step {
        self.handle(Event::Matched(Box::new(Matched { asked, scores })))
    }

    /// What is asked until then.
    fn wait(&mut self, time: Duration) -> Vec<MatchAsked> {
        let end = self.now.after(time);
        let mut asked = Vec::new();
        while let Some(due) = self.book.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            asked.extend(asks(&self.handle(Event::Tick)));
        }
        self.now = end;
        asked
    }
}

fn set(properties: &[(&str, &str)]) -> PropertySet {
    properties.iter().map(|(name, value)| Property::new(*name, *value)).collect()
}

fn asks(step: &Step) -> Vec<MatchAsked> {
    let asked = step.effects.iter().filter_map(|effect| match effect {
        Effect::Ask(Question::Match(asked)) => Some((**asked).clone()),
        _ => None,
    });
    asked.collect()
}

fn offered(step: &Step) -> Vec<(JobId, SessionId)> {
    let offered = step.facts.iter().filter_map(|fact| match fact {
        Fact::LeaseOffered { lease, session, .. } => Some((lease.job, *session)),
        _ => None,
    });
    offered.collect()
}

#[test]
fn nothing_fits_until_a_policy_says_so_and_then_the_best_fit_gets_the_job() {
    let mut house = House::new(Some(1));
    house.open("first", &[("cores", "64")], 9);
    let (tight, _) = house.open("second", &[("cores", "8")], 0);
    let (job, step) = house.submit(&[("cores", "4")], None);
    assert_eq!(offered(&step), []);
    let asked = asks(&step);
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].needs, [("".into(), set(&[("cores", "4")]))]);
    assert_eq!((asked[0].offers.len(), asked[0].pairs.len(), asked[0].edition), (2, 2, 1));
    // The more cores are left over, the worse.
    let score =
        |(_, offer): &(u32, u32)| if asked[0].offers[*offer as usize] == [set(&[("cores", "8")])] { 7 } else { 3 };
    let scores = asked[0].pairs.iter().map(score).collect();
    let step = house.answer(asked[0].clone(), Some(scores));
    assert_eq!(offered(&step), [(job, tight)]);
    // What is known is not asked again.
    assert_eq!(asks(&house.submit(&[("cores", "4")], None).1), []);
}

#[test]
fn what_a_policy_said_is_forgotten_when_another_one_answers() {
    let mut house = House::new(Some(1));
    let (bot, _) = house.open("bot", &[("cores", "8")], 0);
    let (job, step) = house.submit(&[("cores", "4")], None);
    let old = asks(&step).remove(0);
    let new = asks(&house.judge(Some(2))).remove(0);
    assert_eq!((old.edition, new.edition), (1, 2));
    assert_eq!(offered(&house.answer(old, Some(vec![1]))), []);
    assert_eq!(offered(&house.answer(new.clone(), Some(vec![0]))), []);
    assert_eq!(asks(&house.judge(Some(3))).len(), 1);
    let step = house.judge(None);
    assert_eq!((offered(&step), asks(&step).len()), (vec![], 0), "containment says no");
    let (plain, step) = house.submit(&[("cores", "8")], None);
    assert_eq!(offered(&step), [(plain, bot)]);
    assert!(house.book.job_row(job).is_some());
}

#[test]
fn what_a_policy_could_not_say_is_asked_again_after_half_a_second() {
    let mut house = House::new(Some(1));
    house.open("bot", &[("cores", "8")], 0);
    let asked = asks(&house.submit(&[("cores", "4")], None).1).remove(0);
    house.answer(asked, None);
    assert_eq!(house.wait(Duration::from_millis(400)), []);
    let asked = house.wait(Duration::from_millis(200));
    assert_eq!(asked.len(), 1);
    // No answer at all is a minute of peace.
    assert_eq!(house.wait(Duration::from_secs(59)), []);
    let asked = house.wait(Duration::from_secs(2)).remove(0);
    assert_eq!(offered(&house.answer(asked, Some(vec![1]))).len(), 1);
    assert_eq!(house.wait(Duration::from_secs(100)), []);
}

#[test]
fn many_pairs_are_asked_in_batches_and_one_answer_makes_bounded_steps() {
    let mut house = House::new(Some(1));
    let bots = PAIRS_MAX + 76;
    for bot in 0..bots {
        house.open(&format!("bot-{bot}"), &[("host", &bot.to_string())], 0);
    }
    let asked = asks(&house.submit(&[("cores", "4")], None).1);
    assert_eq!(asked.iter().map(|asked| asked.pairs.len()).collect::<Vec<_>>(), [PAIRS_MAX, 76]);
    for _ in 1..bots {
        assert_eq!(asks(&house.submit(&[("cores", "4")], None).1), []);
    }
    let mut served = 0;
    for asked in asked {
        let scores = vec![1; asked.pairs.len()];
        let mut step = house.answer(asked, Some(scores));
        loop {
            assert!(step.facts.len() <= 1_024, "{} facts", step.facts.len());
            served += offered(&step).len();
            if house.book.next_deadline().is_none_or(|due| due > house.now) {
                break;
            }
            step = house.handle(Event::Tick);
        }
    }
    assert_eq!(served, bots);
}

#[test]
fn a_bot_that_the_job_would_like_goes_first_and_any_that_will_do_after_that() {
    let (plain, big) = ([("os", "linux")], [("os", "linux"), ("pool", "big")]);
    let mut house = House::new(None);
    let (first, _) = house.open("first", &plain, 5);
    let (liked, _) = house.open("second", &big, 0);
    let (job, step) = house.submit(&plain, Some(&big));
    assert_eq!(offered(&step), [(job, liked)]);
    let (job, step) = house.submit(&plain, Some(&big));
    assert_eq!(offered(&step), [(job, first)]);
    // What a job would like is not what it needs: whoever asks later may have it.
    let (job, _) = house.submit(&plain, Some(&big));
    let (late, step) = house.open("third", &plain, 0);
    assert_eq!(offered(&step), [(job, late)]);
}

#[test]
fn of_bots_that_fit_equally_the_best_goes_first_and_of_equals_the_one_that_waited_longest() {
    let mut house = House::new(None);
    let (slow, _) = house.open("slow", &[("os", "linux")], 1);
    let (fast, _) = house.open("fast", &[("os", "linux"), ("disk", "nvme")], 8);
    let (also_fast, _) = house.open("also fast", &[("os", "linux")], 8);
    let served: Vec<_> = (0..3).flat_map(|_| offered(&house.submit(&[("os", "linux")], None).1)).collect();
    assert_eq!(served.iter().map(|(_, bot)| *bot).collect::<Vec<_>>(), [fast, also_fast, slow]);
}
