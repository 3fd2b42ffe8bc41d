//! A policy that says what fits, through the real core: `at-least` gives each job the bot with the least to spare.

use std::sync::Arc;
use std::time::Duration;

use berth_core::{
    Asking, Book, BotStatus, Digest, Effect, Event, Fact, LaneKey, Matched, OpenSession, OperationId, PollId, Question,
    SessionId, Settings, Step, Submit, Timestamp,
};
use berth_plugin_host::{Limits, Plugin, PluginPolicy};
use berth_runtime::policy::hooks::MatchQuestion;
use berth_runtime::policy::{ExecutionQuestion, Policy, WorkerQuestion};

use crate::guests::{load, policy};
use crate::questions::pairs;

const NOW: Timestamp = Timestamp(1_000_000_000);

/// A book, and the policy that says what fits.
struct House {
    book: Book,
    plugin: Arc<Plugin>,
    policy: Arc<PluginPolicy>,
    made: u128,
}

impl House {
    fn new() -> Self {
        let plugin = load("at-least", Limits::default());
        let policy = policy(&plugin);
        assert!(policy.asks("main").matching);
        let mut house = Self { book: Book::new(Settings::default()), plugin, policy, made: 0 };
        let asking = Asking { matching: Some(house.policy.generation()), ..Asking::default() };
        house.handle(Event::Asking { instance: "main".into(), asking });
        house
    }

    /// Answers which session was given a job, in the end: what core asks is answered at once.
    fn handle(&mut self, event: Event) -> Option<SessionId> {
        let mut given = None;
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let Step { facts, effects, .. } = self.book.handle(NOW, event).expect("the event is accepted");
            for fact in facts {
                if let Fact::LeaseOffered { session, .. } = fact {
                    assert_eq!(given.replace(session), None, "one job at a time");
                }
            }
            for effect in effects {
                if let Effect::Ask(Question::Match(asked)) = effect {
                    let offers: Vec<_> = asked.offers.iter().map(|(_, offer)| offer.clone()).collect();
                    let (instance, needs) = (&*asked.instance.0, &asked.needs);
                    let question = MatchQuestion { instance, needs, offers: &offers, pairs: &asked.pairs };
                    let fit = self.policy.matches(&question).expect("there is somebody to ask");
                    assert!(fit.lasting);
                    events.push(Event::Matched(Box::new(Matched { asked: *asked, scores: Some(fit.scores) })));
                }
            }
            self.book.finish_batch(NOW);
        }
        given
    }

    /// A bot that asks for work from now on, and finds none.
    fn open(&mut self, properties: &[(&str, &str)]) -> SessionId {
        let (session, given) = self.hello(properties);
        assert_eq!(given, None);
        session
    }

    /// A bot says hello; which session was given a job by that?
    fn hello(&mut self, properties: &[(&str, &str)]) -> (SessionId, Option<SessionId>) {
        self.made += 1;
        let (session, bot_id) = (SessionId(self.made), format!("bot-{}", self.made));
        let question = WorkerQuestion { instance: "main", bot_id: &bot_id, properties: &pairs(properties) };
        let answer = self.policy.worker_properties(&question).expect("the bot is taken");
        let given = self.handle(Event::OpenSession(Box::new(OpenSession {
            session,
            instance: "main".into(),
            bot_id: bot_id.as_str().into(),
            identity: "".into(),
            capabilities: answer.capabilities,
            slots: 1,
            hold_when_full: false,
            status: BotStatus::Ok,
            score: answer.score,
            poll: PollId(1),
            hold_until: Some(NOW.after(Duration::from_secs(60))),
        })));
        (session, given)
    }

    fn submit(&mut self, platform: &[(&str, &str)]) -> Option<SessionId> {
        self.made += 1;
        let question = ExecutionQuestion { instance: "main", platform: &pairs(platform) };
        let properties = self.policy.execution_properties(&question).expect("the platform is taken");
        let mut hash = [0; 32];
        hash[..16].copy_from_slice(&self.made.to_be_bytes());
        self.handle(Event::Submit(Box::new(Submit {
            operation: OperationId(self.made),
            instance: "main".into(),
            action: Digest { hash, size_bytes: 1 },
            do_not_cache: false,
            skip_cache_lookup: false,
            lookup_began: NOW,
            requirements: properties.requirements.clone(),
            preferred: properties.preferred.clone(),
            label: properties.label.clone(),
            lane: LaneKey::default(),
            weight: 1,
            rank: 0,
            limits: Vec::new(),
            affinities: Vec::new(),
            again: berth_core::Again::default(),
            queue_timeout: None,
            execution_timeout: None,
        })))
    }
}

#[test]
fn each_job_gets_the_bot_with_the_least_to_spare_until_none_has_enough() {
    let mut house = House::new();
    // Sessions and their cores; taken out when they have a job.
    let mut idle: Vec<(u32, SessionId)> = Vec::new();
    for round in 0..6 {
        for cores in [64, 1, 16, 4, 2, 32, 8] {
            let text = cores.to_string();
            // The largest come first, and each is a class of its own: neither age nor containment helps.
            let session = house.open(&[("cores", &text), ("host", &format!("h{round}-{cores}"))]);
            idle.push((cores, session));
        }
    }
    let (mut served, mut waiting) = (0, 0);
    for needed in (0..60).map(|n| [3, 1, 8, 40, 5, 16, 2, 12, 65, 30][n % 10]) {
        let given = house.submit(&[("cores", &format!(">={needed}"))]);
        // Of equals the one that has waited longest.
        let tightest = (0..idle.len()).filter(|at| idle[*at].0 >= needed).min_by_key(|at| (idle[*at].0, *at));
        assert_eq!(given, tightest.map(|at| idle[at].1), "{needed} cores, idle are {idle:?}");
        match tightest {
            Some(at) => {
                idle.remove(at);
                served += 1;
            }
            None => waiting += 1,
        }
    }
    assert!(served > 30 && waiting > 5, "{served} served, {waiting} wait");
    println!(
        "at-least: {served} of {served} jobs on the bot with the least to spare; {waiting} wait though bots are idle"
    );
    assert_eq!(house.plugin.stats().faults_all(), 0);
}

#[test]
fn what_must_not_be_there_is_not_there() {
    let mut house = House::new();
    house.open(&[("gpu", "a100")]);
    assert_eq!(house.submit(&[("gpu", "!")]), None);
    let (plain, given) = house.hello(&[("cores", "2")]);
    assert_eq!(given, Some(plain), "the job that waited");
    assert_eq!(house.submit(&[("gpu", "!a100")]), None);
    let (other, given) = house.hello(&[("gpu", "h100")]);
    assert_eq!(given, Some(other));
}
