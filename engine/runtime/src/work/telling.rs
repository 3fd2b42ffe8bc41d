//! The event feed of a namespace: what is told of its facts, in the batch that makes them durable.
//!
//! A record is short: which units, and what became of them; their dictionaries are in their rows. What happens to several
//! units of a spec one after the other, as where a worker finishes sixty at a time, is one record.

use std::{collections::BTreeMap, sync::Arc};

use berth_core::{
    Timestamp,
    work::{
        Book, Fact, LockPath, SpecId, SpecName, UnitKey,
        mutant::{Mutant, broken},
    },
};
use berth_proto::store::WorkEventKind as Kind;
use minicbor::Encoder;

use super::codec;
use crate::store::Batch;

/// Units, or locks, of one record: so many, and so many bytes of their names. A call of a plugin brings 256 records, and it
/// has to hold them.
const KEYS_MAX: usize = 100;
const KEYS_BYTES_MAX: usize = 4 << 10;

type Name = Arc<[u8]>;

/// Writes the feed of one namespace.
pub(super) struct Telling {
    /// The position that the next record will have.
    next: u64,
    /// Facts name specs by their numbers, and a number says nothing once the spec is gone.
    names: BTreeMap<SpecId, SpecName>,
    /// The last record: the next fact may add to it.
    open: Option<Record>,
}

/// A record that is not written yet.
pub(super) struct Record {
    pub(super) kind: Kind,
    pub(super) name: Name,
    pub(super) worker: Option<Name>,
    pub(super) keys: Vec<Name>,
    /// Of the keys.
    bytes: usize,
}

impl Telling {
    /// Goes on at a position.
    pub(super) fn new(next: u64, book: &Book) -> Self {
        let names = book.spec_ids().map(|(spec, name)| (spec, name.clone())).collect();
        Self { next, names, open: None }
    }

    /// The position that the next record will have.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Tells of facts, in their order.
    pub(super) fn tell(&mut self, now: Timestamp, facts: &[Fact], batch: &mut Batch) {
        for (place, fact) in facts.iter().enumerate() {
            self.fact(now, fact, facts.get(place + 1), batch);
        }
    }

    /// Writes what is left. To be called before the batch goes.
    pub(super) fn finish(&mut self, now: Timestamp, batch: &mut Batch) {
        if let Some(record) = self.open.take() {
            batch.feed(self.next, |out| codec::encode_event(now, &record, out));
            self.next += 1;
        }
    }

    fn fact(&mut self, now: Timestamp, fact: &Fact, after: Option<&Fact>, batch: &mut Batch) {
        match fact {
            Fact::SpecSet { spec, settings } => {
                self.names.insert(*spec, settings.name.clone());
                self.spec(now, Kind::SpecSet, *spec, batch);
            }
            Fact::SpecControlled { spec, .. } => self.spec(now, Kind::SpecControlled, *spec, batch),
            Fact::SpecDeleted { spec } => {
                self.spec(now, Kind::SpecDeleted, *spec, batch);
                self.names.remove(spec);
            }
            Fact::UnitsCleared { spec, anew } => {
                self.spec(now, Kind::SpecCleared, *spec, batch);
                if let Some(name) = self.names.remove(spec) {
                    self.names.insert(*anew, name);
                }
            }
            Fact::ArchivedForgotten { spec, .. } => self.spec(now, Kind::ArchivedForgotten, *spec, batch),
            Fact::UnitsAdded { spec, units } => {
                self.units(now, Kind::UnitsAdded, *spec, None, units.iter().map(|unit| &unit.key), batch);
            }
            Fact::UnitsLeased { spec, worker, keys, .. } => {
                self.units(now, Kind::UnitsLeased, *spec, worker.as_ref().map(|worker| &worker.0), keys, batch);
            }
            Fact::UnitRenewed { spec, key, worker, .. } => {
                self.units(now, Kind::UnitsRenewed, *spec, worker.as_ref().map(|worker| &worker.0), [key], batch);
            }
            // The data comes with the change that is told next.
            Fact::DataChanged { spec, key, .. } if after.is_some_and(|after| is_of(after, *spec, key)) => {}
            Fact::DataChanged { spec, key, .. } => self.units(now, Kind::UnitsUpdated, *spec, None, [key], batch),
            Fact::UnitsPrioritized { spec, units } => {
                self.units(now, Kind::UnitsPrioritized, *spec, None, units.iter().map(|(key, _)| key), batch);
            }
            Fact::UnitsReleased { spec, keys, retried } => {
                let kind = if *retried { Kind::UnitsRetried } else { Kind::UnitsReleased };
                self.units(now, kind, *spec, None, keys, batch);
            }
            Fact::UnitsExpired { spec, keys } => self.units(now, Kind::UnitsExpired, *spec, None, keys, batch),
            Fact::UnitsEnded { spec, keys, failed, worker, .. } => {
                let kind = if *failed { Kind::UnitsFailed } else { Kind::UnitsFinished };
                self.units(now, kind, *spec, worker.as_ref().map(|worker| &worker.0), keys, batch);
            }
            Fact::UnitsDeleted { spec, keys } => {
                if !broken(Mutant::DeletionNotTold) {
                    self.units(now, Kind::UnitsDeleted, *spec, None, keys, batch);
                }
            }
            Fact::UnitsArchived { spec, keys, .. } => {
                self.units(now, Kind::UnitsArchived, *spec, None, keys, batch);
            }
            Fact::WorkerSeen { worker, parent, is_news: true, .. } => {
                let parent = parent.as_ref().map(|parent| &parent.0);
                self.add(now, Kind::WorkerSeen, &worker.0, parent, [], batch);
            }
            Fact::WorkerGone { worker } => self.add(now, Kind::WorkerGone, &worker.0, None, [], batch),
            Fact::Locked { locker, paths, .. } => {
                self.add(now, Kind::Locked, &locker.0, None, paths.iter().map(path), batch);
            }
            Fact::Unlocked { paths } => {
                self.add(now, Kind::Unlocked, &Name::default(), None, paths.iter().map(path), batch);
            }
            // When it may make the next unit, that a worker still lives, and what calls were answered: nothing that
            // anybody but us needs to hear.
            Fact::ContinuousMade { .. }
            | Fact::WorkerSeen { is_news: false, .. }
            | Fact::ReceiptKept { .. }
            | Fact::ReceiptsDropped { .. } => {}
        }
    }

    fn spec(&mut self, now: Timestamp, kind: Kind, spec: SpecId, batch: &mut Batch) {
        let name = self.name_of(spec);
        self.add(now, kind, &name, None, [], batch);
    }

    fn units<'a>(
        &mut self,
        now: Timestamp,
        kind: Kind,
        spec: SpecId,
        worker: Option<&Name>,
        keys: impl IntoIterator<Item = &'a UnitKey>,
        batch: &mut Batch,
    ) {
        let name = self.name_of(spec);
        self.add(now, kind, &name, worker, keys.into_iter().map(|key| key.0.clone()), batch);
    }

    fn name_of(&self, spec: SpecId) -> Name {
        self.names.get(&spec).expect("a fact names a spec that exists").0.clone()
    }

    /// To the open record, if it is about the same, and to as many new ones as are needed.
    fn add(
        &mut self,
        now: Timestamp,
        kind: Kind,
        name: &Name,
        worker: Option<&Name>,
        keys: impl IntoIterator<Item = Name>,
        batch: &mut Batch,
    ) {
        let mut keys = keys.into_iter().peekable();
        if keys.peek().is_none() {
            self.finish(now, batch);
            self.open = Some(Record::new(kind, name, worker));
        }
        for key in keys {
            if !self.open.as_ref().is_some_and(|open| open.takes(kind, name, worker, &key)) {
                self.finish(now, batch);
            }
            let open = self.open.get_or_insert_with(|| Record::new(kind, name, worker));
            open.bytes += key.len();
            open.keys.push(key);
        }
    }
}

impl Record {
    fn new(kind: Kind, name: &Name, worker: Option<&Name>) -> Self {
        Self { kind, name: name.clone(), worker: worker.cloned(), keys: Vec::new(), bytes: 0 }
    }

    fn takes(&self, kind: Kind, name: &Name, worker: Option<&Name>, key: &Name) -> bool {
        self.kind == kind
            && !self.keys.is_empty()
            && self.keys.len() < KEYS_MAX
            && self.bytes + key.len() <= KEYS_BYTES_MAX
            && self.name == *name
            && self.worker.as_ref() == worker
    }
}

/// Whether a fact tells of a change of this unit's state.
fn is_of(fact: &Fact, of: SpecId, unit: &UnitKey) -> bool {
    match fact {
        Fact::UnitRenewed { spec, key, .. } => *spec == of && key == unit,
        Fact::UnitsLeased { spec, keys, .. }
        | Fact::UnitsReleased { spec, keys, .. }
        | Fact::UnitsEnded { spec, keys, .. } => *spec == of && keys.contains(unit),
        _ => false,
    }
}

/// A path as an array in CBOR: its elements are values in CBOR already.
fn path(path: &LockPath) -> Name {
    let mut array = Encoder::new(Vec::new());
    array.array(path.len() as u64).expect("memory takes what is written to it");
    let mut bytes = array.into_writer();
    path.iter().for_each(|element| bytes.extend_from_slice(element));
    bytes.into()
}
