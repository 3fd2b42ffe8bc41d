//! Who goes next: the lane heads that a group may serve, and the bots that ask for work.
//!
//! Invariant: for each non-empty line of the requirement classes that a group serves, the group's set for the lane
//! holds an entry that is not behind the true head, or the group's inbox or the journal past its cursor names the line,
//! or the group has no cursor. Entries may be ahead of the truth (that head is gone): they are put right when they come
//! to the front.
//!
//! Of a class that few groups serve, a new head is announced to each of them; of one that many serve, once for all in
//! the journal. So a group reads little that does not concern it, and an announcement has a bounded cost.

use std::{cmp::Ordering, collections::VecDeque, num::NonZeroU64};

use super::{
    CapabilityIx, Guess, JobIx, LaneIx, LineIx, Place, Queue, RequirementIx, SessionIx,
    group::{Group, GroupIx},
};
use crate::{
    mutant::{Mutant, broken},
    prefetch::prefetch,
};

/// A group that lags further behind than this collects its heads anew.
const JOURNAL_MAX: usize = 4_096;
const INBOX_MAX: usize = 256;

/// To how many groups a new head is announced one by one.
const FEW: usize = 8;

/// Who hears of the new heads of a class.
#[derive(Debug, Default)]
pub(super) struct Audience {
    /// For which formation of groups this holds; 0: for none.
    formation: u64,
    /// `None`: more than a few.
    groups: Option<Vec<GroupIx>>,
}

/// Which heads became better, oldest first.
#[derive(Debug, Default)]
pub(super) struct Journal {
    entries: VecDeque<LineIx>,
    dropped: u64,
}

impl Journal {
    fn announce(&mut self, line: LineIx) {
        self.entries.push_back(line);
        if self.entries.len() > JOURNAL_MAX {
            self.entries.pop_front();
            self.dropped += 1;
        }
    }

    fn end(&self) -> u64 {
        self.dropped + self.entries.len() as u64
    }

    fn since(&self, cursor: u64) -> Option<impl Iterator<Item = LineIx> + '_> {
        let skip = usize::try_from(cursor.checked_sub(self.dropped)?).ok()?;
        Some(self.entries.range(skip..).copied())
    }
}

impl Queue {
    /// The line has a better head.
    pub(super) fn announce(&mut self, line: LineIx) {
        let class = self.lines[line.0 as usize].class;
        if self.requirements[class.0 as usize].audience.formation != self.formation {
            self.find_audience(class);
        }
        let Self { requirements, groups, journal, .. } = self;
        let Some(few) = &requirements[class.0 as usize].audience.groups else { return journal.announce(line) };
        for group in few {
            let Group { inbox, cursor, .. } = &mut groups[group.0 as usize];
            if cursor.is_some() && inbox.len() < INBOX_MAX {
                inbox.push(line);
            } else {
                *cursor = None;
                inbox.clear();
            }
        }
    }

    fn find_audience(&mut self, class: RequirementIx) {
        let serving = self.groups.iter().filter(|(_, group)| group.serves.has(class.0));
        let groups: Vec<_> = serving.map(|(index, _)| GroupIx(index as u32)).take(FEW + 1).collect();
        let groups = (groups.len() <= FEW).then_some(groups);
        self.requirements[class.0 as usize].audience = Audience { formation: self.formation, groups };
    }

    /// The job that a bot of the class should take now.
    pub(crate) fn best(&mut self, class: CapabilityIx) -> Option<JobIx> {
        let group = self.capabilities[class.0 as usize].group;
        self.catch_up(group);
        // Who is owed something goes first; then lanes by their shares, then jobs by their places.
        let mut best: Option<(bool, LaneIx, Place, JobIx)> = None;
        let mut position = 0;
        while let Some((&(lane, limits), _)) = self.groups[group.0 as usize].heads.get_index(position) {
            if self.is_blocked(limits) {
                position += 1;
                continue;
            }
            let owed = self.is_owed(limits);
            let Self { lines, groups, lanes, .. } = self;
            let Group { heads, serves, .. } = &mut groups[group.0 as usize];
            let (_, set) = heads.get_index_mut(position).expect("the position is within the map");
            let head = loop {
                let Some((place, (index, job))) = set.first() else { break None };
                let line = lines.get(index.0 as usize);
                let now = line.and_then(|line| line.waiting.first());
                // The entry's line may be gone, and its number given to one that we do not serve: to which the job may
                // have moved.
                let ours =
                    line.is_some_and(|line| line.lane == lane && line.limits == limits && serves.has(line.class.0));
                // No two jobs have one place.
                if now == Some((place, job)) && ours {
                    break now;
                }
                set.pop_first();
                if let Some((now, job)) = now.filter(|_| ours) {
                    set.insert(now, (index, job));
                }
            };
            let Some((place, job)) = head else {
                heads.swap_remove_index(position);
                continue;
            };
            let better = best.is_none_or(|(other_owed, other, other_place, _)| {
                let share = if lane == other {
                    Ordering::Equal
                } else {
                    lanes[lane.0 as usize].share_cmp(&lanes[other.0 as usize])
                };
                other_owed.cmp(&owed).then(share).then(place.cmp(&other_place)) == Ordering::Less
            });
            if better {
                best = Some((owed, lane, place, job));
            }
            position += 1;
        }
        best.map(|(_, _, _, job)| job)
    }

    /// A bot of the class took the head of the line. Its group puts its entry right while the line is at hand: when it
    /// comes to the front again, the line may be far away.
    pub(crate) fn taken(&mut self, class: CapabilityIx, index: LineIx) {
        let group = self.capabilities[class.0 as usize].group;
        let line = &self.lines[index.0 as usize];
        let heads = &mut self.groups[group.0 as usize].heads;
        if let Some(set) = heads.get_mut(&(line.lane, line.limits))
            && set.first().is_some_and(|(_, (first, _))| first == index)
        {
            set.pop_first();
            if let Some((place, job)) = line.waiting.first() {
                set.insert(place, (index, job));
            }
        }
        if let Some((_, (line, job))) = heads.get_index(0).and_then(|(_, set)| set.first()) {
            self.guesses[group.0 as usize] = Guess(line, job);
        }
    }

    /// A bot of the class is about to be given a job: asks early for what [`Queue::best`] will read, and guesses its
    /// answer.
    pub(crate) fn expect_best(&self, class: CapabilityIx) -> JobIx {
        let index = self.capabilities[class.0 as usize].group;
        let Guess(line, job) = self.guesses[index.0 as usize];
        if let Some(line) = self.lines.get(line.0 as usize) {
            prefetch(&line.lane);
        }
        prefetch(&self.groups[index.0 as usize]);
        job
    }

    /// The same a little later, when what was asked for is there and says what comes next.
    pub(crate) fn expect_best_soon(&self, class: CapabilityIx) {
        let index = self.capabilities[class.0 as usize].group;
        let Guess(line, _) = self.guesses[index.0 as usize];
        if let Some(first) = self.lines.get(line.0 as usize).and_then(|line| line.waiting.front().last()) {
            prefetch(first);
        }
        if let Some((_, set)) = self.groups[index.0 as usize].heads.get_index(0) {
            prefetch(set.front());
        }
    }

    /// The session asks for work from now on.
    pub(crate) fn wait(&mut self, class: CapabilityIx, session: SessionIx) -> NonZeroU64 {
        self.waits += 1;
        let group = self.capabilities[class.0 as usize].group;
        self.groups[group.0 as usize].waiting.insert(self.waits, (session, class));
        self.note_asking(group);
        NonZeroU64::new(self.waits).expect("it was just counted up")
    }

    /// The session asks no more.
    pub(crate) fn stop_waiting(&mut self, class: CapabilityIx, ticket: NonZeroU64) {
        let group = self.capabilities[class.0 as usize].group;
        self.groups[group.0 as usize].waiting.remove(&ticket.get());
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

    /// Of each group the session that has waited longest, in that order.
    pub(crate) fn longest_asking(&self) -> Vec<SessionIx> {
        let groups = self.asking.iter().map(|group| &self.groups[group.0 as usize]);
        let mut first: Vec<_> = groups.filter_map(|group| group.waiting.first_key_value()).collect();
        first.sort_unstable_by_key(|(ticket, _)| **ticket);
        first.into_iter().map(|(_, (session, _))| *session).collect()
    }

    fn catch_up(&mut self, group: GroupIx) {
        let Self { requirements, groups, lines, journal, .. } = self;
        let Group { serves, heads, cursor, inbox, .. } = &mut groups[group.0 as usize];
        // What is in the heads already stays: it is put right when it comes to the front.
        let mut offer = |index: LineIx| {
            let line = lines.get(index.0 as usize).filter(|line| serves.has(line.class.0));
            if let Some(line) = line
                && let Some((place, job)) = line.waiting.first()
            {
                heads.entry((line.lane, line.limits)).or_default().insert(place, (index, job));
            }
        };
        match cursor.and_then(|cursor| journal.since(cursor)) {
            Some(news) => {
                news.for_each(&mut offer);
                inbox.drain(..).for_each(offer);
            }
            None => {
                inbox.clear();
                for need in serves.iter() {
                    requirements[need as usize].lines.values().copied().for_each(&mut offer);
                }
            }
        }
        *cursor = Some(journal.end());
    }
}
