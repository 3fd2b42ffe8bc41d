//! What stands behind the imports on this machine: tables of the thread, with the rules of the contract.

use std::cell::RefCell;
use std::collections::BTreeMap;

use berth_policy_cases::{Function, Stats, Surroundings};

use crate::log::Level;

const KEY_BYTES_MAX: usize = 512;
const VALUE_BYTES_MAX: usize = 64 << 10;
const KV_BYTES_MAX: usize = 16 << 20;
const SCAN_ROWS_MAX: usize = 1000;
const MESSAGES_MAX: usize = 16;
const MESSAGE_BYTES_MAX: usize = 4096;

#[derive(Default)]
struct Host {
    /// Which function a case asks now; none: a test calls the policy itself, and nothing is forbidden.
    asked: Option<Function>,
    /// Of the call that runs.
    messages_in_call: usize,
    /// Empty: nothing is set.
    config: String,
    now_ms: u64,
    kv: BTreeMap<String, Vec<u8>>,
    stats: Stats,
    messages: Vec<(Level, String)>,
    counters: BTreeMap<String, u64>,
    gauges: BTreeMap<String, f64>,
    observations: BTreeMap<String, Vec<f64>>,
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::default();
}

fn with<Answer>(use_it: impl FnOnce(&mut Host) -> Answer) -> Answer {
    HOST.with_borrow_mut(use_it)
}

/// Sets all that the policy finds around it, and forgets what it did before.
pub fn surround(surroundings: &Surroundings) {
    let kv = surroundings.kv.iter().map(|(key, value)| (key.clone(), value.0.clone())).collect();
    let config = serde_json::Value::Object(surroundings.config.clone()).to_string();
    with(|host| {
        *host = Host { config, now_ms: surroundings.now_ms, kv, stats: surroundings.stats.clone(), ..Host::default() };
    });
}

/// Sets the policy's configuration: a JSON object.
pub fn set_config(json: &str) {
    with(|host| host.config = json.to_owned());
}

/// Sets the clock.
pub fn set_now_ms(now_ms: u64) {
    with(|host| host.now_ms = now_ms);
}

/// Sets a row of `kv`.
pub fn set_kv(key: &str, value: impl Into<Vec<u8>>) {
    with(|host| host.kv.insert(key.to_owned(), value.into()));
}

/// Sets what `stats` tells.
pub fn set_stats(stats: Stats) {
    with(|host| host.stats = stats);
}

/// All rows of `kv`.
pub fn kv() -> BTreeMap<String, Vec<u8>> {
    with(|host| host.kv.clone())
}

/// The messages that the policy wrote: as many of a call, and as much of each, as Berth keeps.
pub fn messages() -> Vec<(Level, String)> {
    with(|host| host.messages.clone())
}

/// The counters of `metrics`, with what they count.
pub fn counters() -> BTreeMap<String, u64> {
    with(|host| host.counters.clone())
}

/// The gauges of `metrics`, with what they show.
pub fn gauges() -> BTreeMap<String, f64> {
    with(|host| host.gauges.clone())
}

/// The histograms of `metrics`, with all their values.
pub fn observations() -> BTreeMap<String, Vec<f64>> {
    with(|host| host.observations.clone())
}

/// While a case asks this.
pub(crate) fn begin(function: Function) {
    with(|host| {
        host.asked = Some(function);
        host.messages_in_call = 0;
    });
}

/// Nothing is asked any more. `kv` is what it was before, if the call is not to be kept.
pub(crate) fn end(kv: Option<BTreeMap<String, Vec<u8>>>) {
    with(|host| {
        host.asked = None;
        if let Some(kv) = kv {
            host.kv = kv;
        }
    });
}

/// What is remembered must not depend on what changes.
fn check_remembered(import: &str) {
    let asked = with(|host| host.asked);
    if let Some(Function::ExecutionProperties | Function::WorkerProperties | Function::Matches) = asked {
        panic!("{import} is not available to properties and matching: their answers are remembered");
    }
}

pub(crate) mod log {
    use super::*;

    pub(crate) fn write(level: Level, text: &str) {
        with(|host| {
            host.messages_in_call += 1;
            if host.asked.is_none() || host.messages_in_call <= MESSAGES_MAX {
                let mut end = text.len().min(MESSAGE_BYTES_MAX);
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                host.messages.push((level, text[..end].to_owned()));
            }
        });
    }
}

pub(crate) mod config {
    use super::*;

    pub(crate) fn get() -> String {
        with(|host| if host.config.is_empty() { "{}".to_owned() } else { host.config.clone() })
    }
}

pub(crate) mod clock {
    use super::*;

    pub(crate) fn now_ms() -> u64 {
        check_remembered("clock");
        with(|host| host.now_ms)
    }
}

pub(crate) mod kv {
    use super::*;
    use crate::kv::{Entry, KvError};

    pub(crate) fn get(key: &str) -> Option<Vec<u8>> {
        check_remembered("kv");
        with(|host| host.kv.get(key).cloned())
    }

    pub(crate) fn scan(prefix: &str, after: Option<&str>, limit: u32) -> Vec<Entry> {
        check_remembered("kv");
        let limit = SCAN_ROWS_MAX.min(limit as usize);
        with(|host| {
            let rows = host.kv.iter().filter(|(key, _)| key.starts_with(prefix));
            let rows = rows.filter(|(key, _)| after.is_none_or(|after| key.as_str() > after));
            rows.take(limit).map(|(key, value)| Entry { key: key.clone(), value: value.clone() }).collect()
        })
    }

    pub(crate) fn set(key: &str, value: &[u8]) -> Result<(), KvError> {
        check_writable()?;
        if key.is_empty() || key.len() > KEY_BYTES_MAX || value.len() > VALUE_BYTES_MAX {
            return Err(KvError::TooLarge);
        }
        with(|host| {
            let others = host.kv.iter().filter(|(other, _)| *other != key);
            let bytes: usize = others.map(|(key, value)| key.len() + value.len()).sum();
            if bytes + key.len() + value.len() > KV_BYTES_MAX {
                return Err(KvError::Full);
            }
            host.kv.insert(key.to_owned(), value.to_vec());
            Ok(())
        })
    }

    pub(crate) fn delete(key: &str) -> Result<(), KvError> {
        check_writable()?;
        with(|host| host.kv.remove(key));
        Ok(())
    }

    fn check_writable() -> Result<(), KvError> {
        check_remembered("kv");
        let asked = with(|host| host.asked);
        if asked.is_none_or(|asked| asked == Function::OnEvents) { Ok(()) } else { Err(KvError::ReadOnly) }
    }
}

pub(crate) mod stats {
    use berth_policy_cases as cases;

    use super::*;
    use crate::stats::{History, Load};

    pub(crate) fn of_lane(instance: &str, lane: &str) -> Load {
        load(instance, lane, |stats| &stats.lanes)
    }

    pub(crate) fn of_label(instance: &str, label: &str) -> Load {
        load(instance, label, |stats| &stats.labels)
    }

    pub(crate) fn of_tenant(instance: &str, tenant: &str) -> Load {
        load(instance, tenant, |stats| &stats.tenants)
    }

    pub(crate) fn history_of(key: &str) -> Option<History> {
        check_remembered("stats");
        with(|host| {
            let known = host.stats.history.iter().find(|history| history.key == key)?;
            Some(History {
                samples: known.samples,
                mean_ms: known.mean_ms,
                p50_ms: known.p50_ms,
                p90_ms: known.p90_ms,
                max_ms: known.max_ms,
                peak_memory_bytes: known.peak_memory_bytes,
                failures: known.failures,
            })
        })
    }

    fn load(instance: &str, name: &str, table: fn(&Stats) -> &Vec<cases::Load>) -> Load {
        check_remembered("stats");
        with(|host| {
            let known = table(&host.stats).iter().find(|load| load.instance == instance && load.name == name);
            known.map_or(Load { queued: 0, running: 0 }, |load| Load { queued: load.queued, running: load.running })
        })
    }
}

pub(crate) mod metrics {
    use super::*;

    pub(crate) fn count(name: &str, by: u64) {
        with(|host| *host.counters.entry(name.to_owned()).or_default() += by);
    }

    pub(crate) fn gauge(name: &str, value: f64) {
        with(|host| host.gauges.insert(name.to_owned(), value));
    }

    pub(crate) fn observe(name: &str, value: f64) {
        with(|host| host.observations.entry(name.to_owned()).or_default().push(value));
    }
}
