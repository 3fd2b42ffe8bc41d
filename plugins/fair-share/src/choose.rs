//! Two levels: first the tenant with the least (running + 1) / weight over all its lanes, then the build of that tenant
//! with the fewest running.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;

use berth_policy_sdk::choosing::Lanes;

use crate::place::SEPARATOR;

/// What is seen of a tenant.
struct Tenant {
    weight: u64,
    running: u64,
    /// Its best lane so far.
    lane: usize,
}

pub(crate) fn choose(lanes: &Lanes) -> Option<u32> {
    let mut tenants: BTreeMap<&str, Tenant> = BTreeMap::new();
    for (lane, name) in lanes.name.iter().enumerate() {
        let tenant = name.split_once(SEPARATOR).map_or(name.as_str(), |(tenant, _)| tenant);
        let running = u64::from(lanes.running[lane]);
        // All lanes of a tenant have its weight, but for a moment after it was changed: the largest counts.
        let weight = u64::from(lanes.weight[lane].max(1));
        let known = tenants.entry(tenant).or_insert(Tenant { weight, running: 0, lane });
        known.weight = known.weight.max(weight);
        known.running += running;
        if within_a_tenant(lanes, lane) < within_a_tenant(lanes, known.lane) {
            known.lane = lane;
        }
    }
    tenants.into_values().min_by(|one, other| between_tenants(lanes, one, other)).map(|best| best.lane as u32)
}

fn between_tenants(lanes: &Lanes, one: &Tenant, other: &Tenant) -> Ordering {
    let share = (one.running + 1) * other.weight;
    share
        .cmp(&((other.running + 1) * one.weight))
        .then_with(|| urgency(lanes, one.lane).cmp(&urgency(lanes, other.lane)))
}

/// The fewest running first; of equals, the more urgent.
fn within_a_tenant(lanes: &Lanes, lane: usize) -> (u32, (i64, Reverse<u64>)) {
    (lanes.running[lane], urgency(lanes, lane))
}

/// REAPI's priority, then age.
fn urgency(lanes: &Lanes, lane: usize) -> (i64, Reverse<u64>) {
    (lanes.head_rank[lane], Reverse(lanes.head_waited_ms[lane]))
}
