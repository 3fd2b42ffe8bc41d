//! The load: fills a spec, takes units, and runs cycles on several connections at a time.

use std::{
    fs,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use clap::Args;

use super::wire::{Client, Item, is_true, keys};
use crate::bench::measure;

pub(super) const SPEC: &[u8] = b"bench";
pub(super) const KEY_DIGITS: usize = 10;

/// Units a call of `get_work`; what the bare server answers as well.
pub(super) const BATCH: u64 = 100;

const DATA_BYTES: usize = 64;
const LEASE_S: u64 = 80_000;

/// How the load looks.
#[derive(Args, Clone, Debug)]
pub(in crate::bench) struct Load {
    /// Cycles of each case: a unit is got, and finished
    #[arg(long, value_name = "N", default_value_t = 60_000)]
    pub(super) cycles: u64,
    /// Connections, each a worker
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(super) connections: u64,
    /// Finishes that are sent before their replies are read
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(super) depth: usize,
    /// Without the event feed, to see what it costs
    #[arg(long)]
    pub(super) no_feed: bool,
}

impl Load {
    /// Shows that everything runs.
    pub(in crate::bench) fn quicker(self, quick: bool) -> Self {
        if quick { Self { cycles: self.cycles.min(4_000), ..self } } else { self }
    }
}

/// What cycles cost.
pub(super) struct Cycles {
    pub(super) per_s: f64,
    /// CPU time of the server, system time included, in µs.
    pub(super) cpu_us: f64,
    /// Memory of the server afterwards.
    pub(super) rss_mib: f64,
}

/// What heartbeats cost.
pub(super) struct Heartbeats {
    /// CPU time of the server a second.
    pub(super) cores: f64,
    pub(super) per_s: f64,
}

/// The dictionary of a unit.
pub(super) fn data(item: &mut Item<'_>, number: u64) {
    item.map(2).bytes(b"number").int(number).bytes(b"payload").bytes(&[b'x'; DATA_BYTES]);
}

/// Makes the spec, with so many units.
pub(super) fn fill(address: SocketAddr, units: u64) -> anyhow::Result<()> {
    const AT_A_TIME: u64 = 1_000;
    let mut client = Client::connect(address)?;
    client.call("set_work_spec", 1, &|item| spec(item, SPEC))?;
    for first in (0..units).step_by(AT_A_TIME as usize) {
        let last = units.min(first + AT_A_TIME);
        client.call("add_work_units", 2, &|item| {
            item.bytes(SPEC).array(last - first);
            for number in first..last {
                item.tuple(2).bytes(format!("{number:0KEY_DIGITS$}").as_bytes());
                data(item, number);
            }
        })?;
    }
    Ok(())
}

fn spec(item: &mut Item<'_>, name: &[u8]) {
    item.map(2).bytes(b"name").bytes(name).bytes(b"min_gb").int(1);
}

/// Many specs, each with a unit.
pub(super) fn set_specs(address: SocketAddr, specs: u64) -> anyhow::Result<()> {
    let mut client = Client::connect(address)?;
    for number in 0..specs {
        let name = format!("spec-{number:05}");
        client.call("set_work_spec", 1, &|item| spec(item, name.as_bytes()))?;
        client.call("add_work_units", 2, &|item| {
            item.bytes(name.as_bytes()).array(1).tuple(2).bytes(b"unit");
            data(item, number);
        })?;
    }
    Ok(())
}

/// Takes so many units and keeps them.
pub(super) fn take(address: SocketAddr, units: u64) -> anyhow::Result<()> {
    let mut client = Client::connect(address)?;
    let mut taken = 0;
    while taken < units {
        let got = get(&mut client, b"keeper", 1_000.min(units - taken))?;
        anyhow::ensure!(!got.is_empty(), "there are not enough units");
        taken += got.len() as u64;
    }
    Ok(())
}

/// Runs the cycles on all connections.
pub(super) fn cycles(address: SocketAddr, pid: u32, load: &Load) -> anyhow::Result<Cycles> {
    let each = load.cycles.div_ceil(load.connections * BATCH) * BATCH;
    let (cpu, start) = (measure::cpu_of(pid).context("the server's CPU time is not known")?, Instant::now());
    let workers: Vec<_> = (0..load.connections)
        .map(|number| {
            let load = load.clone();
            thread::spawn(move || work(address, format!("worker-{number}").as_bytes(), each, &load))
        })
        .collect();
    let mut done = 0;
    for worker in workers {
        done += worker.join().map_err(|_| anyhow!("a worker panicked"))??;
    }
    let (took, cpu) = (start.elapsed(), measure::cpu_of(pid).context("the server has ended")?.saturating_sub(cpu));
    Ok(Cycles {
        per_s: done as f64 / took.as_secs_f64(),
        cpu_us: cpu.as_secs_f64() * 1e6 / done as f64,
        rss_mib: rss_mib(pid).unwrap_or(0.0),
    })
}

/// One worker: gets a batch, finishes its units, so many in flight at a time.
fn work(address: SocketAddr, worker: &[u8], cycles: u64, load: &Load) -> anyhow::Result<u64> {
    let mut client = Client::connect(address)?;
    let mut done = 0;
    while done < cycles {
        let units = get(&mut client, worker, BATCH)?;
        if units.is_empty() {
            break;
        }
        for some in units.chunks(load.depth.max(1)) {
            for key in some {
                client.ask("update_work_unit", 3, &|item| {
                    item.bytes(SPEC).bytes(key).map(1).bytes(b"status").int(4);
                });
            }
            client.flush()?;
            for _ in some {
                client.reply(is_true)?;
            }
        }
        done += units.len() as u64;
    }
    Ok(done)
}

fn get(client: &mut Client, worker: &[u8], most: u64) -> anyhow::Result<Vec<Vec<u8>>> {
    client.ask("get_work", 2, &|item| {
        item.bytes(worker).map(4).bytes(b"max_jobs").int(most).bytes(b"lease_time").int(LEASE_S);
        item.bytes(b"available_gb").int(1).bytes(b"work_spec_names").array(1).bytes(SPEC);
    });
    client.flush()?;
    client.reply(keys)
}

/// Each worker says every 10 s that it lives, after it did so once unmeasured.
pub(super) fn heartbeats(
    address: SocketAddr,
    pid: u32,
    workers: u64,
    seconds: u64,
    changing: bool,
) -> anyhow::Result<Heartbeats> {
    const PERIOD_S: u64 = 10;
    /// So many are sent at a time.
    const TOGETHER: u64 = 10;
    let mut client = Client::connect(address)?;
    let mut beat = |first: u64, round: u64| -> anyhow::Result<()> {
        let some = first..workers.min(first + TOGETHER);
        for number in some.clone() {
            let told = if changing { round } else { 0 };
            client.ask("worker_heartbeat", 5, &|item| {
                item.bytes(format!("worker-{number}").as_bytes()).bytes(b"RUN").int(6_000);
                item.map(3).bytes(b"pid").int(number).bytes(b"memory").int(told);
                item.bytes(b"environment").bytes(&[b'e'; 300]);
                item.bytes(b"parent");
            });
        }
        client.flush()?;
        for _ in some {
            client.reply(is_true)?;
        }
        Ok(())
    };
    for first in (0..workers).step_by(TOGETHER as usize) {
        beat(first, 0)?;
    }
    let pause = Duration::from_secs(PERIOD_S).mul_f64(TOGETHER as f64 / workers as f64);
    let (cpu, start) = (measure::cpu_of(pid).context("the server's CPU time is not known")?, Instant::now());
    let mut sent = 0;
    'all: for round in 1.. {
        for first in (0..workers).step_by(TOGETHER as usize) {
            if start.elapsed().as_secs() >= seconds {
                break 'all;
            }
            beat(first, round)?;
            sent += TOGETHER;
            thread::sleep((start + pause * u32::try_from(sent / TOGETHER)?).saturating_duration_since(Instant::now()));
        }
    }
    let (took, cpu) = (start.elapsed(), measure::cpu_of(pid).context("the server has ended")?.saturating_sub(cpu));
    Ok(Heartbeats { cores: cpu.as_secs_f64() / took.as_secs_f64(), per_s: sent as f64 / took.as_secs_f64() })
}

/// Memory of a process that is in RAM.
pub(super) fn rss_mib(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1_024.0)
}
