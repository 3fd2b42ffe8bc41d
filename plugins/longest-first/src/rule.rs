//! The rule: the longer a job is expected to run, the smaller its rank.

use std::collections::BTreeMap;

use berth_policy_names::shortened;
use berth_policy_sdk::stats::History;
use berth_policy_sdk::{Jobs, Places};

use crate::config::{Column, Config, Estimate};

/// What stands between the parts of a key.
const SEPARATOR: &str = " ";
/// What a text of an answer may have.
const KEY_BYTES_MAX: usize = 256;
/// One step of priority outweighs any duration, of which 24 days are told apart.
const STEP: i64 = 1 << 31;
const EXPECTED_MS_MAX: u64 = (1 << 31) - 1;

/// Where a key stands in the answer, and what is expected of its jobs.
#[derive(Clone, Copy)]
struct Known {
    text: u32,
    expected_ms: u64,
}

pub(crate) fn place(config: &Config, jobs: &Jobs, history_of: impl Fn(&str) -> Option<History>) -> Places {
    let columns: Vec<&[u32]> = config.history_key.iter().map(|column| values(jobs, *column)).collect();
    let mut known: BTreeMap<Vec<u32>, Known> = BTreeMap::new();
    let mut key = Vec::with_capacity(columns.len());
    let mut places = Places::default();
    let (mut rank, mut history) = (Vec::with_capacity(jobs.priority.len()), Vec::with_capacity(jobs.priority.len()));
    for job in 0..jobs.priority.len() {
        key.clear();
        key.extend(columns.iter().map(|column| column[job]));
        let found = known.get(&key).copied().unwrap_or_else(|| {
            let new = learn(config, jobs, &key, &mut places.strings, &history_of);
            known.insert(key.clone(), new);
            new
        });
        rank.push(ranked(config, jobs.priority[job], found.expected_ms));
        history.push(found.text);
    }
    Places { rank: Some(rank), history: Some(history), ..places }
}

fn values(jobs: &Jobs, column: Column) -> &[u32] {
    match column {
        Column::Instance => &jobs.instance,
        Column::Label => &jobs.label,
        Column::Tool => &jobs.tool,
        Column::Mnemonic => &jobs.mnemonic,
        Column::Target => &jobs.target,
    }
}

/// A job of which nothing is said has no history: all such jobs would be mixed up.
fn learn(
    config: &Config,
    jobs: &Jobs,
    key: &[u32],
    strings: &mut Vec<String>,
    history_of: impl Fn(&str) -> Option<History>,
) -> Known {
    if key.iter().all(|text| *text == 0) {
        return Known { text: 0, expected_ms: config.unknown_ms };
    }
    let parts: Vec<&str> = key.iter().filter(|text| **text != 0).map(|text| jobs.text(*text)).collect();
    let name = shortened(&parts.join(SEPARATOR), KEY_BYTES_MAX).into_owned();
    let expected_ms = expected(config, history_of(&name));
    let text = (jobs.strings.len() + strings.len()) as u32;
    strings.push(name);
    Known { text, expected_ms }
}

fn expected(config: &Config, history: Option<History>) -> u64 {
    match history.filter(|history| history.samples >= config.samples_min) {
        None => config.unknown_ms,
        Some(history) => match config.estimate {
            Estimate::Mean => history.mean_ms,
            Estimate::P50 => history.p50_ms,
            Estimate::P90 => history.p90_ms,
            Estimate::Max => history.max_ms,
        },
    }
}

fn ranked(config: &Config, priority: i32, expected_ms: u64) -> i64 {
    let priority = if config.priority_first { i64::from(priority) } else { 0 };
    // Cannot overflow: 32 bits of priority above 31 bits of duration.
    priority * STEP - expected_ms.min(EXPECTED_MS_MAX) as i64
}
