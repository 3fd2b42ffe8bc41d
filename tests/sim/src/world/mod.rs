//! The world around the server: clients, bots, operators, a network that delays and loses, a disk and its power switch.
//! One random number generator decides everything, so a seed is a history.

mod bots;
mod clients;
mod consumer;
mod disasters;
mod network;
mod operators;
mod places;
mod policy;
mod process;
mod settle;
mod weather;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use berth_core::{
    Affinity, Again, BotStatus, Event, InstanceName, JobId, LaneKey, Limit, OperationId, Pools, Property, PropertySet,
    Rejection, Reply, SessionId, Settings, Stage, Submit, Timestamp,
};
use berth_runtime::{
    memory::{Disk, Failure},
    partition::Attachment,
    recover::{Limits, RecoverError},
    store::Store,
};

use crate::{
    bot::{Bot, Doing, action},
    judge::{Checked, Violation, rule},
    ledger::Ledger,
    rng::Rng,
    server::{Finished, Incoming, Leave, PARTITION, Server, Token, Work},
};

/// On its way.
enum Message {
    ToServer(Incoming),
    ToBot { bot: usize, answer: Result<berth_core::Answer, Rejection>, poll: berth_core::PollId },
}

/// A client that watches an operation.
#[derive(Debug)]
struct Watcher {
    operation: OperationId,
    /// The newest stage that it heard of; `None` until the first answer.
    heard: Option<Stage>,
}

pub(crate) struct World {
    rng: Rng,
    weather: weather::Weather,
    /// Decides for the consumer of the feed alone.
    ears: Rng,
    /// Decides for operators alone, who are at work in some runs only: others are as they were before there were any.
    hands: Option<Rng>,
    consumer: Option<consumer::Consumer>,
    policies: places::Policies,
    now: Timestamp,
    settings: Settings,
    disk: Disk,
    server: Option<Server>,
    down_until: Timestamp,
    ledger: Ledger,
    bots: Vec<Bot>,
    net: Vec<Message>,
    watchers: BTreeMap<u64, Watcher>,
    watchers_made: u64,
    /// Actions whose result is in the action cache.
    cached: Vec<(InstanceName, u8)>,
    operations: Vec<OperationId>,
    /// Steps of the process that died, which it had not released.
    unreleased: Vec<Work>,
    pub(crate) crashes: u64,
    pub(crate) hash: u64,
    /// Counts sets of policies.
    editions: u64,
    trace: bool,
    #[cfg_attr(not(feature = "mutants"), allow(dead_code))]
    broken: Broken,
}

/// What is broken on purpose outside core and runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Broken {
    /// The disk says that it synced, and did not.
    pub(crate) no_sync: bool,
    /// Replies leave when their batch is handled.
    #[cfg_attr(not(feature = "mutants"), allow(dead_code))]
    pub(crate) early: bool,
    /// The naive model does not look: only what bots, clients and the disk can see is judged.
    pub(crate) blind: bool,
}

const START: Timestamp = Timestamp(1_000_000_000_000);

impl World {
    pub(crate) fn new(seed: u64, trace: bool, broken: Broken) -> Checked<Self> {
        let mut rng = Rng::new(seed);
        let weather = weather::Weather::new(&mut rng);
        // Without a draw: seeds of old bugs stay what they were.
        let pools = Pools::new((seed.is_multiple_of(3)).then(|| vec!["main".into(), "side".into()]));
        let settings =
            Settings { attempts_max: 3, failures_max: 3, ask_command_failed: true, pools, ..Settings::default() };
        let disk = Disk::default();
        disk.set_syncing(!broken.no_sync);
        let mut server = Server::start(&disk, settings.clone(), START, Limits::default())?;
        let mut ledger = Ledger::new(settings.clone(), !broken.blind);
        ledger.restarted(&mut server, Vec::new(), START)?;
        let count = 3 + rng.index(4);
        let bots = (0..count).map(|number| {
            let instance = InstanceName::from(match number {
                2 => "side",
                3 if seed.is_multiple_of(5) => InstanceName::ALL,
                _ => "main",
            });
            Bot::new(format!("bot-{number}").into(), instance, clients::offered(number as u64), &mut rng)
        });
        let bots = bots.collect();
        let mut world = Self {
            rng,
            weather,
            ears: Rng::new(!seed),
            hands: operators::hands(seed),
            consumer: None,
            policies: places::Policies::default(),
            now: START,
            settings,
            disk,
            server: Some(server),
            down_until: START,
            ledger,
            bots,
            net: Vec::new(),
            watchers: BTreeMap::new(),
            watchers_made: 0,
            cached: Vec::new(),
            operations: Vec::new(),
            unreleased: Vec::new(),
            crashes: 0,
            hash: seed,
            editions: 0,
            trace,
            broken,
        };
        world.begin_policies();
        world.change_policy();
        Ok(world)
    }

    /// Something happens.
    pub(crate) fn step(&mut self) -> Checked {
        self.pass_time();
        if self.server.is_none() && self.now >= self.down_until {
            return self.start();
        }
        if self.ears.chance(100) {
            self.hear()?;
        }
        self.operate();
        let due = self.server.as_ref().and_then(|server| server.partition.book().next_deadline());
        if due.is_some_and(|at| at <= self.now) && self.rng.chance(700) {
            return self.handle();
        }
        if self.server.as_ref().is_some_and(Server::is_loading) && self.rng.chance(50) {
            return self.load();
        }
        if self.may_walk() && self.rng.chance(60) {
            self.walk();
            return Ok(());
        }
        let weather = self.weather;
        match self.rng.below(1_044) {
            0..90 => self.submit(),
            90..115 => self.cancel(),
            115..125 => self.delete(),
            125..150 => self.watch(),
            150..155 => self.look(),
            155..300 => self.bot_calls(),
            300..420 => self.bot_works(),
            420..444 if self.rng.chance(weather.bots) => self.bot_misbehaves(),
            444..456 if self.rng.chance(weather.drains) => self.drain(),
            456..464 if self.rng.chance(weather.policies) => self.change_policy(),
            464..473 if self.rng.chance(weather.activations) => self.activate(),
            473..697 => return self.deliver(),
            697..699 => self.trim(),
            699..837 => return self.handle(),
            837..917 => self.begin_commit(),
            917..1_017 => return self.finish_commit(),
            1_017..1_029 if self.rng.chance(weather.crashes) => return self.crash(),
            1_029..1_033 => {
                self.check_idle()?;
                self.check_places()?;
            }
            1_033..1_034 => self.fail_disk(),
            1_034..1_039 => self.bot_gives_up_call(),
            1_039..1_040 => self.release_bot(),
            1_040..1_042 if self.rng.chance(weather.evictions) => self.set_limit(),
            _ => {}
        }
        Ok(())
    }

    fn pass_time(&mut self) {
        let micros = match self.rng.below(1_000) {
            below if below < self.weather.standstill => self.rng.below(3_000),
            0..970 => self.rng.below(200_000),
            970..996 => self.rng.below(4_000_000),
            996..999 => self.rng.below(30_000_000),
            _ => self.rng.below(100_000_000),
        };
        let mut then = self.now.after(Duration::from_micros(micros + 1));
        // The driver wakes at the next deadline; only sometimes is it late.
        if let Some(at) = self.server.as_ref().and_then(|server| server.partition.book().next_deadline())
            && at > self.now
            && !self.rng.chance(20)
        {
            then = then.min(at);
        }
        self.now = then;
    }

    fn trace(&self, line: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>16} {}", self.now.0 - START.0, line());
        }
    }
}
