//! Which keys a job has. Each key is made once in a batch.

use berth_policy_names::{PerText, shortened};
use berth_policy_sdk::priority::Affinity;
use berth_policy_sdk::{Jobs, Places};

use crate::config::{Config, Kind};

/// With the word before it, fewer than the 256 bytes that a key may have.
const KEY_BYTES_MAX: usize = 240;
/// What the contract allows.
const WAIT_MS_MAX: u32 = 10_000;

pub(crate) fn place(config: &Config, jobs: &Jobs) -> Places {
    /// How a kind's key is made of the text of its column.
    type KeyOf = fn(&str) -> &str;
    let kinds: [(&'static str, Kind, &[u32], KeyOf); 4] = [
        ("hint", config.locality_hint, &jobs.locality_hint, |hint| hint),
        ("target", config.target, &jobs.target, |target| target),
        ("package", config.package, &jobs.target, package),
        ("mnemonic", config.mnemonic, &jobs.mnemonic, |mnemonic| mnemonic),
    ];
    let used = kinds.into_iter().filter(|(_, kind, _, _)| kind.weight > 0);
    let mut keys: Vec<Keys> = used
        .map(|(word, kind, column, part)| Keys { word, kind, column, part, known: PerText::new(jobs.strings.len()) })
        .collect();
    if keys.is_empty() {
        return Places::default();
    }
    let mut affinities = Vec::new();
    let affine = (0..jobs.priority.len())
        .map(|job| keys.iter_mut().filter_map(|keys| keys.of(jobs, job, &mut affinities)).collect())
        .collect();
    Places { affinities, affine: Some(affine), ..Places::default() }
}

/// The keys of one kind.
struct Keys<'a> {
    word: &'static str,
    kind: Kind,
    column: &'a [u32],
    /// Which part of the text is the key.
    part: fn(&str) -> &str,
    known: PerText<Option<u32>>,
}

impl Keys<'_> {
    /// The index of the job's key; none where the client did not send what it is made of.
    fn of(&mut self, jobs: &Jobs, job: usize, affinities: &mut Vec<Affinity>) -> Option<u32> {
        let Self { word, kind, column, part, known } = self;
        let index = column[job];
        *known.of(index, || {
            let text = part(jobs.text(index));
            if text.is_empty() {
                return None;
            }
            let key = format!("{word} {}", shortened(text, KEY_BYTES_MAX));
            affinities.push(Affinity { key, weight: kind.weight, wait_ms: kind.wait_ms.min(WAIT_MS_MAX) });
            Some(affinities.len() as u32 - 1)
        })
    }
}

/// The package of a target's label: what stands before the colon. A label without one names the package.
pub(crate) fn package(target: &str) -> &str {
    target.rsplit_once(':').map_or(target, |(package, _)| package)
}
