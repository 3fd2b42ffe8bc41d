//! `berth bench restart`: time to the first lease with a deep queue, against a bare scan of the same rows.

use std::{
    ops::ControlFlow,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use berth_core::{
    Book, BotStatus, Digest, Event, InstanceName, LaneKey, OpenSession, OperationId, PollId, Property, SessionId,
    Settings, Submit, Timestamp, UpdateSession,
};
use berth_runtime::{
    Committer, Engine, Options,
    clock::Clock,
    partition::{Attachment, Input, Partition},
    recover::Limits,
    store::{Commit, PartitionId, Store, Table},
};
use berth_store::{RocksOptions, RocksStore};
use serde_json::json;

use super::report::{Report, median};

const PARTITION: PartitionId = PartitionId(0);

const ROUNDS: usize = 3;

/// Jobs in one batch while the store is filled.
const BATCH: u64 = 1_000;

pub(super) fn run(folder: &Path, queued: u64) -> anyhow::Result<Report> {
    let path = folder.join("restart-store");
    fill(&path, queued)?;
    let mut report = Report::new(
        "restart",
        &["queued", "open s", "bare scan s", "serves s", "first lease s", "all loaded s", "ratio to scan"],
    );
    let mut ratios = Vec::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for round in 1..=ROUNDS {
        eprintln!("restart: round {round} of {ROUNDS} ...");
        let start = Instant::now();
        let store = RocksStore::open(&path, &RocksOptions::default())?;
        let open = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let mut rows = 0_u64;
        for table in [Table::Jobs, Table::Leases, Table::Sessions, Table::Drains] {
            store.scan(PARTITION, table, &[], &mut |key, value| {
                rows += std::hint::black_box(key.len() + value.len()).min(1) as u64;
                ControlFlow::Continue(())
            })?;
        }
        let scan = start.elapsed().as_secs_f64();
        anyhow::ensure!(rows == queued, "{rows} rows were found, {queued} were written");
        drop(store);

        // Opened anew, so that neither of the two finds blocks in memory that the other did not.
        let store: Arc<dyn Store> = Arc::new(RocksStore::open(&path, &RocksOptions::default())?);
        let held = Arc::downgrade(&store);
        let times = runtime.block_on(restart(store))?;
        // The threads that commit and load let go of it a moment after the driver has ended.
        while held.strong_count() > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let (recovered, lease, loaded) = times;
        let ratio = lease / scan;
        ratios.push(ratio);
        report.row(
            vec![
                queued.to_string(),
                format!("{open:.2}"),
                format!("{scan:.2}"),
                format!("{recovered:.2}"),
                format!("{lease:.2}"),
                format!("{loaded:.2}"),
                format!("{ratio:.2}"),
            ],
            json!({ "queued": queued, "open_s": open, "scan_s": scan, "serves_s": recovered, "first_lease_s": lease, "all_loaded_s": loaded, "ratio": ratio }),
        );
    }
    report.verdict("first lease against a bare scan, median".to_owned(), median(ratios), "<=", 2.0);
    report.note("Time from the open store to the first lease that is durable, against visiting the same rows.");
    report.note("Through the engine and its driver, as in the server: serves = it takes calls; all loaded = clients are answered.");
    Ok(report)
}

/// Seconds from the open store until calls are taken, until a bot has a durable lease, until all jobs are loaded.
async fn restart(store: Arc<dyn Store>) -> anyhow::Result<(f64, f64, f64)> {
    let start = Instant::now();
    let committer = Committer::start(store.clone(), Arc::new(|error| panic!("the store failed: {error}")))?;
    let options = Options {
        cohorts: Arc::default(),
        settings: Settings::default(),
        clock: Clock::system(),
        observer: Arc::new(()),
        reserve_bytes: 0,
        heads: Limits::default(),
        policy: Arc::new(berth_runtime::builtin::BuiltinPolicy),
    };
    let (engine, driver) = Engine::start(store, committer, PARTITION, options)?;
    let serves = start.elapsed().as_secs_f64();
    let patience = engine.now().after(Duration::from_secs(60));
    let delivery = engine.open_session(|poll| hello(poll, patience)).await?;
    let lease = start.elapsed().as_secs_f64();
    let leases = delivery.answer().leases.len();
    anyhow::ensure!(leases == 1, "the first bot was given {leases} leases");
    delivery.delivered();
    // Put back: the next round finds as many jobs.
    engine.update_session(goodbye, Vec::new()).await?.delivered();
    engine.read(|_| ()).await?;
    let loaded = start.elapsed().as_secs_f64();
    engine.stop().await;
    driver.await??;
    Ok((serves, lease, loaded))
}

fn fill(path: &Path, queued: u64) -> anyhow::Result<()> {
    let store = RocksStore::open(path, &RocksOptions::default())?;
    let fence = store.acquire(PARTITION)?;
    let mut partition = Partition::new(Book::new(Settings::default()), store.next_sequence(PARTITION)?);
    let mut next = 0;
    while next < queued {
        let until = (next + BATCH).min(queued);
        let inputs = (next..until).map(|job| Input::Event { event: submit(job), attachment: body(), token: () });
        let output = partition.step(Timestamp(1), inputs);
        store.commit(&[Commit { fence, batch: output.batch }]).pop().context("one commit, one answer")??;
        next = until;
        if next % 100_000 == 0 {
            eprintln!("restart: {next} of {queued} jobs written ...");
        }
    }
    Ok(())
}

fn submit(job: u64) -> Event {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&job.to_be_bytes());
    Event::Submit(Box::new(Submit {
        operation: OperationId(u128::from(job.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(job)),
        instance: InstanceName::from("main"),
        action: Digest { hash, size_bytes: 140 },
        do_not_cache: false,
        skip_cache_lookup: false,
        lookup_began: Timestamp(1),
        requirements: [Property::new("OSFamily", "linux"), Property::new("pool", (job % 16).to_string())]
            .into_iter()
            .collect(),
        label: "linux".into(),
        lane: LaneKey::default(),
        weight: 1,
        rank: 0,
        limits: Vec::new(),
        affinities: Vec::new(),
        again: Default::default(),
        queue_timeout: None,
        execution_timeout: None,
        preferred: None,
    }))
}

/// As large as the body of a usual action.
fn body() -> Attachment {
    Attachment { body: vec![5; 300].into(), ..Attachment::default() }
}

fn hello(poll: PollId, hold_until: Timestamp) -> OpenSession {
    OpenSession {
        session: SessionId(1),
        instance: InstanceName::from("main"),
        bot_id: "bench".into(),
        identity: "".into(),
        capabilities: vec![
            (0..16)
                .map(|pool| Property::new("pool", pool.to_string()))
                .chain([Property::new("OSFamily", "linux")])
                .collect(),
        ],
        slots: 1,
        hold_when_full: false,
        status: BotStatus::Ok,
        poll,
        hold_until: Some(hold_until),
        score: 0,
    }
}

/// The bot terminates and has begun nothing: the job is queued again and the session gone.
fn goodbye(poll: PollId) -> UpdateSession {
    UpdateSession {
        session: SessionId(1),
        bot_id: "bench".into(),
        identity: "".into(),
        status: BotStatus::Terminating,
        worker: None,
        leases: Vec::new(),
        poll,
        hold_until: None,
    }
}
