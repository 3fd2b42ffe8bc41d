//! Metrics: name, unit and meaning of each stand here.

use std::sync::Arc;

use berth_core::Counts;
use berth_plugin_host::{FaultKind, Function, Interface};
use berth_runtime::{
    Counters, Engine,
    feed::{ListenerState, Listeners},
};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

pub(crate) use self::{jobs::JobMetrics, work::WorkMetrics};
use crate::{
    figures::PluginFigures,
    plugins::registry::{Measured, Registry as Versions},
};

mod jobs;
mod work;

type Labels = Vec<(&'static str, String)>;

/// Reads what it shows when it is asked.
pub(crate) struct Metrics {
    engine: Engine,
    commits: Arc<Counters>,
    plugins: Option<Arc<Versions>>,
    listeners: Arc<Listeners>,
    jobs: JobMetrics,
    work: WorkMetrics,
}

impl Metrics {
    pub(crate) fn new(
        engine: Engine,
        commits: Arc<Counters>,
        plugins: Option<Arc<Versions>>,
        listeners: Arc<Listeners>,
        jobs: JobMetrics,
        work: WorkMetrics,
    ) -> Self {
        Self { engine, commits, plugins, listeners, jobs, work }
    }

    /// What the book counts; `None` if the driver has stopped.
    pub(crate) async fn counts(&self) -> Option<Counts> {
        self.engine.read_promptly(|book| book.counts()).await.ok()
    }

    /// The exposition in OpenMetrics text.
    pub(crate) async fn text(&self) -> String {
        let mut registry = Registry::with_prefix("berth");
        if let Some(counts) = self.counts().await {
            gauge(&mut registry, "jobs_queued", "Jobs that wait for a bot", counts.queued);
            gauge(&mut registry, "jobs_loading", "Queued jobs that a restart has not loaded yet", counts.loading);
            gauge(&mut registry, "jobs_executing", "Jobs that are with a bot", counts.executing);
            gauge(&mut registry, "bot_sessions", "Bots with an open session", counts.sessions);
            gauge(&mut registry, "requirement_classes", "Distinct requirements of jobs", counts.requirement_classes);
            gauge(&mut registry, "capability_classes", "Distinct offers of bots", counts.capability_classes);
            gauge(&mut registry, "lanes", "Lanes that jobs stand in", counts.lanes);
        }
        let placing = *self.engine.replacing().borrow();
        let left = if placing.running { placing.total.saturating_sub(placing.done) } else { 0 };
        gauge(
            &mut registry,
            "jobs_to_place",
            "Jobs that are still to be placed by the policies that became active",
            left,
        );
        counter(&mut registry, "store_syncs", "Group commits, each with one sync", self.commits.syncs());
        counter(&mut registry, "store_bytes", "Bytes of rows and feed that were committed", self.commits.bytes());
        let micros = u64::try_from(self.commits.time().as_micros()).unwrap_or(u64::MAX);
        counter(&mut registry, "store_commit_us", "Microseconds that group commits took", micros);
        if let Some(plugins) = &self.plugins {
            Self::plugin_metrics(plugins, &mut registry);
            quarantines(plugins, &mut registry);
            registry.register_collector(Box::new(PluginFigures::of(&plugins.in_force())));
        }
        listener_metrics(&self.listeners, &mut registry);
        self.jobs.register(&mut registry).await;
        self.work.register(&mut registry).await;
        let mut text = String::new();
        encode(&mut text, &registry).expect("a string takes any text");
        text
    }

    fn plugin_metrics(plugins: &Versions, registry: &mut Registry) {
        let (questions, memo, calls) = (
            Family::<Labels, Counter>::default(),
            Family::<Labels, Counter>::default(),
            Family::<Labels, Counter>::default(),
        );
        let (faults, instances) = (Family::<Labels, Counter>::default(), Family::<Labels, Gauge>::default());
        let quarantined = Family::<Labels, Gauge>::default();
        for Measured { version, plugin: loaded, quarantined: is_quarantined } in plugins.measured() {
            let plugin = loaded.stats();
            let exported: Vec<&str> = loaded.exports().iter().map(Interface::name).collect();
            let named = |more: &[(&'static str, &str)]| -> Labels {
                [("plugin", plugin.name.as_str()), ("digest", version.as_str())]
                    .iter()
                    .chain(more)
                    .map(|(key, value)| (*key, (*value).to_owned()))
                    .collect()
            };
            instances.get_or_create(&named(&[])).set(plugin.instances.into());
            quarantined.get_or_create(&named(&[])).set(is_quarantined.into());
            for function in Function::ALL.into_iter().filter(|function| exported.contains(&function.interface())) {
                let stats = plugin.function(function);
                // Of a version that is out of service, what it was asked is enough: there may be many.
                if is_quarantined && stats.questions == 0 {
                    continue;
                }
                let labels = named(&[("function", function.name())]);
                questions.get_or_create(&labels).inc_by(stats.questions);
                memo.get_or_create(&labels).inc_by(stats.memo_hits);
                calls.get_or_create(&labels).inc_by(stats.guest_calls);
                for kind in FaultKind::ALL.into_iter().filter(|kind| !is_quarantined || stats.faults_of(*kind) > 0) {
                    let labels = named(&[("function", function.name()), ("kind", kind.name())]);
                    faults.get_or_create(&labels).inc_by(stats.faults_of(kind));
                }
            }
        }
        registry.register("plugin_questions", "Questions of the engine to a plugin", questions);
        registry.register("plugin_memo_hits", "Questions that were answered from memory", memo);
        registry.register("plugin_guest_calls", "Calls into a guest", calls);
        registry.register("plugin_faults", "Calls that ended in a fault", faults);
        let generation = i64::try_from(plugins.in_force().number()).unwrap_or(i64::MAX);
        let generations: Gauge = Gauge::default();
        generations.set(generation);
        registry.register("plugin_generation", "Changes of the active policies since the server started", generations);
        registry.register("plugin_quarantined", "1 if a version is in quarantine", quarantined);
        registry.register("plugin_instances", "Instances of a plugin that exist now", instances);
    }
}

/// Those that gave way are not in force any more, and are what an operator wants to hear of.
fn quarantines(versions: &Versions, registry: &mut Registry) {
    let quarantined = Family::<Labels, Gauge>::default();
    for (name, quarantine) in versions.look(|ledger, _| ledger.quarantines()) {
        let gauge = quarantined.get_or_create(&vec![("plugin", name)]);
        gauge.inc_by(i64::from(quarantine));
    }
    let about = "Versions of a plugin that are in quarantine, in force or not";
    registry.register("plugin_versions_quarantined", about, quarantined);
}

/// Who hears the event feed.
fn listener_metrics(listeners: &Listeners, registry: &mut Registry) {
    let gauges = || Family::<Labels, Gauge>::default();
    let counters = || Family::<Labels, Counter>::default();
    let (lag, stopped, bytes) = (gauges(), gauges(), gauges());
    let (events, failures, skipped) = (counters(), counters(), counters());
    for status in listeners.status() {
        let labels = vec![("plugin", status.name.to_string())];
        let set = |family: &Family<Labels, Gauge>, value: u64| {
            family.get_or_create(&labels).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&lag, status.lag);
        set(&stopped, u64::from(matches!(status.state, ListenerState::Stopped { .. })));
        set(&bytes, status.kv_bytes);
        events.get_or_create(&labels).inc_by(status.events);
        failures.get_or_create(&labels).inc_by(status.failures);
        skipped.get_or_create(&labels).inc_by(status.skipped);
    }
    registry.register("listener_lag_events", "Events that a consumer of the feed has not heard yet", lag);
    registry.register("listener_stopped", "1 if a consumer failed on an event and stays there", stopped);
    registry.register("listener_kv_bytes", "Bytes of keys and values that a consumer keeps", bytes);
    registry.register("listener_events", "Events that a consumer has handled since the server started", events);
    registry.register("listener_failures", "Calls of a consumer that failed since the server started", failures);
    registry.register("listener_skipped", "Events that a consumer failed on and that were skipped, ever", skipped);
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: usize) {
    let gauge: Gauge = Gauge::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    registry.register(name, help, gauge);
}

fn counter(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let counter: Counter = Counter::default();
    counter.inc_by(value);
    registry.register(name, help, counter);
}
