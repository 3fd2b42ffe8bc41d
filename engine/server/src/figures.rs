//! Figures that plugins report through their `metrics` import, as /metrics shows them: one metric a kind, with the plugin
//! and the plugin's own name for it as labels, so that no plugin takes a name from Berth or from another plugin.

use std::fmt;

use berth_plugin_host::{Figure, Generation};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::MetricType,
};

/// What the plugins of a generation have reported so far.
#[derive(Debug)]
pub(crate) struct PluginFigures(Vec<Reported>);

#[derive(Debug)]
struct Reported {
    labels: [(&'static str, String); 2],
    figure: Figure,
}

impl PluginFigures {
    pub(crate) fn of(generation: &Generation) -> Self {
        let all = generation.plugins().iter().flat_map(|(plugin, loaded)| {
            let reported =
                move |(name, figure)| Reported { labels: [("plugin", plugin.clone()), ("name", name)], figure };
            loaded.figures().0.into_iter().map(reported)
        });
        Self(all.collect())
    }
}

impl Collector for PluginFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let kinds = [
            ("plugin_counter", "What a plugin counts", MetricType::Counter),
            ("plugin_gauge", "What a plugin measures", MetricType::Gauge),
            ("plugin_histogram", "What a plugin has seen", MetricType::Histogram),
        ];
        for (name, help, kind) in kinds {
            let mut own = self.0.iter().filter(|reported| kind_of(&reported.figure) == kind.as_str()).peekable();
            if own.peek().is_none() {
                continue;
            }
            let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
            for Reported { labels, figure } in own {
                let mut one = metric.encode_family(labels)?;
                match figure {
                    Figure::Counter(value) => one.encode_counter::<NoLabelSet, _, u64>(value, None)?,
                    Figure::Gauge(value) => one.encode_gauge(value)?,
                    Figure::Histogram { count, sum, buckets } => {
                        one.encode_histogram::<NoLabelSet>(*sum, *count, buckets, None)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn kind_of(figure: &Figure) -> &'static str {
    match figure {
        Figure::Counter(_) => MetricType::Counter.as_str(),
        Figure::Gauge(_) => MetricType::Gauge.as_str(),
        Figure::Histogram { .. } => MetricType::Histogram.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;

    #[test]
    fn figures_are_told_apart_by_plugin_and_name() {
        let reported = |plugin: &str, name: &str, figure| Reported {
            labels: [("plugin", plugin.to_owned()), ("name", name.to_owned())],
            figure,
        };
        let buckets = vec![(1.0, 2), (f64::INFINITY, 1)];
        let figures = PluginFigures(vec![
            reported("a", "seen", Figure::Counter(3)),
            reported("b", "seen", Figure::Counter(4)),
            reported("a", "open", Figure::Gauge(0.5)),
            reported("a", "size", Figure::Histogram { count: 3, sum: 9.0, buckets }),
        ]);
        let mut registry = Registry::with_prefix("berth");
        registry.register_collector(Box::new(figures));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "berth_plugin_counter_total{plugin=\"a\",name=\"seen\"} 3",
            "berth_plugin_counter_total{plugin=\"b\",name=\"seen\"} 4",
            "berth_plugin_gauge{plugin=\"a\",name=\"open\"} 0.5",
            "berth_plugin_histogram_bucket{le=\"+Inf\",plugin=\"a\",name=\"size\"} 3",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
