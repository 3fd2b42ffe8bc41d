//! A lane for each work spec, with its weight; within it REAPI's priority, of which Coordinate's is the negative.

use berth_policy_names::{PerText, shortened};
use berth_policy_sdk::{Jobs, Places};

use crate::config::{Column, Config, Spec};

const LANE_BYTES_MAX: usize = 256;

pub(crate) fn place(config: &Config, jobs: &Jobs) -> Places {
    let column = match config.work_spec {
        Column::Invocation => &jobs.invocation,
        Column::CorrelatedInvocations => &jobs.correlated_invocations,
        Column::Tenant => &jobs.tenant,
        Column::Tool => &jobs.tool,
        Column::Mnemonic => &jobs.mnemonic,
    };
    let mut specs = PerText::new(jobs.strings.len());
    let mut strings = Vec::new();
    let (mut lane, mut weight) = (Vec::with_capacity(column.len()), Vec::with_capacity(column.len()));
    for &index in column {
        let (text, weighs) = *specs.of(index, || {
            let name = jobs.text(index);
            let weight = config.specs.get(name).map_or_else(|| Spec::default().weight(), Spec::weight);
            if name.len() <= LANE_BYTES_MAX {
                return (index, weight);
            }
            strings.push(shortened(name, LANE_BYTES_MAX).into_owned());
            ((jobs.strings.len() + strings.len() - 1) as u32, weight)
        });
        lane.push(text);
        weight.push(weighs);
    }
    let rank = jobs.priority.iter().map(|priority| i64::from(*priority)).collect();
    Places { strings, lane: Some(lane), weight: Some(weight), rank: Some(rank), ..Places::default() }
}
