//! Who knows of the work only what the event feed told: that must be the same as what there is.

use std::collections::{BTreeMap, BTreeSet};

use berth_proto::store::{WorkEvent, WorkEventKind as Kind};
use berth_runtime::store::{PartitionId, Store};
use prost::Message;

/// What was heard so far.
#[derive(Default)]
pub(super) struct Hearer {
    /// The last record.
    last: u64,
    /// Units of each spec, and how each stands.
    specs: BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, &'static str>>,
    workers: BTreeSet<Vec<u8>>,
    locks: BTreeSet<Vec<u8>>,
}

impl Hearer {
    /// Reads on to the end of the feed.
    pub(super) fn hear(&mut self, store: &dyn Store, partition: PartitionId) -> Result<(), String> {
        for (sequence, record) in store.feed(partition, self.last + 1, usize::MAX).map_err(|error| error.to_string())? {
            if sequence != self.last + 1 {
                return Err(format!("event {sequence} comes after {}", self.last));
            }
            self.last = sequence;
            self.take(WorkEvent::decode(record).map_err(|error| error.to_string())?)
                .map_err(|why| format!("event {sequence}: {why}"))?;
        }
        match store.next_sequence(partition).map_err(|error| error.to_string())? {
            next if next == self.last + 1 => Ok(()),
            next => Err(format!("the feed goes on at {next} after {}", self.last)),
        }
    }

    fn take(&mut self, event: WorkEvent) -> Result<(), String> {
        let kind = event.kind();
        let name = event.name.to_vec();
        let keys = event.keys.iter().map(|key| key.to_vec());
        match kind {
            Kind::Unspecified => return Err("it says nothing".into()),
            Kind::SpecSet => _ = self.specs.entry(name).or_default(),
            Kind::SpecControlled | Kind::ArchivedForgotten => {}
            Kind::SpecCleared => self.units(&name)?.clear(),
            Kind::SpecDeleted => _ = self.specs.remove(&name).ok_or("it was not there")?,
            Kind::UnitsAdded => {
                let units = self.units(&name)?;
                for key in keys {
                    let state = units.entry(key).or_insert("Available");
                    if *state != "Pending" {
                        *state = "Available";
                    }
                }
            }
            Kind::UnitsLeased => self.all_become(&name, keys, "Pending")?,
            Kind::UnitsRenewed => self.all_become(&name, keys, "Pending")?,
            Kind::UnitsUpdated | Kind::UnitsPrioritized => {}
            Kind::UnitsReleased | Kind::UnitsExpired | Kind::UnitsRetried => {
                self.all_become(&name, keys, "Available")?;
            }
            Kind::UnitsFinished => self.all_become(&name, keys, "Finished")?,
            Kind::UnitsFailed => self.all_become(&name, keys, "Failed")?,
            Kind::UnitsDeleted | Kind::UnitsArchived => {
                let units = self.units(&name)?;
                keys.for_each(|key| _ = units.remove(&key));
            }
            Kind::WorkerSeen => _ = self.workers.insert(name),
            Kind::WorkerGone => _ = self.workers.remove(&name),
            Kind::Locked => self.locks.extend(keys),
            Kind::Unlocked => keys.for_each(|key| _ = self.locks.remove(&key)),
        }
        Ok(())
    }

    fn units(&mut self, spec: &[u8]) -> Result<&mut BTreeMap<Vec<u8>, &'static str>, String> {
        self.specs.get_mut(spec).ok_or_else(|| format!("spec {} was not heard of", spec.escape_ascii()))
    }

    fn all_become(
        &mut self,
        spec: &[u8],
        keys: impl Iterator<Item = Vec<u8>>,
        state: &'static str,
    ) -> Result<(), String> {
        let units = self.units(spec)?;
        for key in keys {
            *units.get_mut(&key).ok_or_else(|| format!("unit {} was not heard of", key.escape_ascii()))? = state;
        }
        Ok(())
    }

    /// All that it knows, as [`heard`] has it. How many locks there are only where a restart does not drop them untold.
    pub(super) fn knows(&self, locks_durable: bool) -> Vec<String> {
        heard(&self.specs, &self.workers, locks_durable.then_some(self.locks.len()))
    }
}

/// Line by line.
pub(super) fn heard(
    specs: &BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, &'static str>>,
    workers: &BTreeSet<Vec<u8>>,
    locks: Option<usize>,
) -> Vec<String> {
    let mut lines = vec![format!("workers {workers:?}, locks {locks:?}")];
    for (name, units) in specs {
        lines.push(name.escape_ascii().to_string());
        lines.extend(units.iter().map(|(key, state)| format!("{} {state}", key.escape_ascii())));
    }
    lines
}
