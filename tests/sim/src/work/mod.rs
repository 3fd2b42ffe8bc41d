//! The work book held against a naive model: random calls, time that moves, workers that die, and a server that is killed
//! and recovered between any two steps, on the simulated disk.
//!
//! The code under test is `berth_runtime::work`: partition and recovery, with the book inside. `model` is Coordinate's
//! semantics once more, written from its documentation to be obvious: every list is walked, nothing is indexed.

mod call;
mod clients;
mod dump;
mod hearer;
mod long;
mod model;
mod mutants;
mod scene;

use std::{
    collections::{BTreeSet, VecDeque},
    ops::ControlFlow,
    sync::{Arc, Mutex},
};

use berth_core::{
    Timestamp,
    work::{Book, Choice, Rules},
};
use berth_runtime::{
    memory::{Disk, MemoryStore},
    partition::ReleaseFn,
    store::{Commit, Fence, PartitionId, Store, Table},
    work::{Ask, WorkPartition, recover},
};

pub use self::mutants::work_mutants;
use self::{call::Call, clients::Clients, dump::dump, hearer::Hearer, long::Long, model::Model, scene::Scene};
use crate::rng::Rng;

const PARTITION: PartitionId = PartitionId(9);

/// How a run went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkReport {
    /// As given.
    pub seed: u64,
    /// Steps that were run: up to the first difference.
    pub steps: u64,
    /// Calls that were answered.
    pub calls: u64,
    /// How often the server was killed.
    pub crashes: u64,
    /// Units that were handed out.
    pub handed_out: u64,
    /// What was different.
    pub failure: Option<String>,
}

/// Runs one seed for so many steps.
pub fn run_work(seed: u64, steps: u64) -> WorkReport {
    let mut rng = Rng::new(seed);
    let mut report = WorkReport { seed, steps: 0, calls: 0, crashes: 0, handed_out: 0, failure: None };
    let rules = Rules {
        choice: Choice::Simplified,
        enforce_min_gb: rng.chance(300),
        completed_max: rng.chance(500).then(|| rng.below(4)),
        completed_age: rng.chance(500).then(|| std::time::Duration::from_secs(60 + rng.below(4_000))),
    };
    let mut world = World::new(rules, rng.chance(800), 1 + rng.index(3));
    while report.steps < steps && report.failure.is_none() {
        report.steps += 1;
        report.failure = world.step(&mut rng, &mut report).err();
    }
    report
}

/// The server, and what it must be like.
struct World {
    rules: Rules,
    locks_durable: bool,
    disk: Disk,
    store: MemoryStore,
    fence: Fence,
    partition: WorkPartition,
    now: Timestamp,
    model: Model,
    clients: Clients,
    /// What the model does step by step, and the number of the call.
    begun: VecDeque<(u64, Long)>,
    asked: u64,
    told: Told,
    hearer: Hearer,
    /// How many units are swept in a step.
    swept_max: usize,
}

/// What was answered, by the numbers of the calls.
type Told = Arc<Mutex<Vec<(u64, String)>>>;

impl World {
    fn new(rules: Rules, locks_durable: bool, swept_max: usize) -> Self {
        let disk = Disk::default();
        let store = MemoryStore::open(&disk);
        let fence = store.acquire(PARTITION).expect("a new disk");
        let now = Timestamp(1_000_000_000_000_000);
        let mut partition = WorkPartition::new(Book::new(rules, Arc::new(Scene)), locks_durable);
        partition.set_swept_max(swept_max);
        partition.tell_from(1);
        Self {
            rules,
            locks_durable,
            disk,
            store,
            fence,
            partition,
            now,
            model: Model::new(rules, now),
            clients: Clients::default(),
            begun: VecDeque::new(),
            asked: 0,
            told: Told::default(),
            hearer: Hearer::default(),
            swept_max,
        }
    }

    /// Some calls at one instant in one batch, and perhaps a power cut.
    fn step(&mut self, rng: &mut Rng, report: &mut WorkReport) -> Result<(), String> {
        self.now = self.now.after(scene::pause(rng));
        let mut calls: Vec<Call> = (0..rng.below(4)).map(|_| self.clients.call(rng)).collect();
        // A door waits for what takes long before it says so.
        let mut busy: Vec<u64> = self.begun.iter().filter_map(|(_, long)| long.connection()).collect();
        calls.retain(|call| {
            if call.is_long() {
                busy.extend(call.id().map(|id| id.connection));
            }
            !matches!(call, Call::ConnectionEnded(connection, _) if busy.contains(connection))
        });
        let before = self.model.clone();
        self.model.advance(self.now);
        let (mut asks, mut expected) = (Vec::new(), Vec::new());
        for call in &calls {
            self.asked += 1;
            if call.is_long() {
                let long = Long::new(call.clone(), 1 + rng.index(3));
                self.begun.push_back((self.asked, long.clone()));
                asks.push(stepping(long, self.asked, self.told.clone()));
            } else {
                expected.push((self.asked, call.ask_model(&mut self.model)));
                asks.push(asking(call.clone(), self.asked, self.told.clone()));
            }
        }
        self.go_on(&mut expected);
        expected.sort_unstable();
        // Seldom, so that new units meet what old ones left.
        self.partition.set_swept_max(if rng.chance(100) { self.swept_max } else { 0 });
        let turn = self.partition.step(self.now, asks);
        let commit = [Commit { fence: self.fence, batch: turn.batch }];
        // Before the write, between write and sync, after the sync, or not at all.
        let power_cut = rng.below(40);
        match power_cut {
            0 => {
                self.model = before;
                self.restart(rng, report)?;
                return self.compare("after a power cut before the commit");
            }
            1 => {
                drop(self.store.begin_commit(&commit));
                let changed = !commit[0].batch.is_empty();
                return self.restart_in_doubt(rng, report, before, changed);
            }
            _ => {}
        }
        if !commit[0].batch.is_empty() {
            for result in self.store.commit(&commit) {
                result.map_err(|error| error.to_string())?;
            }
        }
        turn.releases.into_iter().chain(turn.served).for_each(|release| release());
        report.calls += calls.len() as u64;
        let mut told = std::mem::take(&mut *self.told.lock().expect("no call panics"));
        told.sort_unstable();
        report.handed_out += told.iter().map(|(_, told)| told.matches("Assignment").count() as u64).sum::<u64>();
        if told != expected {
            return Err(format!("{calls:?}\n  book:  {told:?}\n  model: {expected:?}"));
        }
        self.compare("after a step")?;
        if !self.partition.has_begun() && self.partition.book().traces() > 0 {
            return Err("of units that went with their spec something is left".into());
        }
        if power_cut == 2 {
            self.restart(rng, report)?;
            self.compare("after a restart")?;
        }
        Ok(())
    }

    /// A step of what takes long: of several calls in turn, up to the first that has more to do.
    fn go_on(&mut self, expected: &mut Vec<(u64, String)>) {
        while let Some((number, mut long)) = self.begun.pop_front() {
            match long.step_of_model(&mut self.model) {
                Some(said) => expected.push((number, said)),
                None => return self.begun.push_back((number, long)),
            }
        }
    }

    /// The process dies and another one takes its place some time later.
    fn restart(&mut self, rng: &mut Rng, report: &mut WorkReport) -> Result<(), String> {
        self.reopen(rng, report)?;
        self.model.restart(self.now, self.locks_durable);
        Ok(())
    }

    /// The batch was written and perhaps not synced: all of it counts, or nothing.
    fn restart_in_doubt(
        &mut self,
        rng: &mut Rng,
        report: &mut WorkReport,
        mut before: Model,
        changed: bool,
    ) -> Result<(), String> {
        self.reopen(rng, report)?;
        before.restart(self.now, self.locks_durable);
        self.model.restart(self.now, self.locks_durable);
        // What is not durable changes in memory alone: of such a step nothing is left.
        let found = dump(self.partition.book());
        if !changed || found == before.dump() {
            self.model = before;
        }
        self.compare("after a power cut during the commit")
    }

    fn reopen(&mut self, rng: &mut Rng, report: &mut WorkReport) -> Result<(), String> {
        report.crashes += 1;
        self.clients.all_break();
        // What was begun stays as it is: nobody goes on with it.
        self.begun.clear();
        let unsynced = self.disk.unsynced_bytes() as u64;
        let kept = if rng.chance(500) { unsynced } else { rng.below(unsynced + 1) };
        self.disk.crash(|_| kept as usize);
        self.now = self.now.after(scene::outage(rng));
        self.store = MemoryStore::open(&self.disk);
        self.fence = self.store.acquire(PARTITION).map_err(|error| error.to_string())?;
        self.partition = recover(&self.store, PARTITION, self.rules, Arc::new(Scene), self.locks_durable, self.now)
            .map_err(|error| error.to_string())?;
        self.partition.set_swept_max(self.swept_max);
        self.partition.tell_from(self.store.next_sequence(PARTITION).map_err(|error| error.to_string())?);
        self.strays()
    }

    /// Nobody reads the state of a unit that is gone, so that only this would tell that such rows pile up.
    fn strays(&self) -> Result<(), String> {
        let keys = |table| {
            let mut keys = BTreeSet::new();
            let found = self.store.scan(PARTITION, table, &[], &mut |key, _| {
                keys.insert(key.to_vec());
                ControlFlow::Continue(())
            });
            found.map(|()| keys).map_err(|error| error.to_string())
        };
        let (units, states) = (keys(Table::WorkUnits)?, keys(Table::WorkStates)?);
        match states.difference(&units).next() {
            Some(key) => Err(format!("the state of a unit that is gone is on disk: {}", key.escape_ascii())),
            None => Ok(()),
        }
    }

    fn compare(&mut self, when: &str) -> Result<(), String> {
        self.same(when, "book:  ", &dump(self.partition.book()), &self.model.dump())?;
        self.hearer.hear(&self.store, PARTITION)?;
        self.same(when, "heard: ", &self.hearer.knows(self.locks_durable), &self.model.told(self.locks_durable))
    }

    fn same(&self, when: &str, what: &str, book: &[String], model: &[String]) -> Result<(), String> {
        if book == model {
            return Ok(());
        }
        let differs = book.iter().zip(model).find(|(book, model)| book != model);
        let (book, model) =
            differs.map_or((format!("{book:?}"), format!("{model:?}")), |(book, model)| (book.clone(), model.clone()));
        Err(format!("{when}\n  {what}{book}\n  model: {model}"))
    }
}

fn asking(call: Call, number: u64, told: Told) -> Ask {
    Ask::Call(Box::new(move |book: &mut Book| -> ReleaseFn {
        let answer = call.ask_book(book);
        Box::new(move || told.lock().expect("no call panics").push((number, answer)))
    }))
}

fn stepping(mut long: Long, number: u64, told: Told) -> Ask {
    Ask::Steps(Box::new(move |book: &mut Book| -> Option<ReleaseFn> {
        let (answer, told) = (long.step_of_book(book)?, told.clone());
        Some(Box::new(move || told.lock().expect("no call panics").push((number, answer))))
    }))
}
