//! Metrics of builds: jobs by label, bots, how jobs end and how long they take, calls, and blobs.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use berth_api::Phases;
use berth_cas::Storage;
use berth_core::{BotCounts, LabelCounts};
use berth_runtime::{Engine, TimesRead};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::{MetricType, counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{Labels, counter, gauge};
use crate::calls::{Calls, MethodRead};

/// As many labels have numbers of their own, those with the most jobs first; the others are `other` together.
const LABELS_MAX: usize = 50;

/// Reads what it shows when it is asked.
pub(crate) struct JobMetrics {
    pub(crate) engine: Engine,
    pub(crate) phases: Arc<Phases>,
    pub(crate) calls: Arc<Calls>,
    pub(crate) connections: Arc<AtomicU64>,
    /// None: the storage is another server.
    pub(crate) storage: Option<Arc<Storage>>,
}

impl JobMetrics {
    pub(super) async fn register(&self, registry: &mut Registry) {
        if let Ok((labels, bots)) = self.engine.read_promptly(|book| (book.label_counts(), book.bot_counts())).await {
            register_labels(labels, registry);
            register_bots(&bots, registry);
        }
        let tally = self.engine.tally();
        let finished = Family::<Labels, Counter>::default();
        for (outcome, count) in tally.outcomes() {
            finished.get_or_create(&vec![("outcome", outcome.to_owned())]).inc_by(count);
        }
        registry.register("jobs_finished", "Jobs that ended since the server started, by how they ended", finished);
        counter(
            registry,
            "job_attempts_failed",
            "Attempts that failed or lost their bot since the server started",
            tally.failed_attempts(),
        );
        counter(registry, "jobs_pruned", "Finished jobs that were past their time and deleted", tally.pruned());
        let times = tally.times().into_iter().chain(self.phases.read()).collect();
        registry.register_collector(Box::new(Phased(times)));
        let open = usize::try_from(self.connections.load(Relaxed)).unwrap_or(usize::MAX);
        gauge(registry, "grpc_connections", "Open connections of build clients, bots and operators", open);
        registry.register_collector(Box::new(CallFigures(self.calls.read())));
        if let Some(storage) = &self.storage {
            let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
            gauge(registry, "cas_blobs", "Blobs in the storage", storage.blob_count());
            gauge(registry, "cas_bytes", "Bytes that blobs and action results take", bytes(storage.used_bytes()));
            gauge(registry, "cas_max_bytes", "Bytes that they may take", bytes(storage.bytes_max()));
        }
    }
}

fn register_labels(mut labels: Vec<LabelCounts>, registry: &mut Registry) {
    labels.sort_by_key(|label| std::cmp::Reverse(label.queued + label.executing));
    let mut shown: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for (place, label) in labels.into_iter().enumerate() {
        let name = if place < LABELS_MAX { label.label.to_string() } else { "other".to_owned() };
        let sums = shown.entry(name).or_default();
        *sums = (sums.0 + label.queued, sums.1 + label.executing);
    }
    let jobs = Family::<Labels, Gauge>::default();
    for (label, (queued, executing)) in shown {
        for (state, count) in [("queued", queued), ("executing", executing)] {
            let labels = vec![("label", label.clone()), ("state", state.to_owned())];
            jobs.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
    let about = "Jobs that stand in the queue or are with a bot, by the policy's label; beyond 50 labels: other";
    registry.register("jobs", about, jobs);
}

fn register_bots(counts: &BotCounts, registry: &mut Registry) {
    let bots = Family::<Labels, Gauge>::default();
    for (status, count) in &counts.by_status {
        bots.get_or_create(&vec![("status", format!("{status:?}").to_lowercase())])
            .set(i64::try_from(*count).unwrap_or(i64::MAX));
    }
    registry.register("bots", "Bots with an open session, by what they say of themselves", bots);
    gauge(registry, "bot_slots", "Jobs that all bots may have at a time", counts.slots);
    gauge(registry, "bot_slots_free", "How many more they could have now", counts.free);
}

/// Times of jobs by phase.
#[derive(Debug)]
struct Phased(Vec<(&'static str, TimesRead)>);

impl Collector for Phased {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Seconds of jobs, by phase; fetch, execution, upload and worker as the bot says";
        let mut times = encoder.encode_descriptor("job_seconds", help, None, MetricType::Histogram)?;
        for (phase, read) in &self.0 {
            let labels = [("phase", *phase)];
            let mut one = times.encode_family(&labels)?;
            one.encode_histogram::<NoLabelSet>(read.seconds, read.count, &read.groups, None)?;
        }
        Ok(())
    }
}

/// What the gRPC door counts.
#[derive(Debug)]
struct CallFigures(Vec<MethodRead>);

impl Collector for CallFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let labels = |read: &MethodRead| [("service", read.service.clone()), ("method", read.method.clone())];
        let mut times = encoder.encode_descriptor(
            "rpc_seconds",
            "Seconds from the begin of a call to its last message",
            None,
            MetricType::Histogram,
        )?;
        for read in &self.0 {
            let TimesRead { count, seconds, groups } = &read.times;
            times.encode_family(&labels(read))?.encode_histogram::<NoLabelSet>(*seconds, *count, groups, None)?;
        }
        let mut errors =
            encoder.encode_descriptor("rpc_errors", "Calls that did not end with OK", None, MetricType::Counter)?;
        for read in &self.0 {
            for (code, count) in &read.failed {
                let [service, method] = labels(read);
                let labels = [service, method, ("code", format!("{code:?}"))];
                errors.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(count, None)?;
            }
        }
        let mut ongoing = encoder.encode_descriptor("rpc_ongoing", "Calls that go on", None, MetricType::Gauge)?;
        for read in &self.0 {
            ongoing.encode_family(&labels(read))?.encode_gauge(&i64::try_from(read.ongoing).unwrap_or(i64::MAX))?;
        }
        let help = "Bytes of messages that came";
        let mut received = encoder.encode_descriptor("rpc_received_bytes", help, None, MetricType::Counter)?;
        for read in &self.0 {
            let labels = labels(read);
            let mut one = received.encode_family(&labels)?;
            one.encode_counter::<NoLabelSet, _, u64>(&read.received_bytes, None)?;
        }
        let help = "Bytes of messages that left";
        let mut sent = encoder.encode_descriptor("rpc_sent_bytes", help, None, MetricType::Counter)?;
        for read in &self.0 {
            let labels = labels(read);
            let mut one = sent.encode_family(&labels)?;
            one.encode_counter::<NoLabelSet, _, u64>(&read.sent_bytes, None)?;
        }
        Ok(())
    }
}
