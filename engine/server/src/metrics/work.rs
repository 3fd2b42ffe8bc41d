//! Metrics of Coordinate's work: what there is of it, and what its door does.

use std::{fmt, sync::Arc};

use berth_coordinate::{Figures, MethodFigures};
use berth_core::work::{Totals, UnitState};
use berth_runtime::work::WorkBook;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::{MetricType, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::Labels;

/// Reads what it shows when it is asked. Its labels are namespaces, states and methods: never what clients name.
pub(crate) struct WorkMetrics {
    namespace: String,
    book: WorkBook,
    door: Arc<Figures>,
}

impl WorkMetrics {
    pub(crate) fn new(namespace: &str, book: WorkBook, door: Arc<Figures>) -> Self {
        Self { namespace: namespace.to_owned(), book, door }
    }

    pub(super) async fn register(&self, registry: &mut Registry) {
        // An error: the driver has stopped, and so does everything else.
        if let Ok(totals) = self.book.ask(|book| book.totals()).await {
            self.totals(&totals, registry);
        }
        registry.register_collector(Box::new(DoorFigures(self.door.read())));
    }

    fn totals(&self, totals: &Totals, registry: &mut Registry) {
        let family = |values: &[(&'static str, u64)], label: Option<&'static str>| {
            let family = Family::<Labels, Gauge>::default();
            for (value, count) in values {
                let mut labels = vec![("namespace", self.namespace.clone())];
                labels.extend(label.map(|label| (label, (*value).to_owned())));
                family.get_or_create(&labels).set(i64::try_from(*count).unwrap_or(i64::MAX));
            }
            family
        };
        let units = [
            ("available", UnitState::Available),
            ("pending", UnitState::Pending),
            ("finished", UnitState::Finished),
            ("failed", UnitState::Failed),
        ];
        let units = family(&units.map(|(name, state)| (name, totals.units.of(state))), Some("state"));
        registry.register("work_units", "Work units by state, without those that were archived", units);
        for (name, help, count) in [
            ("work_specs", "Work specs", totals.specs),
            ("work_workers", "Workers that were heard of and have not expired", totals.workers.workers),
            ("work_locks", "Paths that are locked", totals.locks),
        ] {
            registry.register(name, help, family(&[("", count)], None));
        }
    }
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
