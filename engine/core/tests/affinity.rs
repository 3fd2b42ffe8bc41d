//! Keys: who is preferred, who waits for whom and for how long, and what comes of it under load.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use berth_core::{
    Affinity, Again, Book, BotStatus, Digest, Effect, Event, Fact, JobId, LaneKey, LeaseId, LeaseReport, OpenSession,
    OperationId, PollId, Property, PropertySet, ReportedState, SessionId, Settings, Step, Submit, Timestamp,
    UpdateSession, Why,
};

const NOBODY: [(JobId, SessionId); 0] = [];
const START: Timestamp = Timestamp(1_000_000_000);

fn affinity(key: &str, weight: u32, wait_ms: u64) -> Arc<Affinity> {
    Arc::new(Affinity { key: key.into(), weight, wait: Duration::from_millis(wait_ms) })
}

fn submit(number: u128, affinities: &[Arc<Affinity>]) -> Submit {
    Submit {
        operation: OperationId(number),
        instance: "main".into(),
        action: Digest { hash: [0; 32], size_bytes: number as u64 },
        do_not_cache: true,
        skip_cache_lookup: true,
        lookup_began: START,
        requirements: [Property::new("OS", "linux")].into_iter().collect(),
        preferred: None,
        label: "linux".into(),
        lane: LaneKey::default(),
        weight: 1,
        rank: 0,
        limits: Vec::new(),
        affinities: affinities.to_vec(),
        again: Again::default(),
        queue_timeout: None,
        execution_timeout: None,
    }
}

/// A book and its time.
struct Test {
    book: Book,
    now: Timestamp,
    polls: u64,
}

impl Test {
    fn new() -> Self {
        Self { book: Book::new(Settings::default()), now: START, polls: 0 }
    }

    fn pass(&mut self, ms: u64) -> Vec<(JobId, SessionId)> {
        self.now = self.now.after(Duration::from_millis(ms));
        let step = self.handle(Event::Tick);
        offered(&step)
    }

    fn handle(&mut self, event: Event) -> Step {
        let step = self.book.handle(self.now, event).expect("nothing is rejected here");
        self.book.finish_batch(self.now);
        step
    }

    fn submit(&mut self, number: u128, affinities: &[Arc<Affinity>]) -> Vec<(JobId, SessionId)> {
        let step = self.handle(Event::Submit(Box::new(submit(number, affinities))));
        offered(&step)
    }

    fn open(&mut self, bot: u128, offers: &str) -> Vec<(JobId, SessionId)> {
        self.polls += 1;
        let capabilities: Vec<PropertySet> = vec![[Property::new("OS", offers)].into_iter().collect()];
        let step = self.handle(Event::OpenSession(Box::new(OpenSession {
            session: SessionId(bot),
            instance: "main".into(),
            bot_id: format!("bot-{bot}").into(),
            identity: "".into(),
            capabilities,
            slots: 1,
            hold_when_full: false,
            status: BotStatus::Ok,
            score: 0,
            poll: PollId(self.polls),
            hold_until: Some(self.now.after(Duration::from_secs(3_600))),
        })));
        offered(&step)
    }

    /// The bot has done what it had, if anything, and asks.
    fn ask(&mut self, bot: u128) -> Vec<(JobId, SessionId)> {
        let offers = self.update(bot);
        // A report is answered at once, and then the bot asks again.
        if offers.is_empty() { self.update(bot) } else { offers }
    }

    fn update(&mut self, bot: u128) -> Vec<(JobId, SessionId)> {
        self.polls += 1;
        let session = self.book.session_view(SessionId(bot)).expect("it is open");
        let done = ReportedState::Completed { code: 0, cacheable: false };
        let step = self.handle(Event::UpdateSession(Box::new(UpdateSession {
            session: SessionId(bot),
            bot_id: session.bot_id,
            identity: "".into(),
            status: BotStatus::Ok,
            worker: None,
            leases: session.leases.into_iter().map(|lease| LeaseReport { lease, state: done }).collect(),
            poll: PollId(self.polls),
            hold_until: Some(self.now.after(Duration::from_secs(3_600))),
        })));
        offered(&step)
    }
}

fn offered(step: &Step) -> Vec<(JobId, SessionId)> {
    let offer = |fact: &Fact| match fact {
        Fact::LeaseOffered { lease: LeaseId { job, .. }, session, .. } => Some((*job, *session)),
        _ => None,
    };
    step.facts.iter().filter_map(offer).collect()
}

fn to(job: u128, bot: u128) -> Vec<(JobId, SessionId)> {
    vec![(JobId(job), SessionId(bot))]
}

#[test]
fn of_the_bots_that_ask_one_that_served_the_key_goes_first() {
    let mut test = Test::new();
    let key = [affinity("a", 1, 0)];
    test.open(1, "linux");
    assert_eq!(test.submit(1, &key), to(1, 1));
    test.open(2, "linux");
    test.ask(1);
    // Bot 2 has asked for longer.
    assert_eq!(test.submit(2, &key), to(2, 1));
    assert_eq!(test.submit(3, &key), to(3, 2), "nobody waits for a key that may not wait");
}

#[test]
fn the_bot_that_shares_the_heavier_keys_is_preferred() {
    let mut test = Test::new();
    test.open(1, "linux");
    test.submit(1, &[affinity("light", 1, 0)]);
    test.open(2, "linux");
    test.submit(2, &[affinity("heavy", 5, 0)]);
    test.ask(1);
    test.ask(2);
    assert_eq!(test.submit(3, &[affinity("light", 1, 0), affinity("heavy", 5, 0)]), to(3, 2));
}

#[test]
fn a_job_waits_for_its_bot_and_no_longer_than_it_says() {
    let mut test = Test::new();
    let key = [affinity("a", 1, 2_000)];
    test.open(1, "linux");
    test.submit(1, &key);
    test.open(2, "linux");
    assert_eq!(test.submit(2, &key), NOBODY, "bot 1 is busy, and the job waits for it");
    let why = test.book.explain(JobId(2)).expect("it waits").why;
    assert_eq!(why, Why::NearBots { until: test.now.after(Duration::from_secs(2)), bots: vec!["bot-1".into()] });
    assert_eq!(test.submit(3, &[]), to(3, 2), "what has no key passes");
    test.ask(2);
    assert_eq!(test.book.next_deadline(), Some(test.now.after(Duration::from_secs(2))));
    assert_eq!(test.pass(1_999), NOBODY);
    assert_eq!(test.pass(1), to(2, 2));
    // Now both bots know the key: the job goes to whoever is free first.
    assert_eq!(test.submit(4, &key), NOBODY);
    assert_eq!(test.ask(2), to(4, 2));
}

#[test]
fn a_bot_finds_its_key_behind_what_is_kept_for_another() {
    let mut test = Test::new();
    let [a, b] = ["a", "b"].map(|key| [affinity(key, 1, 5_000)]);
    test.open(1, "linux");
    test.submit(1, &a);
    test.open(2, "linux");
    test.submit(2, &b);
    (3..60).for_each(|number| drop(test.submit(number, &a)));
    test.submit(60, &b);
    assert_eq!(test.ask(2), to(60, 2), "fifty-seven jobs before it are kept for bot 1");
    // There is nothing of its own any more, and more than enough of the other's.
    assert_eq!(test.ask(2), to(3, 2));
}

#[test]
fn nobody_waits_for_a_bot_that_cannot_come() {
    let mut test = Test::new();
    let key = [affinity("a", 1, 10_000)];
    test.open(1, "linux");
    test.submit(1, &key);
    test.handle(Event::Drain { instance: "main".into(), bot_id: "bot-1".into(), on: true });
    test.open(2, "linux");
    assert_eq!(test.submit(2, &key), to(2, 2));
}

#[test]
fn sixteen_keys_are_remembered_of_a_bot() {
    let mut test = Test::new();
    test.open(1, "linux");
    for number in 1..18 {
        test.submit(number, &[affinity(&format!("key-{number}"), 1, 10_000)]);
        test.ask(1);
    }
    let keys = test.book.session_view(SessionId(1)).expect("it is open").keys;
    assert_eq!((keys.len(), &*keys[0], &*keys[15]), (16, "key-17", "key-2"));
}

/// What came of a run.
struct Outcome {
    hits: usize,
    jobs: usize,
    /// The longest time that a bot was idle while a job waited that it could have had, in ms.
    idle_ms: u64,
    wait_p99_ms: u64,
}

/// 20 bots, jobs of 60 trees of which some are far more common than others, and nine of ten bots busy.
fn run(wait_ms: Option<u64>) -> Outcome {
    const JOBS: u64 = 20_000;
    let (mut test, mut seed) = (Test::new(), 1_u64);
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let jobs: Vec<(String, u64)> =
        (0..JOBS).map(|_| (format!("tree-{}", random(60).min(random(60))), 500 + random(1_000))).collect();
    (0..20).for_each(|bot| drop(test.open(bot, "linux")));
    let mut due: BTreeSet<(u64, u64, bool)> = (0..JOBS).map(|n| (n * 56, n, true)).collect();
    let (mut known, mut idle): (BTreeMap<u128, Vec<usize>>, BTreeMap<u128, u64>) = Default::default();
    let trees: BTreeMap<&str, usize> = jobs.iter().enumerate().map(|(n, (tree, _))| (&**tree, n)).collect();
    let mut out = Outcome { hits: 0, jobs: 0, idle_ms: 0, wait_p99_ms: 0 };
    let (mut waits, mut now) = (Vec::new(), 0);
    while out.jobs < JOBS as usize || !due.is_empty() {
        let deadline = test.book.next_deadline().map(|at| (at.0 - START.0).div_ceil(1_000));
        let next = due.first().map(|(at, _, _)| *at).into_iter().chain(deadline).min().expect("something is due");
        let offers = if due.first().is_some_and(|(at, _, _)| *at == next) {
            let (_, number, arrives) = due.pop_first().expect("it was just seen");
            test.now = START.after(Duration::from_millis(next));
            if arrives {
                let keys: Vec<_> =
                    wait_ms.map(|wait| affinity(&jobs[number as usize].0, 8, wait)).into_iter().collect();
                test.submit(number.into(), &keys)
            } else {
                let bot = number.into();
                idle.insert(bot, next);
                test.ask(bot)
            }
        } else {
            test.pass(next - now)
        };
        now = next;
        for (job, session) in offers {
            let (tree, runs_ms) = &jobs[job.0 as usize];
            let (bot, tree) = (session.0, trees[&**tree]);
            let keys = known.entry(bot).or_default();
            out.hits += usize::from(keys.contains(&tree));
            keys.retain(|known| *known != tree);
            keys.push(tree);
            keys.drain(..keys.len().saturating_sub(16));
            out.jobs += 1;
            waits.push(now - job.0 as u64 * 56);
            due.insert((now + runs_ms, bot as u64, false));
            if let Some(since) = idle.remove(&bot) {
                // Before the job came there may have been nothing for it.
                out.idle_ms = out.idle_ms.max((now - since).min(now - job.0 as u64 * 56));
            }
        }
    }
    waits.sort_unstable();
    out.wait_p99_ms = waits[waits.len() * 99 / 100];
    out
}

#[test]
fn jobs_meet_bots_that_know_them_and_nobody_is_idle_beyond_the_wait() {
    let (without, ready, patient) = (run(None), run(Some(0)), run(Some(2_000)));
    let rate = |outcome: &Outcome| 100 * outcome.hits / outcome.jobs;
    for (name, outcome) in [("no keys", &without), ("wait 0", &ready), ("wait 2 s", &patient)] {
        let Outcome { idle_ms, wait_p99_ms, .. } = outcome;
        println!("{name:<10} hits {} %, longest idle {idle_ms} ms, wait p99 {wait_p99_ms} ms", rate(outcome));
    }
    assert!(rate(&without) < 50, "by chance: {} %", rate(&without));
    assert!(rate(&patient) > 80, "{} %", rate(&patient));
    assert!(rate(&ready) > rate(&without), "{} %", rate(&ready));
    assert_eq!((without.idle_ms, ready.idle_ms), (0, 0));
    assert!(patient.idle_ms <= 2_000, "{} ms", patient.idle_ms);
}

#[test]
fn a_restart_keeps_the_keys_of_jobs_and_forgets_whom_they_wait_for() {
    let mut test = Test::new();
    let key = [affinity("a", 3, 10_000)];
    test.open(1, "linux");
    test.submit(1, &key);
    test.open(2, "linux");
    test.submit(2, &key);
    test.book = Book::restore(Settings::default(), test.now, test.book.rows());
    assert_eq!(test.book.job_view(JobId(2)).expect("it waits").affinities, key);
    assert!(test.book.session_view(SessionId(1)).expect("it is open").keys.is_empty());
    assert_eq!(test.ask(2), to(2, 2));
    assert_eq!(test.submit(3, &key), NOBODY, "bot 2 is busy");
    assert_eq!(test.ask(1), NOBODY, "the job waits for bot 2, which served its key since");
}

#[test]
fn effects_name_the_jobs_that_were_offered_late() {
    let mut test = Test::new();
    let key = [affinity("a", 1, 1_000)];
    test.open(1, "linux");
    test.submit(1, &key);
    test.open(2, "linux");
    test.submit(2, &key);
    test.now = test.now.after(Duration::from_secs(1));
    let step = test.handle(Event::Tick);
    assert!(step.effects.iter().any(|effect| matches!(effect, Effect::JobChanged { job: JobId(2) })));
}
