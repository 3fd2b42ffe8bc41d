//! The Berth that takes the work.

use berth_core::work::UnitState;

use super::{ImportError, Progress, Source, Spec, Standing, Unit, remote::Remote};
use crate::{
    cbor::{Value, Writer},
    python,
};

/// What a spec is while its units come: paused, and it hands nothing on.
const LEFT_OUT: [&str; 3] = ["then", "continuous", "disabled"];

/// Units of a request, and their bytes.
const BATCH_UNITS: usize = 1_000;
const BATCH_BYTES: usize = 8 << 20;

pub(super) struct Target {
    remote: Remote,
}

/// Units of a spec that were found at the source, by state.
type Counts = [u64; 4];

fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut out = Writer::default();
    write(&mut out);
    out.into_bytes()
}

impl Target {
    pub(super) fn new(remote: Remote) -> Self {
        Self { remote }
    }

    /// Takes a spec with all its units.
    pub(super) fn take_spec(
        &mut self,
        spec: &Spec,
        source: &mut dyn Source,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Progress, ImportError> {
        let shown = String::from_utf8_lossy(&Value::checked(&spec.name).string().unwrap_or_default()).into_owned();
        let mut so_far = Progress { spec: shown, ..Progress::default() };
        let mut counts = Counts::default();
        progress(&so_far);
        self.done("set_work_spec", &[&paused(Value::checked(&spec.dictionary))])?;
        loop {
            let units = source.next_units()?;
            if units.is_empty() {
                break;
            }
            let mut rest = units.as_slice();
            while !rest.is_empty() {
                let (batch, after) = rest.split_at(batch_len(rest));
                rest = after;
                so_far.there += self.take_units(&spec.name, batch)?;
                so_far.units += batch.len() as u64;
                batch.iter().for_each(|unit| counts[unit.standing.state() as usize] += 1);
                progress(&so_far);
            }
        }
        self.verify(spec, &so_far, counts)?;
        self.done("set_work_spec", &[&spec.dictionary])?;
        self.done("control_work_spec", &[&spec.name, &spec.control])?;
        Ok(so_far)
    }

    /// How many of them were there already.
    fn take_units(&mut self, spec: &[u8], units: &[Unit]) -> Result<u64, ImportError> {
        let found = self.states(spec, units)?;
        let missing: Vec<&Unit> =
            units.iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(unit, _)| unit).collect();
        if !missing.is_empty() {
            let list = written(|out| {
                out.array(missing.len());
                missing.iter().for_each(|unit| write_unit(unit, out));
            });
            self.done("add_work_units", &[spec, &list])?;
        }
        // What went on here since an earlier run is not undone.
        let available = |found: &Option<UnitState>| found.is_none_or(|state| state == UnitState::Available);
        let updates: Vec<Vec<Vec<u8>>> = units
            .iter()
            .zip(&found)
            .filter(|(_, found)| available(found))
            .filter_map(|(unit, _)| Some(vec![spec.to_vec(), unit.key.clone(), update(&unit.standing)?]))
            .collect();
        for answer in self.remote.call_each("update_work_unit", &updates)? {
            if !answer.first().is_some_and(Value::truthy) {
                return Err(refused("update_work_unit", answer.second()));
            }
        }
        Ok((units.len() - missing.len()) as u64)
    }

    /// In which states these units are here.
    fn states(&mut self, spec: &[u8], units: &[Unit]) -> Result<Vec<Option<UnitState>>, ImportError> {
        let keys = written(|out| {
            out.array(units.len());
            units.iter().for_each(|unit| _ = out.raw(&unit.key));
        });
        let answer = self.remote.call("get_work_unit_status", &[spec, &keys])?;
        let statuses = answer.first().and_then(Value::items).into_iter().flatten();
        let states = statuses.map(|status| {
            let number = python::int(status.get("status")?)?;
            UnitState::from_number(number.try_into().ok()?)
        });
        let states: Vec<_> = states.collect();
        if states.len() == units.len() { Ok(states) } else { Err(refused("get_work_unit_status", answer.second())) }
    }

    /// Nothing was lost on the way.
    fn verify(&mut self, spec: &Spec, moved: &Progress, counts: Counts) -> Result<(), ImportError> {
        let answer = self.remote.call("count_work_units", &[&spec.name])?;
        let mut found = Counts::default();
        for (state, count) in answer.first().and_then(Value::pairs).into_iter().flatten() {
            let number = python::int(state).and_then(|number| UnitState::from_number(number.try_into().ok()?));
            let (Some(state), Some(count)) = (number, python::int(count)) else { continue };
            found[state as usize] = count.unsigned_abs();
        }
        // A lease may have run out meanwhile; and more may have been there before.
        let [available, pending, finished, failed] = counts;
        for (state, expected, found) in [
            ("in all", available + pending + finished + failed, found.iter().sum()),
            ("finished", finished, found[UnitState::Finished as usize]),
            ("failed", failed, found[UnitState::Failed as usize]),
        ] {
            if found < expected || (moved.there == 0 && found != expected) {
                return Err(ImportError::Counts { spec: moved.spec.clone(), state, expected, found });
            }
        }
        Ok(())
    }

    /// A call whose answer is the pair of `true` and nothing.
    fn done(&mut self, method: &str, params: &[&[u8]]) -> Result<(), ImportError> {
        let answer = self.remote.call(method, params)?;
        if answer.first().is_some_and(Value::truthy) { Ok(()) } else { Err(refused(method, answer.second())) }
    }
}

fn refused(method: &str, message: Option<Value<'_>>) -> ImportError {
    let message = message.and_then(Value::string).unwrap_or_default();
    ImportError::Refused(method.to_owned(), String::from_utf8_lossy(&message).into_owned())
}

/// How many of these units go together, at least one: what a request may hold.
fn batch_len(units: &[Unit]) -> usize {
    let mut bytes = 0;
    let fits = units.iter().take(BATCH_UNITS).take_while(|unit| {
        bytes += unit.key.len() + unit.data.len();
        bytes <= BATCH_BYTES
    });
    fits.count().max(1)
}

/// The dictionary of a spec that gives out nothing and hands on nothing.
fn paused(dictionary: Value<'_>) -> Vec<u8> {
    let kept = || {
        let pairs = dictionary.pairs().into_iter().flatten();
        pairs.filter(|(key, _)| !LEFT_OUT.iter().any(|name| key.is(name)))
    };
    written(|out| {
        out.map(kept().count() + 1);
        kept().for_each(|(key, value)| _ = out.raw(key.raw()).raw(value.raw()));
        out.bytes("disabled").bool(true);
    })
}

fn write_unit(unit: &Unit, out: &mut Writer) {
    out.tuple(3).raw(&unit.key).raw(&unit.data);
    match unit.priority {
        Some(priority) => out.map(1).bytes("priority").float(priority),
        None => out.null(),
    };
}

/// What brings an available unit as far as it was.
fn update(standing: &Standing) -> Option<Vec<u8>> {
    let status = |out: &mut Writer, state: UnitState| _ = out.bytes("status").uint(state.number().into());
    match standing {
        Standing::Available => None,
        Standing::Finished | Standing::Failed => Some(written(|out| {
            out.map(1);
            status(out, standing.state());
        })),
        Standing::Pending { seconds, worker } => Some(written(|out| {
            out.map(2 + usize::from(worker.is_some()));
            status(out, UnitState::Pending);
            out.bytes("lease_time").float(*seconds);
            if let Some(worker) = worker {
                out.bytes("worker_id").raw(worker);
            }
        })),
    }
}
