//! Which work spec serves a worker: a plugin says, or a built-in rule.

use std::{borrow::Cow, cmp::Reverse, collections::BTreeMap, time::Duration};

use super::{
    Book, Choice, GetWork, Priority, SpecId, Timer,
    mutant::{Mutant, broken},
    spec::Spec,
};
use crate::{Chooser, LANE_VIEWS_MAX, LaneView, Timestamp, WorkerView};

/// What decides about a spec, kept beside its name so that a thousand specs can be looked at without touching them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Brief {
    pub(super) weight: u64,
    pub(super) pending: u64,
    pub(super) ready: u64,
    /// Priority of the unit that goes next; `None`: no unit is ready.
    pub(super) head: Option<Priority>,
    /// It may have more units pending.
    room: bool,
    /// From when on it makes a unit of its own, if it does now.
    makes_from: Option<Timestamp>,
    min_gb: f64,
    /// Any Coordinate client may have it.
    plain_runtime: bool,
}

impl Brief {
    fn of(spec: &Spec) -> Option<Self> {
        let meta = &spec.meta;
        let weight = u64::try_from(meta.weight).ok().filter(|weight| *weight > 0)?;
        let (pending, head) = (spec.pending(), spec.head_priority());
        // Only where there is nothing else to do: neither waiting nor being done.
        let makes = meta.continuous && head.is_none() && pending == 0;
        if (meta.paused && !broken(Mutant::PauseIgnored)) || (head.is_none() && !makes) {
            return None;
        }
        Some(Self {
            weight,
            pending,
            ready: spec.ready_count(),
            head,
            room: meta.max_running.is_none_or(|most| most == 0 || pending < most),
            makes_from: makes.then_some(spec.next_continuous),
            min_gb: spec.settings.min_gb,
            plain_runtime: spec.settings.runtime.is_empty(),
        })
    }

    /// Whether it would make a unit now.
    pub(super) fn makes(&self, now: Timestamp) -> bool {
        self.makes_from.is_some_and(|from| from <= now || broken(Mutant::IntervalIgnored))
    }
}

/// How many lanes a chooser is shown in one step, and what a question counts beside its own: so many take about a
/// millisecond. Without a bound, calls that came together would use up its patience with whoever answers, and be held
/// against it.
const LANES_A_STEP: usize = 8_192;
const LANES_A_QUESTION: usize = 16;

/// Who chooses in place of the built-in rule.
pub(super) struct Asked {
    chooser: Box<dyn Chooser>,
    /// The name under which it is asked.
    namespace: String,
    /// Lanes that it may be shown yet in this step.
    left: usize,
}

impl Asked {
    pub(super) fn new(chooser: Box<dyn Chooser>, namespace: String) -> Self {
        Self { chooser, namespace, left: LANES_A_STEP }
    }

    /// A step begins.
    pub(super) fn begin(&mut self) {
        self.chooser.begin();
        self.left = LANES_A_STEP;
    }
}

/// A spec that could serve the worker.
pub(super) type Candidate = (SpecId, Brief);

impl Book {
    /// Whether and how a spec stands among those that may have work is seen to after each change of it.
    pub(super) fn refresh(&mut self, id: SpecId) {
        let spec = self.specs.get_mut(&id).expect("a fact names a spec that exists");
        let brief = Brief::of(spec);
        let open = brief.map(|_| spec.settings.priority);
        let was = std::mem::replace(&mut spec.open, open);
        if let Some(priority) = was.filter(|_| was != open) {
            self.close(priority, id);
        }
        if let (Some(priority), Some(brief)) = (open, brief) {
            self.open.insert((Reverse(priority), id), brief);
            self.opened |= brief.room && (brief.head.is_some() || brief.makes(self.now));
            if let Some(from) = brief.makes_from.filter(|from| *from > self.now) {
                self.timers.insert((from, Timer::Makes(id)));
            }
        }
    }

    pub(super) fn close(&mut self, priority: i64, id: SpecId) {
        self.open.remove(&(Reverse(priority), id));
    }

    /// The spec that serves this worker now.
    pub(super) fn choose(&mut self, ask: &GetWork) -> Option<SpecId> {
        let candidates = self.candidates(ask);
        if let [] | [_] = candidates[..] {
            return candidates.first().map(|(id, _)| *id);
        }
        if let Some(id) = self.ask_chooser(ask, &candidates) {
            return Some(id);
        }
        match self.rules.choice {
            Choice::Simplified => self.simplified(&candidates),
            Choice::Classic => self.classic(&candidates).or_else(|| self.simplified(&candidates)),
        }
    }

    /// Of those that could serve the worker, the ones of the highest priority.
    fn candidates(&self, ask: &GetWork) -> Vec<Candidate> {
        let mut found: Vec<(Reverse<i64>, Candidate)> = Vec::new();
        let mut take = |key: &(Reverse<i64>, SpecId), brief: &Brief| {
            if found.last().is_some_and(|(best, _)| *best < key.0) && !broken(Mutant::SpecPriorityIgnored) {
                return false;
            }
            if self.serves(key.1, brief, ask) {
                found.push((key.0, (key.1, *brief)));
            }
            true
        };
        if ask.specs.is_empty() {
            let _ = self.open.iter().all(|(key, brief)| take(key, brief));
        } else {
            let named = ask.specs.iter().filter_map(|name| {
                let id = *self.names.get(name)?;
                let key = (Reverse(self.specs[&id].open?), id);
                self.open.get_key_value(&key)
            });
            let named: BTreeMap<_, _> = named.collect();
            let _ = named.into_iter().all(|(key, brief)| take(key, brief));
        }
        found.into_iter().map(|(_, candidate)| candidate).collect()
    }

    fn serves(&self, id: SpecId, brief: &Brief, ask: &GetWork) -> bool {
        let fits = |id: SpecId| ask.runtimes.contains(&self.specs[&id].settings.runtime);
        let short = ask.available_gb.is_some_and(|gb| gb < brief.min_gb);
        (brief.room || broken(Mutant::MaxRunningIgnored))
            && (brief.head.is_some() || brief.makes(self.now))
            && !(self.rules.enforce_min_gb && short)
            // Looked up only where somebody asks for a kind, and it is not the empty one.
            && (ask.runtimes.is_empty() || (brief.plain_runtime && ask.runtimes.iter().any(|one| one.is_empty())) || fits(id))
    }

    /// The one that is furthest behind its share of what is pending; of equals the first by name.
    fn simplified(&self, candidates: &[Candidate]) -> Option<SpecId> {
        let total: i128 = candidates.iter().map(|(_, brief)| i128::from(brief.weight)).sum();
        let pending: i128 = candidates.iter().map(|(_, brief)| i128::from(brief.pending)).sum();
        let score = |brief: &Brief| {
            let weight = if broken(Mutant::WeightIgnored) { 1 } else { i128::from(brief.weight) };
            weight * (pending + 1) - total * i128::from(brief.pending)
        };
        let best = candidates.iter().map(|(_, brief)| score(brief)).max()?;
        let equals = candidates.iter().filter(|(_, brief)| score(brief) == best);
        equals.map(|(id, _)| *id).min_by(|one, other| self.name_of(*one).cmp(self.name_of(*other)))
    }

    fn name_of(&self, id: SpecId) -> &super::SpecName {
        &self.specs[&id].settings.name
    }

    fn ask_chooser(&mut self, ask: &GetWork, candidates: &[Candidate]) -> Option<SpecId> {
        let Asked { chooser, namespace, left } = self.chooser.as_mut()?;
        if !chooser.asks(namespace) {
            return None;
        }
        *left = left.checked_sub(candidates.len().min(LANE_VIEWS_MAX) + LANES_A_QUESTION)?;
        let mut best: Vec<&Candidate> = candidates.iter().collect();
        let truncated = best.len() > LANE_VIEWS_MAX;
        if truncated {
            best.sort_by_key(|(id, brief)| ((brief.pending + 1).saturating_mul(1 << 20) / brief.weight, *id));
            best.truncate(LANE_VIEWS_MAX);
        }
        let names: Vec<Cow<'_, str>> =
            best.iter().map(|(id, _)| String::from_utf8_lossy(self.specs[id].settings.name.as_bytes())).collect();
        let lanes: Vec<LaneView<'_>> = best
            .iter()
            .zip(&names)
            .map(|((_, brief), name)| LaneView {
                name,
                weight: brief.weight.try_into().unwrap_or(u32::MAX),
                queued: brief.ready.try_into().unwrap_or(u32::MAX),
                running: brief.pending.try_into().unwrap_or(u32::MAX),
                head_waited: Duration::ZERO,
                // What is more urgent has the larger priority here, and the smaller rank there.
                head_rank: -(brief.head.unwrap_or_default().get() as i64),
            })
            .collect();
        let bot_id = String::from_utf8_lossy(ask.worker.as_bytes());
        let worker =
            WorkerView { instance: namespace, bot_id: &bot_id, capabilities: &[], busy: 0, slots: 1, recent: &[] };
        let index = chooser.choose(&worker, &lanes, truncated)?;
        best.get(index).map(|(id, _)| *id)
    }
}
