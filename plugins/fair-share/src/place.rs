//! A lane for each build of each tenant: `TENANT/INVOCATION`, with the weight of the tenant.

use std::collections::BTreeMap;

use berth_policy_names::{PerText, escaped, shortened};
use berth_policy_sdk::{Jobs, Places};

use crate::config::{Config, Key};

/// Between the tenant and the build; it is escaped in the tenant.
pub(crate) const SEPARATOR: char = '/';
/// Together with the separator fewer than the 256 bytes that a lane's name may have.
const TENANT_BYTES_MAX: usize = 127;
const INVOCATION_BYTES_MAX: usize = 127;

pub(crate) fn place(config: &Config, jobs: &Jobs) -> Places {
    let mut tenants = Tenants { config, jobs, weights: PerText::new(jobs.strings.len()) };
    let mut lanes = BTreeMap::new();
    let mut places = Places::default();
    let count = jobs.priority.len();
    let (mut lane, mut weight) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for job in 0..count {
        let tenant = tenants.of(job);
        let invocation = jobs.invocation[job];
        let index = *lanes.entry((tenant, invocation)).or_insert_with(|| {
            places.strings.push(name(jobs.text(tenant), jobs.text(invocation)));
            (jobs.strings.len() + places.strings.len() - 1) as u32
        });
        lane.push(index);
        weight.push(tenants.weight(tenant));
    }
    let rank = jobs.priority.iter().map(|priority| i64::from(*priority)).collect();
    Places { lane: Some(lane), weight: Some(weight), rank: Some(rank), ..places }
}

struct Tenants<'a> {
    config: &'a Config,
    jobs: &'a Jobs,
    weights: PerText<u32>,
}

impl Tenants<'_> {
    /// The index of the text that stands for the job's tenant. The empty text is index 0.
    fn of(&self, job: usize) -> u32 {
        let jobs = self.jobs;
        match (jobs.tenant[job], self.config.without_tenant) {
            (0, Key::CorrelatedInvocations) => jobs.correlated_invocations[job],
            (0, Key::Tool) => jobs.tool[job],
            (0, Key::Instance) => jobs.instance[job],
            (tenant, _) => tenant,
        }
    }

    fn weight(&mut self, tenant: u32) -> u32 {
        *self.weights.of(tenant, || self.config.weight(self.jobs.text(tenant)))
    }
}

fn name(tenant: &str, invocation: &str) -> String {
    let tenant = escaped(tenant);
    let (tenant, invocation) = (shortened(&tenant, TENANT_BYTES_MAX), shortened(invocation, INVOCATION_BYTES_MAX));
    format!("{tenant}{SEPARATOR}{invocation}")
}
