//! The action cache: results by instance and action, bounded by bytes, least recently used first to go.
//!
//! An entry is answered only while every blob that it names is here. A broken one is a miss; the next result of the
//! same action replaces it.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

use berth_core::Digest;
use berth_proto::reapi::ActionResult;
use prost::Message;

use super::lru::Lru;
use super::rows::Rows;
use super::walk::Effort;
use super::{Storage, lock};
use crate::error::Error;
use crate::outputs::Outputs;

/// What an entry costs besides its message.
const OVERHEAD_BYTES: u64 = 256;

/// Instance (by number) and action.
type Key = (u16, Digest);

pub(crate) struct Actions {
    /// Names by number: those of the configuration, then those that only old rows know.
    instances: Vec<String>,
    /// Entries with their cost.
    entries: Lru<Key, u64>,
    /// Being evicted: who wants to write one of these waits.
    moving: HashSet<Key>,
    bytes: u64,
}

impl Actions {
    /// Reads which entries there are. Their order of use is not stored: it is learnt anew.
    pub(crate) fn load(rows: &Rows, instances: &[String]) -> Result<Self, Error> {
        let mut actions = Self { instances: instances.to_vec(), entries: Lru::new(), moving: HashSet::new(), bytes: 0 };
        rows.scan_actions(|instance, action, bytes| {
            let known = actions.number(instance);
            let number = known.unwrap_or_else(|| {
                actions.instances.push(instance.into());
                actions.number(instance).expect("just added")
            });
            actions.add((number, action), bytes as u64 + OVERHEAD_BYTES);
        })?;
        Ok(actions)
    }

    fn number(&self, instance: &str) -> Option<u16> {
        let at = self.instances.iter().position(|name| name == instance)?;
        Some(u16::try_from(at).expect("a server has fewer than 65536 instances"))
    }

    fn add(&mut self, key: Key, bytes: u64) {
        self.bytes += bytes;
        if let Some(replaced) = self.entries.insert(key, bytes) {
            self.bytes -= replaced;
        }
    }

    fn drop_entry(&mut self, key: &Key) {
        if let Some(bytes) = self.entries.remove(key) {
            self.bytes -= bytes;
        }
    }

    /// Takes out what is over the bound, into `moving`.
    fn take_excess(&mut self, bytes_max: u64) -> Vec<Key> {
        let mut taken = Vec::new();
        while self.bytes > bytes_max {
            let Some((key, bytes)) = self.entries.pop_oldest() else { break };
            self.bytes -= bytes;
            self.moving.insert(key);
            taken.push(key);
        }
        taken
    }
}

impl Storage {
    /// Is there an entry, good or broken? Touches it. Answered from memory.
    pub(crate) fn has_action(&self, instance: &str, action: &Digest) -> bool {
        let mut actions = lock(&self.actions);
        let Some(number) = actions.number(instance) else { return false };
        actions.entries.touch(&(number, *action)).is_some()
    }

    /// The entry, if all that it names is here; that is touched. Blocks.
    pub(crate) fn action(self: &Arc<Self>, instance: &str, action: &Digest) -> Result<Option<ActionResult>, Error> {
        if !self.has_action(instance, action) {
            return Ok(None);
        }
        let Some(row) = self.rows.action(instance, action)? else { return Ok(None) };
        let Ok(result) = ActionResult::decode(row.as_slice()) else { return Ok(None) };
        let Some(outputs) = Outputs::of(&result) else { return Ok(None) };
        match self.walk(&outputs.blobs, &outputs.trees, Effort::Disk) {
            Ok(Some(missing)) if missing.is_empty() => Ok(Some(result)),
            Ok(_) | Err(Error::Malformed { .. }) => {
                tracing::debug!(%action, "cached result is broken");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Stores an entry; durable when this returns. Blocks.
    pub(crate) fn put_action(&self, instance: &str, action: &Digest, result: &ActionResult) -> Result<(), Error> {
        let row = result.encode_to_vec();
        let bytes = row.len() as u64 + OVERHEAD_BYTES;
        if bytes > self.options.actions_bytes_max {
            return Err(Error::Full(format!("the action cache has no room for {bytes} bytes")));
        }
        let key = {
            let mut actions = lock(&self.actions);
            let number = actions.number(instance).ok_or_else(|| Error::UnknownInstance(instance.into()))?;
            let key = (number, *action);
            while actions.moving.contains(&key) {
                actions = self.actions_settled.wait(actions).unwrap_or_else(PoisonError::into_inner);
            }
            // Before its row: as the newest entry it is not evicted while the row is written. Whoever asks
            // meanwhile finds no row, which is a miss.
            actions.add(key, bytes);
            key
        };
        if let Err(error) = self.rows.put_action(instance, action, &row) {
            lock(&self.actions).drop_entry(&key);
            return Err(error);
        }
        self.evict_actions()
    }

    fn evict_actions(&self) -> Result<(), Error> {
        let (taken, names) = {
            let mut actions = lock(&self.actions);
            let taken = actions.take_excess(self.options.actions_bytes_max);
            if taken.is_empty() {
                return Ok(());
            }
            (taken, actions.instances.clone())
        };
        let rows: Vec<_> =
            taken.iter().map(|(number, action)| (names[usize::from(*number)].as_str(), *action)).collect();
        let done = self.rows.delete_actions(&rows);
        let mut actions = lock(&self.actions);
        for key in &taken {
            actions.moving.remove(key);
        }
        drop(actions);
        self.actions_settled.notify_all();
        done
    }
}
