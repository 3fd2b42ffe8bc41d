//! Moves the work of another server of Coordinate's protocol here: from a running one, or from a snapshot file that
//! the Python server left.
//!
//! It only uses what clients use, so that it runs against a Berth that serves already. A spec is paused and hands
//! nothing on while its units come; then it gets the dictionary and the controls that it had. Units that are there
//! already are left as they are, or brought as far as they were: the same import may be run again, and goes on where it
//! stopped. At the end the counts of both sides are compared.
//!
//! Workers are not moved: they say hello by themselves. Neither is what the protocol does not tell: when a unit was
//! finished and how often it was tried, and, from a running server, priorities and delays of units.

mod live;
mod remote;
mod snapshot;
mod target;

use std::{io, path::Path};

use berth_core::work::UnitState;

use self::{live::Live, remote::Remote, snapshot::Snapshot, target::Target};

/// Why an import stopped. What was moved stays; it can be run again.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The connection failed.
    #[error("{0}: {1}")]
    Connection(String, #[source] io::Error),
    /// A call was answered with an error.
    #[error("{0}: {1}")]
    Refused(String, String),
    /// The file cannot be read.
    #[error("{0}: {1}")]
    File(String, #[source] io::Error),
    /// The file is no snapshot.
    #[error("{0} is no snapshot: {1}")]
    NoSnapshot(String, String),
    /// Both sides should be equal now, and are not.
    #[error("work spec {spec}: {expected} units {state} there, {found} here: does anybody still change them?")]
    Counts {
        /// Which.
        spec: String,
        /// Of units in which state.
        state: &'static str,
        /// How many there were.
        expected: u64,
        /// How many there are.
        found: u64,
    },
}

/// How far an import is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The spec whose units are being moved.
    pub spec: String,
    /// Units of this spec so far.
    pub units: u64,
    /// Those that were there already.
    pub there: u64,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Specs.
    pub specs: u64,
    /// Units, those included that were there already.
    pub units: u64,
    /// Units that were there already.
    pub there: u64,
}

/// A spec as another server has it.
struct Spec {
    /// Its name, in CBOR.
    name: Vec<u8>,
    /// Its dictionary, in CBOR.
    dictionary: Vec<u8>,
    /// What `control_work_spec` is to be told, in CBOR.
    control: Vec<u8>,
}

/// A unit as another server has it.
struct Unit {
    /// In CBOR, as all that follows in bytes.
    key: Vec<u8>,
    data: Vec<u8>,
    priority: Option<f64>,
    standing: Standing,
}

/// How a unit stands.
enum Standing {
    Available,
    /// For so many seconds more.
    Pending {
        seconds: f64,
        worker: Option<Vec<u8>>,
    },
    Finished,
    Failed,
}

impl Standing {
    fn state(&self) -> UnitState {
        match self {
            Self::Available => UnitState::Available,
            Self::Pending { .. } => UnitState::Pending,
            Self::Finished => UnitState::Finished,
            Self::Failed => UnitState::Failed,
        }
    }
}

/// Where the work comes from.
trait Source {
    /// The next spec; its units follow.
    fn next_spec(&mut self) -> Result<Option<Spec>, ImportError>;

    /// Some more units of the spec that came last; none: there are no more.
    fn next_units(&mut self) -> Result<Vec<Unit>, ImportError>;
}

/// From a running server (HOST:PORT) to a Berth (HOST:PORT of its door).
pub fn import_from_server(from: &str, to: &str, progress: &mut dyn FnMut(&Progress)) -> Result<Imported, ImportError> {
    import(&mut Live::new(Remote::connect(from)?)?, to, progress)
}

/// From a snapshot file, uncompressed; `-` is standard input.
pub fn import_snapshot(file: &Path, to: &str, progress: &mut dyn FnMut(&Progress)) -> Result<Imported, ImportError> {
    import(&mut Snapshot::open(file)?, to, progress)
}

fn import(source: &mut dyn Source, to: &str, progress: &mut dyn FnMut(&Progress)) -> Result<Imported, ImportError> {
    let mut target = Target::new(Remote::connect(to)?);
    let mut imported = Imported::default();
    while let Some(spec) = source.next_spec()? {
        let moved = target.take_spec(&spec, source, progress)?;
        imported.specs += 1;
        imported.units += moved.units;
        imported.there += moved.there;
    }
    Ok(imported)
}
