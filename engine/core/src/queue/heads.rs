//! Who goes next: the lane heads that a group may serve, and the bots that ask for work.
//!
//! Invariant: for each requirement class that a group serves, and each of its non-empty lanes, the group's set
//! for the lane holds an entry that is not behind the true head, or the journal past the group's cursor names the
//! lane, or the group has no cursor. Entries may be ahead of the truth (that head is gone): they are put
//! right when they come to the front.

use std::{
    cmp::Ordering,
    collections::{BTreeSet, VecDeque},
};

use super::{
    CapabilityIx, JobIx, LaneIx, Place, Queue, RequirementIx, SessionIx,
    group::{Group, GroupIx},
};
use crate::mutant::{Mutant, broken};

/// A group that lags further behind than this collects its heads anew.
const JOURNAL_MAX: usize = 4_096;

/// Which heads became better, oldest first.
#[derive(Debug, Default)]
pub(super) struct Journal {
    entries: VecDeque<(RequirementIx, LaneIx)>,
    dropped: u64,
}

impl Journal {
    pub(super) fn announce(&mut self, class: RequirementIx, lane: LaneIx) {
        self.entries.push_back((class, lane));
        if self.entries.len() > JOURNAL_MAX {
            self.entries.pop_front();
            self.dropped += 1;
        }
    }

    fn end(&self) -> u64 {
        self.dropped + self.entries.len() as u64
    }

    fn since(&self, cursor: u64) -> Option<impl Iterator<Item = (RequirementIx, LaneIx)> + '_> {
        let skip = usize::try_from(cursor.checked_sub(self.dropped)?).ok()?;
        Some(self.entries.range(skip..).copied())
    }
}

impl Queue {
    /// The job that a bot of the class should take now.
    pub(crate) fn best(&mut self, class: CapabilityIx) -> Option<JobIx> {
        let group = self.capabilities[class.0 as usize].group;
        self.catch_up(group);
        let Self { requirements, groups, lanes, .. } = self;
        let Group { heads, serves, .. } = &mut groups[group.0 as usize];
        let mut best: Option<(LaneIx, Place, JobIx)> = None;
        let mut position = 0;
        while position < heads.len() {
            let (&lane, line) = heads.get_index_mut(position).expect("the position is within the map");
            let head = loop {
                let Some(&(place, need)) = line.first() else { break None };
                // The entry's class may be gone, and its number given to a class that we do not serve.
                let class = requirements.get(need.0 as usize).filter(|_| serves.has(need.0));
                match class.and_then(|class| class.head(lane)) {
                    Some((now, job)) if now == place => break Some((place, job)),
                    now => {
                        line.pop_first();
                        if let Some((now, _)) = now {
                            line.insert((now, need));
                        }
                    }
                }
            };
            let Some((place, job)) = head else {
                heads.swap_remove_index(position);
                continue;
            };
            let better = best.is_none_or(|(other, other_place, _)| {
                let share = if lane == other {
                    Ordering::Equal
                } else {
                    lanes[lane.0 as usize].share_cmp(&lanes[other.0 as usize])
                };
                share.then(place.cmp(&other_place)) == Ordering::Less
            });
            if better {
                best = Some((lane, place, job));
            }
            position += 1;
        }
        best.map(|(_, _, job)| job)
    }

    /// The session asks for work from now on.
    pub(crate) fn wait(&mut self, class: CapabilityIx, session: SessionIx) -> u64 {
        self.waits += 1;
        let group = self.capabilities[class.0 as usize].group;
        self.groups[group.0 as usize].waiting.insert(self.waits, (session, class));
        self.note_asking(group);
        self.waits
    }

    /// The session asks no more.
    pub(crate) fn stop_waiting(&mut self, class: CapabilityIx, ticket: u64) {
        let group = self.capabilities[class.0 as usize].group;
        self.groups[group.0 as usize].waiting.remove(&ticket);
        self.note_asking(group);
    }

    /// The session that has waited longest among those that may take jobs of the class.
    pub(crate) fn longest_waiting(&self, need: RequirementIx) -> Option<SessionIx> {
        self.asking
            .iter()
            .map(|group| &self.groups[group.0 as usize])
            .filter(|group| group.serves.has(need.0))
            .filter_map(|group| group.waiting.first_key_value())
            .min_by_key(|(ticket, _)| if broken(Mutant::ShortestWaitFirst) { u64::MAX - **ticket } else { **ticket })
            .map(|(_, (session, _))| *session)
    }

    fn catch_up(&mut self, group: GroupIx) {
        let Self { requirements, groups, journal, .. } = self;
        let Group { serves, heads, cursor, .. } = &mut groups[group.0 as usize];
        // What is in the heads already stays: it is put right when it comes to the front.
        let mut offer = |need: RequirementIx, lane: LaneIx| {
            if let Some((place, _)) = requirements.get(need.0 as usize).and_then(|class| class.head(lane)) {
                heads.entry(lane).or_insert_with(BTreeSet::new).insert((place, need));
            }
        };
        match cursor.and_then(|cursor| journal.since(cursor)) {
            Some(news) => news.filter(|(need, _)| serves.has(need.0)).for_each(|(need, lane)| offer(need, lane)),
            None => {
                for need in serves.iter().map(RequirementIx) {
                    let lanes: Vec<_> = requirements[need.0 as usize].lanes().collect();
                    lanes.into_iter().for_each(|lane| offer(need, lane));
                }
            }
        }
        *cursor = Some(journal.end());
    }
}
