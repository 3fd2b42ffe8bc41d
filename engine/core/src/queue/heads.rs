//! Who goes next: the lane heads that a group may serve, and the bots that ask for work.
//!
//! Invariant: for each non-empty line, unless it is paused, of the requirement classes that a group serves, the group's set for the lane
//! holds an entry that is not behind the true head, or the group's inbox or the journal past its cursor names the line,
//! or the group has no cursor. Entries may be ahead of the truth (that head is gone): they are put right when they come
//! to the front.
//!
//! Of a class that few groups serve, a new head is announced to each of them; of one that many serve, once for all in
//! the journal. So a group reads little that does not concern it, and an announcement has a bounded cost.

use std::{
    cmp::{Ordering, Reverse},
    collections::VecDeque,
    num::NonZeroU64,
};

use super::{
    CapabilityIx, Guess, JobIx, LaneIx, LineIx, Place, Queue, RequirementIx, SessionIx,
    group::{Group, GroupIx},
    line::Line,
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
            // With many lanes most are out of the question by what they share: their heads need not be looked at. Of a
            // lane that is gone it is found out below that there is no head.
            let share = match best {
                None => Ordering::Less,
                Some((best_owed, best_lane, ..)) => {
                    let own = self.lanes.get(lane.0 as usize);
                    let share = own.map_or(Ordering::Less, |own| own.share_cmp(&self.lanes[best_lane.0 as usize]));
                    best_owed.cmp(&owed).then(share)
                }
            };
            if share == Ordering::Greater {
                position += 1;
                continue;
            }
            let Some((place, job)) = self.true_head(group, position) else { continue };
            if best.is_none_or(|(.., best_place, _)| share.then(place.cmp(&best_place)) == Ordering::Less) {
                best = Some((owed, lane, place, job));
            }
            position += 1;
        }
        best.map(|(_, _, _, job)| job)
    }

    /// The head of the lane and limits at a position among a group's; entries that are not true any more are put right on
    /// the way. `None`: there is none, and the position is another's now.
    #[inline]
    pub(super) fn true_head(&mut self, group: GroupIx, position: usize) -> Option<(Place, JobIx)> {
        let Self { lines, groups, .. } = self;
        let Group { heads, serves, .. } = &mut groups[group.0 as usize];
        let (&(lane, limits), set) = heads.get_index_mut(position).expect("the position is within the map");
        while let Some((place, (index, job))) = set.first() {
            let line = lines.get(index.0 as usize);
            let now = line.and_then(Line::head);
            // The entry's line may be gone, and its number given to one that we do not serve: to which the job may have
            // moved.
            let ours = line.is_some_and(|line| line.lane == lane && line.limits == limits && serves.has(line.class.0));
            // No two jobs have one place.
            if now == Some((place, job)) && ours {
                return now;
            }
            set.pop_first();
            if let Some((now, job)) = now.filter(|_| ours) {
                set.insert(now, (index, job));
            }
        }
        heads.swap_remove_index(position);
        None
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
            if let Some((place, job)) = line.head() {
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

    /// The session asks for work from now on. The larger its score, the sooner it is served.
    pub(crate) fn wait(&mut self, class: CapabilityIx, session: SessionIx, score: u32) -> NonZeroU64 {
        self.waits += 1;
        let group = self.capabilities[class.0 as usize].group;
        self.groups[group.0 as usize].waiting.insert((Reverse(score), self.waits), (session, class));
        self.note_asking(group);
        NonZeroU64::new(self.waits).expect("it was just counted up")
    }

    /// The session asks no more.
    pub(crate) fn stop_waiting(&mut self, class: CapabilityIx, ticket: NonZeroU64, score: u32) {
        let group = self.capabilities[class.0 as usize].group;
        let waited = self.groups[group.0 as usize].waiting.remove(&(Reverse(score), ticket.get()));
        assert!(waited.is_some(), "a session that has a ticket waits");
        self.note_asking(group);
    }

    /// The session that goes first among those that may take jobs of the class, and of the preferred one if there is
    /// such: the one that fits best, then the one with the largest score, then the one that has waited longest.
    pub(crate) fn first_waiting(&self, need: RequirementIx, preferred: Option<RequirementIx>) -> Option<SessionIx> {
        let asking = self.asking.iter().map(|index| (index, &self.groups[index.0 as usize]));
        let serving = asking.filter(|(_, group)| group.serves.has(need.0));
        let serving = serving.filter(|(_, group)| preferred.is_none_or(|preferred| group.serves.has(preferred.0)));
        let first = serving.filter_map(|(index, group)| {
            let (&(score, ticket), (session, _)) = group.waiting.first_key_value()?;
            let ticket = if broken(Mutant::ShortestWaitFirst) { u64::MAX - ticket } else { ticket };
            Some(((Reverse(self.rated(*index, need)), score, ticket), *session))
        });
        first.min_by_key(|(turn, _)| *turn).map(|(_, session)| session)
    }

    fn rated(&self, group: GroupIx, need: RequirementIx) -> u32 {
        if broken(Mutant::FitIgnored) { 1 } else { self.fit_of(group, need) }
    }

    /// All that may take jobs of the class, in that order. Off the hot path.
    pub(crate) fn waiting_for(&self, need: RequirementIx) -> Vec<SessionIx> {
        let serving = self.asking.iter().filter(|index| self.groups[index.0 as usize].serves.has(need.0));
        let turns = serving.flat_map(|index| {
            let fit = Reverse(self.rated(*index, need));
            self.groups[index.0 as usize].waiting.iter().map(move |(turn, (session, _))| ((fit, *turn), *session))
        });
        let mut turns: Vec<_> = turns.collect();
        turns.sort_unstable();
        turns.into_iter().map(|(_, session)| session).collect()
    }

    /// Of each group the session that goes first, the best of them first, then the one that has waited longest.
    pub(crate) fn first_asking(&self) -> Vec<SessionIx> {
        let groups = self.asking.iter().map(|group| &self.groups[group.0 as usize]);
        let mut first: Vec<_> = groups.filter_map(|group| group.waiting.first_key_value()).collect();
        first.sort_unstable_by_key(|(turn, _)| **turn);
        first.into_iter().map(|(_, (session, _))| *session).collect()
    }

    fn catch_up(&mut self, group: GroupIx) {
        let Self { requirements, groups, lines, journal, .. } = self;
        let Group { serves, heads, cursor, inbox, .. } = &mut groups[group.0 as usize];
        // What is in the heads already stays: it is put right when it comes to the front.
        let mut offer = |index: LineIx| {
            let line = lines.get(index.0 as usize).filter(|line| serves.has(line.class.0));
            if let Some(line) = line
                && let Some((place, job)) = line.head()
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
