//! What the store keeps of plugins: components by digest, versions with their settings, and the sets that were active.

use std::{collections::BTreeMap, ops::ControlFlow};

use berth_proto::store as pb;
use berth_runtime::store::{Batch, PartitionId, Store, StoreError, Table};
use bytes::Bytes;
use prost::Message;

use super::{ledger::VersionKey, set::PolicySet, settings::Settings};

/// Sets that are remembered, so that one can go back.
pub(crate) const SETS_MAX: usize = 20;

/// Key of the row that says who is observed.
const OBSERVED: &[u8] = b"observed";

/// A version as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct VersionRow {
    pub(crate) name: String,
    pub(crate) digest: String,
    pub(crate) source: String,
    pub(crate) settings: Settings,
    /// Milliseconds since 1970; 0: nobody loaded it, it comes with the binary.
    pub(crate) loaded_at: u64,
    pub(crate) quarantine: Option<String>,
}

impl VersionRow {
    /// A policy of the binary with its defaults. Never loaded by anybody: it is there.
    pub(crate) fn bundled(name: &str, digest: &str) -> Self {
        Self {
            name: name.to_owned(),
            digest: digest.to_owned(),
            source: "bundled".to_owned(),
            settings: Settings::default(),
            loaded_at: 0,
            quarantine: None,
        }
    }
}

/// A set as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct SetRow {
    pub(crate) number: u64,
    /// Milliseconds since 1970.
    pub(crate) activated_at: u64,
    pub(crate) why: String,
    /// The set that was active when this one became it; 0: none.
    pub(crate) before: u64,
    pub(crate) set: PolicySet,
}

/// Everything that is stored of plugins, but for the components.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    pub(crate) versions: Vec<VersionRow>,
    /// By number.
    pub(crate) sets: BTreeMap<u64, SetRow>,
    pub(crate) active: Option<u64>,
    /// Digest of what the configuration file said when it was applied last.
    pub(crate) file_digest: String,
    /// Name and digest of the version that is asked beside the active ones.
    pub(crate) observed: Option<VersionKey>,
}

/// Reads everything but the components.
pub(crate) fn read(store: &dyn Store, partition: PartitionId) -> Result<Stored, StoreError> {
    let mut stored = Stored::default();
    let mut broken = None;
    for prefix in [&b"p/"[..], b"s/", b"active", OBSERVED] {
        store.scan(partition, Table::Plugins, prefix, &mut |key, value| {
            if !key.starts_with(prefix) {
                return ControlFlow::Break(());
            }
            match add(&mut stored, prefix, value) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    broken = Some(format!("row {:?} of table `plugins`: {error}", String::from_utf8_lossy(key)));
                    ControlFlow::Break(())
                }
            }
        })?;
    }
    match broken {
        None => Ok(stored),
        Some(error) => Err(StoreError::Failed(error)),
    }
}

fn add(stored: &mut Stored, prefix: &[u8], value: &[u8]) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    match prefix {
        b"p/" => {
            let row = pb::PluginVersion::decode(value).map_err(|error| text(&error))?;
            stored.versions.push(VersionRow {
                settings: serde_json::from_str(&row.settings).map_err(|error| text(&error))?,
                quarantine: (!row.quarantine.is_empty()).then_some(row.quarantine),
                name: row.name,
                digest: row.digest,
                source: row.source,
                loaded_at: row.loaded_at,
            });
        }
        b"s/" => {
            let row = pb::PolicySet::decode(value).map_err(|error| text(&error))?;
            let set = serde_json::from_str(&row.set).map_err(|error| text(&error))?;
            let pb::PolicySet { number, activated_at, why, before, .. } = row;
            let row = SetRow { number, activated_at, why, before, set };
            stored.sets.insert(row.number, row);
        }
        OBSERVED => {
            let row = pb::ObservedVersion::decode(value).map_err(|error| text(&error))?;
            stored.observed = Some((row.name, row.digest));
        }
        _ => {
            let row = pb::ActivePolicySet::decode(value).map_err(|error| text(&error))?;
            stored.active = Some(row.number);
            stored.file_digest = row.file_digest;
        }
    }
    Ok(())
}

/// The component of a digest.
pub(crate) fn component(store: &dyn Store, partition: PartitionId, digest: &str) -> Result<Option<Bytes>, StoreError> {
    Ok(store.get(partition, Table::Plugins, &[&component_key(digest)])?.pop().flatten())
}

pub(crate) fn put_component(batch: &mut Batch, digest: &str, component: &[u8]) {
    batch.put(Table::Plugins, &component_key(digest), |out| out.extend_from_slice(component));
}

pub(crate) fn delete_component(batch: &mut Batch, digest: &str) {
    batch.delete(Table::Plugins, &component_key(digest));
}

pub(crate) fn put_version(batch: &mut Batch, row: &VersionRow) {
    let message = pb::PluginVersion {
        name: row.name.clone(),
        digest: row.digest.clone(),
        source: row.source.clone(),
        settings: serde_json::to_string(&row.settings).expect("settings are JSON"),
        loaded_at: row.loaded_at,
        quarantine: row.quarantine.clone().unwrap_or_default(),
    };
    put(batch, &version_key(&row.name, &row.digest), &message);
}

pub(crate) fn delete_version(batch: &mut Batch, name: &str, digest: &str) {
    batch.delete(Table::Plugins, &version_key(name, digest));
}

pub(crate) fn put_set(batch: &mut Batch, row: &SetRow) {
    let message = pb::PolicySet {
        number: row.number,
        activated_at: row.activated_at,
        why: row.why.clone(),
        before: row.before,
        set: serde_json::to_string(&row.set).expect("a set is JSON"),
    };
    put(batch, &set_key(row.number), &message);
}

pub(crate) fn delete_set(batch: &mut Batch, number: u64) {
    batch.delete(Table::Plugins, &set_key(number));
}

pub(crate) fn put_active(batch: &mut Batch, number: u64, file_digest: &str) {
    put(batch, b"active", &pb::ActivePolicySet { number, file_digest: file_digest.to_owned() });
}

pub(crate) fn put_observed(batch: &mut Batch, key: &VersionKey) {
    put(batch, OBSERVED, &pb::ObservedVersion { name: key.0.clone(), digest: key.1.clone() });
}

pub(crate) fn delete_observed(batch: &mut Batch) {
    batch.delete(Table::Plugins, OBSERVED);
}

fn put(batch: &mut Batch, key: &[u8], message: &impl Message) {
    batch.put(Table::Plugins, key, |out| message.encode(out).expect("a vector grows as needed"));
}

fn component_key(digest: &str) -> Vec<u8> {
    format!("v/{digest}").into_bytes()
}

fn version_key(name: &str, digest: &str) -> Vec<u8> {
    format!("p/{name}/{digest}").into_bytes()
}

fn set_key(number: u64) -> Vec<u8> {
    [&b"s/"[..], &number.to_be_bytes()].concat()
}
