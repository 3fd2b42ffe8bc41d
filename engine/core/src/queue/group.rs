//! Groups: capability classes that serve the same requirement classes, and equally well.
//!
//! Bots that differ only in what no job asks for (a host name, a rack) are capability classes of their own, but
//! one group: heads are kept, and announcements read, once for all of them. A new requirement class splits the
//! groups whose members disagree about it; a forgotten one lets groups that became equal flow together.

use std::{cmp::Reverse, collections::BTreeMap};

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;

use super::{
    CapabilityIx, Guess, JobIx, LaneIx, LimitsIx, LineIx, Queue, RequirementIx, SessionIx, bits::BitSet, front::Front,
};

/// Number of a group in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct GroupIx(pub(super) u32);

/// Order of sessions that ask: the best first, then who waits longest.
pub(super) type Turn = (Reverse<u32>, u64);

/// Heads of lines of one lane and one limit set, by their places.
pub(super) type Heads = Front<(LineIx, JobIx), 12>;

/// Capability classes with equal verdicts.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) members: Vec<CapabilityIx>,
    /// The memo of verdicts: requirement classes that the members serve.
    pub(super) serves: BitSet,
    /// Mixed from the classes in `serves`, so that equal groups are found without comparing bits.
    print: u128,
    /// For each lane and limit set, the heads that may be served, best first. A lower bound: see `heads`.
    pub(super) heads: IndexMap<(LaneIx, LimitsIx), Heads, FxBuildHasher>,
    /// How far the journal was read; `None`: the heads must be collected anew.
    pub(super) cursor: Option<u64>,
    /// Announcements that concern few groups, this one among them. Bounded: see `heads`.
    pub(super) inbox: Vec<LineIx>,
    /// Sessions that ask for work now, in their order.
    pub(super) waiting: BTreeMap<Turn, (SessionIx, CapabilityIx)>,
}

impl Group {
    /// From one fit to the other; 0: it is not served.
    fn set(&mut self, class: RequirementIx, old: u32, new: u32) {
        self.serves.set(class.0, new > 0);
        self.print ^= mix(class, old) ^ mix(class, new);
    }
}

/// Spreads two small numbers over 128 bits (the finaliser of SplitMix64, twice). Nothing, for what is not served.
fn mix(class: RequirementIx, fit: u32) -> u128 {
    if fit == 0 {
        return 0;
    }
    let spread = |mut x: u64| {
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    let seed = ((u64::from(class.0) + 1) | (u64::from(fit - 1) << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    u128::from(spread(seed)) << 64 | u128::from(spread(!seed))
}

impl Queue {
    /// A new requirement class: each group decides, and splits where its members disagree.
    pub(super) fn judge(&mut self, class: RequirementIx, verdict: impl Fn(&Self, CapabilityIx) -> bool) {
        let groups: Vec<_> = self.groups.iter().map(|(index, _)| GroupIx(index as u32)).collect();
        for index in groups {
            let members = self.groups[index.0 as usize].members.clone();
            let (yes, no): (Vec<_>, Vec<_>) = members.into_iter().partition(|member| verdict(self, *member));
            if yes.is_empty() {
                continue;
            }
            let serving = if no.is_empty() { index } else { self.split(index, yes) };
            self.unlist(serving);
            self.groups[serving.0 as usize].set(class, 0, 1);
            self.list(serving);
        }
    }

    /// A requirement class is no more: groups that differed only in it become one.
    pub(super) fn unjudge(&mut self, class: RequirementIx) {
        let serving: Vec<_> = self.groups.iter().filter(|(_, group)| group.serves.has(class.0)).collect();
        let serving: Vec<_> = serving.into_iter().map(|(index, _)| GroupIx(index as u32)).collect();
        for index in serving {
            self.unlist(index);
            let old = self.fit_of(index, class);
            self.groups[index.0 as usize].set(class, old, 0);
            self.list(index);
        }
    }

    /// A new capability class joins the group with its verdicts, or founds one.
    pub(super) fn join_group(&mut self, class: CapabilityIx, serves: BitSet) -> GroupIx {
        let print = serves.iter().fold(0, |print, need| print ^ mix(RequirementIx(need), 1));
        if let Some(index) = self.group_index.get(&print) {
            self.groups[index.0 as usize].members.push(class);
            return *index;
        }
        let group = Group { members: vec![class], serves, print, ..Group::default() };
        let index = self.insert_group(group);
        self.group_index.insert(print, index);
        index
    }

    /// A capability class is no more.
    pub(super) fn leave_group(&mut self, class: CapabilityIx, index: GroupIx) {
        let group = &mut self.groups[index.0 as usize];
        group.members.retain(|member| *member != class);
        if group.members.is_empty() {
            self.unlist(index);
            let group = self.groups.remove(index.0 as usize);
            self.formation += 1;
            assert!(group.waiting.is_empty(), "a session that ended waits for nothing");
        }
    }

    /// Moves members into a group of their own, which starts with the same verdicts and no heads.
    pub(super) fn split(&mut self, index: GroupIx, mut members: Vec<CapabilityIx>) -> GroupIx {
        members.sort_unstable();
        let goes = |member: &CapabilityIx| members.binary_search(member).is_ok();
        let old = &mut self.groups[index.0 as usize];
        old.members.retain(|member| !goes(member));
        let moved = |(_, class): &(SessionIx, CapabilityIx)| goes(class);
        let waiting = old.waiting.extract_if(.., |_, waiter| moved(waiter)).collect();
        let group = Group {
            serves: old.serves.clone(),
            print: old.print,
            waiting,
            members: members.clone(),
            ..Group::default()
        };
        let new = self.insert_group(group);
        for member in members {
            self.capabilities[member.0 as usize].group = new;
        }
        self.note_asking(index);
        self.note_asking(new);
        new
    }

    /// The members of a group fit a class otherwise from now on.
    pub(super) fn refit(&mut self, index: GroupIx, class: RequirementIx, old: u32, new: u32) {
        self.unlist(index);
        let group = &mut self.groups[index.0 as usize];
        group.set(class, old, new);
        // Among the heads may be some that are not served any more, and some that are from now on are not there.
        (group.cursor, group.heads) = (None, IndexMap::default());
        group.inbox.clear();
        self.formation += 1;
        self.list(index);
    }

    /// Makes the group known by its verdicts; if there is such a group already, the two become one.
    fn list(&mut self, index: GroupIx) {
        let print = self.groups[index.0 as usize].print;
        let Some(other) = self.group_index.get(&print).copied() else {
            self.group_index.insert(print, index);
            return;
        };
        let mut group = self.groups.remove(index.0 as usize);
        self.formation += 1;
        self.asking.swap_remove(&index);
        for member in &group.members {
            self.capabilities[member.0 as usize].group = other;
        }
        let into = &mut self.groups[other.0 as usize];
        into.members.append(&mut group.members);
        into.waiting.append(&mut group.waiting);
        self.note_asking(other);
    }

    fn unlist(&mut self, index: GroupIx) {
        let print = self.groups[index.0 as usize].print;
        if self.group_index.get(&print) == Some(&index) {
            self.group_index.remove(&print);
        }
    }

    fn insert_group(&mut self, group: Group) -> GroupIx {
        self.formation += 1;
        let index = self.groups.insert(group);
        if self.guesses.len() <= index {
            self.guesses.resize(index + 1, Guess::default());
        }
        GroupIx(u32::try_from(index).expect("fewer than 2^32 groups"))
    }

    /// Keeps the list of groups that ask in step with who waits.
    pub(super) fn note_asking(&mut self, index: GroupIx) {
        if self.groups[index.0 as usize].waiting.is_empty() {
            self.asking.swap_remove(&index);
        } else {
            self.asking.insert(index);
        }
    }
}
