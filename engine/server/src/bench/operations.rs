//! `berth bench operations`: lists over very many finished operations, against the same lists over a thousand.
//!
//! The store is filled as a version without the orders of lists left it: a whole server that is started on it makes them,
//! which is measured, and is then asked over gRPC.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use berth_core::{
    Digest, InstanceName, JobId, JobRow, JobRowState, LaneKey, OperationId, OperationRow, Outcome, Timestamp,
};
use berth_proto::{
    longrunning::{ListOperationsRequest, operations_client::OperationsClient},
    reapi::{RequestMetadata, ToolDetails},
    store as pb,
};
use berth_runtime::{
    codec,
    store::{Batch, Commit, PartitionId, Store, Table},
};
use berth_store::{RocksOptions, RocksStore};
use prost::Message;
use serde_json::json;
use tonic::transport::Channel;

use super::{
    child::{Child, Cores},
    measure,
    report::{Report, median},
    scratch::Scratch,
};
use crate::config::PolicyKind;

const PARTITION: PartitionId = PartitionId(0);

/// What the other lists are compared with.
const FEW: u64 = 1_000;

/// Operations of a page.
const PAGE: i32 = 100;

/// Each list is asked for so often; the median counts.
const ROUNDS: usize = 21;

/// Operations of one build.
const PER_INVOCATION: u64 = 1_000;

/// Operations of one commit while the store is filled.
const BATCH: u64 = 5_000;

/// The keys that have orders of their own, with a filter that names one value in the middle.
const INDEXED: [&str; 7] =
    ["queued_time", "start_time", "completed_time", "name", "stage", "action_digest", "invocation_id"];

/// What has to be looked for.
const SCANNED: [&str; 5] = [
    "target_id=//nowhere",
    "command=nowhere",
    "stage=COMPLETED & sort_order=tool_name",
    "stage=COMPLETED & sort_order=command(desc)",
    "platform=OSFamily:windows & sort_order=completed_time(desc)",
];

pub(super) fn run(scratch: &Scratch, cores: &Cores, operations: u64) -> anyhow::Result<Report> {
    let mut report =
        Report::new("operations", &["list", "of 1000 ms", "of all ms", "ratio", "calls", "longest call ms"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let few = Site::start(scratch, cores, "few", FEW)?;
    let many = Site::start(scratch, cores, "many", operations)?;
    let before = measure::peak_bytes_of(many.child.pid());
    let mut worst: f64 = 0.0;
    for key in INDEXED {
        for direction in ["asc", "desc"] {
            let filter = format!("stage=COMPLETED & sort_order={key}({direction})");
            let (of_few, of_many) =
                (runtime.block_on(few.first_page(&filter))?, runtime.block_on(many.first_page(&filter))?);
            let ratio = of_many / of_few;
            worst = worst.max(ratio);
            report.row(
                vec![
                    format!("first page by {key}({direction})"),
                    ms(of_few),
                    ms(of_many),
                    format!("{ratio:.2}"),
                    "1".into(),
                    ms(of_many),
                ],
                json!({ "list": filter, "few_ms": of_few, "all_ms": of_many, "ratio": ratio }),
            );
        }
    }
    for filter in SCANNED {
        let (whole_few, ..) = runtime.block_on(few.to_first_page(filter))?;
        let (whole, calls, longest) = runtime.block_on(many.to_first_page(filter))?;
        report.row(
            vec![
                filter.to_owned(),
                ms(whole_few),
                ms(whole),
                format!("{:.0}", whole / whole_few),
                calls.to_string(),
                ms(longest),
            ],
            json!({ "list": filter, "few_ms": whole_few, "all_ms": whole, "calls": calls, "longest_call_ms": longest }),
        );
    }
    let after = measure::peak_bytes_of(many.child.pid());
    report.verdict(
        format!("worst ratio of a first page by a key with an order, {operations} finished to {FEW}"),
        worst,
        "<=",
        3.0,
    );
    if let (Some(before), Some(after)) = (before, after) {
        report.note(format!(
            "Peak memory of the server: {} MiB before the lists, {} MiB after.",
            before >> 20,
            after >> 20
        ));
    }
    let started = many.started.as_secs_f64();
    report.note(format!(
        "The server was ready {started:.1} s after its start, in which it made the orders of all operations."
    ));
    report.note(format!("Pages of {PAGE}; medians of {ROUNDS} calls. {}", cores.note()));
    few.child.stop()?;
    many.child.stop()?;
    Ok(report)
}

/// A server with finished operations.
struct Site {
    child: Child,
    /// How long its start took, the making of its orders included.
    started: Duration,
}

impl Site {
    fn start(scratch: &Scratch, cores: &Cores, name: &str, operations: u64) -> anyhow::Result<Self> {
        let folder = scratch.fresh(name)?;
        let began = Instant::now();
        fill(&folder.join("data").join("store"), operations)?;
        eprintln!("bench: {operations} finished operations written in {:.1} s", began.elapsed().as_secs_f64());
        let began = Instant::now();
        let child = Child::serve(cores, &folder, PolicyKind::BuiltIn)?;
        Ok(Self { child, started: began.elapsed() })
    }

    async fn client(&self) -> anyhow::Result<OperationsClient<Channel>> {
        let channel = Channel::from_shared(format!("http://{}", self.child.grpc))?.connect().await?;
        Ok(OperationsClient::new(channel).max_decoding_message_size(64 << 20))
    }

    /// Milliseconds to the first page.
    async fn first_page(&self, filter: &str) -> anyhow::Result<f64> {
        let mut client = self.client().await?;
        let mut times = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let began = Instant::now();
            let page = client.list_operations(request(filter, String::new())).await?.into_inner();
            times.push(millis(began.elapsed()));
            anyhow::ensure!(page.operations.len() == PAGE as usize, "{filter}: {} operations", page.operations.len());
        }
        Ok(median(times))
    }

    /// Milliseconds until the first page is there, or it is known that there is none; how many calls that took, and how
    /// long the longest of them.
    async fn to_first_page(&self, filter: &str) -> anyhow::Result<(f64, usize, f64)> {
        let mut client = self.client().await?;
        let (mut token, mut whole, mut calls, mut longest) = (String::new(), 0.0, 0, 0.0_f64);
        loop {
            let began = Instant::now();
            let page = client.list_operations(request(filter, token)).await?.into_inner();
            let took = millis(began.elapsed());
            (whole, calls, longest) = (whole + took, calls + 1, longest.max(took));
            token = page.next_page_token;
            if token.is_empty() || !page.operations.is_empty() {
                return Ok((whole, calls, longest));
            }
        }
    }
}

fn request(filter: &str, page_token: String) -> ListOperationsRequest {
    let filter = filter.to_owned();
    ListOperationsRequest { name: "main".into(), filter, page_size: PAGE, page_token, ..Default::default() }
}

fn fill(path: &Path, operations: u64) -> anyhow::Result<()> {
    let store = RocksStore::open(path, &RocksOptions { sync: false, ..RocksOptions::default() })?;
    let fence = store.acquire(PARTITION)?;
    // Ended just now: retention keeps them.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_micros() as u64;
    for first in (0..operations).step_by(BATCH as usize) {
        let mut batch = Batch::default();
        for number in first..operations.min(first + BATCH) {
            put(number, now - operations * 1_000 + number * 1_000, &mut batch);
        }
        let done = store.commit(&[Commit { fence, batch }]).pop().context("a commit is answered")?;
        done?;
    }
    Ok(())
}

/// A finished operation, with the rows that the engine keeps of it.
fn put(number: u64, queued: u64, batch: &mut Batch) {
    let id = u128::from(queued / 1_000) << 80 | 0x7000_8000_0000_0000_0000 | u128::from(mixed(number) >> 4);
    let mut hash = [0; 32];
    hash.chunks_exact_mut(8)
        .enumerate()
        .for_each(|(at, part)| part.copy_from_slice(&mixed(number * 4 + at as u64).to_be_bytes()));
    let row = JobRow {
        job: JobId(id),
        instance: InstanceName::from("main"),
        action: Digest { hash, size_bytes: 142 },
        do_not_cache: false,
        requirements: Default::default(),
        preferred: None,
        label: "linux".into(),
        lane: LaneKey::default(),
        weight: 1,
        rank: 0,
        limits: Vec::new(),
        affinities: Vec::new(),
        age: number,
        queued_at: Timestamp(queued),
        queue_timeout: None,
        execution_timeout: None,
        offers: 1,
        attempts_used: 0,
        operations: vec![OperationRow { operation: OperationId(id), cancelled: None, deleted: false }],
        again: None,
        setbacks: None,
        past: Vec::new(),
        // One in ten was answered from the cache: no bot had it.
        started_at: (!number.is_multiple_of(10)).then_some(Timestamp(queued + mixed(number) % 5_000)),
        state: JobRowState::Completed {
            at: Timestamp(queued + 5_000 + mixed(number) % 9_000),
            outcome: Outcome::Cached,
        },
    };
    let metadata = RequestMetadata {
        tool_details: Some(ToolDetails { tool_name: "bazel".into(), tool_version: "8.0.0".into() }),
        tool_invocation_id: format!("{:032x}", mixed(number / PER_INVOCATION)),
        action_mnemonic: "CppCompile".into(),
        target_id: format!("//server:lib-{}", number % 500),
        ..Default::default()
    };
    let half = (id >> 64) as u64;
    let operation = pb::Operation {
        job: Some(pb::Id { high: half, low: id as u64 }),
        instance: "main".into(),
        request_metadata: metadata.encode_to_vec().into(),
        ..Default::default()
    };
    let body = pb::JobBody {
        action: vec![5; 142].into(),
        command_line: format!("gcc -O2 -c src/file-{number}.c -o out/file-{number}.o"),
        platform: vec![pb::Property { name: "OSFamily".into(), value: "linux".into() }],
        ..Default::default()
    };
    let result = pb::JobResult { action_result: vec![0x20, 0].into(), ..Default::default() };
    let key = codec::id_key(id);
    batch.put(Table::FinishedJobs, &key, |out| codec::encode_job(&row, out));
    batch.put(
        Table::FinishedByTime,
        &codec::finished_key(Timestamp(queued + 5_000 + mixed(number) % 9_000), row.job),
        |_| {},
    );
    batch.put(Table::Operations, &key, |out| out.extend(operation.encode_to_vec()));
    batch.put(Table::Bodies, &key, |out| out.extend(body.encode_to_vec()));
    batch.put(Table::Results, &key, |out| out.extend(result.encode_to_vec()));
}

/// A number that looks random: the finalizer of SplitMix64.
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn ms(time: f64) -> String {
    format!("{time:.2}")
}
