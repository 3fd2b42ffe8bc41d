//! The work book held against a naive model: random calls, time that moves, workers that die, and a server that is killed
//! and recovered between any two steps, on the simulated disk.
//!
//! The code under test is `berth_runtime::work`: partition and recovery, with the book inside. `model` is Coordinate's
//! semantics once more, written from its documentation to be obvious: every list is walked, nothing is indexed.

mod call;
mod clients;
mod dump;
mod model;
mod mutants;
mod scene;

use std::{
    collections::BTreeSet,
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
use self::{call::Call, clients::Clients, dump::dump, model::Model, scene::Scene};
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
    let mut world = World::new(rules, rng.chance(800));
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
}

impl World {
    fn new(rules: Rules, locks_durable: bool) -> Self {
        let disk = Disk::default();
        let store = MemoryStore::open(&disk);
        let fence = store.acquire(PARTITION).expect("a new disk");
        let now = Timestamp(1_000_000_000_000_000);
        let partition = WorkPartition::new(Book::new(rules, Arc::new(Scene)), locks_durable);
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
        }
    }

    /// Some calls at one instant in one batch, and perhaps a power cut.
    fn step(&mut self, rng: &mut Rng, report: &mut WorkReport) -> Result<(), String> {
        self.now = self.now.after(scene::pause(rng));
        let calls: Vec<Call> = (0..rng.below(4)).map(|_| self.clients.call(rng)).collect();
        let before = self.model.clone();
        self.model.advance(self.now);
        let expected: Vec<String> = calls.iter().map(|call| call.ask_model(&mut self.model)).collect();

        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let turn = self.partition.step(self.now, calls.iter().map(|call| asking(call.clone(), told.clone())));
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
        turn.releases.into_iter().for_each(|release| release());
        report.calls += calls.len() as u64;
        let told = std::mem::take(&mut *told.lock().expect("no call panics"));
        for ((call, told), expected) in calls.iter().zip(&told).zip(&expected) {
            report.handed_out += told.matches("Assignment").count() as u64;
            if told != expected {
                return Err(format!("{call:?}\n  book:  {told}\n  model: {expected}"));
            }
        }
        self.compare("after a step")?;
        if power_cut == 2 {
            self.restart(rng, report)?;
            self.compare("after a restart")?;
        }
        Ok(())
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
        let unsynced = self.disk.unsynced_bytes() as u64;
        let kept = if rng.chance(500) { unsynced } else { rng.below(unsynced + 1) };
        self.disk.crash(|_| kept as usize);
        self.now = self.now.after(scene::outage(rng));
        self.store = MemoryStore::open(&self.disk);
        self.fence = self.store.acquire(PARTITION).map_err(|error| error.to_string())?;
        self.partition = recover(&self.store, PARTITION, self.rules, Arc::new(Scene), self.locks_durable, self.now)
            .map_err(|error| error.to_string())?;
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

    fn compare(&self, when: &str) -> Result<(), String> {
        let (book, model) = (dump(self.partition.book()), self.model.dump());
        if book == model {
            return Ok(());
        }
        let differs = book.iter().zip(&model).find(|(book, model)| book != model);
        let (book, model) =
            differs.map_or((format!("{book:?}"), format!("{model:?}")), |(book, model)| (book.clone(), model.clone()));
        Err(format!("{when}\n  book:  {book}\n  model: {model}"))
    }
}

fn asking(call: Call, told: Arc<Mutex<Vec<String>>>) -> Ask {
    Ask::Call(Box::new(move |book: &mut Book| -> ReleaseFn {
        let answer = call.ask_book(book);
        Box::new(move || told.lock().expect("no call panics").push(answer))
    }))
}
