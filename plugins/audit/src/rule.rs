//! From events to rows: each row that a batch touches is read once and written once.

use std::collections::BTreeMap;

use berth_policy_names::{escaped, shortened};
use berth_policy_sdk::events::{Change, Event};

use crate::config::Config;
use crate::usage::Usage;
use crate::work::Work;

/// The number of the last event that is in the books.
pub(crate) const SEQUENCE: &str = "sequence";
/// How often events were gone before this policy saw them: from then on the sums are too small.
pub(crate) const GAPS: &str = "gaps";

/// Parts of a key; together with what is between them fewer than the 512 bytes that a key may have.
const PART_BYTES_MAX: usize = 200;

/// What a batch changes.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Changed {
    pub(crate) rows: BTreeMap<String, Usage>,
    pub(crate) work: BTreeMap<String, Work>,
    /// What is to be added to plain numbers.
    pub(crate) counters: Vec<(&'static str, u64)>,
    pub(crate) sequence: u64,
}

/// What these events change, given what is kept. An error of `kept` ends it: nothing is written then.
pub(crate) fn count<Error>(
    config: &Config,
    events: &[Event],
    kept: impl Fn(&str) -> Result<Option<Usage>, Error>,
    kept_work: impl Fn(&str) -> Result<Option<Work>, Error>,
) -> Result<Changed, Error> {
    let mut changed = Changed::default();
    let mut gaps = 0;
    for Event { sequence, change, .. } in events {
        changed.sequence = *sequence;
        match change {
            Change::JobCreated(job) => {
                row(&mut changed.rows, &kept, key(config, &job.instance, &job.tenant))?.created();
            }
            Change::JobCompleted(job) => {
                row(&mut changed.rows, &kept, key(config, &job.instance, &job.tenant))?.ended(job);
            }
            // Each namespace of work has a feed, and books, of its own.
            Change::WorkUnitsChanged(units) => {
                row(&mut changed.work, &kept_work, format!("work/{}", part(&units.spec)))?.count(units);
            }
            Change::Gap => gaps += 1,
            _ => (),
        }
    }
    if gaps > 0 {
        changed.counters.push((GAPS, gaps));
    }
    Ok(changed)
}

fn row<Row: Default, Error>(
    rows: &mut BTreeMap<String, Row>,
    kept: impl Fn(&str) -> Result<Option<Row>, Error>,
    key: String,
) -> Result<&mut Row, Error> {
    use std::collections::btree_map::Entry;
    match rows.entry(key) {
        Entry::Occupied(row) => Ok(row.into_mut()),
        Entry::Vacant(none) => {
            let row = kept(none.key())?.unwrap_or_default();
            Ok(none.insert(row))
        }
    }
}

fn part(text: &str) -> String {
    shortened(&escaped(text), PART_BYTES_MAX).into_owned()
}

fn key(config: &Config, instance: &str, tenant: &str) -> String {
    match config.by_instance {
        false => format!("tenant/{}", part(tenant)),
        true => format!("instance/{}/tenant/{}", part(instance), part(tenant)),
    }
}
