//! A bare commit of the rows that a cycle makes: the store's share of the yardstick. The rows are made before the clock
//! starts, by the same rules and in groups as large as those of the run.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use berth_core::{
    Timestamp,
    work::{
        Book, CallId, GetWork, NewUnit, Rules, SpecName, SpecSettings, UnitKey, UnitState, UpdateUnit, Value, WorkerId,
    },
};
use berth_runtime::{
    store::{Batch, Commit, PartitionId, Store},
    work::{Ask, WorkPartition},
};
use berth_store::{RocksOptions, RocksStore};

use super::drive::KEY_DIGITS;
use crate::bench::measure;

const PARTITION: PartitionId = PartitionId(0);

/// CPU time a cycle in µs, of all threads of the store, system time included. To be called on the server's core.
pub(super) fn run(folder: &Path, cycles: u64, group: u64) -> anyhow::Result<f64> {
    let store = RocksStore::open(folder.join("store"), &RocksOptions::default())?;
    let fence = store.acquire(PARTITION)?;
    let group = group.max(1);
    let groups = (cycles / group).max(1);
    let mut partition = WorkPartition::new(Book::new(Rules::default(), Arc::new(())), true);
    let batches: Vec<Batch> = (0..groups + 2).map(|round| turn(&mut partition, round, group)).collect();
    let mut commits = batches.into_iter().map(|batch| Commit { fence, batch });
    let write = |commit: Commit| store.commit(&[commit]).pop().context("one commit, one answer")?.map_err(Into::into);
    // Of the first, units are only added and got.
    for commit in commits.by_ref().take(2) {
        write(commit)?;
    }
    let cpu = measure::process_cpu();
    commits.try_for_each(|commit| -> anyhow::Result<()> { write(commit) })?;
    let cpu = measure::process_cpu().saturating_sub(cpu);
    Ok(cpu.as_secs_f64() * 1e6 / (groups * group) as f64)
}

/// A group of units is got, and the group before it is finished. They were added before, which is not part of a cycle.
fn turn(partition: &mut WorkPartition, round: u64, group: u64) -> Batch {
    let spec = SpecName::from("bench");
    let key = |number: u64| UnitKey::from(format!("{number:0KEY_DIGITS$}").as_str());
    let now = Timestamp(1_000_000 + round);
    let mut add: Vec<Ask> = Vec::new();
    if round == 0 {
        let settings = SpecSettings::new(spec.clone(), Value::default());
        add.push(call(move |book| book.set_spec(settings)));
    }
    let units = (round * group..(round + 1) * group)
        .map(|number| NewUnit { key: key(number), data: Value::default(), priority: None, delay: None })
        .collect();
    let name = spec.clone();
    add.push(call(move |book| book.add_units(&name, units).expect("the spec is there")));
    partition.step(now, add);

    let ask = GetWork {
        worker: WorkerId::from("worker-0"),
        lease_s: Some(80_000.0),
        max_jobs: group,
        specs: vec![spec.clone()],
        runtimes: vec![Value::default()],
        available_gb: None,
        call: Some(CallId { connection: 0, place: 0, print: round }),
    };
    let mut calls: Vec<Ask> = vec![call(move |book| book.get_work(&ask))];
    for number in (round.saturating_sub(1) * group..round * group).take(if round == 0 { 0 } else { group as usize }) {
        let (spec, key) = (spec.clone(), key(number));
        let finish = UpdateUnit { state: Some(UnitState::Finished), ..UpdateUnit::default() };
        calls.push(call(move |book| book.update_unit(&spec, &key, finish)));
    }
    partition.step(now, calls).batch
}

fn call<T>(ask: impl FnOnce(&mut Book) -> T + Send + 'static) -> Ask {
    Ask::Call(Box::new(move |book| {
        ask(book);
        Box::new(|| {})
    }))
}
