//! A policy that chooses lanes, through the real core: `work-spec-weights` gives the orders and the shares of the system
//! that it stands for.

use std::sync::Arc;
use std::time::Duration;

use berth_core::{
    Asking, Book, BotStatus, Digest, Event, Fact, LeaseId, LeaseReport, OpenSession, OperationId, PollId, PropertySet,
    ReportedState, SessionId, Settings, Submit, Timestamp, UpdateSession,
};
use berth_plugin_host::{Function, Host, Limits, LoadOptions, Plugin, PluginLimits, PluginPolicy};
use berth_runtime::policy::{PlaceQuestion, Policy};

use crate::guests::{component, granted, policy};

const START: Timestamp = Timestamp(1_000_000_000);

/// A book, and the policy that places its jobs and chooses its lanes.
struct House {
    book: Book,
    plugin: Arc<Plugin>,
    policy: Arc<PluginPolicy>,
    now: Timestamp,
    /// The work spec of each job.
    specs: Vec<&'static str>,
    polls: u64,
}

impl House {
    fn new(config: &str) -> Self {
        let second = Duration::from_secs(1);
        // Patient, so that a busy machine does not decide what the test sees.
        let plugin =
            PluginLimits { choose_deadline: second, choose_batch_deadline: 3_600 * second, ..Default::default() };
        let host = Host::new(Limits { plugin, ..Limits::default() }).expect("a host starts");
        let options = LoadOptions { config: Some(config.to_owned()), ..granted() };
        let plugin = host.load("work-spec-weights", &component("work-spec-weights"), options).expect("it loads");
        let policy = policy(&plugin);
        let mut book = Book::new(Settings::default());
        book.set_chooser(policy.clone().choosing().expect("plugins may choose"));
        let asking = Asking { choosing: policy.asks("main").choosing, ..Asking::default() };
        assert!(asking.choosing);
        let mut house = Self { book, plugin, policy, now: START, specs: Vec::new(), polls: 0 };
        house.handle(Event::Asking { instance: "main".into(), asking });
        house
    }

    /// Answers which jobs went to a bot.
    fn handle(&mut self, event: Event) -> Vec<LeaseId> {
        self.book.begin_batch();
        let facts = self.book.handle(self.now, event).expect("the event is accepted").facts;
        self.book.finish_batch(self.now);
        let offered = |fact: &Fact| match fact {
            Fact::LeaseOffered { lease, .. } => Some(*lease),
            _ => None,
        };
        facts.iter().filter_map(offered).collect()
    }

    fn submit(&mut self, spec: &'static str, priority: i32, count: usize) {
        let question =
            PlaceQuestion { instance: "main", invocation: spec, priority, label: "x", ..PlaceQuestion::default() };
        for placed in self.policy.clone().place(&vec![question; count]) {
            let job = self.specs.len() as u128;
            self.specs.push(spec);
            let mut hash = [0; 32];
            hash[..16].copy_from_slice(&job.to_be_bytes());
            self.handle(Event::Submit(Box::new(Submit {
                operation: OperationId(job),
                instance: "main".into(),
                action: Digest { hash, size_bytes: 1 },
                do_not_cache: false,
                skip_cache_lookup: false,
                lookup_began: self.now,
                requirements: PropertySet::default(),
                label: "x".into(),
                lane: placed.lane,
                weight: placed.weight,
                rank: placed.rank,
                limits: Vec::new(),
                affinities: Vec::new(),
                again: berth_core::Again::default(),
                queue_timeout: None,
                execution_timeout: None,
                preferred: None,
            })));
        }
    }

    fn open(&mut self, bot: usize, slots: u32) -> Vec<LeaseId> {
        self.polls += 1;
        self.handle(Event::OpenSession(Box::new(OpenSession {
            session: SessionId(1_000_000 + bot as u128),
            instance: "main".into(),
            bot_id: format!("bot-{bot}").into(),
            identity: "".into(),
            capabilities: vec![PropertySet::default()],
            slots,
            hold_when_full: false,
            status: BotStatus::Ok,
            poll: PollId(self.polls),
            hold_until: None,
            score: 0,
        })))
    }

    /// The bot has done its job, and takes the next.
    fn finish(&mut self, bot: usize, lease: LeaseId) -> Option<LeaseId> {
        self.polls += 1;
        let done = LeaseReport { lease, state: ReportedState::Completed { code: 0, cacheable: false } };
        let next = self.handle(Event::UpdateSession(Box::new(UpdateSession {
            session: SessionId(1_000_000 + bot as u128),
            bot_id: format!("bot-{bot}").into(),
            identity: "".into(),
            status: BotStatus::Ok,
            worker: None,
            leases: vec![done],
            poll: PollId(self.polls),
            hold_until: None,
        })));
        next.first().copied()
    }

    fn spec_of(&self, lease: LeaseId) -> &'static str {
        self.specs[lease.job.0 as usize]
    }

    fn asked_without_fault(&self) -> u64 {
        let stats = self.plugin.stats();
        assert_eq!(stats.faults_all(), 0, "{stats:?}");
        stats.function(Function::Choose).questions
    }
}

/// Names, how many jobs, their priority: in which order a bot with so many slots is given them.
fn order(config: &str, specs: &[(&'static str, usize, i32)], slots: u32) -> String {
    let mut house = House::new(config);
    for (spec, count, priority) in specs {
        house.submit(spec, *priority, *count);
    }
    let served = house.open(0, slots);
    assert!(house.asked_without_fault() > 0);
    served.iter().map(|lease| house.spec_of(*lease)).collect::<Vec<_>>().join(" ")
}

#[test]
fn lanes_are_served_in_the_order_of_the_rule_that_was_chosen() {
    let weights = r#""specs": {"a": {"weight": 4}, "b": {"weight": 6}}"#;
    let specs = [("a", 100, 0), ("b", 100, 0)];
    for rule in ["classic", "simplified"] {
        assert_eq!(order(&format!(r#"{{"rule": "{rule}", {weights}}}"#), &specs, 10), "b a b a b b a b a b");
    }
    // What the built-in rule would not do: by weight alone, a is served as often as its successors.
    let chain = r#"{"rule": "classic", "specs": {"a": {"then": "b"}, "b": {"then": "c"}}}"#;
    assert_eq!(order(chain, &[("a", 3, 0), ("b", 2, 0), ("c", 1, 0)], 6), "c b b a a a");
    let urgent = r#"{"specs": {"c": {"priority": 1, "weight": 1}, "a": {"weight": 4}, "b": {"weight": 6}}}"#;
    assert_eq!(order(urgent, &[("a", 100, 0), ("b", 100, 0), ("c", 4, 0)], 8), "c c c c b a b a");
}

#[test]
fn lanes_share_the_bots_by_weight_under_load() {
    let specs = [("a", 1), ("b", 4), ("c", 5)];
    for rule in ["classic", "simplified"] {
        let weights = specs.map(|(spec, weight)| format!(r#""{spec}": {{"weight": {weight}}}"#)).join(", ");
        let mut house = House::new(&format!(r#"{{"rule": "{rule}", "specs": {{{weights}}}}}"#));
        for (spec, _) in specs {
            house.submit(spec, 0, 4_000);
        }
        // Bots of different speed, so that they do not ask in turn.
        let mut at_work: Vec<(Timestamp, usize, LeaseId)> = Vec::new();
        let took = |bot: usize, job: u128| Duration::from_millis(500 + 37 * bot as u64 % 400 + job as u64 * 61 % 500);
        for bot in 0..30 {
            let lease = house.open(bot, 1)[0];
            at_work.push((house.now.after(took(bot, lease.job.0)), bot, lease));
        }
        let (mut busy, mut all) = ([Duration::ZERO; 3], Duration::ZERO);
        let end = START.after(Duration::from_secs(120));
        while house.now < end {
            let next = (0..at_work.len()).min_by_key(|at| at_work[*at]).expect("bots are at work");
            let (now, bot, lease) = at_work.swap_remove(next);
            house.now = now;
            let next = house.finish(bot, lease).expect("there is more work than bots can do");
            let time = took(bot, next.job.0);
            at_work.push((now.after(time), bot, next));
            let spec = specs.iter().position(|(spec, _)| *spec == house.spec_of(next)).expect("it is one of them");
            busy[spec] += time;
            all += time;
        }
        assert!(house.asked_without_fault() > 3_000);
        for ((spec, weight), busy) in specs.iter().zip(busy) {
            let (share, wanted) = (busy.as_secs_f64() / all.as_secs_f64(), f64::from(*weight) / 10.0);
            println!(
                "{rule}: work spec {spec} has {:.1} % of the bots' time; wanted {:.0} %",
                100.0 * share,
                100.0 * wanted
            );
            assert!((share - wanted).abs() / wanted < 0.05, "{rule}, {spec}: {share}");
        }
    }
}
