//! The random scene: few names, so that calls meet; and everything that can be said about them.

use std::time::Duration;

use berth_core::work::{
    Control, DeleteUnits, GetWork, Heartbeat, LockPath, Locker, NewUnit, Outputs, Prioritize, Priority, SpecName,
    SpecSettings, UnitKey, UnitQuery, UnitState, UpdateUnit, Value, WorkerId,
};

use super::call::Call;
use crate::rng::Rng;

pub(super) const SPECS: [&str; 4] = ["a", "b", "c", "d"];
pub(super) const WORKERS: [&str; 4] = ["w1", "w2", "w3", "parent"];
const KEYS: [&[u8]; 8] = [b"k0", b"k1", b"k2", b"\xff\x80", b"\0", b"", b"n9", b"n10"];
/// Values in CBOR, as the door has them: so that no two paths are the same bytes.
const ELEMENTS: [&[u8]; 3] = [b"\x41x", b"\x41y", b"\x42xx"];

/// Units of this scene hand on what stands behind an `O` in their data: key, priority and delay in a byte each.
pub(super) struct Scene;

impl Outputs for Scene {
    fn children(&self, data: &[u8]) -> Vec<NewUnit> {
        let Some(children) = data.strip_prefix(b"O") else { return Vec::new() };
        let child = |child: &[u8; 3]| NewUnit {
            key: UnitKey::from(KEYS[usize::from(child[0]) % KEYS.len()]),
            data: Value::from(&b"child"[..]),
            priority: (child[1] > 0).then(|| Priority::new(f64::from(child[1]) - 3.0)),
            delay: (child[2] > 0).then(|| Duration::from_secs(u64::from(child[2]))),
        };
        children.as_chunks::<3>().0.iter().map(child).collect()
    }
}

/// How long nothing happens.
pub(super) fn pause(rng: &mut Rng) -> Duration {
    match rng.below(10) {
        0..=3 => Duration::ZERO,
        4..=6 => Duration::from_millis(rng.below(3_000)),
        7 => Duration::from_secs(rng.below(120)),
        8 => Duration::from_secs(60),
        _ => Duration::from_secs(rng.below(4_000)),
    }
}

/// How long the server is down.
pub(super) fn outage(rng: &mut Rng) -> Duration {
    if rng.chance(600) { Duration::from_millis(rng.below(5_000)) } else { Duration::from_secs(rng.below(5_000)) }
}

pub(super) fn call(rng: &mut Rng) -> Call {
    let spec = name(rng);
    match rng.below(100) {
        0..=6 => Call::SetSpec(settings(rng)),
        7 => Call::Spec(spec),
        8 => Call::Specs(rng.chance(500).then_some(spec), rng.below(5) as usize),
        9 => Call::DeleteSpec(spec),
        10 if rng.chance(100) => Call::Clear,
        10..=13 => Call::ControlSpec(spec, control(rng)),
        14 => Call::SpecMeta(spec),
        15..=29 => Call::AddUnits(spec, (0..rng.below(5)).map(|_| unit(rng)).collect()),
        30 => Call::CountUnits(spec),
        31..=32 => Call::Units(spec, query(rng)),
        33 => Call::UnitsByKey(spec, keys(rng)),
        34..=36 => Call::Prioritize(spec, keys(rng), prioritize(rng)),
        37..=38 => Call::DeleteUnits(spec, delete(rng)),
        39 => Call::UnitStatus(spec, keys(rng)),
        40..=59 => Call::Update(spec, key(rng), update(rng)),
        60..=77 => Call::GetWork(get_work(rng)),
        78..=79 => Call::ChildUnits(WorkerId::from("parent")),
        80..=86 => Call::Heartbeat(heartbeat(rng)),
        87 => Call::Unregister(worker(rng)),
        88 => Call::WorkerModes,
        89 => Call::WorkerInfo(worker(rng)),
        90 => Call::Archive(rng.chance(300).then(|| vec![spec])),
        91..=93 => Call::Lock(locker(rng), timeout(rng), paths(rng)),
        94..=95 => Call::LockSome(locker(rng), timeout(rng), paths(rng)),
        96 => Call::RenewLocks(locker(rng), timeout(rng), paths(rng)),
        97 => Call::LockOwners(paths(rng)),
        98 => Call::Unlock(locker(rng), paths(rng)),
        _ => Call::DeleteLocks(element(rng)),
    }
}

fn name(rng: &mut Rng) -> SpecName {
    // The first is met most, so that it comes to something.
    SpecName::from(if rng.chance(400) { SPECS[0] } else { SPECS[rng.index(SPECS.len())] })
}

fn key(rng: &mut Rng) -> UnitKey {
    UnitKey::from(KEYS[rng.index(KEYS.len())])
}

fn keys(rng: &mut Rng) -> Vec<UnitKey> {
    (0..rng.below(5)).map(|_| key(rng)).collect()
}

fn worker(rng: &mut Rng) -> WorkerId {
    WorkerId::from(WORKERS[rng.index(WORKERS.len())])
}

fn value(rng: &mut Rng) -> Value {
    let mut data = match rng.below(3) {
        0 => b"O".to_vec(),
        _ => b"d".to_vec(),
    };
    for _ in 0..3 * rng.below(3) {
        data.push(rng.below(8) as u8);
    }
    data.into()
}

fn unit(rng: &mut Rng) -> NewUnit {
    NewUnit {
        key: key(rng),
        data: value(rng),
        priority: rng.chance(500).then(|| Priority::new(rng.below(7) as f64 - 2.5)),
        delay: rng.chance(150).then(|| Duration::from_secs(rng.below(100))),
    }
}

fn settings(rng: &mut Rng) -> SpecSettings {
    let mut settings = SpecSettings::new(name(rng), value(rng));
    settings.paused = rng.chance(80);
    settings.weight = [20, 20, 1, 300, 0, -1, 7][rng.index(7)];
    settings.priority = [0, 0, 0, 1, -1][rng.index(5)];
    settings.continuous = rng.chance(250);
    settings.interval = rng.chance(500).then(|| Duration::from_millis(rng.below(100_000)));
    settings.max_running = rng.chance(250).then(|| rng.below(4));
    settings.max_getwork = rng.chance(250).then(|| rng.below(4));
    settings.max_retries = rng.chance(250).then(|| rng.below(3) as u32);
    settings.then = rng.chance(600).then(|| name(rng));
    settings.runtime = if rng.chance(100) { Value::from(&b"go"[..]) } else { Value::default() };
    settings.min_gb = rng.below(3) as f64;
    settings
}

fn control(rng: &mut Rng) -> Control {
    Control {
        continuous: rng.chance(250).then(|| rng.chance(500)),
        paused: rng.chance(400).then(|| rng.chance(300)),
        weight: rng.chance(250).then(|| rng.below(40) as i64 - 2),
        interval: rng.chance(250).then(|| rng.chance(700).then(|| Duration::from_millis(rng.below(50_000)))),
        max_running: rng.chance(250).then(|| rng.chance(700).then(|| rng.below(4))),
    }
}

fn state(rng: &mut Rng) -> UnitState {
    UnitState::ALL[rng.index(4)]
}

fn query(rng: &mut Rng) -> UnitQuery {
    UnitQuery {
        states: (0..rng.below(3)).map(|_| state(rng)).collect(),
        start: rng.chance(500).then(|| key(rng)),
        limit: rng.below(6) as usize,
    }
}

fn prioritize(rng: &mut Rng) -> Prioritize {
    let number = rng.below(9) as f64 - 4.0;
    if rng.chance(500) { Prioritize::To(Priority::new(number)) } else { Prioritize::By(number) }
}

fn delete(rng: &mut Rng) -> DeleteUnits {
    match rng.below(4) {
        0 => DeleteUnits::All,
        1 => DeleteUnits::State(state(rng)),
        _ => DeleteUnits::Keys(keys(rng), rng.chance(400).then(|| state(rng))),
    }
}

fn update(rng: &mut Rng) -> UpdateUnit {
    UpdateUnit {
        lease_s: rng.chance(350).then(|| [-1.0, 0.0, 0.5, 20.0, 900.0, 86_400.0, 100_000.0][rng.index(7)]),
        state: rng.chance(800).then(|| state(rng)),
        data: rng.chance(400).then(|| value(rng)),
        worker: rng.chance(300).then(|| worker(rng)),
    }
}

fn get_work(rng: &mut Rng) -> GetWork {
    GetWork {
        worker: worker(rng),
        lease_s: rng.chance(800).then(|| [0.5, 1.0, 20.0, 900.0, 86_400.0, 90_000.0, -1.0][rng.index(7)]),
        max_jobs: rng.below(4),
        specs: if rng.chance(300) { (0..rng.below(3)).map(|_| name(rng)).collect() } else { Vec::new() },
        runtimes: match rng.below(5) {
            0 => Vec::new(),
            1 => vec![Value::from(&b"go"[..])],
            _ => vec![Value::default()],
        },
        available_gb: rng.chance(500).then(|| rng.below(3) as f64),
        call: None,
    }
}

fn heartbeat(rng: &mut Rng) -> Heartbeat {
    Heartbeat {
        worker: worker(rng),
        mode: Value::from([&b"RUN"[..], &b"IDLE"[..]][usize::from(rng.chance(100))]),
        expire_s: if rng.chance(800) { 100.0 } else { [-1.0, 0.0, 30.0, 6_000.0, 90_000.0][rng.index(5)] },
        data: if rng.chance(700) { Value::from(&b"env"[..]) } else { value(rng) },
        parent: match rng.below(4) {
            0 => None,
            1 => Some(WorkerId::from("")),
            _ => Some(WorkerId::from("parent")),
        },
    }
}

fn locker(rng: &mut Rng) -> Locker {
    Locker::from(["one", "two"][rng.index(2)])
}

fn timeout(rng: &mut Rng) -> f64 {
    [0.0, 1.0, 30.0, 500.0, 2e6][rng.index(5)]
}

fn element(rng: &mut Rng) -> Value {
    Value::from(ELEMENTS[rng.index(ELEMENTS.len())])
}

fn paths(rng: &mut Rng) -> Vec<LockPath> {
    let path = |rng: &mut Rng| (0..rng.below(4)).map(|_| element(rng)).collect();
    (0..rng.below(3)).map(|_| path(rng)).collect()
}

/// Every path that this scene may lock.
pub(super) fn all_paths() -> Vec<LockPath> {
    let mut paths: Vec<LockPath> = vec![Vec::new()];
    for len in 0..3 {
        let longer = paths.iter().filter(|path| path.len() == len).flat_map(|path| {
            ELEMENTS.map(|element| path.iter().cloned().chain([Value::from(element)]).collect::<LockPath>())
        });
        let longer: Vec<LockPath> = longer.collect();
        paths.extend(longer);
    }
    paths
}
