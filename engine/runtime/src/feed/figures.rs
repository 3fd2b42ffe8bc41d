//! How many jobs are where: counts by lane, label and tenant of an instance, kept from events, in memory.
//!
//! Every event sets a job's state and never adds to it. So it does no harm to begin with a look at the book that is
//! newer than the first event, or to hear an event twice: after the last event the counts are right.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::Arc,
};

use berth_core::JobId;

use crate::plugins::{
    events::{Change, FeedEvent},
    stats::Load,
};

/// What a job is counted under.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Kind {
    pub(crate) instance: Arc<str>,
    pub(crate) lane: Arc<str>,
    pub(crate) label: Arc<str>,
    pub(crate) tenant: Arc<str>,
}

/// Counts of one partition.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    jobs: HashMap<JobId, (Arc<Kind>, bool)>,
    /// Each kind that a job has, once.
    kinds: HashSet<Arc<Kind>>,
    instances: HashMap<Arc<str>, Counted>,
}

/// Counts of one instance; what counts nothing has no entry.
#[derive(Debug, Default)]
struct Counted {
    lanes: HashMap<Arc<str>, Load>,
    labels: HashMap<Arc<str>, Load>,
    tenants: HashMap<Arc<str>, Load>,
}

impl Figures {
    pub(crate) fn of_lane(&self, instance: &str, lane: &str) -> Load {
        self.instances.get(instance).and_then(|counted| counted.lanes.get(lane)).copied().unwrap_or_default()
    }

    pub(crate) fn of_label(&self, instance: &str, label: &str) -> Load {
        self.instances.get(instance).and_then(|counted| counted.labels.get(label)).copied().unwrap_or_default()
    }

    pub(crate) fn of_tenant(&self, instance: &str, tenant: &str) -> Load {
        self.instances.get(instance).and_then(|counted| counted.tenants.get(tenant)).copied().unwrap_or_default()
    }

    pub(crate) fn hear(&mut self, event: &FeedEvent) {
        match &event.change {
            Change::JobCreated(created) => {
                let kind = Kind {
                    instance: created.instance.0.clone(),
                    lane: created.lane.0.clone(),
                    label: created.label.clone(),
                    tenant: created.tenant.clone(),
                };
                self.put(created.job, kind, false);
            }
            Change::JobPlaced(placed) => {
                if let Some((kind, running)) = self.jobs.get(&placed.job) {
                    let (kind, running) = (Kind { lane: placed.lane.0.clone(), ..(**kind).clone() }, *running);
                    self.put(placed.job, kind, running);
                }
            }
            Change::LeaseOffered(offered) => self.set(offered.lease.job, true),
            Change::LeaseWithdrawn(withdrawn) => self.set(withdrawn.lease.job, false),
            Change::LeaseEvicted(evicted) => self.set(evicted.lease.job, false),
            Change::AttemptFailed(failed) => self.set(failed.lease.job, false),
            Change::JobCompleted(completed) => self.remove(completed.job),
            Change::OperationCreated(_)
            | Change::OperationCancelled(_)
            | Change::OperationDeleted(_)
            | Change::LeaseStarted(_)
            | Change::AttemptDecided(_)
            | Change::DelayEnded(_)
            | Change::JobDeleted(_)
            | Change::SessionOpened(_)
            | Change::SessionChanged(_)
            | Change::SessionClosed(_)
            | Change::BotDrained(_)
            | Change::BotResumed(_)
            | Change::BotQuarantined(_)
            | Change::PolicyChanged(_)
            | Change::Work(_)
            | Change::Gap
            | Change::Other(_) => {}
        }
    }

    /// A job is there, and waits or runs.
    pub(crate) fn put(&mut self, job: JobId, kind: Kind, running: bool) {
        self.remove(job);
        let kind = match self.kinds.get(&kind) {
            Some(known) => known.clone(),
            None => {
                let kind = Arc::new(kind);
                self.kinds.insert(kind.clone());
                kind
            }
        };
        self.count(&kind, running, true);
        self.jobs.insert(job, (kind, running));
    }

    fn set(&mut self, job: JobId, running: bool) {
        if let Some((kind, was)) = self.jobs.get_mut(&job)
            && *was != running
        {
            *was = running;
            let kind = kind.clone();
            self.count(&kind, !running, false);
            self.count(&kind, running, true);
        }
    }

    fn remove(&mut self, job: JobId) {
        if let Some((kind, running)) = self.jobs.remove(&job) {
            self.count(&kind, running, false);
            // Ours and that of the set.
            if Arc::strong_count(&kind) == 2 {
                self.kinds.remove(&kind);
            }
        }
    }

    fn count(&mut self, kind: &Kind, running: bool, more: bool) {
        let counted = self.instances.entry(kind.instance.clone()).or_default();
        count(&mut counted.lanes, &kind.lane, running, more);
        count(&mut counted.labels, &kind.label, running, more);
        count(&mut counted.tenants, &kind.tenant, running, more);
    }
}

fn count(loads: &mut HashMap<Arc<str>, Load>, name: &Arc<str>, running: bool, more: bool) {
    let load = match loads.get_mut(name) {
        Some(load) => load,
        None => loads.entry(name.clone()).or_default(),
    };
    let number = if running { &mut load.running } else { &mut load.queued };
    if more {
        *number += 1;
    } else {
        *number -= 1;
        if *load == Load::default() {
            loads.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use berth_core::{LaneKey, LeaseId, SessionId, Timestamp};

    use super::*;
    use crate::plugins::events::{AttemptFailed, JobPlaced, Lease};

    fn hear(figures: &mut Figures, change: Change) {
        figures.hear(&FeedEvent { sequence: 1, at: Timestamp(1), change });
    }

    fn kind(lane: &str) -> Kind {
        Kind { instance: "main".into(), lane: lane.into(), label: "linux".into(), tenant: "t".into() }
    }

    fn lease(job: u128) -> Lease {
        Lease { lease: LeaseId { job: JobId(job), attempt: 1 }, session: SessionId(1) }
    }

    #[test]
    fn a_job_is_counted_where_it_stands() {
        let mut figures = Figures::default();
        figures.put(JobId(1), kind("a"), false);
        figures.put(JobId(2), kind("b"), false);
        hear(&mut figures, Change::LeaseOffered(lease(1)));
        hear(&mut figures, Change::LeaseOffered(lease(1)));
        hear(&mut figures, Change::LeaseOffered(lease(99)));
        let load = |queued, running| Load { queued, running };
        assert_eq!(figures.of_lane("main", "a"), load(0, 1));
        assert_eq!(figures.of_label("main", "linux"), load(1, 1));
        assert_eq!(figures.of_tenant("main", "t"), load(1, 1));
        assert_eq!(figures.of_tenant("other", "t"), load(0, 0));
        let failed = AttemptFailed { lease: lease(1).lease, session: SessionId(1), code: 14 };
        hear(&mut figures, Change::AttemptFailed(failed));
        assert_eq!(figures.of_lane("main", "a"), load(1, 0));
        let placed = JobPlaced { job: JobId(1), lane: LaneKey("b".into()), weight: 1, rank: 0 };
        hear(&mut figures, Change::JobPlaced(Box::new(placed)));
        assert_eq!((figures.of_lane("main", "a"), figures.of_lane("main", "b")), (load(0, 0), load(2, 0)));
        figures.remove(JobId(1));
        figures.remove(JobId(2));
        assert!(figures.kinds.is_empty() && figures.jobs.is_empty());
        assert!(figures.instances.values().all(|counted| counted.lanes.is_empty() && counted.tenants.is_empty()));
    }
}
