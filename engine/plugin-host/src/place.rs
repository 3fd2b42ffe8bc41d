//! Asking a plugin for places, and its columns checked and written into the places of a batch.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use berth_core::{Affinity, LaneKey, Limit};
use berth_runtime::policy::Placement;

use crate::bindings::v1::priority::Places;
use crate::columns::{Columns, SEARCHED_MAX};
use crate::convert::short_name;
use crate::fault::Fault;
use crate::plugin::{Call, Plugin, Unanswered};
use crate::stats::Function;

/// Jobs in one call. Bounds what a call may take, whatever the caller collected.
pub(crate) const BATCH_JOBS_MAX: usize = 1024;
/// What the contract says of answers.
const NAME_BYTES_MAX: usize = 256;
const COUNTERS_MAX: usize = 8;
const AFFINITIES_MAX: usize = 4;
const AFFINITY_WAIT_MS_MAX: u32 = 10_000;
const AGAIN_MS_MIN: u32 = 1000;
const EVICT_AFTER_MS_MIN: u32 = 1000;
/// Names that begin with this are counters of Berth's own.
const RESERVED: &str = "berth:";

/// Which columns of `place` somebody answers for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owned(pub(crate) u8);

impl Owned {
    pub(crate) const LANE: Self = Self(1);
    pub(crate) const RANK: Self = Self(2);
    pub(crate) const LIMITS: Self = Self(4);
    pub(crate) const AFFINITY: Self = Self(8);
    pub(crate) const HISTORY: Self = Self(16);
    pub(crate) const AGAIN: Self = Self(32);

    pub(crate) fn has(self, column: Self) -> bool {
        self.0 & column.0 != 0
    }
}

impl Plugin {
    /// Writes the columns that this plugin owns into `placements`, one a job and at most [`BATCH_JOBS_MAX`]. On a fault
    /// they are as they were. Always asks the guest.
    pub(crate) fn place(
        &self,
        instance: &str,
        columns: &Columns<'_>,
        owned: Owned,
        placements: &mut [Placement],
    ) -> Result<(), Unanswered> {
        self.count_questions(Function::Place, columns.len());
        let filled = self.call(
            Call::of(Function::Place, instance),
            |live| live.place(columns.for_guest()),
            |places| Filled::check(places, &columns.texts.strings, owned, columns.len()),
        )?;
        filled.write(placements);
        Ok(())
    }
}

/// Columns that kept to the rules. A column that is owned and was left out says what its absence means.
#[derive(Default)]
struct Filled {
    lanes: Option<Vec<(LaneKey, u32)>>,
    ranks: Option<Vec<i64>>,
    limits: Option<Vec<Vec<Arc<Limit>>>>,
    affinities: Option<Vec<Vec<Arc<Affinity>>>>,
    history: Option<Vec<Option<Arc<str>>>>,
    again: Option<Vec<Option<Duration>>>,
}

impl Filled {
    fn check(places: Places, asked: &[&str], owned: Owned, jobs: usize) -> Result<Self, Fault> {
        let mut filled = Self::default();
        let mut names = Names::new(asked, &places.strings);
        if owned.has(Owned::LANE) {
            let lane = column("lane", places.lane, jobs, 0)?;
            let weight = column("weight", places.weight, jobs, 1)?;
            if weight.contains(&0) {
                return Err(Fault::nonsense("a weight is 0"));
            }
            let lanes = lane.into_iter().map(|lane| names.key(lane).map(LaneKey));
            filled.lanes =
                Some(lanes.zip(weight).map(|(lane, weight)| Ok((lane?, weight))).collect::<Result<_, Fault>>()?);
        }
        if owned.has(Owned::RANK) {
            filled.ranks = Some(column("rank", places.rank, jobs, 0)?);
        }
        if owned.has(Owned::LIMITS) {
            let limits = checked_limits(places.limits)?;
            let same = |one: &Limit, other: &Limit| one.name == other.name;
            filled.limits = Some(choices("counters", places.counters, &limits, COUNTERS_MAX, jobs, same)?);
        }
        if owned.has(Owned::AFFINITY) {
            let affinities = checked_affinities(places.affinities)?;
            let same = |one: &Affinity, other: &Affinity| one.key == other.key;
            filled.affinities = Some(choices("affine", places.affine, &affinities, AFFINITIES_MAX, jobs, same)?);
        }
        if owned.has(Owned::HISTORY) {
            let history = column("history", places.history, jobs, 0)?;
            let key = |index| names.key(index).map(|key| (!key.is_empty()).then_some(key));
            filled.history = Some(history.into_iter().map(key).collect::<Result<_, _>>()?);
        }
        if owned.has(Owned::AGAIN) {
            let again = column("again-ms", places.again_ms, jobs, 0)?;
            if let Some(ms) = again.iter().find(|ms| (1..AGAIN_MS_MIN).contains(*ms)) {
                return Err(Fault::nonsense(format!("asked again after {ms} ms; at least {AGAIN_MS_MIN} are allowed")));
            }
            let wait = |ms: u32| (ms > 0).then(|| Duration::from_millis(ms.into()));
            filled.again = Some(again.into_iter().map(wait).collect());
        }
        Ok(filled)
    }

    fn write(self, placements: &mut [Placement]) {
        write(placements, self.lanes, |place, (lane, weight)| (place.lane, place.weight) = (lane, weight));
        write(placements, self.ranks, |place, rank| place.rank = rank);
        write(placements, self.limits, |place, limits| place.limits = limits);
        write(placements, self.affinities, |place, affinities| place.affinities = affinities);
        write(placements, self.history, |place, history| place.history = history);
        write(placements, self.again, |place, again| place.again = again);
    }
}

fn write<T>(placements: &mut [Placement], column: Option<Vec<T>>, write: impl Fn(&mut Placement, T)) {
    for (place, value) in placements.iter_mut().zip(column.into_iter().flatten()) {
        write(place, value);
    }
}

/// A column with one entry a job; if it was left out, of one value.
fn column<T: Clone>(name: &str, column: Option<Vec<T>>, jobs: usize, absent: T) -> Result<Vec<T>, Fault> {
    match column {
        Some(column) if column.len() != jobs => {
            Err(Fault::nonsense(format!("{name} has {} entries for {jobs} jobs", column.len())))
        }
        Some(column) => Ok(column),
        None => Ok(vec![absent; jobs]),
    }
}

/// For each job some of a list, by their indexes; of those that are the same for this job the last. Jobs are not mixed:
/// a batch may hold jobs of several instances, and in each the same name is another counter.
fn choices<T>(
    name: &str,
    chosen: Option<Vec<Vec<u32>>>,
    from: &[Arc<T>],
    each_max: usize,
    jobs: usize,
    same: impl Fn(&T, &T) -> bool,
) -> Result<Vec<Vec<Arc<T>>>, Fault> {
    let chosen = column(name, chosen, jobs, Vec::new())?;
    let of_job = |indexes: Vec<u32>| {
        if indexes.len() > each_max {
            let many = indexes.len();
            return Err(Fault::nonsense(format!("{many} {name} of a job; at most {each_max} are allowed")));
        }
        let mut found: Vec<Arc<T>> = Vec::with_capacity(indexes.len());
        for index in indexes {
            let entry = from.get(index as usize);
            let entry =
                entry.ok_or_else(|| Fault::nonsense(format!("{name} has {index} of a list of {}", from.len())))?;
            match found.iter_mut().find(|known| same(known, entry)) {
                Some(known) => *known = Arc::clone(entry),
                None => found.push(Arc::clone(entry)),
            }
        }
        Ok(found)
    };
    chosen.into_iter().map(of_job).collect()
}

fn checked_limits(limits: Vec<crate::bindings::v1::priority::Limit>) -> Result<Vec<Arc<Limit>>, Fault> {
    let checked = |limit: crate::bindings::v1::priority::Limit| {
        if let Some(ms) = limit.evict_after_ms.filter(|ms| *ms < EVICT_AFTER_MS_MIN) {
            return Err(Fault::nonsense(format!(
                "evict-after-ms of a counter is {ms}; at least {EVICT_AFTER_MS_MIN} are allowed"
            )));
        }
        if limit.name.starts_with(RESERVED) {
            return Err(Fault::nonsense(format!("the name of a counter begins with {RESERVED:?}, which is reserved")));
        }
        Ok(Arc::new(Limit {
            name: checked_name("a counter", limit.name)?,
            max_running: limit.max_running,
            max_queued: limit.max_queued,
            min_running: limit.min_running,
            evict_after: limit.evict_after_ms.map(|ms| Duration::from_millis(ms.into())),
            cool_down: Duration::from_millis(limit.cool_down_ms.into()),
        }))
    };
    limits.into_iter().map(checked).collect()
}

fn checked_affinities(affinities: Vec<crate::bindings::v1::priority::Affinity>) -> Result<Vec<Arc<Affinity>>, Fault> {
    let checked = |affinity: crate::bindings::v1::priority::Affinity| {
        if affinity.wait_ms > AFFINITY_WAIT_MS_MAX {
            let wait = affinity.wait_ms;
            return Err(Fault::nonsense(format!(
                "an affinity waits {wait} ms; at most {AFFINITY_WAIT_MS_MAX} are allowed"
            )));
        }
        Ok(Arc::new(Affinity {
            key: checked_name("the key of an affinity", affinity.key)?,
            weight: affinity.weight,
            wait: Duration::from_millis(affinity.wait_ms.into()),
        }))
    };
    affinities.into_iter().map(checked).collect()
}

fn checked_name(what: &str, name: String) -> Result<Arc<str>, Fault> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(Fault::nonsense(format!(
            "the name of {what} has {} bytes; 1 to {NAME_BYTES_MAX} are allowed",
            name.len()
        )));
    }
    Ok(name.into())
}

/// Names by the index that the guest uses. Each is made once for a batch.
struct Names<'a> {
    asked: &'a [&'a str],
    more: &'a [String],
    /// The first few, searched; most batches need no more.
    known: Vec<(u32, Arc<str>)>,
    by_index: HashMap<u32, Arc<str>>,
}

impl<'a> Names<'a> {
    fn new(asked: &'a [&'a str], more: &'a [String]) -> Self {
        Self { asked, more, known: Vec::new(), by_index: HashMap::new() }
    }

    fn key(&mut self, index: u32) -> Result<Arc<str>, Fault> {
        let known = self.known.iter().find(|(known, _)| *known == index).map(|(_, key)| key);
        if let Some(key) = known.or_else(|| self.by_index.get(&index)) {
            return Ok(Arc::clone(key));
        }
        let key = self.make(index)?;
        if self.known.len() < SEARCHED_MAX {
            self.known.push((index, Arc::clone(&key)));
        } else {
            self.by_index.insert(index, Arc::clone(&key));
        }
        Ok(key)
    }

    fn make(&self, index: u32) -> Result<Arc<str>, Fault> {
        let place = index as usize;
        if let Some(text) = self.asked.get(place) {
            // What a client sent may be too long: that is no fault of the plugin.
            return Ok(short_name(text, NAME_BYTES_MAX).into());
        }
        let text = self.more.get(place - self.asked.len()).ok_or_else(|| {
            let texts = self.asked.len() + self.more.len();
            Fault::nonsense(format!("text {index} of a table of {texts} texts"))
        })?;
        if text.len() > NAME_BYTES_MAX {
            return Err(Fault::nonsense(format!("the name of a lane or a history key has {} bytes", text.len())));
        }
        Ok(text.as_str().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::v1::priority::{Affinity as AffinityAnswer, Limit as LimitAnswer};

    const ALL: Owned = Owned(63);

    fn good() -> Places {
        Places {
            strings: vec![],
            lane: None,
            weight: None,
            rank: None,
            limits: vec![],
            counters: None,
            affinities: vec![],
            affine: None,
            history: None,
            again_ms: None,
        }
    }

    fn placed(places: Places, asked: &[&str], owned: Owned, jobs: usize) -> Vec<Placement> {
        let mut placements = vec![Placement { rank: 9, weight: 9, ..Placement::default() }; jobs];
        Filled::check(places, asked, owned, jobs).unwrap_or_else(|fault| panic!("{fault:?}")).write(&mut placements);
        placements
    }

    fn limit(name: &str, max_running: Option<u32>) -> LimitAnswer {
        let (evict_after_ms, cool_down_ms) = (None, 0);
        LimitAnswer {
            name: name.to_owned(),
            max_running,
            max_queued: None,
            min_running: 0,
            evict_after_ms,
            cool_down_ms,
        }
    }

    fn affinity(key: &str, wait_ms: u32) -> AffinityAnswer {
        AffinityAnswer { key: key.to_owned(), weight: 1, wait_ms }
    }

    #[test]
    fn a_lane_may_be_named_by_either_table_and_no_column_means_the_default() {
        let places = Places { strings: vec!["mine".to_owned()], lane: Some(vec![1, 2, 0]), ..good() };
        let placed = placed(places, &["", "theirs"], ALL, 3);
        let lanes: Vec<_> = placed.iter().map(|place| &*place.lane.0).collect();
        assert_eq!(lanes, ["theirs", "mine", ""]);
        assert!(placed.iter().all(|place| place.weight == 1 && place.rank == 0));
    }

    #[test]
    fn columns_that_belong_to_another_plugin_are_not_looked_at() {
        let places = Places { rank: Some(vec![1]), weight: Some(vec![0, 0, 0]), history: Some(vec![9]), ..good() };
        let placed = placed(places, &[""], Owned::AGAIN, 2);
        assert!(placed.iter().all(|place| place.rank == 9 && place.weight == 9));
    }

    #[test]
    fn limits_and_affinities_are_found_by_index_and_of_equal_names_the_last_counts() {
        let places = Places {
            limits: vec![limit("a", Some(1)), limit("b", None), limit("a", Some(5))],
            counters: Some(vec![vec![0, 1, 2], vec![]]),
            affinities: vec![affinity("warm", 10_000)],
            affine: Some(vec![vec![], vec![0, 0]]),
            history: Some(vec![1, 0]),
            again_ms: Some(vec![0, 1000]),
            ..good()
        };
        let placed = placed(places, &["", "key"], ALL, 2);
        let limits: Vec<_> = placed[0].limits.iter().map(|limit| (&*limit.name, limit.max_running)).collect();
        assert_eq!(limits, [("a", Some(5)), ("b", None)]);
        assert_eq!((placed[0].affinities.len(), placed[1].affinities.len()), (0, 1));
        assert_eq!((placed[0].history.as_deref(), placed[1].history.as_deref()), (Some("key"), None));
        assert_eq!((placed[0].again, placed[1].again), (None, Some(Duration::from_secs(1))));
    }

    #[test]
    fn a_name_means_another_counter_for_jobs_of_another_instance() {
        let limits = vec![limit("tenant a", Some(100)), limit("tenant a", Some(5))];
        let places = Places { limits, counters: Some(vec![vec![0], vec![1], vec![0]]), ..good() };
        let placed = placed(places, &[""], Owned::LIMITS, 3);
        let most: Vec<_> = placed.iter().map(|place| place.limits[0].max_running).collect();
        assert_eq!(most, [Some(100), Some(5), Some(100)]);
    }

    #[test]
    fn a_long_text_of_a_client_names_a_lane_all_the_same() {
        let long = "x".repeat(1000);
        let placed = placed(Places { lane: Some(vec![1]), history: Some(vec![1]), ..good() }, &["", &long], ALL, 1);
        assert_eq!(placed[0].lane.0.len(), NAME_BYTES_MAX);
    }

    #[test]
    fn answers_that_break_the_rules_are_faults() {
        let long = "x".repeat(257);
        let bad = [
            Places { rank: Some(vec![1]), ..good() },
            Places { lane: Some(vec![0; 3]), ..good() },
            Places { weight: Some(vec![1, 0]), ..good() },
            Places { lane: Some(vec![0, 1]), ..good() },
            Places { lane: Some(vec![u32::MAX, 0]), ..good() },
            Places { lane: Some(vec![1, 0]), strings: vec![long.clone()], ..good() },
            Places { history: Some(vec![0, 1]), ..good() },
            Places { history: Some(vec![0, 1]), strings: vec![long.clone()], ..good() },
            Places { again_ms: Some(vec![999, 0]), ..good() },
            Places { limits: vec![limit("", None)], ..good() },
            Places { limits: vec![limit(&long, None)], ..good() },
            Places { limits: vec![limit("berth:quota/a/main", None)], ..good() },
            Places { limits: vec![LimitAnswer { evict_after_ms: Some(999), ..limit("a", None) }], ..good() },
            Places { counters: Some(vec![vec![0], vec![]]), ..good() },
            Places { counters: Some(vec![vec![]]), ..good() },
            Places { limits: vec![limit("a", None)], counters: Some(vec![vec![0; 9], vec![]]), ..good() },
            Places { affinities: vec![affinity("", 0)], ..good() },
            Places { affinities: vec![affinity(&long, 0)], ..good() },
            Places { affinities: vec![affinity("a", 10_001)], ..good() },
            Places { affinities: vec![affinity("a", 0)], affine: Some(vec![vec![], vec![0; 5]]), ..good() },
            Places { affine: Some(vec![vec![], vec![u32::MAX]]), ..good() },
        ];
        for (case, places) in bad.into_iter().enumerate() {
            assert!(Filled::check(places, &[""], ALL, 2).is_err(), "case {case}");
        }
        assert!(Filled::check(good(), &[""], ALL, 2).is_ok());
    }

    #[test]
    fn whatever_the_columns_say_there_is_a_place_for_each_job_or_a_fault() {
        // splitmix64: numbers that look random and are the same in every run.
        let mut state = 0x9e37_u64;
        let mut below = move |end: u64| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            ((mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 32) % end
        };
        let (mut good_answers, mut faults) = (0, 0);
        for _ in 0..20_000 {
            let jobs = below(5) as usize;
            // Mostly plausible, now and then out of all bounds.
            let mut column = |most: u64| -> Option<Vec<u32>> {
                let length = if below(20) == 0 { below(7) as usize } else { jobs };
                let mut value = || if below(40) == 0 { below(1 << 32) as u32 } else { below(most) as u32 };
                let values = (0..length).map(|_| value()).collect();
                (below(3) > 0).then_some(values)
            };
            let (lane, history) = (column(4), column(4));
            let (weight, again) = (column(9), column(3000));
            let (counted, affine) = (column(2), column(2));
            let each = |column: Option<Vec<u32>>| -> Option<Vec<Vec<u32>>> {
                column.map(|column| column.into_iter().map(|value| vec![value; value.min(9) as usize]).collect())
            };
            let places = Places {
                strings: vec!["a".repeat(below(300) as usize)],
                lane,
                weight,
                rank: Some(vec![i64::MIN; jobs]),
                limits: vec![limit(&"b".repeat(below(260) as usize), None), limit("c", Some(0))],
                counters: each(counted),
                affinities: vec![affinity("d", 0), affinity("e", below(11_000) as u32)],
                affine: each(affine),
                history,
                again_ms: again,
            };
            let mut placements = vec![Placement::default(); jobs];
            match Filled::check(places, &["", "x", "y"], ALL, jobs) {
                Ok(filled) => {
                    filled.write(&mut placements);
                    assert!(placements.iter().all(|place| place.weight > 0 && place.lane.0.len() <= NAME_BYTES_MAX));
                    good_answers += 1;
                }
                Err(fault) => {
                    assert_eq!(fault.kind, crate::fault::FaultKind::Nonsense);
                    faults += 1;
                }
            }
        }
        assert!(good_answers > 500 && faults > 500, "{good_answers} good, {faults} faults");
    }
}
