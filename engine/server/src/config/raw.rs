//! The file as it is written: sections, keys, defaults, and what each key accepts.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use berth_runtime::cohorts::{Cohorts, CohortsError};
use serde::{Deserialize, Serialize};

use super::scheduling::{self, Own};
use crate::plugins::{
    bundled,
    set::{Roles, one_or_many},
    settings::{NAME_EXPECTED, is_plugin_name},
    source::TrustedKey,
    start::FilePlugin,
};

/// What an instance name may be.
pub(crate) const INSTANCE_EXPECTED: &str = "an instance name has 1 to 200 of the characters a-z A-Z 0-9 _ . - / and no segment that is a keyword of resource names (blobs, uploads, actions, operations, compressed-blobs)";

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Raw {
    pub(crate) server: Server,
    pub(crate) scheduler: Scheduler,
    pub(crate) store: Store,
    pub(crate) cas: Cas,
    pub(crate) policy: Policy,
    /// Plugins by name: those that are not bundled, and what is set for those that are.
    pub(crate) plugins: BTreeMap<String, FilePlugin>,
    pub(crate) bots: Bots,
    pub(crate) coordinate: Coordinate,
}

/// Addresses, folder, instances.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Server {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<PathBuf>,
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) instances: Vec<String>,
}

/// The rules' numbers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Scheduler {
    /// A bot that is not heard of for this long has lost its session.
    pub(crate) session_timeout_s: u64,
    /// Attempts of a job in all.
    pub(crate) attempts_max: u32,
    /// The longest that an action may ask for, and what holds where it asks for nothing.
    pub(crate) execution_timeout_max_s: u64,
    /// How long a job may wait for a bot; 0: for ever.
    pub(crate) queue_timeout_s: u64,
    /// Header whose value is the client's tenant, set by a proxy that knows; empty: none.
    pub(crate) tenant_header: String,
    /// How often a job may fail in all, where a policy says that attempts do not count.
    pub(crate) failures_max: u32,
    /// Whether policies are asked after commands that failed, too.
    pub(crate) ask_command_failed: bool,
    /// Where results can be looked at; empty: nowhere.
    pub(crate) action_browser_url: String,
    /// Instances whose bots serve each other's jobs.
    pub(crate) instance_pools: Vec<Vec<String>>,
    /// Whether a bot may say that it serves all instances (`*`).
    pub(crate) bots_for_all_instances: bool,
    /// What holds for one instance.
    pub(crate) instances: BTreeMap<String, Own>,
    /// How long a job waits, while its instance has less of a cohort than its quota's minimum, before others give way.
    pub(crate) preemption_delay_s: u64,
    /// For how long an eviction makes the maximum of a quota smaller by one; 0: not at all.
    pub(crate) eviction_cool_down_s: u64,
    /// Labels that are counted together, for quotas.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) cohorts: Vec<Cohort>,
}

/// Labels that are counted together.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cohort {
    pub(crate) name: String,
    pub(crate) labels: Vec<String>,
}

/// The embedded store.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Store {
    /// Free bytes below which new work is refused.
    pub(crate) reserve_bytes: u64,
    /// How long finished operations can be asked for.
    pub(crate) finished_h: u64,
    /// How long the event feed goes back.
    pub(crate) feed_h: u64,
    /// How large the event feed may become; the oldest events go first.
    pub(crate) feed_bytes_max: u64,
    /// Wait for the disk before anything is acknowledged. Off: a power cut loses acknowledged work.
    pub(crate) sync: bool,
}

/// Content-addressable storage.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Cas {
    /// `HOST:PORT` of an external one; empty: embedded, in the data folder.
    pub(crate) address: String,
    /// The most bytes of blobs to keep; 0: three quarters of what the disk has left, the reserve aside.
    pub(crate) max_bytes: u64,
    /// A touched blob is safe from eviction for this long.
    pub(crate) min_age_s: u64,
    /// Whether clients may write action cache entries.
    pub(crate) clients_may_update_actions: bool,
}

/// Who answers questions of policy.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Policy {
    /// `bundled`: the plugins inside the binary; `built-in`: the native rule, without plugins.
    pub(crate) kind: PolicyKind,
    /// Deadline of a call to `properties`.
    pub(crate) properties_deadline_ms: u64,
    /// Deadline of a call to `place`.
    pub(crate) place_deadline_ms: u64,
    /// Memory of one plugin instance.
    pub(crate) memory_bytes_max: usize,
    /// Ed25519 public keys as hexadecimal digits. With any, a plugin that none of them signed is refused.
    pub(crate) trusted_keys: Vec<String>,
    /// Who answers what, by pattern of instance names; empty: containment for `properties`, reapi-priority for `rank`.
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) instances: BTreeMap<String, Roles>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PolicyKind {
    Bundled,
    BuiltIn,
}

/// Bots inside the server.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Bots {
    pub(crate) count: usize,
    /// Actions that each runs at the same time; 0: the number of cores.
    pub(crate) slots: usize,
}

/// Coordinate's job server: work specs, work units, workers and locks, for its own clients.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Coordinate {
    /// Whether anything listens.
    pub(crate) enabled: bool,
    /// Where. The protocol knows no identity: whoever reaches this address may do everything.
    pub(crate) listen: SocketAddr,
    /// Under which name the work is kept.
    pub(crate) namespace: String,
    /// How many namespaces there may be: clients of gRPC make them.
    pub(crate) namespaces_max: usize,
    /// Whether locks survive a restart.
    pub(crate) locks: Locks,
    /// Whether what happens to work is told in the event feed. Off: neither policies nor clients hear of it.
    pub(crate) feed: bool,
    /// Give a worker only units of specs whose `min_gb` is not above what it says that it has.
    pub(crate) enforce_min_gb: bool,
    /// Which spec serves a worker that may be given work of several.
    pub(crate) choose: WorkChoice,
    /// How many finished, and how many failed units of a spec are kept; 0: all.
    pub(crate) completed_max: u64,
    /// How long they are kept; 0: for ever.
    pub(crate) completed_s: u64,
    /// The longest request.
    pub(crate) frame_bytes_max: usize,
    /// Further addresses, by the namespace that is served there: the protocol itself has no word for one.
    pub(crate) also: BTreeMap<String, SocketAddr>,
    /// What clients that ask for the configuration are told. Without it they get an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) global_config: Option<toml::Table>,
}

/// What a restart does to locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Locks {
    Durable,
    Volatile,
}

/// How a spec is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WorkChoice {
    /// By priority, then so that what runs of each is as its weight.
    Simplified,
    /// By chains of specs first, as the Python server did.
    Classic,
}

impl Default for Server {
    fn default() -> Self {
        Self { data: None, grpc: local(8980), http: local(8981), instances: vec!["main".to_owned()] }
    }
}

impl Default for Coordinate {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: local(5932),
            namespace: "main".to_owned(),
            namespaces_max: 100,
            locks: Locks::Durable,
            feed: true,
            enforce_min_gb: false,
            choose: WorkChoice::Simplified,
            completed_max: 0,
            completed_s: 0,
            frame_bytes_max: 64 << 20,
            also: BTreeMap::new(),
            global_config: None,
        }
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

impl Default for Scheduler {
    fn default() -> Self {
        Self {
            session_timeout_s: 45,
            attempts_max: 5,
            execution_timeout_max_s: 7200,
            queue_timeout_s: 0,
            tenant_header: String::new(),
            failures_max: 100,
            ask_command_failed: false,
            action_browser_url: String::new(),
            instance_pools: Vec::new(),
            bots_for_all_instances: false,
            instances: BTreeMap::new(),
            preemption_delay_s: 20,
            eviction_cool_down_s: 600,
            cohorts: Vec::new(),
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self { reserve_bytes: 1 << 30, finished_h: 24, feed_h: 24, feed_bytes_max: 1 << 30, sync: true }
    }
}

impl Default for Cas {
    fn default() -> Self {
        Self { address: String::new(), max_bytes: 0, min_age_s: 600, clients_may_update_actions: true }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            kind: PolicyKind::Bundled,
            properties_deadline_ms: 50,
            place_deadline_ms: 5,
            memory_bytes_max: 64 << 20,
            trusted_keys: Vec::new(),
            instances: BTreeMap::new(),
        }
    }
}

/// A value that cannot be used.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Problem {
    pub(crate) key: Cow<'static, str>,
    /// As it was written; empty where `expected` names it.
    pub(crate) value: String,
    pub(crate) expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.as_str() {
            "" => write!(out, "{}: {}", self.key, self.expected),
            value => write!(out, "{} = {value}: {}", self.key, self.expected),
        }
    }
}

impl Scheduler {
    /// Labels that are counted together, checked.
    pub(crate) fn cohorts(&self) -> Result<Cohorts, CohortsError> {
        let cohorts = Cohorts::new(self.cohorts.iter().map(|cohort| (cohort.name.clone(), cohort.labels.clone())))?;
        let seconds = Duration::from_secs;
        Ok(cohorts.with_times(seconds(self.preemption_delay_s), seconds(self.eviction_cool_down_s)))
    }
}

impl Raw {
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        Self::parse(&text).with_context(|| format!("{} cannot be used", file.display()))
    }

    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        Ok(toml::from_str(text)?)
    }

    /// Every value that cannot be used, with what would be accepted.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = self.out_of_range();
        problems.extend(scheduling::problems(self));
        let mut wrong = |key: &dyn fmt::Display, value: String, expected: String| {
            problems.push(Problem { key: Cow::Owned(key.to_string()), value, expected });
        };
        if !is_header_name(&self.scheduler.tenant_header) {
            let expected = "expected the name of a header: lower-case letters, digits and hyphens, not ending in -bin";
            wrong(&"scheduler.tenant_header", format!("{:?}", self.scheduler.tenant_header), expected.to_owned());
        }
        if let Err(problem) = self.scheduler.cohorts() {
            wrong(&"scheduler.cohorts", String::new(), problem.to_string());
        }
        let named = std::iter::once(("coordinate.namespace", &self.coordinate.namespace));
        let also = self.coordinate.also.keys().map(|name| ("coordinate.also", name));
        for (key, name) in named.chain(also).filter(|(_, name)| !is_instance_name(name)) {
            wrong(&key, format!("{name:?}"), INSTANCE_EXPECTED.to_owned());
        }
        for (name, plugin) in &self.plugins {
            if !is_plugin_name(name) {
                wrong(&"plugins", format!("{name:?}"), NAME_EXPECTED.to_owned());
            }
            for problem in plugin.settings().problems() {
                wrong(&format_args!("plugins.{name}"), String::new(), problem);
            }
        }
        for (pattern, roles) in &self.policy.instances {
            for (role, name) in roles.iter().flat_map(|(role, names)| names.iter().map(move |name| (role, name))) {
                if !self.plugins.contains_key(name) && bundled::find(name).is_none() {
                    let expected = format!("expected a plugin of [plugins.{name}], or one of {}", bundled::names());
                    wrong(&format_args!("policy.instances.{pattern:?}.{role}"), format!("{name:?}"), expected);
                }
            }
        }
        for key in &self.policy.trusted_keys {
            if let Err(problem) = TrustedKey::parse(key) {
                wrong(&"policy.trusted_keys", String::new(), problem);
            }
        }
        if self.server.instances.is_empty() {
            wrong(&"server.instances", "[]".to_owned(), "expected at least one instance name".to_owned());
        }
        for name in self.server.instances.iter().filter(|name| !is_served_name(name)) {
            wrong(&"server.instances", format!("{name:?}"), INSTANCE_EXPECTED.to_owned());
        }
        problems
    }

    fn out_of_range(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut range = |key, value: u64, least: u64, most: u64| {
            if !(least..=most).contains(&value) {
                let expected = format!("expected a whole number from {least} to {most}");
                problems.push(Problem { key: Cow::Borrowed(key), value: value.to_string(), expected });
            }
        };
        let year = 365 * 24 * 3600;
        range("scheduler.session_timeout_s", self.scheduler.session_timeout_s, 1, 86_400);
        range("scheduler.attempts_max", self.scheduler.attempts_max.into(), 1, 1_000);
        range("scheduler.execution_timeout_max_s", self.scheduler.execution_timeout_max_s, 1, 4_000_000);
        range("scheduler.queue_timeout_s", self.scheduler.queue_timeout_s, 0, 4_000_000);
        range("scheduler.failures_max", self.scheduler.failures_max.into(), 1, 10_000);
        range("scheduler.preemption_delay_s", self.scheduler.preemption_delay_s, 1, 86_400);
        range("scheduler.eviction_cool_down_s", self.scheduler.eviction_cool_down_s, 0, 86_400);
        range("store.reserve_bytes", self.store.reserve_bytes, 0, 1 << 50);
        range("store.finished_h", self.store.finished_h, 1, year);
        range("store.feed_h", self.store.feed_h, 1, year);
        range("store.feed_bytes_max", self.store.feed_bytes_max, 1 << 20, 1 << 50);
        range("cas.max_bytes", self.cas.max_bytes, 0, 1 << 60);
        range("cas.min_age_s", self.cas.min_age_s, 0, year);
        range("policy.properties_deadline_ms", self.policy.properties_deadline_ms, 1, 10_000);
        range("policy.place_deadline_ms", self.policy.place_deadline_ms, 1, 10_000);
        range("policy.memory_bytes_max", self.policy.memory_bytes_max as u64, 1 << 16, 4 << 30);
        range("bots.count", self.bots.count as u64, 0, 1_000);
        range("bots.slots", self.bots.slots as u64, 0, 1_000);
        range("coordinate.completed_s", self.coordinate.completed_s, 0, 100 * year);
        range("coordinate.frame_bytes_max", self.coordinate.frame_bytes_max as u64, 1 << 16, 1 << 30);
        range("coordinate.namespaces_max", self.coordinate.namespaces_max as u64, 1, 10_000);
        problems
    }
}

/// Or empty: no header.
fn is_header_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    name.len() <= 200 && name.chars().all(allowed) && !name.ends_with("-bin")
}

/// Clients that name no instance name the empty one.
pub(crate) fn is_served_name(name: &str) -> bool {
    name.is_empty() || is_instance_name(name)
}

/// Instance names are part of resource names, so that some words would be ambiguous there.
pub(crate) fn is_instance_name(name: &str) -> bool {
    const KEYWORDS: [&str; 6] = ["blobs", "uploads", "actions", "actionResults", "operations", "compressed-blobs"];
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    (1..=200).contains(&name.len())
        && name.split('/').all(|part| !part.is_empty() && part.chars().all(allowed) && !KEYWORDS.contains(&part))
}
