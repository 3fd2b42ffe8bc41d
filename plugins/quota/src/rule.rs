//! Which counters a job belongs to. Each pair of an instance and a name is looked up once in a batch.

use std::collections::BTreeMap;

use berth_policy_names::shortened;
use berth_policy_sdk::priority::Limit;
use berth_policy_sdk::{Jobs, Places};

use crate::config::{Config, Scope};

/// With the word before it, fewer than the 256 bytes that a counter's name may have.
const NAME_BYTES_MAX: usize = 240;

pub(crate) fn place(config: &Config, jobs: &Jobs) -> Places {
    let mut scopes = [
        Counted::new("tenant", config.tenant.as_ref(), &jobs.tenant),
        Counted::new("instance", config.instance.as_ref(), &jobs.instance),
        Counted::new("label", config.label.as_ref(), &jobs.label),
    ];
    if scopes.iter().all(|scope| scope.numbers.is_none()) {
        return Places::default();
    }
    let mut limits = Vec::new();
    let counters = (0..jobs.priority.len())
        .map(|job| scopes.iter_mut().filter_map(|scope| scope.counter(jobs, job, &mut limits)).collect())
        .collect();
    Places { limits, counters: Some(counters), ..Places::default() }
}

struct Counted<'a> {
    word: &'static str,
    numbers: Option<&'a Scope>,
    column: &'a [u32],
    /// The limit's index, by instance and name; none where nothing is limited.
    known: BTreeMap<(u32, u32), Option<u32>>,
    /// The last answer: jobs of one tenant come together.
    last: Option<((u32, u32), Option<u32>)>,
}

impl<'a> Counted<'a> {
    fn new(word: &'static str, numbers: Option<&'a Scope>, column: &'a [u32]) -> Self {
        Self { word, numbers, column, known: BTreeMap::new(), last: None }
    }

    fn counter(&mut self, jobs: &Jobs, job: usize, limits: &mut Vec<Limit>) -> Option<u32> {
        let scope = self.numbers?;
        let key = (jobs.instance[job], self.column[job]);
        if let Some((_, index)) = self.last.filter(|(last, _)| *last == key) {
            return index;
        }
        let word = self.word;
        let index = *self.known.entry(key).or_insert_with(|| {
            let limit = limit(scope, word, jobs.text(key.1), jobs.text(key.0))?;
            limits.push(limit);
            Some(limits.len() as u32 - 1)
        });
        self.last = Some((key, index));
        index
    }
}

/// None if this name is not limited.
fn limit(scope: &Scope, word: &str, name: &str, instance: &str) -> Option<Limit> {
    let numbers = scope.numbers(name, instance);
    let min_running = numbers.min_running.unwrap_or(0);
    if numbers.max_running.is_none() && numbers.max_queued.is_none() && min_running == 0 {
        return None;
    }
    Some(Limit {
        name: format!("{word} {}", shortened(name, NAME_BYTES_MAX)),
        max_running: numbers.max_running,
        max_queued: numbers.max_queued,
        min_running,
        evict_after_ms: numbers.evict_after_ms.filter(|_| min_running > 0),
        cool_down_ms: numbers.cool_down_ms.unwrap_or(0),
    })
}
