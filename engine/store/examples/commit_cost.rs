//! What the store costs: CPU of commits by size of the group, and scans as recovery does them.
//!
//! `cargo run --release -p berth-store --example commit_cost [-- FOLDER]`. The folder should be on the disk that is
//! to be measured; by default it is a temporary one. CPU is that of the whole process, so that flushing and
//! compaction are in it; wall time depends on the disk and on what else runs.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use berth_runtime::store::{Batch, Commit, Fence, PartitionId, Store, Table};
use berth_store::{RocksOptions, RocksStore};
use rocksdb::{DB, IteratorMode, Options};
use rustix::time::{ClockId, clock_gettime};

const P: PartitionId = PartitionId(1);
const BATCHES: [u64; 4] = [1, 8, 64, 512];
const SCANNED_ROWS: u64 = 1_000_000;

/// Set in the child that fills a store and dies: the folder of that store.
const FILL: &str = "BERTH_COMMIT_COST_FILL";

fn main() {
    if let Some(path) = std::env::var_os(FILL) {
        fill_and_die(Path::new(&path));
    }
    let temporary = tempfile::TempDir::new().expect("a temporary folder is made");
    let folder = std::env::args_os().nth(1).map_or(temporary.path().to_path_buf(), Into::into);
    commits(&folder, "one row of 250 bytes in `jobs`", 1, |batch, id| {
        batch.put(Table::Jobs, &id.to_be_bytes(), fill(250));
    });
    commits(&folder, "a job's life: created, leased, completed (3 commits' worth)", 14, job);
    scans(&folder);
}

/// Everything that a job leaves behind, as the driver writes it.
fn job(batch: &mut Batch, id: u64) {
    let key = &id.to_be_bytes();
    let operation = format!("operations/{id:032x}");
    batch.put(Table::Jobs, key, fill(250));
    batch.put(Table::Operations, operation.as_bytes(), fill(16));
    batch.put(Table::Bodies, key, fill(600));
    batch.feed(3 * id + 1, fill(80));
    batch.put(Table::Jobs, key, fill(280));
    batch.put(Table::Leases, key, fill(100));
    batch.put(Table::Sessions, &(id % 100).to_be_bytes(), fill(200));
    batch.feed(3 * id + 2, fill(80));
    batch.delete(Table::Jobs, key);
    batch.delete(Table::Leases, key);
    batch.put(Table::FinishedJobs, key, fill(250));
    batch.put(Table::FinishedByTime, key, |_| {});
    batch.put(Table::Results, key, fill(400));
    batch.feed(3 * id + 3, fill(80));
}

/// Bytes that compress by half or so, as records do.
fn fill(len: usize) -> impl FnOnce(&mut Vec<u8>) {
    move |buffer| {
        let mut state = buffer.len() as u64 | 1;
        buffer.extend((0..len).map(|at| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if at % 2 == 0 { (state >> 56) as u8 } else { 0 }
        }));
    }
}

fn commits(folder: &Path, title: &str, rows: u64, fill: fn(&mut Batch, u64)) {
    println!("\n{title}, {rows} changes a unit");
    println!(
        "{:>5} {:>6} {:>9} {:>14} {:>15} {:>12} {:>11} {:>13}",
        "sync", "batch", "commits", "CPU us/change", "CPU us/unit", "CPU us/batch", "x batch 512", "wall us/batch"
    );
    for sync in [true, false] {
        let mut lines = Vec::new();
        for size in BATCHES {
            let path = folder.join("commits");
            let options = RocksOptions { sync, ..RocksOptions::default() };
            let store = RocksStore::open(&path, &options).expect("the store opens");
            let fence = store.acquire(P).expect("the partition is acquired");
            let (mut id, mut commits) = (0, 0);
            let (wall, cpu) = (Instant::now(), process_cpu());
            let mut building = Duration::ZERO;
            while commits < 20 || wall.elapsed() < Duration::from_secs(2) {
                let start = process_cpu();
                let mut batch = Batch::default();
                for _ in 0..size {
                    fill(&mut batch, id);
                    id += 1;
                }
                building += process_cpu() - start;
                write(&store, fence, batch);
                commits += 1;
            }
            let (cpu, wall) = (process_cpu() - cpu - building.min(process_cpu() - cpu), wall.elapsed());
            lines.push((size, commits, id, cpu, wall));
            drop(store);
            fs::remove_dir_all(&path).expect("the store is removed");
        }
        let unit =
            |(_, _, units, cpu, _): &(u64, u64, u64, Duration, Duration)| cpu.as_secs_f64() * 1e6 / *units as f64;
        let best = lines.last().map_or(1.0, unit);
        for line in &lines {
            let (size, commits, _, cpu, wall) = line;
            println!(
                "{:>5} {size:>6} {commits:>9} {:>14.2} {:>15.2} {:>12.1} {:>11.1} {:>13.1}",
                if sync { "on" } else { "off" },
                unit(line) / rows as f64,
                unit(line),
                cpu.as_secs_f64() * 1e6 / *commits as f64,
                unit(line) / best,
                wall.as_secs_f64() * 1e6 / *commits as f64,
            );
        }
    }
}

fn scans(folder: &Path) {
    let path = folder.join("scans");
    let options = RocksOptions { sync: false, ..RocksOptions::default() };
    println!("\nscans of {SCANNED_ROWS} rows of 250 bytes in `jobs`");
    println!("{:>44} {:>10} {:>10} {:>12} {:>8}", "", "wall ms", "CPU ms", "rows/CPU s", "x bare");
    let killed = folder.join("killed");
    let me = std::env::current_exe().expect("a program knows its own file");
    let ended = Command::new(me).env(FILL, &killed).status().expect("the child starts");
    assert!(!ended.success(), "the child ends without closing its store");
    copy(&killed, &path);
    drop(RocksStore::open(&path, &options).expect("the store opens"));

    let bare = timed(|| {
        let families = DB::list_cf(&Options::default(), &path).expect("the families are listed");
        let db = DB::open_cf_for_read_only(&Options::default(), &path, &families, false).expect("the database opens");
        let jobs = db.cf_handle(Table::Jobs.name()).expect("every table has a family");
        db.iterator_cf(jobs, IteratorMode::Start).filter(Result::is_ok).count() as u64
    });
    show("bare RocksDB iterator, opening included", &bare, &bare);
    let open = timed(|| {
        let store = RocksStore::open(&path, &options).expect("the store opens");
        scan(&store)
    });
    show("open after a clean stop, and scan", &open, &bare);
    let open = timed(|| {
        let store = RocksStore::open(&killed, &options).expect("the store opens");
        scan(&store)
    });
    show("open after a kill (log replay), and scan", &open, &bare);

    let store = RocksStore::open(&path, &options).expect("the store opens");
    show("scan of an open store", &timed(|| scan(&store)), &bare);
    let fence = store.acquire(P).expect("the partition is acquired");
    for start in (SCANNED_ROWS..4 * SCANNED_ROWS).step_by(1_000) {
        let ids = start..start + 1_000;
        write_range(&store, fence, ids.clone(), |batch, id| batch.put(Table::Jobs, &id.to_be_bytes(), fill(250)));
        write_range(&store, fence, ids, |batch, id| batch.delete(Table::Jobs, &id.to_be_bytes()));
    }
    show("scan after 3 million more came and went", &timed(|| scan(&store)), &bare);
    drop(store);
    let store = RocksStore::open(&path, &options).expect("the store opens");
    show("the same after a restart", &timed(|| scan(&store)), &bare);
}

/// A million rows, then an end that leaves everything as a killed server would.
fn fill_and_die(path: &Path) -> ! {
    let options = RocksOptions { sync: false, ..RocksOptions::default() };
    let store = RocksStore::open(path, &options).expect("the store opens");
    let fence = store.acquire(P).expect("the partition is acquired");
    write_range(&store, fence, 0..SCANNED_ROWS, |batch, id| batch.put(Table::Jobs, &id.to_be_bytes(), fill(250)));
    std::process::exit(1);
}

struct Timed {
    rows: u64,
    wall: Duration,
    cpu: Duration,
}

fn timed(run: impl FnOnce() -> u64) -> Timed {
    let (wall, cpu) = (Instant::now(), process_cpu());
    let rows = run();
    Timed { rows, wall: wall.elapsed(), cpu: process_cpu() - cpu }
}

fn show(what: &str, timed: &Timed, bare: &Timed) {
    assert_eq!(timed.rows, SCANNED_ROWS, "{what}");
    println!(
        "{what:>44} {:>10.0} {:>10.0} {:>12.0} {:>8.2}",
        timed.wall.as_secs_f64() * 1e3,
        timed.cpu.as_secs_f64() * 1e3,
        timed.rows as f64 / timed.cpu.as_secs_f64(),
        timed.cpu.as_secs_f64() / bare.cpu.as_secs_f64(),
    );
}

fn scan(store: &RocksStore) -> u64 {
    let mut rows = 0;
    let mut visit = |_: &[u8], _: &[u8]| {
        rows += 1;
        ControlFlow::Continue(())
    };
    store.scan(P, Table::Jobs, b"", &mut visit).expect("the scan runs");
    rows
}

fn write_range(store: &RocksStore, fence: Fence, ids: std::ops::Range<u64>, fill: fn(&mut Batch, u64)) {
    for start in ids.clone().step_by(1_000) {
        let mut batch = Batch::default();
        (start..ids.end.min(start + 1_000)).for_each(|id| fill(&mut batch, id));
        write(store, fence, batch);
    }
}

fn write(store: &RocksStore, fence: Fence, batch: Batch) {
    let result = store.commit(&[Commit { fence, batch }]).pop().expect("one commit has one result");
    result.expect("the commit succeeds");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder is made");
    for file in fs::read_dir(from).expect("the store's folder is read") {
        let file = file.expect("the store's folder is read");
        fs::copy(file.path(), to.join(file.file_name())).expect("a file is copied");
    }
}

fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
