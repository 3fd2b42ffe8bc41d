//! Counters with limits, and the most that each of them ever was.

use std::collections::BTreeMap;

use berth_policy_sdk::priority::Limit;

#[derive(Debug, Default)]
pub(crate) struct Counter {
    pub(crate) max_running: Option<u32>,
    pub(crate) max_queued: Option<u32>,
    pub(crate) min_running: u32,
    pub(crate) running: u32,
    pub(crate) queued: u32,
    pub(crate) most_running: u32,
    pub(crate) most_queued: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Counters(pub(crate) BTreeMap<String, Counter>);

impl Counters {
    pub(crate) fn learn(&mut self, limit: &Limit) {
        let counter = self.0.entry(limit.name.clone()).or_default();
        (counter.max_running, counter.max_queued) = (limit.max_running, limit.max_queued);
        counter.min_running = limit.min_running;
    }

    pub(crate) fn may_queue(&self, names: &[String]) -> bool {
        self.all(names, |counter| counter.max_queued.is_none_or(|max| counter.queued < max))
    }

    pub(crate) fn may_run(&self, names: &[String]) -> bool {
        self.all(names, |counter| counter.max_running.is_none_or(|max| counter.running < max))
    }

    /// Whether any counter has a claim that is not met: most of the time none has, and nobody need be looked for.
    pub(crate) fn any_claims(&self) -> bool {
        self.0.values().any(|counter| counter.running < counter.min_running && counter.queued > 0)
    }

    /// Whether a job of these has a claim that is not met.
    pub(crate) fn claims(&self, names: &[String]) -> bool {
        !self.all(names, |counter| counter.running >= counter.min_running)
    }

    fn all(&self, names: &[String], holds: impl Fn(&Counter) -> bool) -> bool {
        names.iter().filter_map(|name| self.0.get(name)).all(holds)
    }

    pub(crate) fn queued(&mut self, names: &[String]) {
        self.each(names, |counter| {
            counter.queued += 1;
            counter.most_queued = counter.most_queued.max(counter.queued);
        });
    }

    pub(crate) fn started(&mut self, names: &[String]) {
        self.each(names, |counter| {
            counter.queued -= 1;
            counter.running += 1;
            counter.most_running = counter.most_running.max(counter.running);
        });
    }

    pub(crate) fn ended(&mut self, names: &[String]) {
        self.each(names, |counter| counter.running -= 1);
    }

    fn each(&mut self, names: &[String], change: impl Fn(&mut Counter)) {
        for name in names {
            change(self.0.entry(name.clone()).or_default());
        }
    }
}
