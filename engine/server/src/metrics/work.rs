//! Metrics of Coordinate's work: what there is of it, and what its door does.

use std::{fmt, sync::Arc};

use berth_coordinate::{Figures, MethodFigures};
use berth_core::work::{Totals, UnitState};
use berth_runtime::work::Namespaces;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::{MetricType, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::Labels;

/// Reads what it shows when it is asked. Its labels are namespaces, states and methods: never what clients name.
pub(crate) struct WorkMetrics {
    namespaces: Namespaces,
    door: Arc<Figures>,
}

impl WorkMetrics {
    pub(crate) fn new(namespaces: Namespaces, door: Arc<Figures>) -> Self {
        Self { namespaces, door }
    }

    pub(super) async fn register(&self, registry: &mut Registry) {
        let mut all = Vec::new();
        for (namespace, book) in self.namespaces.all() {
            // An error: it was deleted just now, or the server stops.
            if let Ok(totals) = book.ask(|book| book.totals()).await {
                all.push((namespace, totals));
            }
        }
        register_totals(&all, registry);
        registry.register_collector(Box::new(DoorFigures(self.door.read())));
    }
}

fn register_totals(all: &[(String, Totals)], registry: &mut Registry) {
    let units = Family::<Labels, Gauge>::default();
    let [specs, workers, locks] = [(); 3].map(|()| Family::<Labels, Gauge>::default());
    let states = ["available", "pending", "finished", "failed"].into_iter().zip(UnitState::ALL);
    for (namespace, totals) in all {
        let labels = || vec![("namespace", namespace.clone())];
        let set = |family: &Family<Labels, Gauge>, labels: &Labels, count: u64| {
            family.get_or_create(labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        };
        for (name, state) in states.clone() {
            let labels = labels().into_iter().chain([("state", name.to_owned())]).collect();
            set(&units, &labels, totals.units.of(state));
        }
        for (family, count) in [(&specs, totals.specs), (&workers, totals.workers.workers), (&locks, totals.locks)] {
            set(family, &labels(), count);
        }
    }
    registry.register("work_units", "Work units by state, without those that were archived", units);
    registry.register("work_specs", "Work specs", specs);
    registry.register("work_workers", "Workers that were heard of and have not expired", workers);
    registry.register("work_locks", "Paths that are locked", locks);
}

/// What the door for Coordinate's clients counts.
#[derive(Debug)]
struct DoorFigures(Vec<MethodFigures>);

impl Collector for DoorFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        let help = "Requests that were answered with an error";
        let mut errors = encoder.encode_descriptor("coordinate_errors", help, None, MetricType::Counter)?;
        for figures in &self.0 {
            let labels = [("method", figures.method)];
            errors.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&figures.errors, None)?;
        }
        let help = "Seconds from the reading of a request to its reply";
        let mut times = encoder.encode_descriptor("coordinate_request_seconds", help, None, MetricType::Histogram)?;
        for figures in &self.0 {
            let labels = [("method", figures.method)];
            let mut one = times.encode_family(&labels)?;
            one.encode_histogram::<NoLabelSet>(figures.seconds, figures.requests, &figures.groups, None)?;
        }
        Ok(())
    }
}
